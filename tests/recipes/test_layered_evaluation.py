import json
import os
from unittest import mock

import numpy as np

from tests.codecs import layered_models
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import bitstream, images, metrics
from tfsemcomp.codecs import base
from tfsemcomp.data import records
from tfsemcomp.evaluation import panels
from tfsemcomp.serving import manifest

# Dark and bright: the captioner of the test's model says so.
PIXELS = (smooth_image(64, 64) // 8, 255 - smooth_image(64, 64, 1) // 8)
TEXTS = ("Black dog runs.", "White dog runs.")


class LayeredEvaluationTestCase(SemCompTestCase):
    def setUp(self):
        super().setUp()
        root = {manifest.ENVIRONMENT_VARIABLE: str(layered_models.folder())}
        self.enter_context(mock.patch.dict(os.environ, root))
        self.codec = base.get_codec("layered")


class EvaluateLayeredTest(LayeredEvaluationTestCase):
    def test_layers_ablations_and_captions(self):
        data = self.folder / "records"
        found = [
            records.Record(
                name=str(number),
                image=images.encode(pixels, "PNG"),
                height=64,
                width=64,
                captions=(TEXTS[number], "A dog."),
            )
            for number, pixels in enumerate(PIXELS)
        ]
        records.write_shards(found, str(data), "test", 1)
        out = self.folder / "out"
        text = self.run_recipe_test(
            "recipes/evaluate_layered.py",
            f"--data={data}:test",
            f"--out={out}",
            "--anchor_qualities=",
            "--backbone=",
            "--metrics=psnr",
        )
        self.assertEqual((out / "evaluation.md").read_text() + "\n", text)
        facts = json.loads((out / "evaluation.json").read_text())
        self.assertEqual(list(facts["qualities"]), ["1", "2", "3", "4"])
        for quality in (1, 4):
            self.check_layers(facts["qualities"][str(quality)], quality)
            self.check_ablations(facts["qualities"][str(quality)], quality)
        told = facts["captions"]
        self.assertAlmostEqual(
            told["sent"]["bleu4"],
            metrics.bleu4(TEXTS, [(text, "A dog.") for text in TEXTS]),
        )
        # At these sizes the last layer looks as the photo does.
        self.assertEqual(told["layers"][2]["same"], 1)
        self.assertEqual(told["layers"][2]["agreement_bleu4"], 1)
        self.assertIn("no text against layered", facts["bd_rate"]["psnr"])

    def check_layers(self, found: dict, quality: int) -> None:
        files = [
            self.codec.compress(pixels, quality=quality, caption=text)
            for pixels, text in zip(PIXELS, TEXTS, strict=True)
        ]
        scores = []
        for layers in (1, 2, 3):
            entry = found["layers"][layers - 1]
            cut = [bitstream.truncate(data, layers) for data in files]
            self.assertAlmostEqual(entry["bytes"], np.mean([len(d) for d in cut]))
            self.assertAlmostEqual(entry["bpp"], 8 * entry["bytes"] / 64**2)
            scores.append(
                [
                    metrics.psnr(pixels, self.codec.decompress(data))
                    for pixels, data in zip(PIXELS, cut, strict=True)
                ]
            )
            self.assertAlmostEqual(entry["psnr"], np.mean(scores[-1]), places=5)
        better = np.diff(scores, axis=0) > 0
        shares = [*better.mean(axis=1), better.all(axis=0).mean()]
        expected = dict(zip(("1 to 2", "2 to 3", "1 to 2 to 3"), shares, strict=True))
        for name, share in expected.items():
            self.assertEqual(found["improved"][name]["psnr"], share)
        self.assertAlmostEqual(
            sum(found["chunks"].values()), found["layers"][2]["bytes"]
        )

    def check_ablations(self, found: dict, quality: int) -> None:
        for name, send in (("no text", "structure,signal"), ("no base", "signal")):
            sizes = [
                len(self.codec.compress(pixels, quality=quality, send=send))
                for pixels in PIXELS
            ]
            self.assertAlmostEqual(found["ablations"][name]["bytes"], np.mean(sizes))


class FigureLayeredTest(LayeredEvaluationTestCase):
    def test_panels(self):
        photos = self.folder / "photos"
        photos.mkdir()
        for number, pixels in enumerate(PIXELS):
            images.write(photos / f"{number}.png", pixels)
        out = self.folder / "figure.png"
        self.run_recipe_test(
            "recipes/figure_layered.py",
            f"--images={photos}",
            f"--out={out}",
            "--side=64",
            "--rows=2",
        )
        grid = images.read(out)
        self.assertEqual(grid.shape, (2 * (64 + panels.CAPTION_HEIGHT), 5 * 68 - 4, 3))
        for row, pixels in enumerate(PIXELS):
            data = self.codec.compress(pixels)
            top = row * (64 + panels.CAPTION_HEIGHT)
            for column, expected in enumerate(
                (
                    pixels,
                    self.codec.decompress(data, layers=1),
                    panels.draw_lines(self.codec.structure(data)),
                    self.codec.decompress(data, layers=2),
                    self.codec.decompress(data),
                )
            ):
                found = grid[top : top + 64, column * 68 : column * 68 + 64]
                np.testing.assert_array_equal(found, expected)
