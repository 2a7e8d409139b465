import os
import pathlib
from unittest import mock

from tests.harness import SemCompTestCase
from tfsemcomp.errors import ModelMismatchError, SemCompError
from tfsemcomp.serving import manifest


def write_model(folder: pathlib.Path, name: str, weights: bytes = b"weights") -> None:
    version = folder / name / "1"
    (version / "variables").mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"graph")
    (version / "variables" / "data").write_bytes(weights)
    card = {"name": name, "version": 1, "system": "a_codec"}
    manifest.add(folder, card, default=True)


class ManifestTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        write_model(self.folder, "one")
        write_model(self.folder, "two", b"other weights")
        variable = {manifest.ENVIRONMENT_VARIABLE: str(self.folder)}
        patch = mock.patch.dict(os.environ, variable)
        patch.start()
        self.addCleanup(patch.stop)

    def test_lists_and_finds(self):
        self.assertEqual([m.name for m in manifest.list_models()], ["one", "two"])
        self.assertEqual(manifest.find("one").system, "a_codec")
        self.assertEqual(manifest.default_model("a_codec").name, "two")
        path = self.folder / "one" / "1"
        self.assertEqual(manifest.find(path).name, "one")

    def test_whole_models_verify(self):
        for model in manifest.list_models():
            manifest.verify(model)

    def test_any_changed_file_is_named(self):
        model = manifest.find("one")
        for name in model.files:
            path = self.folder / "one" / name
            before = path.read_bytes()
            path.write_bytes(before + b"\n")
            with self.assertRaisesRegex(ModelMismatchError, path.name):
                manifest.verify(model)
            path.unlink()
            with self.assertRaisesRegex(ModelMismatchError, path.name):
                manifest.verify(model)
            path.write_bytes(before)

    def test_fingerprints_tell_weights_apart(self):
        one, two = (manifest.find(name).fingerprint for name in ("one", "two"))
        self.assertLen(one, 4)
        self.assertNotEqual(one, two)
        self.assertEqual(one, manifest.find("one").fingerprint)

    def test_listed_files_and_files_on_disk_make_one_fingerprint(self):
        for name in ("one", "two"):
            info = manifest.find(name)
            self.assertEqual(info.fingerprint, manifest.fingerprint(info.path))
            by_path = manifest.find(self.folder / name / "1")
            self.assertEqual(info.fingerprint, by_path.fingerprint)

    def test_a_fingerprint_finds_its_model(self):
        for name in ("one", "two"):
            wanted = manifest.find(name).fingerprint
            self.assertEqual(manifest.with_fingerprint(wanted, "a_codec").name, name)
            with self.assertRaisesRegex(ModelMismatchError, "models of b_codec.*none"):
                manifest.with_fingerprint(wanted, "b_codec")
        with self.assertRaisesRegex(ModelMismatchError, "00010203.*here: one, two"):
            manifest.with_fingerprint(bytes(range(4)), "a_codec")

    def test_unknown_names(self):
        with self.assertRaisesRegex(SemCompError, "there are one, two"):
            manifest.find("three")
        with self.assertRaisesRegex(SemCompError, "`no_codec`"):
            manifest.default_model("no_codec")

    def test_damaged_manifest(self):
        path = self.folder / "MANIFEST.json"
        for text in ("{", "[]", '{"schema": 1}', '{"schema": 7, "models": {}}'):
            path.write_text(text)
            with self.assertRaisesRegex(ModelMismatchError, "MANIFEST.json"):
                manifest.list_models()
        path.unlink()
        with self.assertRaisesRegex(SemCompError, "TFSEMCOMP_MODELS"):
            manifest.list_models()


class ShippedModelsTest(SemCompTestCase):
    """What the repository ships is whole, small and has its card."""

    def test_every_model_is_whole_and_within_its_size(self):
        total = 0
        for model in manifest.list_models():
            with self.subTest(model.name):
                manifest.verify(model)
                root = model.path.parent
                size = sum((root / name).stat().st_size for name in model.files)
                self.assertLess(size, 16 << 20)
                total += size
                for key in ("recipe", "data", "steps", "git_commit", "results"):
                    self.assertTrue(model.card[key], f"card lacks `{key}`")
        self.assertLess(total, 150 << 20)
