import json
import os
from unittest import mock

import numpy as np

from tests.evaluation.grey_classifiers import save_greys
from tests.harness import SemCompTestCase, smooth_image
from tests.models.hyperprior_networks import a_model
from tfsemcomp import images
from tfsemcomp.evaluation import table
from tfsemcomp.models import hyperprior, hyperprior_module
from tfsemcomp.serving import manifest

RECIPE = "recipes/evaluate_rnn.py"


def write_models(root):
    """Two codecs of two rates, which differ in the observer that they say to serve."""
    model = a_model("tiny-dct", "mean_scale", hyperprior.LMBDAS[:2])
    for weight, name in enumerate(("human", "machine")):
        hyperprior_module.export_model(model, root / name)
        card = {"name": name, "version": 1, "system": "hyperprior"}
        card["latents"] = hyperprior_module.latents(model)
        manifest.add(root, {**card, "codes": {"machine_weight": weight}}, default=False)


class EvaluateRnnTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        lines = []
        for number, name in enumerate(("iron", "steel", "stone", "silver")):
            path = self.folder / "photos" / name / "a.png"
            path.parent.mkdir(parents=True)
            pixels = smooth_image(48, 64, seed=number).astype(np.float64)
            pixels += 51 * (number + 1) - pixels.mean()
            images.write(path, np.clip(pixels, 0, 255).astype(np.uint8))
            lines.append(f"photos/{name}/a.png")
        (self.folder / "list.txt").write_text("\n".join(lines))
        kodak = self.folder / "kodak"
        kodak.mkdir()
        images.write(kodak / "1.png", smooth_image(176, 192))
        self.out = self.folder / "out"

    def run_recipe(self, *flags):
        return self.run_recipe_test(RECIPE, f"--out={self.out}", *flags)

    def test_accuracy_distortion_and_trade_off(self):
        models = self.folder / "models"
        models.mkdir()
        write_models(models)
        flags = (
            "--codecs=jpeg:5:50,webp:1:80@effort=1,hyperprior:human,machine:1:2",
            f"--list={self.folder / 'list.txt'}",
            f"--observers=folder:{save_greys(self.folder / 'greys')}",
            f"--images={self.folder / 'kodak'}",
            "--rates=1.3,9",
            "--draws=200",
        )
        with mock.patch.dict(os.environ, TFSEMCOMP_MODELS=str(models)):
            first = self.run_recipe(*flags)
            rows = table.read(self.out / "accuracy").rows
            again = self.run_recipe(*flags)
        # Nothing is measured twice, or its times would differ.
        self.assertEqual(table.read(self.out / "accuracy").rows, rows)
        head, _, _ = first.partition("## How this was measured")
        self.assertStartsWith(again, head)
        self.assertLen(rows, 4 * 8)
        self.assertLen(table.read(self.out / "originals").rows, 4)
        self.assertLen(table.read(self.out / "distortion").rows, 8)
        self.assertEqual((self.out / "evaluation.md").read_text() + "\n", again)
        self.check_table(first)
        names = ("accuracy_rd_top1_greys", "distortion_rd_ms_ssim", "tradeoff")
        for name in names:
            self.assertIn(f"![{name}](figures/{name}.png)", first)
            self.assertTrue((self.out / "figures" / f"{name}.svg").is_file())
        drawn = (self.out / "figures" / "tradeoff.svg").read_text()
        self.assertIn("machine_weight", drawn)

    def check_table(self, text):
        facts = json.loads((self.out / "evaluation.json").read_text())
        self.assertEqual(facts["images"], 4)
        points = {(p["codec"], p["model"], p["setting"]): p for p in facts["points"]}
        self.assertLen(points, 9)
        original = points["original", "", ""]["means"]["top1@greys"]
        self.assertGreaterEqual(original, 0.5)
        found = facts["equal_rates"]["top1@greys, 1.3 bpp"]
        self.assertIn("webp (effort=1)", found["values"])
        value = found["values"]["jpeg"]
        self.assertBetween(value["value"], value["low"], value["high"])
        left = found["of_original"]["jpeg"]["value"]
        self.assertAlmostEqual(left, value["value"] / original)
        # Both models are the same network: no draw tells them apart.
        one, two = "hyperprior human", "hyperprior machine"
        self.assertEqual(
            found["differences"][one][two], {"value": 0, "low": 0, "high": 0}
        )
        beyond = facts["equal_rates"]["top1@greys, 9 bpp"]["values"]
        self.assertEqual(set(beyond.values()), {None})
        self.assertIn("## Accuracy at 1.3 bpp", text)
        self.assertRegex(text, r"\| hyperprior human \|.* ±0.0 \(±0.0..±0.0\) \|")

    def test_distortion_alone(self):
        images.write(self.folder / "kodak" / "2.png", smooth_image(176, 192))
        images.write(self.folder / "kodak" / "3.png", smooth_image(176, 192))
        text = self.run_recipe(
            "--smoke", f"--images={self.folder / 'kodak'}", "--metrics=psnr"
        )
        self.assertIn("## Distortion over rate, 2 pictures", text)
        self.assertNotIn("Accuracy", text)
        self.assertEqual([path.name for path in self.out.iterdir()], ["smoke"])
        self.assertFalse((self.out / "smoke" / "accuracy").exists())

    def test_wrong_flags_are_one_line(self):
        pattern = "error: `rates` must be numbers above 0, received '0.25,x'"
        with self.assertRaisesRegex(AssertionError, pattern):
            self.run_recipe(f"--images={self.folder / 'kodak'}", "--rates=0.25,x")
        self.assertFalse(self.out.exists())
