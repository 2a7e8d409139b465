import csv
import json

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images


class BenchmarkMsroiTest(SemCompTestCase):
    def test_all_methods_at_equal_bytes(self):
        (self.folder / "photos").mkdir()
        for seed, name in enumerate(("one.png", "three.png", "two, with a comma.png")):
            images.write(
                self.folder / "photos" / name, smooth_image(160, 160, seed=seed)
            )
        output = self.run_recipe_test(
            "recipes/benchmark_msroi.py",
            f"--images={self.folder / 'photos'}",
            "--quality=50,75",
            "--map=contrast",
            "--smoke",
            f"--out={self.folder / 'out'}",
        )
        self.assertIn("Differences from jpegli", output)
        with open(self.folder / "out" / "benchmark.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 2 * 8)
        self.assertEqual({row["quality"] for row in rows}, {"50"})
        report = json.loads((self.folder / "out" / "benchmark.json").read_text())
        for methods in report["summary"].values():
            self.assertEqual(len(methods), 8)
            for facts in methods.values():
                self.assertBetween(facts["over_jpeg"]["bytes"], -1, 0)
            self.assertGreater(methods["msroi"]["over_jpeg"]["roi_psnr"], 0)
