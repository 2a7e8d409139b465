import numpy as np
import scipy.ndimage
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.metrics import boundaries
from tfsemcomp.metrics.boundaries import Counts


def two_maps(shape=(40, 60)):
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, 6, shape) / 5 * (rng.random(shape) < 0.05)
    return drawn, (rng.random(shape) < 0.04).astype(np.uint8)


class CountTest(SemCompTestCase):
    @parameterized.parameters(0, 1, 1.5, 2.9, 7)
    def test_is_its_formula_with_the_distances_of_scipy(self, radius):
        drawn, edges = two_maps()
        to_drawn = scipy.ndimage.distance_transform_edt(drawn == 0)
        to_edges = scipy.ndimage.distance_transform_edt(edges == 0)
        found = boundaries.count(drawn, edges, radius)
        self.assertEqual(found.right, (to_drawn[edges == 1] <= radius).sum())
        self.assertEqual(found.found, edges.sum())
        self.assertAlmostEqual(found.recalled, drawn[to_edges <= radius].sum())
        self.assertAlmostEqual(found.drawn, drawn.sum())

    def test_tolerance_is_a_share_of_the_diagonal(self):
        drawn = np.zeros((300, 400))
        drawn[100] = 1
        for shift, recall in ((3, 1.0), (4, 0.0)):
            edges = (np.roll(drawn, shift, axis=0) > 0).astype(np.uint8)
            self.assertEqual(boundaries.count(drawn, edges).recall, recall)

    def test_perfect_empty_and_nothing(self):
        drawn, edges = two_maps()
        none, nobody = np.zeros_like(edges), np.zeros_like(drawn)
        perfect = boundaries.count(drawn, (drawn > 0).astype(np.uint8), 0)
        self.assertAlmostEqual(perfect.f1, 1)
        self.assertEqual(boundaries.count(drawn, none).f1, 0)
        self.assertEqual(boundaries.count(nobody, edges).f1, 0)
        self.assertEqual(boundaries.count(nobody, none).f1, 1)
        self.assertEqual(Counts(0, 1, 0, 1).f1, 0)

    def test_refuses_other_maps(self):
        drawn, edges = two_maps()
        for wrong, message in (
            ((edges, edges), "`drawn` must be float"),
            ((drawn, drawn), "`edges` must be uint8"),
            ((drawn, edges[0]), "`edges` must be uint8"),
            ((drawn[1:], edges), "must have the size of `drawn`"),
            ((drawn, edges, -1), "`radius`"),
            ((drawn, edges, float("nan")), "`radius`"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                boundaries.count(*wrong)


class ScoreTest(SemCompTestCase):
    def test_of_two_pictures(self):
        # The first is best at the first threshold, the second at the last.
        counts = [
            [Counts(8, 10, 8, 10), Counts(2, 4, 2, 10)],
            [Counts(3, 10, 3, 10), Counts(4, 4, 4, 10)],
        ]
        found = boundaries.score(counts)
        self.assertEqual(found.best, 0)
        self.assertAlmostEqual(found.precision, 11 / 20)
        self.assertAlmostEqual(found.recall, 11 / 20)
        self.assertAlmostEqual(found.ods, 11 / 20)
        precision, recall = 12 / 14, 12 / 20
        self.assertAlmostEqual(found.ois, 2 * precision * recall / (precision + recall))
        self.assertGreaterEqual(found.ois, found.ods)
        self.assertAlmostEqual(
            found.average_precision, (0.55 - 0.3) * (6 / 8 + 11 / 20) / 2
        )

    def test_counts_add_up(self):
        total = Counts(1, 2, 3, 4) + Counts(10, 20, 30, 40)
        self.assertEqual(total, Counts(11, 22, 33, 44))

    @parameterized.parameters([[]], [[[]]], [[[Counts()], [Counts()] * 2]])
    def test_refuses(self, counts):
        with self.assertRaisesRegex(ValueError, "`counts`"):
            boundaries.score(counts)
