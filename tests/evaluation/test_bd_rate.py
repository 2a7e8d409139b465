"""Bjontegaard deltas: closed forms, the package, published curves, refusals."""

import dataclasses
import math
from unittest import mock

import bjontegaard
import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.errors import SemCompError, UnavailableError
from tfsemcomp.evaluation import anchors, bd_rate
from tfsemcomp.evaluation.curves import Curve

METHODS = [{"method": method} for method in bd_rate.METHODS]
RATES = (0.1, 0.24, 0.5, 1.1, 2.0)
DECIBELS = (24.0, 27.5, 31.0, 34.0, 38.5)


def curve(rates=RATES, values=DECIBELS, metric="psnr", name="x") -> Curve:
    return Curve(name, metric, tuple(rates), tuple(values), True, "test", 1)


def shifted(factor: float, **options) -> Curve:
    return curve(rates=[factor * rate for rate in RATES], **options)


class ClosedFormTest(SemCompTestCase):
    @parameterized.product(METHODS, factor=(0.5, 0.9, 1.0, 1.37))
    def test_a_constant_factor_of_rate_is_that_many_per_cent(self, method, factor):
        found = bd_rate.bd_rate(curve(), shifted(factor), method)
        self.assertAlmostEqual(found.percent, 100 * (factor - 1), places=9)
        self.assertEqual((found.low, found.high, found.share), (24.0, 38.5, 1.0))

    @parameterized.product(METHODS, gain=(-1.5, 0.0, 0.25))
    def test_a_constant_gain_is_that_many_decibels(self, method, gain):
        test = curve(values=[value + gain for value in DECIBELS])
        found = bd_rate.bd_quality(curve(), test, method)
        self.assertAlmostEqual(found.difference, gain, places=9)
        for value, wanted in zip(
            (found.low, found.high, found.share), (0.1, 2.0, 1.0), strict=True
        ):
            self.assertAlmostEqual(value, wanted)

    @parameterized.parameters(*METHODS)
    def test_lines_may_have_other_points_and_other_numbers_of_them(self, method):
        """Both methods reproduce a line in log rate, wherever it is sampled."""

        def line(decibels, factor):
            rates = [factor * 10 ** ((value - 30) / 20) for value in decibels]
            return curve(rates, decibels)

        first = line((20, 23, 29, 31, 36), 1.0)
        second = line((25, 27, 28, 30, 33, 35, 41), 0.8)
        found = bd_rate.bd_rate(first, second, method)
        self.assertAlmostEqual(found.percent, -20.0, places=9)
        self.assertEqual((found.low, found.high), (25, 36))
        self.assertAlmostEqual(found.share, 11 / 16)
        # 0.8 of the rate at equal quality is 20 dB a decade times one tenth.
        quality = bd_rate.bd_quality(first, second, method)
        self.assertAlmostEqual(quality.difference, -20 * math.log10(0.8), places=9)

    def test_a_metric_of_which_less_is_better(self):
        values = (0.5, 0.3, 0.2, 0.1, 0.05)
        options = {"values": values, "metric": "feature_lpips@x"}
        found = bd_rate.bd_rate(curve(**options), shifted(0.7, **options))
        self.assertAlmostEqual(found.percent, -30.0)
        self.assertEqual((found.low, found.high), (0.05, 0.5))
        better = curve(
            values=[value - 0.01 for value in values], metric=options["metric"]
        )
        quality = bd_rate.bd_quality(curve(**options), better)
        self.assertAlmostEqual(quality.difference, -0.01)

    def test_ms_ssim_counts_in_decibels(self):
        linear = [1 - 10 ** (-value / 10) for value in DECIBELS]
        test = [1 - 10 ** (-(value + 0.5) / 10) for value in DECIBELS]
        found = bd_rate.bd_quality(
            curve(values=linear, metric="ms_ssim"), curve(values=test, metric="ms_ssim")
        )
        self.assertAlmostEqual(found.difference, 0.5)


class OracleTest(SemCompTestCase):
    @parameterized.parameters(*METHODS)
    def test_agrees_with_the_package_where_that_needs_no_help(self, method):
        rng = np.random.default_rng(3)
        for _ in range(5):
            pair = [
                (
                    np.cumsum(rng.uniform(0.1, 1, 6)),
                    30 + np.cumsum(rng.uniform(1, 2, 6)),
                )
                for _ in range(2)
            ]
            points = [numbers for both in pair for numbers in both]
            first, second = (curve(*both) for both in pair)
            for ours, theirs in (
                (bd_rate.bd_rate(first, second, method).percent, bjontegaard.bd_rate),
                (
                    bd_rate.bd_quality(first, second, method).difference,
                    bjontegaard.bd_psnr,
                ),
            ):
                wanted = theirs(*points, method, min_overlap=0)
                self.assertAlmostEqual(ours, wanted, places=9)

    # Computed apart from this package, from the same published points: in per cent,
    # Akima and PCHIP, and the range in dB.
    @parameterized.parameters(
        ("psnr", "vtm", "jpeg-pillow7", -67.584, -67.584, 26.145, 40.557),
        ("psnr", "webp-pillow7", "jpeg-pillow7", -36.175, -36.176, 28.328, 40.557),
        ("psnr", "avif-s6", "vtm", 49.541, 49.560, 26.777, 41.269),
        ("psnr", "hm", "vtm", 23.304, 23.307, 26.145, 46.143),
        ("psnr", "cheng2020-anchor (mse)", "vtm", 3.600, 3.694, 28.582, 36.705),
        # 82 points with plateaus: the running best.
        (
            *("psnr", "johnston-2017-cvpr (ssim-weighted-l1)", "vtm"),
            *(136.107, 136.072, 26.145, 36.972),
        ),
        ("ms_ssim", "mbt2018-8bit (mse)", "vtm", -1.592, -1.606, 11.002, 23.216),
        ("ms_ssim", "vtm", "jpeg-pillow7", -58.309, -58.306, 8.558, 23.602),
    )
    def test_quoted_curves(self, metric, test, anchor, akima, pchip, low, high):
        quoted = {c.name: c for c in anchors.curves("kodak", metric)}
        for method, wanted in (("akima", akima), ("pchip", pchip)):
            found = bd_rate.bd_rate(quoted[anchor], quoted[test], method)
            self.assertAlmostEqual(found.percent, wanted, delta=0.1)
            self.assertAlmostEqual(found.low, low, delta=1e-3)
            self.assertAlmostEqual(found.high, high, delta=1e-3)


class RulesTest(SemCompTestCase):
    def test_the_running_best_stays(self):
        messy = curve(
            rates=(0.1, 0.1, 0.2, 0.24, 0.5, 0.5, 0.6, 1.1, 2.0, 3.0),
            values=(23.0, 24.0, 20.0, 27.5, 31.0, 30.0, 31.0, 34.0, 38.5, math.inf),
        )
        self.assertEqual(
            bd_rate.bd_rate(curve(), messy), bd_rate.bd_rate(curve(), curve())
        )
        self.assertEqual(
            bd_rate.bd_quality(messy, curve()), bd_rate.bd_quality(curve(), curve())
        )

    @parameterized.parameters(
        ((24.0, 24.0, 24.0, 24.0, 25.0), "x has 2 points of rising psnr"),
        ((40.0, 41.0, 42.0, 43.0, 44.0), "0 % of the shorter curve"),
        ((35.0, 37.0, 39.0, 41.0, 43.0), "44 % of the shorter curve in common"),
    )
    def test_refuses_too_little(self, values, message):
        with self.assertRaisesRegex(SemCompError, message):
            bd_rate.bd_rate(curve(), curve(values=values))

    def test_refuses_too_small_a_range_of_rates(self):
        with self.assertRaisesRegex(SemCompError, "Bjontegaard delta needs 50 %"):
            bd_rate.bd_quality(curve(), shifted(10.0))

    def test_accepts_half(self):
        found = bd_rate.bd_rate(curve(), curve(values=(31, 32, 35, 40, 45)))
        self.assertAlmostEqual(found.share, 7.5 / 14)

    def test_refuses_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "`method` must be one of akima, pchip"):
            bd_rate.bd_rate(curve(), curve(), "cubic")
        with self.assertRaisesRegex(ValueError, "one metric, received psnr and vifp"):
            bd_rate.bd_rate(curve(), curve(metric="vifp"))

    def test_names_the_extra_when_the_package_is_missing(self):
        with (
            mock.patch.dict("sys.modules", {"bjontegaard": None}),
            self.assertRaisesRegex(UnavailableError, r"tfsemcomp\[bench\]"),
        ):
            bd_rate.compare([curve()], [curve()])


class TableTest(SemCompTestCase):
    def test_refusals_are_told_beside_results(self):
        far = curve(values=[value + 30 for value in DECIBELS], name="far")
        half = dataclasses.replace(shifted(0.5), name="half")
        found = bd_rate.compare([curve()], [half, far])
        self.assertEqual([c.test.name for c in found], ["half", "far"])
        self.assertIsNone(found[1].result)
        lines = bd_rate.to_text(found).splitlines()
        self.assertEqual(
            lines[0],
            "half vs x    -50.0 %  over 24 to 38.5 dB, 100 % of the shorter curve",
        )
        self.assertRegex(lines[1], r"^far vs x +- +far and x have 0 % of")
