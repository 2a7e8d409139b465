"""Codecs at equal rates: values by hand, pairs that stay pairs, honest dashes."""

import json

import numpy as np

from tests.harness import SemCompTestCase
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import equal_rates
from tfsemcomp.evaluation.intervals import Draws
from tfsemcomp.evaluation.table import Row, Table

COLUMN = "top1@x"
DRAWS = Draws(300)


def row(image, codec, quality, size, hit):
    return Row(
        image,
        codec,
        setting=f"quality={quality}",
        width=8,
        height=100,
        size_bytes=size,
        metrics={COLUMN: float(hit)},
    )


def rows(codec, hits_low, hits_high, low=10, high=40):
    """Files of 0.1 and 0.4 bpp; the better setting stands first."""
    found = []
    for number, hits in enumerate(zip(hits_low, hits_high, strict=True)):
        for quality, size, hit in ((2, high, hits[1]), (1, low, hits[0])):
            found.append(row(f"{number}.png", codec, quality, size, hit))
    return found


def collected(*lists):
    everything = tuple(entry for found in lists for entry in found)
    return equal_rates.collect(Table(everything), COLUMN)


class EqualRatesTest(SemCompTestCase):
    def test_between_two_settings_by_hand(self):
        # A quarter, then three quarters; 0.2 bpp is half way on the logarithm.
        found = collected(rows("jpeg", [1, 0, 0, 0], [1, 1, 1, 0]))
        at_rate = equal_rates.at_rate(found, 0.2, DRAWS)
        self.assertAlmostEqual(at_rate.value("jpeg").value, 0.5)
        for rate, value in ((0.1, 0.25), (0.4, 0.75)):
            at_rate = equal_rates.at_rate(found, rate, DRAWS)
            self.assertAlmostEqual(at_rate.value("jpeg").value, value)

    def test_rates_out_of_reach_have_no_value(self):
        found = collected(
            rows("jpeg", [1, 0], [1, 1]), rows("webp", [1, 0], [1, 1], low=20)
        )
        for rate in (0.05, 0.5):
            at_rate = equal_rates.at_rate(found, rate, DRAWS)
            self.assertIsNone(at_rate.value("jpeg"))
        at_rate = equal_rates.at_rate(found, 0.15, DRAWS, {"0.png": 1, "1.png": 1})
        self.assertIsNotNone(at_rate.preserved("jpeg"))
        self.assertIsNone(at_rate.preserved("webp"))
        self.assertIsNone(at_rate.difference("webp", "jpeg"))
        self.assertIsNone(at_rate.difference("jpeg", "webp"))

    def test_differences_are_paired_by_picture(self):
        rng = np.random.default_rng(1)
        hits = rng.integers(0, 2, 200)
        better = np.maximum(hits, np.arange(200) % 10 == 0)
        found = collected(
            rows("jpeg", hits, hits),
            rows("rnn", better, better),
            rows("other", rng.permutation(better), rng.permutation(better)),
        )
        at_rate = equal_rates.at_rate(found, 0.2, Draws(2000))
        paired = at_rate.difference("rnn", "jpeg")
        self.assertAlmostEqual(paired.value, np.mean(better) - np.mean(hits))
        # Where they differ it is always for the better: the interval is above 0,
        # while one of the same means and unrelated pictures holds 0.
        self.assertGreater(paired.low, 0)
        unrelated = at_rate.difference("other", "jpeg")
        self.assertAlmostEqual(unrelated.value, paired.value)
        self.assertLess(unrelated.low, 0)
        back = at_rate.difference("jpeg", "rnn")
        self.assertAlmostEqual(back.value, -paired.value)
        self.assertAlmostEqual(back.low, -paired.high)

    def test_files_that_vary_widen_the_interval(self):
        hits = ([0] * 40, [1] * 40)
        even = collected(rows("jpeg", *hits))
        rng = np.random.default_rng(3)
        uneven = collected(
            [
                entry
                for number in range(40)
                for scale in [float(rng.uniform(0.5, 1.5))]
                for entry in (
                    row(f"{number}.png", "jpeg", 1, round(10 * scale), 0),
                    row(f"{number}.png", "jpeg", 2, round(40 * scale), 1),
                )
            ]
        )
        same = equal_rates.at_rate(even, 0.2, DRAWS).value("jpeg")
        self.assertAlmostEqual(same.high - same.low, 0)
        wide = equal_rates.at_rate(uneven, 0.2, DRAWS).value("jpeg")
        self.assertGreater(wide.high - wide.low, 0.05)

    def test_what_is_left_of_the_originals(self):
        found = collected(rows("jpeg", [1, 0, 0, 0], [1, 1, 0, 0]))
        originals = {"0.png": 1, "1.png": 1, "2.png": 1, "3.png": 0, "9.png": 0}
        at_rate = equal_rates.at_rate(found, 0.4, DRAWS, originals)
        left = at_rate.preserved("jpeg")
        self.assertAlmostEqual(left.value, 0.5 / 0.75)
        self.assertLessEqual(left.high, 1)
        nothing = dict.fromkeys(originals, 0)
        self.assertIsNone(
            equal_rates.at_rate(found, 0.4, DRAWS, nothing).preserved("jpeg")
        )
        self.assertIsNone(equal_rates.at_rate(found, 0.4, DRAWS).preserved("jpeg"))

    def test_only_pictures_that_all_have_count(self):
        failed = Row("0.png", "webp", setting="quality=1", error="no luck")
        webp = [failed, *rows("webp", [0, 1, 1], [0, 1, 1])[2:]]
        webp.append(row("0.png", "webp", 2, 40, 0))
        found = collected(rows("jpeg", [0, 1, 1], [0, 1, 1]), webp)
        self.assertEqual([s.images for s in found], [("1.png", "2.png")] * 2)
        with self.assertRaisesRegex(SemCompError, "no picture has top1@x"):
            collected(rows("jpeg", [1], [1]), [row("9.png", "webp", 1, 10, 1)])

    def test_wrong_arguments(self):
        found = collected(rows("jpeg", [1, 0], [1, 1]))
        others = collected(rows("webp", [1], [1]))
        with self.assertRaisesRegex(ValueError, "same pictures"):
            equal_rates.at_rate([*found, *others], 0.2, DRAWS)
        with self.assertRaisesRegex(ValueError, "`rate`"):
            equal_rates.at_rate(found, 0, DRAWS)

    def test_as_markdown_and_json(self):
        found = collected(
            rows("jpeg", [0, 0], [0, 0]), rows("webp", [1, 1], [1, 1], low=30)
        )
        originals = {"0.png": 1, "1.png": 1}
        at_rate = equal_rates.at_rate(found, 0.3, DRAWS, originals)
        self.assertEqual(
            equal_rates.to_markdown({"a": at_rate}).splitlines(),
            [
                "| codec | a | a, of the original's |",
                "| --- | ---: | ---: |",
                "| jpeg | 0.0 (0.0..0.0) | 0.0 (0.0..0.0) |",
                "| webp | 100.0 (100.0..100.0) | 100.0 (100.0..100.0) |",
            ],
        )
        self.assertEqual(
            equal_rates.differences_to_markdown(at_rate).splitlines()[2:],
            [
                "| jpeg |  | −100.0 (−100.0..−100.0) |",
                "| webp | +100.0 (+100.0..+100.0) |  |",
            ],
        )
        facts = json.loads(json.dumps(equal_rates.to_json(at_rate)))
        same = {"value": 1.0, "low": 1.0, "high": 1.0}
        self.assertEqual(facts["values"]["webp"], same)
        self.assertEqual(facts["differences"]["webp"], {"jpeg": same})
        below = equal_rates.at_rate(found, 0.2, DRAWS)
        self.assertIn("| webp | – |", equal_rates.to_markdown({"a": below}))
        facts = equal_rates.to_json(below)
        self.assertIsNone(facts["values"]["webp"])
        self.assertIsNone(facts["of_original"]["jpeg"])
