import json
import os

import numpy as np

import tfsemcomp
from tests.data.test_pipeline import write_photos
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.models import hyperprior


class HyperpriorRecipesTest(SemCompTestCase):
    def train(self, name, *changes):
        """Runs the training for two steps; returns its run.json and its model."""
        folder = self.folder / name
        output = [
            f"--data={self.source}",
            f"--validation={self.source}",
            f"--out={folder}",
            *changes,
        ]
        self.run_recipe_test("recipes/train_hyperprior.py", *output)
        run = json.loads((folder / "run.json").read_text())
        self.assertTrue(np.isfinite(run["validation"]["loss"]))
        self.assertEqual(run["flags"]["steps"], 2)
        return run, hyperprior.load_run(str(folder))

    def test_train_warm_start_export_and_code(self):
        self.source = ":".join(write_photos(self.folder / "records", 6))
        low, high = hyperprior.LMBDAS[3:5]
        run, first = self.train(
            "first", "--smoke", f"--lmbda={low},{high}", "--ema_momentum=0.5"
        )
        self.assertEqual(run["network"]["lmbdas"], [low, high])
        fresh = hyperprior.Hyperprior("tiny-dct", lmbdas=(low, high))
        self.assertFalse(np.array_equal(first.log_gain, fresh.log_gain))

        run, second = self.train(
            "second",
            "--size=tiny-dct",
            "--crop=32",
            "--batch=2",
            "--steps=6",
            "--steps_per_epoch=1",
            "--max_steps=2",
            f"--init={self.folder / 'first'}",
            "--distortion=ms_ssim",
            f"--lmbda={hyperprior.MS_SSIM_LMBDAS[4]}",
            "--learning_rate=1e-9",
            "--precision=mixed_bfloat16",
        )
        self.assertBetween(run["validation"]["distortion"], 0, 1)
        # It took the rate that both have, and at that pace learned nothing.
        np.testing.assert_allclose(second.log_gain[0], first.log_gain[1], atol=1e-5)
        for mine, theirs in zip(
            second.prior.trainable_variables,
            first.prior.trainable_variables,
            strict=True,
        ):
            np.testing.assert_allclose(mine, theirs, atol=1e-6)

        models = self.folder / "models"
        self.run_recipe_test(
            "recipes/export_hyperprior.py",
            f"--run={self.folder / 'first'}",
            "--name=hyperprior-test",
            f"--out={models}",
            "--terms=some photos=made here, free",
            "--default",
        )
        os.environ["TFSEMCOMP_MODELS"] = str(models)
        self.addCleanup(os.environ.pop, "TFSEMCOMP_MODELS")
        codec = tfsemcomp.load("hyperprior-test")
        self.assertEqual(codec.quality_range, (1, 2))
        image = smooth_image(40, 50)
        decoded = tfsemcomp.decompress(codec.compress(image, quality=1.5))
        self.assertLess(np.mean(abs(decoded.astype(float) - image)), 20)
        card = json.loads((models / "hyperprior-test" / "card.json").read_text())
        self.assertEqual(card["images_seen"], 4)
        self.assertEqual(card["data"], {"some photos": "made here, free"})
