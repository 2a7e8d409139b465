"""What is shown of a table: curves, comparisons, rates, speeds, failures."""

import dataclasses
import math
from unittest import mock

from tests.evaluation.result_folders import fill_kodak
from tests.harness import SemCompTestCase
from tfsemcomp.errors import UnavailableError
from tfsemcomp.evaluation import bd_rate, summary, table
from tfsemcomp.evaluation.curves import Curve
from tfsemcomp.evaluation.table import Row, Table


def row(image: str, quality: float, **fields) -> Row:
    """Half a megapixel in 2^quality times 64 KiB."""
    facts = {"codec": "jpeg", "width": 1024, "height": 512}
    facts |= {"size_bytes": int(65536 * 2**quality), "metrics": {"psnr": 30.0}}
    return Row(image=image, setting=f"quality={quality}", **(facts | fields))


class SummaryTest(SemCompTestCase):
    def kodak(self, **options) -> summary.Summary:
        fill_kodak(self.folder)
        return summary.summarise(table.read(self.folder), **options)

    def test_quoted_curves_come_with_the_pictures_that_they_are_of(self):
        found = self.kodak()
        self.assertEqual(found.dataset, "kodak")
        self.assertEqual(found.names(), ("jpeg", "good", "short"))
        self.assertEqual(found.warning(), "")
        self.assertGreater(len(found.quoted()), 40)
        for metric in ("psnr", "ms_ssim"):
            shown = found.shown(metric)
            self.assertEqual([c.name for c in shown if c.measured], list(found.names()))
            names = [curve.name for curve in shown if not curve.measured]
            # Every name of the list is one that is quoted.
            self.assertCountEqual(names, found.main_quoted(metric))

    def test_every_main_quoted_curve_is_there(self):
        for dataset, by_metric in summary.MAIN_QUOTED.items():
            found = self.kodak(dataset=dataset)
            for metric, names in by_metric.items():
                self.assertContainsSubset(
                    names, [curve.name for curve in found.curves[metric]]
                )

    def test_no_quoted_curves_where_none_are_wanted(self):
        self.assertEqual(self.kodak(dataset="none").quoted(), ())
        with self.assertRaisesRegex(ValueError, "`anchors`"):
            self.kodak(dataset="clic")

    def test_curves_over_other_pictures_are_no_yardstick(self):
        fill_kodak(self.folder)
        rows = [r for r in table.read(self.folder).rows if r.image < "kodim05"]
        results = Table(tuple(rows))
        self.assertIsNone(summary.summarise(results).dataset)
        found = summary.summarise(results, dataset="kodak")
        self.assertIn("24 pictures", found.warning())
        vtm, good = found.find("psnr", "vtm"), found.find("psnr", "good")
        comparison = summary.compare(vtm, good)
        self.assertIsNone(comparison.result)
        self.assertEqual(comparison.reason, "other pictures: 4 against 24")

    def test_comparisons_say_why_there_is_no_number(self):
        found = self.kodak()
        jpeg, good, short = (found.find("psnr", name) for name in found.names())
        self.assertAlmostEqual(summary.compare(jpeg, good).result.percent, -50, 6)
        self.assertEqual(summary.compare(jpeg, jpeg).reason, "the reference")
        self.assertIn("2 points", summary.compare(jpeg, short).reason)
        other = dataclasses.replace(good, metric="nobody_knows")
        anchor = dataclasses.replace(jpeg, metric="nobody_knows")
        self.assertIn("nobody_knows", summary.compare(anchor, other).reason)
        missing = mock.Mock(side_effect=UnavailableError("pip install"))
        with mock.patch.object(bd_rate, "bd_rate", missing):
            self.assertEqual(summary.compare(jpeg, good).reason, "pip install")

    def test_quality_at_a_rate_lies_on_the_curve(self):
        curve = Curve("a", "psnr", (0.25, 1.0), (30.0, 34.0), True, "", 1)
        self.assertAlmostEqual(summary.at_rate(curve, 0.25), 30.0)
        self.assertAlmostEqual(summary.at_rate(curve, 0.5), 32.0)
        self.assertAlmostEqual(summary.at_rate(curve, 1.0), 34.0)
        self.assertIsNone(summary.at_rate(curve, 0.2))
        self.assertIsNone(summary.at_rate(curve, 1.1))
        other = Curve("a", "ms_ssim", (0.25, 1.0), (0.9, 0.99), True, "", 1)
        self.assertAlmostEqual(summary.at_rate(other, 0.5), 15.0)
        self.assertEqual(summary.rates_of([curve]), (0.25, 0.3, 0.4, 0.5, 0.75, 1.0))

    def test_speeds_are_seconds_a_megapixel(self):
        rows = (
            row("a", 1, encode_s=0.5, decode_s=0.1),
            row("b", 1, encode_s=1.5, decode_s=0.1),
            row("a", 2, encode_s=3.0, decode_s=0.1),
            row("a", 3, encode_s=4.0, decode_s=0.1),
            row("a", 4, error="broken", encode_s=9.0),
        )
        (speed,) = summary.summarise(Table(rows)).speeds
        megapixels = 0.524288
        for got, want in zip(speed.encode, (3.0, 1.0, 4.0), strict=True):
            self.assertAlmostEqual(got, want / megapixels)
        self.assertAlmostEqual(speed.decode[0], 0.1 / megapixels)
        (speed,) = summary.summarise(Table((row("a", 1),))).speeds
        self.assertIsNone(speed.encode)

    def test_infinite_values_are_not_drawn(self):
        rows = (row("a", 1), row("a", 2, metrics={"psnr": math.inf}))
        found = summary.summarise(Table(rows))
        (curve,) = found.curves["psnr"]
        self.assertEqual(curve.values, (30.0,))
        rows = (row("a", 1, metrics={"psnr": math.inf}),)
        self.assertEqual(summary.summarise(Table(rows)).curves["psnr"], ())

    def test_columns_that_nobody_knows_keep_their_names(self):
        found = summary.summarise(Table((row("a", 1, metrics={"x": 1.0}),)))
        (metric,) = found.metrics
        self.assertEqual((metric.label, metric.unit), ("x", ""))
        self.assertEqual(found.main_metrics(), (metric,))

    def test_the_reference_is_jpeg_or_the_first_or_the_one_named(self):
        found = self.kodak()
        self.assertEqual(found.reference(), "jpeg")
        self.assertEqual(found.reference("vtm"), "vtm")
        with self.assertRaisesRegex(ValueError, "`reference`"):
            found.reference("gif")
        found = summary.summarise(Table((row("a", 1, codec="webp"),)))
        self.assertEqual(found.reference(), "webp")

    def test_circumstances_are_told_in_words(self):
        meta = {
            "tfsemcomp": "1.0",
            "commit": None,
            "versions": {"python": "3.11", "numpy": "1.26"},
            "workers": [1, 2],
            "roi_map": False,
        }
        found = summary.summarise(Table((row("a", 1),), meta)).circumstances()
        self.assertEqual(
            found,
            [
                ("tfsemcomp", "1.0"),
                ("processes", "1, 2"),
                ("versions", "python 3.11, numpy 1.26"),
            ],
        )
