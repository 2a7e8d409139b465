import json
import os

import numpy as np
from PIL import Image

from tests.data.test_pipeline import write_photos
from tests.harness import SemCompTestCase, smooth_image
from tests.metrics.networks import weights_file


class MsroiRecipesTest(SemCompTestCase):
    def test_smoke(self):
        source = ":".join(write_photos(self.folder / "records", 4))
        self.run_recipe_test(
            "recipes/train_msroi.py",
            "--size=small",
            f"--data={source}",
            f"--validation={source}",
            "--teacher=imagenet",
            f"--out={self.folder / 'run'}",
            "--smoke",
        )
        run = json.loads((self.folder / "run" / "run.json").read_text())
        names = ("size", "crop", "batch", "steps")
        self.assertEqual([run["flags"][name] for name in names], ["tiny", 32, 2, 2])
        self.assertTrue(np.isfinite(run["validation"]["loss"]))

    def test_train_export_and_evaluate(self):
        folder, split = write_photos(self.folder / "records", 6)
        source = f"{folder}:{split}"
        teacher = weights_file("MobileNet")
        train = [
            "--size=tiny",
            f"--data={source}",
            f"--validation={source}",
            f"--teacher={teacher}",
            "--crop=32",
            "--batch=2",
            "--steps=2",
            "--steps_per_epoch=2",
            f"--out={self.folder / 'run'}",
        ]
        self.run_recipe_test("recipes/train_msroi.py", *train)
        run = json.loads((self.folder / "run" / "run.json").read_text())
        self.assertEqual(run["flags"]["steps"], 2)
        self.assertTrue(np.isfinite(run["validation"]["loss"]))

        models = self.folder / "models"
        self.run_recipe_test(
            "recipes/export_msroi.py",
            f"--run={self.folder / 'run'}",
            "--name=msroi-test",
            f"--out={models}",
            "--terms=some photos=made here, free",
        )
        self.assertIn("msroi-test", (models / "MANIFEST.json").read_text())

        for kind in ("images", "fixation_maps"):
            (self.folder / "osie" / kind).mkdir(parents=True)
            for name in "123":
                path = self.folder / "osie" / kind / f"{name}.png"
                Image.fromarray(smooth_image(48, 64)).save(path)
        os.environ["TFSEMCOMP_MODELS"] = str(models)
        self.addCleanup(os.environ.pop, "TFSEMCOMP_MODELS")
        output = self.run_recipe_test(
            "recipes/evaluate_msroi.py",
            "--model=msroi-test",
            f"--records={source}",
            f"--saliency={self.folder / 'osie'}",
            "--crop=32",
            "--write_card",
        )
        results = json.loads(output)
        self.assertEqual(results["fixations"]["images"], 3)
        self.assertEqual(results["classification"]["images"], 6)
        self.assertBetween(results["fixations"]["cam_topk"]["auc"], 0, 1)
        card = json.loads((models / "msroi-test" / "card.json").read_text())
        self.assertEqual(card["results"], results)
        self.assertEqual(card["data"], {"some photos": "made here, free"})
        output = self.run_recipe_test(
            "recipes/evaluate_msroi.py",
            "--model=msroi-test",
            f"--saliency={self.folder / 'osie'}",
            "--methods=contrast",
            "--write_card",
            "--smoke",
        )
        self.assertEqual(json.loads(output)["fixations"]["images"], 2)
        again = json.loads((models / "msroi-test" / "card.json").read_text())
        self.assertEqual(again, card)
