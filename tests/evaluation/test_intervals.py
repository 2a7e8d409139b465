"""Confidence intervals: published values, and coverage that is 95 %."""

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.evaluation import intervals
from tfsemcomp.evaluation.intervals import Draws


def mean_of(values):
    return lambda weights: (weights @ values)[:, None]


class WilsonTest(SemCompTestCase):
    @parameterized.parameters(
        # Published values of Wilson's interval.
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),
    )
    def test_published_values(self, hits, count, low, high):
        np.testing.assert_allclose(
            intervals.wilson(hits, count), (low, high), atol=5e-5
        )


class BootstrapTest(SemCompTestCase):
    def test_a_mean_has_the_interval_of_its_standard_error(self):
        values = np.random.default_rng(1).normal(5, 2, 400)
        drawn = intervals.bootstrap(mean_of(values), 400, Draws(4000, 3))
        self.assertEqual(drawn.shape, (4001, 1))
        found = intervals.percentile(drawn[:, 0])
        self.assertAlmostEqual(found.value, values.mean())
        reach = 1.96 * values.std() / 20
        self.assertAlmostEqual(found.low, values.mean() - reach, delta=0.03)
        self.assertAlmostEqual(found.high, values.mean() + reach, delta=0.03)

    def test_intervals_hold_the_truth_as_often_as_they_say(self):
        rng = np.random.default_rng(2)
        held = 0
        for number in range(200):
            values = (rng.random(120) < 0.7).astype(np.float64)
            drawn = intervals.bootstrap(mean_of(values), 120, Draws(400, number))
            found = intervals.percentile(drawn[:, 0])
            held += found.low <= 0.7 <= found.high
        self.assertBetween(held, 180, 199)

    def test_statistics_share_their_draws(self):
        values = np.random.default_rng(4).normal(size=50)
        both = np.stack([values, values + 1], axis=1)
        drawn = intervals.bootstrap(lambda w: w @ both, 50, Draws(100))
        np.testing.assert_allclose(drawn[:, 1] - drawn[:, 0], 1)

    def test_the_seed_fixes_the_draws(self):
        values = np.arange(30.0)
        runs = [
            intervals.bootstrap(mean_of(values), 30, Draws(50, seed))
            for seed in (7, 7, 8)
        ]
        np.testing.assert_array_equal(runs[0], runs[1])
        self.assertFalse(np.array_equal(runs[0], runs[2]))
        self.assertAlmostEqual(runs[0][0, 0], values.mean())

    def test_weights_are_those_of_draws_with_replacement(self):
        def check(weights):
            np.testing.assert_allclose(weights.sum(axis=1), 1)
            whole = weights * 12
            np.testing.assert_allclose(whole, np.rint(whole), atol=1e-9)
            return weights[:, :1]

        drawn = intervals.bootstrap(check, 12, Draws(2000))
        # A picture is left out of (1 - 1/12)^12 of the draws.
        self.assertAlmostEqual(np.mean(drawn[1:] == 0), (11 / 12) ** 12, delta=0.03)

    def test_large_sets_come_in_blocks(self):
        rows = []

        def count(weights):
            rows.append(len(weights))
            return weights[:, :1]

        drawn = intervals.bootstrap(count, 2**21, Draws(5))
        self.assertEqual(rows, [1, 2, 2, 1])
        self.assertLen(drawn, 6)

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "`times`"):
            Draws(0)
        with self.assertRaisesRegex(ValueError, "`count`"):
            intervals.bootstrap(mean_of(np.zeros(0)), 0, Draws())
