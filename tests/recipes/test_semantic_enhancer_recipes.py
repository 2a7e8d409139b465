import json
import os

import numpy as np

from tests.data.test_coded import write_coded
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.entropy import context_mixing
from tfsemcomp.models import runs, semantic_enhancer
from tfsemcomp.serving import manifest, runner


class SemanticEnhancerRecipesTest(SemCompTestCase):
    def test_train_and_export(self):
        source = ":".join(write_coded(self.folder / "coded"))
        out, models = self.folder / "phase2", self.folder / "models"
        self.run_recipe_test(
            "recipes/train_semantic_enhancer.py",
            "--phase=2",
            f"--data={source}",
            f"--validation={source}",
            f"--out={out}",
            "--classes=3",
            "--ignored=-1",
            "--smoke",
        )
        run = json.loads((out / "run.json").read_text())
        self.assertEqual(run["network"]["bases"], ["jpeg", "webp"])
        for name in ("loss", "gan", "matching", "gain"):
            self.assertTrue(np.isfinite(run["validation"][name]), name)
        self.assertGreater(run["validation"]["matching"], 0)
        self.assertTrue(list((out / "logs" / "samples").iterdir()))

        perceptual = semantic_enhancer.load_run(str(out))
        faithful = semantic_enhancer.SemanticEnhancer.from_config(
            perceptual.get_config()
        )
        faithful.create_weights()
        runs.save(faithful, str(self.folder / "phase3"), {"flags": run["flags"]})
        plane = np.digitize(smooth_image(32, 32)[..., 0], (60, 110)).astype(np.uint8)
        context_mixing.save(
            self.folder / "labels.npz", context_mixing.prime([plane], 3)
        )
        self.run_recipe_test(
            "recipes/export_semantic_enhancer.py",
            f"--phase3={self.folder / 'phase3'}",
            f"--phase2={out}",
            f"--primed={self.folder / 'labels.npz'}",
            "--name=semantic-enhancer-tiny",
            f"--out={models}",
            "--default",
        )
        os.environ["TFSEMCOMP_MODELS"] = str(models)
        self.addCleanup(os.environ.pop, "TFSEMCOMP_MODELS")
        info = manifest.find("semantic-enhancer-tiny")
        self.assertEqual(info.system, "semantic_enhanced")
        self.assertTrue((info.path / context_mixing.FILE_NAME).exists())
        self.assertEqual(
            info.card["enhancer"],
            {
                "classes": 3,
                "ignored": None,
                "bases": ["jpeg", "webp", "other"],
                "multiple": 16,
                "boundaries": True,
                "dial": True,
            },
        )
        told = {
            "base": np.full([1, 32, 48, 3], 90, np.float32),
            "labels": np.ones([1, 32, 48], np.int32),
            "boundaries": np.zeros([1, 32, 48, 1], np.float32),
            "codec": np.zeros([1], np.int32),
            "rate": np.full([1], 0.2, np.float32),
        }
        found = runner.shared(info).call(
            "synthesize", **told, perception=np.ones([1], np.float32)
        )
        np.testing.assert_allclose(found["images"], perceptual(told), atol=0.02)
