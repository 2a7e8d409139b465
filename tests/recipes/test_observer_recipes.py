import json

import numpy as np

from tests.evaluation.test_observer_runs import photo
from tests.harness import SemCompTestCase
from tests.metrics import networks
from tfsemcomp import images
from tfsemcomp.evaluation import sweep, table


class ObserverRecipesTest(SemCompTestCase):
    def test_fit_and_evaluate(self):
        names = []
        for number in range(8):
            name = f"images/{('red', 'green')[number % 2]}/{number}.png"
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            images.write(self.folder / name, photo(number))
            names.append(name)
        (self.folder / "train.txt").write_text("\n".join(names[:6]) + "\n")
        (self.folder / "test.txt").write_text("\n".join(names[6:]) + "\n")
        output = self.run_recipe_test(
            "recipes/fit_observer.py",
            f"--train={self.folder / 'train.txt'}",
            f"--test={self.folder / 'test.txt'}",
            f"--trunk={networks.weights_file('MobileNet')}",
            f"--out={self.folder / 'colours.npz'}",
            "--smoke",
        )
        fitted = json.loads(output)
        self.assertEqual((fitted["train"], fitted["test"]), (4, 2))
        self.assertEqual(fitted["top1"], 1)
        self.evaluate_records(fitted["trunk"])
        self.evaluate_results(fitted["trunk"])

    def evaluate_records(self, trunk):
        output = self.run_recipe_test(
            "recipes/evaluate_observers.py",
            f"--list={self.folder / 'train.txt'}",
            "--smoke",
            "--codecs=jpeg:90,webp:90",
            f"--records={self.folder / 'records'}",
            f"--observers=folder:{self.folder / 'colours.npz'}",
            "--shards=2",
            "--metrics=psnr",
            f"--out={self.folder / 'out'}",
        )
        column = f"top1@colours-{trunk}"
        self.assertIn(f"| codec | setting | bpp | {column} |", output)
        summary = json.loads(
            (self.folder / "out" / "smoke" / "observers.json").read_text()
        )
        self.assertEqual(summary["images"], 2)
        points = {point["codec"]: point for point in summary["points"]}
        self.assertCountEqual(points, ["original", "jpeg", "webp"])
        self.assertEqual(points["original"]["means"][column], 1)
        found = table.read(self.folder / "out" / "smoke")
        self.assertLen(found.rows, 4)
        for row in found.rows:
            self.assertGreater(row.metrics["psnr"], 25)
        webp = [row.metrics[column] for row in found.rows if row.codec == "webp"]
        self.assertEqual(points["webp"]["means"][column], np.mean(webp))

    def evaluate_results(self, trunk):
        pictures = sorted((self.folder / "images").glob("*/[67].png"))
        sweep.run_sweep(["jpeg"], pictures, self.folder / "sweep", [90], ["psnr"])
        self.run_recipe_test(
            "recipes/evaluate_observers.py",
            f"--results={self.folder / 'sweep'}",
            f"--labels={self.folder / 'test.txt'}",
            f"--observers=folder:{self.folder / 'colours.npz'}",
        )
        found = table.read(self.folder / "sweep")
        self.assertEqual(found.metric_names()[:2], ("psnr", f"top1@colours-{trunk}"))
        self.assertIn("images", found.meta)
