import json
import os

import numpy as np

from tests.data.test_pipeline import png
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.data import planes, producers, records
from tfsemcomp.models import edge_detector
from tfsemcomp.semantics import edges
from tfsemcomp.serving import manifest


def write_pairs(folder, count=4, height=40, width=50):
    """Records whose edges are where their pictures' red is above 127."""

    def make(seed):
        image = smooth_image(height, width, seed)
        drawn = np.where(image[..., 0] > 127, 200, 0).astype(np.uint8)
        edges = planes.encode(drawn)
        return records.Record(png(image), f"{seed}.png", height, width, edges=edges)

    records.write_shards(map(make, range(count)), str(folder), "train", 2)
    return f"{folder}:train"


class EdgeRecipesTest(SemCompTestCase):
    def test_train_export_and_evaluate(self):
        source = write_pairs(self.folder / "records")
        train = ["recipes/train_edge_detector.py", f"--data={source}"]
        train.append(f"--validation={source}")
        self.run_recipe_test(*train, f"--out={self.folder / 'smoke'}", "--smoke")
        run = json.loads((self.folder / "smoke" / "run.json").read_text())
        names = ("size", "crop", "batch", "steps")
        self.assertEqual([run["flags"][name] for name in names], ["tiny", 32, 2, 2])
        self.assertTrue(np.isfinite(run["validation"]["loss"]))
        model = edge_detector.load_run(str(self.folder / "smoke"))
        self.assertEqual(model.size, edge_detector.SIZES["tiny"])

        models = self.folder / "models"
        self.run_recipe_test(
            "recipes/export_edge_detector.py",
            f"--run={self.folder / 'smoke'}",
            "--name=edges-test",
            f"--out={models}",
            "--terms=some photos=made here, free",
            "--default",
        )
        os.environ["TFSEMCOMP_MODELS"] = str(models)
        self.addCleanup(os.environ.pop, "TFSEMCOMP_MODELS")
        image = smooth_image(40, 50)
        found = edges.strength(image, "learned")
        again = edges.strength(image, "learned", model="edges-test")
        np.testing.assert_array_equal(found, again)

        evaluate = ["recipes/evaluate_edges.py", f"--data={source}"]
        evaluate.append("--methods=canny;sigma=1,sobel,learned")
        evaluate += ["--thresholds=4", "--out=results", "--write_card"]
        self.run_recipe_test(*evaluate)
        found = json.loads((self.folder / "results" / "edges.json").read_text())
        self.assertEqual(found["pictures"], 4)
        scores = found["methods"]
        self.assertEqual(list(scores), ["canny;sigma=1", "sobel", "learned"])
        for method in scores.values():
            self.assertBetween(method["ods"], 0.01, 1)
            self.assertLen(method["curve"], 4)
            recalls = [point["recall"] for point in method["curve"]]
            self.assertEqual(recalls, sorted(recalls, reverse=True))
        text = (self.folder / "results" / "edges.md").read_text()
        self.assertIn(f"| `sobel` | {scores['sobel']['ods']:g} |", text)

        card = manifest.find("edges-test").card
        best = scores["learned"]["threshold"]
        self.assertEqual(card["threshold"], best)
        entered = card["results"]["boundaries"]
        self.assertEqual(entered["data"], "records:train")
        self.assertEqual(entered["ods"], scores["learned"]["ods"])
        self.assertEqual(card["data"], {"some photos": "made here, free"})
        lines = edges.extract(image, "learned")
        same = edges.extract(image, "learned", threshold=best)
        np.testing.assert_array_equal(lines, same)

        producer = producers.parse("edges:learned")
        fingerprint = manifest.find("edges-test").fingerprint.hex()
        self.assertEqual(producer.fingerprint, fingerprint)
        np.testing.assert_array_equal(producer(image)["map"], 255 * lines)
