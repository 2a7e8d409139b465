import json

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images


class BenchmarkHyperpriorTest(SemCompTestCase):
    def test_all_parts_on_a_tiny_picture(self):
        photos = self.folder / "photos"
        photos.mkdir()
        for name in ("one.png", "two.png"):
            images.write(photos / name, smooth_image(192, 176))
        self.run_recipe_test(
            "recipes/benchmark_hyperprior.py",
            f"--images={photos}",
            "--out=results",
            "--parts=rates,coding,training",
            "--smoke",
        )
        path = self.folder / "results" / "smoke" / "hyperprior.json"
        found = json.loads(path.read_text(encoding="utf-8"))
        self.assertEqual((found["rates"]["images"], found["training"]["crop"]), (1, 64))
        points = found["rates"]["points"]
        found_models = {point["model"] for point in points}
        models = {"", "hyperprior-small", "hyperprior-small-1"}
        self.assertContainsSubset(models, found_models)
        for point in points:
            self.assertGreater(point["bpp"], 0)
            self.assertBetween(point["psnr"], 10, 60)
        ours = found["rates"]["bd_rate"]["psnr"]["hyperprior hyperprior-small"]
        self.assertIn("jpeg", ours)
        for name in ("scale", "mean_scale"):
            self.assertGreater(found["coding"][name]["encode_s"], 0)
        self.assertGreater(found["training"]["ratio"], 0)
