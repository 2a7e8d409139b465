import json

from tests.data import fake_layouts
from tests.harness import SemCompTestCase


class BenchmarkRecordsTest(SemCompTestCase):
    def test_every_way_gives_crops(self):
        fake_layouts.bsds500(self.folder / "data")
        output = self.run_recipe_test(
            "recipes/benchmark_records.py",
            "--smoke",
            f"--data_dir={self.folder / 'data'}",
            f"--out={self.folder / 'out'}",
            "--crop=16",
            "--side=20",
            "--batch=2",
        )
        result = json.loads((self.folder / "out" / "records.json").read_text())
        ways = ["folder", "tfds", "records-jpeg", "records-raw"]
        self.assertEqual(list(result["images_per_second"]), ways)
        for way in ways:
            self.assertGreater(result["images_per_second"][way], 0)
            self.assertLen(result["rounds"][way], 1)
            self.assertIn(f"| {way} |", output)
        self.assertEqual((result["pictures"], result["crop"]), (1, 16))
