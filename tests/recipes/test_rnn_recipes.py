import json
import os

import numpy as np

import tfsemcomp
from tests.data.test_pipeline import write_photos
from tests.harness import SemCompTestCase, smooth_image
from tests.metrics.networks import weights_file
from tfsemcomp import images
from tfsemcomp.models import recurrent_autoencoder


class RnnRecipesTest(SemCompTestCase):
    def train(self, name, *changes):
        """Runs the training for two steps; returns its run.json and its model."""
        folder = self.folder / name
        self.run_recipe_test(
            "recipes/train_rnn.py",
            f"--data={self.source}",
            f"--validation={self.source}",
            f"--out={folder}",
            *changes,
        )
        run = json.loads((folder / "run.json").read_text())
        self.assertTrue(np.isfinite(run["validation"]["loss"]))
        self.assertEqual(run["flags"]["steps"], 2)
        return run, recurrent_autoencoder.load_run(str(folder))

    def test_train_warm_start_export_code_and_measure(self):
        self.source = ":".join(write_photos(self.folder / "records", 6))
        # A smoke test takes no other files, and so no features.
        run, first = self.train("first", "--smoke", "--beta=1", "--machine_weight=1")
        self.assertEqual(run["network"]["machine_weight"], 0)

        run, second = self.train(
            "second",
            "--size=tiny-dct",
            "--crop=32",
            "--batch=2",
            "--steps=6",
            "--steps_per_epoch=1",
            "--max_steps=2",
            f"--init={self.folder / 'first'}",
            "--machine_weight=dial",
            f"--features={weights_file('MobileNet')}",
            "--feature_network=mobilenet",
            "--feature_layers=conv_pw_1_relu,conv_pw_2_relu",
            "--normalise_features",
            "--learning_rate=1e-9",
        )
        self.assertIsNone(run["network"]["machine_weight"])
        self.assertGreater(run["validation"]["machine"], 0)
        for mine, theirs in zip(
            second.trainable_variables, first.trainable_variables, strict=True
        ):
            np.testing.assert_allclose(mine, theirs, atol=1e-5)

        models = self.folder / "models"
        self.run_recipe_test(
            "recipes/export_rnn.py",
            f"--run={self.folder / 'second'}",
            f"--data={self.source}",
            "--name=rnn-test",
            f"--out={models}",
            "--pictures=6",
            "--adaptive=0.5",
            "--hidden=8",
            "--context_steps=20",
            "--terms=some photos=made here, free",
            "--default",
        )
        os.environ["TFSEMCOMP_MODELS"] = str(models)
        self.addCleanup(os.environ.pop, "TFSEMCOMP_MODELS")
        codec = tfsemcomp.load("rnn")
        self.assertEqual(codec.quality_range, (1, 4))
        image = smooth_image(40, 50)
        data = codec.compress(image, quality=3, machine_weight=0.5, adaptive="error")
        self.assertEqual(tfsemcomp.decompress(data).shape, image.shape)
        card = json.loads((models / "rnn-test" / "card.json").read_text())
        self.assertEqual(card["images_seen"], 4)
        self.assertEqual(card["data"], {"some photos": "made here, free"})

        photos = self.folder / "photos"
        photos.mkdir()
        images.write(photos / "one.png", smooth_image(272, 288))
        self.run_recipe_test(
            "recipes/benchmark_rnn.py",
            f"--images={photos}",
            "--out=results",
            "--parts=rates,coding,training",
            "--smoke",
        )
        path = self.folder / "results" / "smoke" / "rnn.json"
        found = json.loads(path.read_text(encoding="utf-8"))
        own = found["rates"]["models"]["rnn-test"]
        self.assertLen(own["points"], 4)
        self.assertLen(own["bytes_over_packed_bits"], 4)
        for share in own["largest_bytes_over_packed_bits"]:
            self.assertBetween(share, 0.01, 1.5)
        self.assertIn("rnn rnn-test", found["rates"]["beside"]["psnr"])
        self.assertGreater(found["coding"]["rnn-test"]["decode_s"], 0)
        self.assertGreater(found["training"]["ratio"], 0)
