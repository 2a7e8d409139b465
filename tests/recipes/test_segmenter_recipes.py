import json
import os

import numpy as np

from tests.data.test_pipeline import png
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.data import label_maps, records
from tfsemcomp.models import segmenter
from tfsemcomp.semantics import segmentation
from tfsemcomp.serving import manifest


def write_scenes(folder, count=4, height=40, width=50):
    """Records whose classes tell how bright a pixel's red is."""

    def make(seed):
        image = smooth_image(height, width, seed)
        labels = np.digitize(image[..., 0], (85, 170)).astype(np.uint8)
        content = label_maps.encode(labels)
        return records.Record(
            png(image), f"{seed}.png", height, width, label_map=content
        )

    records.write_shards(map(make, range(count)), str(folder), "train", 2)
    return f"{folder}:train"


class SegmenterRecipesTest(SemCompTestCase):
    def test_train_export_and_evaluate(self):
        source = write_scenes(self.folder / "records")
        self.run_recipe_test(
            "recipes/train_segmenter.py",
            f"--data={source}",
            f"--validation={source}",
            "--classes=3",
            "--ignored=2",
            f"--out={self.folder / 'smoke'}",
            "--smoke",
        )
        run = json.loads((self.folder / "smoke" / "run.json").read_text())
        self.assertEqual([run["flags"][x] for x in ("size", "steps")], ["tiny", 2])
        self.assertTrue(np.isfinite(run["validation"]["miou"]))
        model = segmenter.load_run(str(self.folder / "smoke"))
        self.assertEqual((model.classes, model.ignored), (3, 2))

        models = self.folder / "models"
        self.run_recipe_test(
            "recipes/export_segmenter.py",
            f"--run={self.folder / 'smoke'}",
            "--name=segmenter-test",
            f"--out={models}",
            "--default",
            "--exact",
        )
        os.environ["TFSEMCOMP_MODELS"] = str(models)
        self.addCleanup(os.environ.pop, "TFSEMCOMP_MODELS")
        labels = segmentation.segment(smooth_image(40, 50))
        self.assertEqual(labels.shape, (40, 50))
        self.assertLess(labels.max(), 2)

        self.run_recipe_test(
            "recipes/evaluate_segmenter.py",
            f"--data={source}",
            "--out=results",
            "--write_card",
        )
        found = json.loads((self.folder / "results" / "segmenter.json").read_text())
        self.assertEqual(found["pictures"], 4)
        self.assertBetween(found["miou"], 0, 1)
        self.assertLessEqual(set(found["iou"]), {"0", "1"})
        card = manifest.find("segmenter-test").card
        self.assertEqual(card["results"]["label_maps"], found)
        self.assertEqual(card["classes"], {"number": 3, "ignored": 2})
        self.assertTrue(card["exact"])
