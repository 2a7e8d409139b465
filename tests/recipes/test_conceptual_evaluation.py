import json
import os
from unittest import mock

import numpy as np

from tests.codecs import conceptual_models
from tests.harness import SemCompTestCase, smooth_image
from tests.metrics.networks import weights_file
from tfsemcomp import images, metrics
from tfsemcomp.codecs import base
from tfsemcomp.evaluation import panels
from tfsemcomp.serving import manifest


def faint_blocks(side: int) -> np.ndarray:
    """Blocks of 8x8 pixels of two greys, at random: uint8 [side,side,3]."""
    greys = np.random.default_rng(0).choice(np.uint8([100, 120]), (side // 8,) * 2)
    return np.repeat(greys.repeat(8, axis=0).repeat(8, axis=1)[..., None], 3, axis=-1)


class ConceptualEvaluationTestCase(SemCompTestCase):
    def setUp(self):
        super().setUp()
        root = {manifest.ENVIRONMENT_VARIABLE: str(conceptual_models.folder())}
        self.enter_context(mock.patch.dict(os.environ, root))
        self.photos = self.folder / "photos"
        self.photos.mkdir()
        self.pixels = {
            "0.png": smooth_image(176, 176),
            "1.png": 255 - smooth_image(176, 176, 1),
            # Faint, but all lines: other codecs make it as small as ours.
            "2.png": faint_blocks(176),
        }
        for name, pixels in self.pixels.items():
            images.write(self.photos / name, pixels)


class EvaluateConceptualTest(ConceptualEvaluationTestCase):
    def test_bytes_others_and_swaps(self):
        out = self.folder / "out"
        text = self.run_recipe_test(
            "recipes/evaluate_conceptual.py",
            f"--images={self.photos}",
            f"--out={out}",
            "--qualities=3,8",
            "--codecs=jpeg,webp",
            f"--backbone={weights_file('MobileNet')}",
            "--metrics=psnr,ms_ssim",
        )
        self.assertEqual((out / "evaluation.md").read_text() + "\n", text)
        facts = json.loads((out / "evaluation.json").read_text())
        self.assertEqual(list(facts["qualities"]), ["3", "8"])
        self.assertLen(facts["rows"], 2 * 3 * 3)
        codec = base.get_codec("conceptual")
        for quality in (3, 8):
            found = facts["qualities"][str(quality)]
            files = [codec.compress(p, quality=quality) for p in self.pixels.values()]
            ours = found["ours"]
            self.assertAlmostEqual(ours["bytes"], np.mean([len(f) for f in files]))
            self.assertAlmostEqual(sum(ours["chunks"].values()), ours["bytes"])
            self.assertAlmostEqual(ours["bpp"], 8 * ours["bytes"] / 176**2)
            self.assertIn("kid", ours)
            self.check_swaps(found["swaps"], codec, files)
        # JPEG's headers alone are more than our files.
        entry = facts["qualities"]["3"]["others"]["jpeg"]
        self.assertEqual(entry["fit"], {"photos": 0})
        self.assertEqual(entry["smallest"]["photos"], 3)
        jpeg = base.get_codec("jpeg")
        sizes = [len(jpeg.compress(p, quality=1)) for p in self.pixels.values()]
        self.assertAlmostEqual(entry["smallest"]["theirs"]["bytes"], np.mean(sizes))
        self.assertIn("| jpeg, its smallest where none is so small | 3 |", text)
        self.check_webp(facts)

    def check_webp(self, facts):
        webp = base.get_codec("webp")
        for row in facts["rows"]:
            if row["codec"] != "webp":
                continue
            (like,) = (
                other
                for other in facts["rows"]
                if other["codec"] == "conceptual"
                and (other["image"], other["quality"]) == (row["image"], row["quality"])
            )
            self.assertEqual(row["fits"], row["size_bytes"] <= like["size_bytes"])
            pixels = self.pixels[row["image"]]
            if row["fits"]:
                data = webp.compress(pixels, target_bytes=like["size_bytes"])
            else:
                data = webp.compress(pixels, quality=1)
            self.assertLen(data, row["size_bytes"])
            score = metrics.psnr(pixels, webp.decompress(data))
            self.assertAlmostEqual(float(row["values"]["psnr"]), score)
        entry = facts["qualities"]["8"]["others"]["webp"]
        self.assertBetween(entry["fit"]["photos"], 1, 2)
        self.assertEqual(entry["fit"]["photos"] + entry["smallest"]["photos"], 3)

    def check_swaps(self, found, codec, files):
        # Textures of these models are colours, which move no line.
        pictures = [codec.decompress(data) for data in files]
        swapped = [
            codec.decompress(codec.swap_texture(data, files[(i + 1) % 3]))
            for i, data in enumerate(files)
        ]
        moved = [
            abs(a.astype(float) - b).mean()
            for a, b in zip(pictures, swapped, strict=True)
        ]
        self.assertAlmostEqual(found["colour_change"], np.mean(moved))
        self.assertGreater(found["mean_colour_off_before"], 10)
        off = found["mean_colour_off_before"]
        self.assertLess(found["mean_colour_off_after"], off / 2)
        self.assertBetween(found["lines_f1_after"], 0, 1)

    def test_smoke_and_wrong_flags(self):
        out = self.folder / "out"
        flags = (f"--images={self.photos}", f"--out={out}", "--backbone=")
        text = self.run_recipe_test(
            "recipes/evaluate_conceptual.py", *flags, "--smoke", "--metrics=psnr"
        )
        self.assertIn("on 2 photos", text)
        self.assertEqual([path.name for path in out.iterdir()], ["smoke"])
        with self.assertRaisesRegex(AssertionError, "`quality` of conceptual"):
            self.run_recipe_test(
                "recipes/evaluate_conceptual.py", *flags, "--qualities=3,x"
            )


class FigureConceptualTest(ConceptualEvaluationTestCase):
    def draw(self, *flags) -> np.ndarray:
        out = self.folder / "figure.png"
        self.run_recipe_test(
            "recipes/figure_conceptual.py",
            f"--images={self.photos}",
            f"--out={out}",
            "--side=176",
            *flags,
        )
        return images.read(out)

    def cell(self, grid: np.ndarray, row: int, column: int) -> np.ndarray:
        top, left = row * (176 + panels.CAPTION_HEIGHT), column * 180
        return grid[top : top + 176, left : left + 176]

    def test_codecs(self):
        grid = self.draw("--rows=2", "--codecs=jpeg")
        self.assertEqual(grid.shape, (2 * 198, 4 * 180 - 4, 3))
        codec = base.get_codec("conceptual")
        # The first and the last photo.
        for row, name in enumerate(("0.png", "2.png")):
            data = codec.compress(self.pixels[name])
            lines = codec.structure(data)
            for column, expected in enumerate(
                (
                    self.pixels[name],
                    np.repeat(255 - 255 * lines[..., None], 3, axis=-1),
                    codec.decompress(data),
                )
            ):
                np.testing.assert_array_equal(self.cell(grid, row, column), expected)

    def test_swaps_and_interpolation(self):
        codec = base.get_codec("conceptual")
        files = [codec.compress(pixels) for pixels in self.pixels.values()]
        grid = self.draw("--kind=swaps", "--rows=3")
        for row, lines in enumerate(files):
            for column, texture in enumerate(files):
                expected = codec.decompress(codec.swap_texture(lines, texture))
                found = self.cell(grid, row + 1, column + 1)
                np.testing.assert_array_equal(found, expected)
        grid = self.draw("--kind=interpolation", "--rows=3", "--frames=3")
        for row, first in enumerate(files):
            last = files[(row + 1) % 3]
            for column, data in enumerate(codec.interpolate(first, last, 3)):
                found = self.cell(grid, row, column)
                np.testing.assert_array_equal(found, codec.decompress(data))
