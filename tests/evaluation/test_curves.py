"""Curves from tables: means over common pictures, one curve a variant."""

import math

from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.evaluation import curves
from tfsemcomp.evaluation.table import Row, Table


def row(image, quality, size, value, codec="jpeg", extra="", **options) -> Row:
    """A row of a 10x8 picture, whose bpp is size / 10."""
    setting = f"quality={quality}" + (f", {extra}" if extra else "")
    options.setdefault("metrics", {} if value is None else {"psnr": value})
    facts = {"setting": setting, "width": 10, "height": 8, "size_bytes": size}
    return Row(image, codec, **facts, **options)


class FromTableTest(SemCompTestCase):
    def test_points_are_means_over_pictures_in_rising_rate(self):
        rows = (
            row("a", 90, 40, 40.0),
            row("b", 90, 20, 50.0),
            row("a", 10, 10, 20.0),
            row("b", 10, 20, 26.0),
        )
        (found,) = curves.from_table(Table(rows, {"tfsemcomp": "9.8"}), "psnr")
        self.assertEqual(found.name, "jpeg")
        self.assertEqual(found.rates, (1.5, 3.0))
        self.assertEqual(found.values, (23.0, 45.0))
        self.assertEqual((found.images, found.measured), (2, True))
        self.assertEqual(found.source, "measured with tfsemcomp 9.8")

    def test_only_pictures_that_all_settings_have_count(self):
        rows = (
            row("a", 10, 10, 20.0),
            row("b", 10, 99, 99.0),
            row("c", 10, 99, 99.0),
            row("a", 90, 40, 40.0),
            row("b", 90, None, None, error="Broken: b"),
            row("c", 90, 99, None),
            row("a", 50, None, None, error="Broken: all"),
        )
        (found,) = curves.from_table(Table(rows), "psnr")
        self.assertEqual((found.rates, found.values), ((1.0, 4.0), (20.0, 40.0)))
        self.assertEqual(found.images, 1)

    def test_no_common_picture_is_no_curve(self):
        rows = (row("a", 10, 10, 20.0), row("b", 90, 40, 40.0))
        with self.assertLogs(level="WARNING") as logged:
            self.assertEqual(curves.from_table(Table(rows), "psnr"), [])
        self.assertRegex(logged.output[0], "jpeg: no picture has psnr at all 2")
        self.assertEqual(curves.from_table(Table(rows), "ssim"), [])

    def test_codecs_models_and_settings_are_curves_of_their_own(self):
        rows = (
            row("a", 10, 10, 20.0),
            row("a", 10, 10, 20.0, codec="avif"),
            row("a", 10, 10, 20.0, codec="avif", extra="effort=6, subsampling=4:4:4"),
            row("a", 10, 10, 20.0, codec="rnn", model="rnn-small"),
        )
        found = curves.from_table(Table(rows), "psnr")
        self.assertEqual(
            [curve.name for curve in found],
            ["jpeg", "avif", "avif (effort=6, subsampling=4:4:4)", "rnn rnn-small"],
        )

    def test_pictures_that_came_back_unchanged_are_infinite(self):
        rows = (row("a", 10, 10, 20.0), row("a", 90, 20, math.inf))
        (found,) = curves.from_table(Table(rows), "psnr")
        self.assertEqual(found.values, (20.0, math.inf))


class CurveTest(SemCompTestCase):
    @parameterized.parameters(
        ((), (), "equally many"),
        ((1.0,), (1.0, 2.0), "equally many"),
        ((1.0, 2.0), (1.0, math.nan), "NaN"),
        ((2.0, 1.0), (1.0, 2.0), "never fall"),
        ((0.0, 1.0), (1.0, 2.0), "above 0"),
    )
    def test_refuses_what_is_no_curve(self, rates, values, message):
        with self.assertRaisesRegex(ValueError, message):
            curves.Curve("x", "psnr", rates, values, True, "", 1)


class AxisTest(SemCompTestCase):
    @parameterized.parameters("ms_ssim", "ms_ssim_y", "weighted_ms_ssim")
    def test_ms_ssim_is_in_decibels(self, metric):
        found = curves.quality_axis(metric, (0.0, 0.9, 0.99, 1.0))
        for value, wanted in zip(found, (0, 10, 20, math.inf), strict=True):
            self.assertAlmostEqual(value, wanted)

    @parameterized.parameters("psnr", "ssim", "ms_ssim_db", "feature_lpips@x")
    def test_others_stay(self, metric):
        self.assertEqual(curves.quality_axis(metric, [0.5, 12.0]), (0.5, 12.0))

    def test_refuses_what_is_no_ms_ssim(self):
        with self.assertRaisesRegex(ValueError, "at most 1, received 30"):
            curves.quality_axis("ms_ssim", [0.9, 30.0])
