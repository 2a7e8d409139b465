"""`tfsemcomp export` and `models --signatures`: what TF Serving is given."""

import json
import shutil
from unittest import mock

import numpy as np
from absl.testing import parameterized
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

import tfsemcomp
from tests.codecs.hyperprior_models import write
from tests.codecs.learned_codecs import LearnedCodecTestCase, made_once
from tests.harness import smooth_image
from tests.models.hyperprior_networks import a_model, lively
from tests.test_cli import CliTestCase
from tfsemcomp.errors import SemCompError
from tfsemcomp.models import edge_detector, run_exports, runs
from tfsemcomp.serving import hosting, manifest, runner, signatures

NAMES = ("mean", "factorized")
FOLDER = made_once(lambda root: write(root, NAMES))


class ExportTestCase(CliTestCase, LearnedCodecTestCase):
    models = FOLDER

    def setUp(self) -> None:
        super().setUp()
        self.out = self.folder / "served"

    def export(self, *argv) -> dict:
        return self.succeed("export", *argv, f"--out={self.out}")

    def refuse_export(self, status: int, pattern: str, *argv) -> None:
        self.refuse(status, pattern, "export", *argv, f"--out={self.out}")

    def config(self) -> dict:
        """name -> its part of the server's configuration, as the server reads it."""
        parsed = model_server_config_pb2.ModelServerConfig()
        text_format.Parse((self.out / hosting.CONFIG).read_text("utf-8"), parsed)
        return {entry.name: entry for entry in parsed.model_config_list.config}


class ExportTest(ExportTestCase):
    def test_a_model_by_its_name(self):
        facts = self.export("mean")
        model = manifest.find("mean")
        path = self.out / "mean" / "1"
        self.assertEqual([m["path"] for m in facts["models"]], [str(path)])
        self.assertEqual(facts["models"][0]["fingerprint"], model.fingerprint.hex())
        # Nothing is changed, and nothing else is there.
        self.assertEqual(manifest.fingerprint(path), model.fingerprint)
        self.assertEqual(manifest.find(path).card, model.card)
        self.assertCountEqual(
            [p.name for p in self.out.iterdir()], ["mean", "models.config"]
        )
        self.assertCountEqual(
            [p.name for p in path.parent.iterdir()], ["1", "card.json"]
        )
        image = smooth_image(48, 48)
        data = tfsemcomp.load(path).compress(image)
        self.assertEqual(data, tfsemcomp.load("mean").compress(image))

    def test_all_models_and_their_configuration(self):
        facts = self.export("--all", "--base_path=/srv/m")
        self.assertEqual(facts["hosted"], ["factorized/1", "mean/1"])
        found = self.config()
        self.assertEqual(set(found), set(NAMES))
        for name, entry in found.items():
            self.assertEqual(entry.base_path, f"/srv/m/{name}")
            self.assertEqual(entry.model_platform, "tensorflow")
            policy = entry.model_version_policy
            self.assertEqual(list(policy.specific.versions), [1])
            label = f"fingerprint-{manifest.find(name).fingerprint.hex()}"
            self.assertEqual(dict(entry.version_labels), {label: 1})

    def test_a_folder_of_a_model_joins_those_that_are_there(self):
        self.export("mean")
        path = self.folder / "mine" / "3"
        shutil.copytree(manifest.find("factorized").path, path)
        facts = self.export(path)
        self.assertEqual(facts["hosted"], ["mean/1", "mine/3"])
        self.assertEqual(self.config()["mine"].base_path, "/models/mine")
        _, text, _ = self.run_cli("export", "factorized", "--out", self.out)
        self.assertRegex(text, r"factorized/1: factorized version 1\n.*3 models\n$")

    def test_versions_of_one_model(self):
        for version in (2, 10):
            shutil.copytree(
                manifest.find(NAMES[version == 10]).path,
                self.folder / "mine" / str(version),
            )
            self.export(self.folder / "mine" / str(version))
        entry = self.config()["mine"]
        self.assertEqual(list(entry.model_version_policy.specific.versions), [2, 10])
        self.assertEqual(sorted(entry.version_labels.values()), [2, 10])

    def test_a_version_that_is_there_stays_unless_it_may_go(self):
        self.export("mean")
        marker = self.out / "mean" / "1" / "marker"
        marker.write_text("old")
        self.refuse_export(1, "exists.*--overwrite", "mean")
        # Neither is anything else written then.
        self.refuse_export(1, "exists.*--overwrite", "factorized", "mean")
        self.export("mean", "--overwrite")
        self.assertFalse(marker.exists())
        self.assertCountEqual(
            [p.name for p in (self.out / "mean").iterdir()], ["1", "card.json"]
        )

    def test_what_fails_leaves_the_old_version(self):
        self.export("mean")
        model = manifest.find("mean")
        before = sorted(self.out.rglob("*"))
        with (
            mock.patch.object(shutil, "copytree", side_effect=OSError(28, "No space")),
            self.assertRaisesRegex(SemCompError, "No space"),
        ):
            hosting.copy(model, self.out, overwrite=True)
        real = type(self.out).rename

        def fail(path, target):
            if path.name.isdigit() or path.name.endswith(".old"):
                return real(path, target)
            raise OSError(13, "Permission denied")

        with (
            mock.patch.object(type(self.out), "rename", fail),
            self.assertRaisesRegex(SemCompError, "Permission denied"),
        ):
            hosting.copy(model, self.out, overwrite=True)
        self.assertEqual(sorted(self.out.rglob("*")), before)
        found = manifest.fingerprint(self.out / "mean" / "1")
        self.assertEqual(found, model.fingerprint)

    def test_changed_models_are_not_exported(self):
        self.change_copy("mean", "tables.npz")
        self.use_models(self.folder / "models")
        self.refuse_export(1, "tables.npz", "mean")

    @parameterized.parameters(
        ((), "`MODEL`"),
        (("mean", "--all"), "`MODEL`"),
        (("mean", "--version=2"), "`version` is of trainings"),
        (("mean", "--name=other"), "`name` is of trainings"),
        (("mean", "--version=0"), "`version`"),
    )
    def test_wrong_usage(self, argv, pattern):
        self.refuse_export(2, pattern, *argv)

    def test_models_that_are_not_there(self):
        self.refuse_export(1, "no model `unheard-of`", "unheard-of")

    def test_names_that_no_configuration_holds(self):
        path = self.folder / 'a"b' / "1"
        shutil.copytree(manifest.find("mean").path, path)
        with self.assertRaisesRegex(SemCompError, "rename it"):
            hosting.write_config(path.parents[1])


class RunsTest(ExportTestCase):
    """Folders of trainings."""

    def test_hyperprior(self):
        model = lively(a_model())
        run = self.folder / "my run"
        runs.save(model, str(run), {})
        self.export(run, "--name=mine", "--version=4")
        path = self.out / "mine" / "4"
        found = manifest.find(path)
        self.assertEqual((found.name, found.version), ("mine", 4))
        self.assertEqual(found.card["latents"], manifest.find("mean").card["latents"])
        image = smooth_image(70, 33)
        codec = tfsemcomp.load(path)
        self.assertEqual(codec.decompress(codec.compress(image)).shape, image.shape)
        self.export(run)
        self.assertTrue((self.out / "my run" / "1" / "saved_model.pb").is_file())

    def test_edge_detector(self):
        model = edge_detector.EdgeDetector("tiny")
        model.create_weights()
        run = self.folder / "edges"
        runs.save(model, str(run), {})
        self.export(run)
        found = manifest.find(self.out / "edges" / "1")
        self.assertEqual(found.system, "edges")
        image = smooth_image(32, 32)[None].astype(np.float32)
        strength = runner.LocalRunner(found).call("structure", images=image)
        np.testing.assert_allclose(
            strength["strength"], model.strength(image), rtol=1e-4, atol=1e-5
        )

    @parameterized.parameters(
        ("recurrent_autoencoder_1", "recipes/export_rnn.py"),
        ("msroi_cnn", "recipes/export_msroi.py"),
        ("layered", "recipes/export_layered.py"),
        ("something", "no exporter"),
        (None, "tells no network"),
    )
    def test_runs_that_need_their_recipe(self, name, pattern):
        run = self.folder / "run"
        run.mkdir()
        record = {"network": {"name": name}} if name else {}
        (run / "run.json").write_text(json.dumps(record))
        self.refuse_export(1, pattern, run)

    def test_every_recipe_that_is_named_is_there(self):
        from tests.recipes.test_recipes import RECIPES

        self.assertContainsSubset(run_exports._RECIPES.values(), RECIPES)


class SignaturesTest(ExportTestCase):
    def test_signatures_are_told_and_nothing_runs(self):
        with mock.patch.object(runner.LocalRunner, "call", side_effect=AssertionError):
            facts = self.succeed("models", "--signatures")
            _, text, _ = self.run_cli("models", "--signatures")
        for fact in facts["models"]:
            found = signatures.read(fact["path"])
            self.assertEqual(set(fact["signatures"]), set(found))
        (mean,) = (fact for fact in facts["models"] if fact["name"] == "mean")
        channels = mean["card"]["latents"]["channels"]
        self.assertEqual(
            mean["signatures"]["analyze"]["inputs"],
            {"images": {"dtype": "float32", "shape": [None, None, None, 3]}},
        )
        self.assertEqual(
            mean["signatures"]["hyper_synthesis"]["outputs"]["index"],
            {"dtype": "int32", "shape": [None, None, None, channels]},
        )
        self.assertIn("    takes encoded: string [?]\n", text)
        self.assertIn(f"    gives mu: float32 [?, ?, ?, {channels}]\n", text)

    def test_without_the_flag_there_are_none(self):
        facts = self.succeed("models")
        self.assertNotIn("signatures", facts["models"][0])
