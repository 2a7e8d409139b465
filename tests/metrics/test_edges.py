import numpy as np
import scipy.ndimage
from absl.testing import parameterized

from tests.harness import SemCompTestCase, smooth_image
from tests.metrics import pictures
from tfsemcomp import metrics
from tfsemcomp.metrics import edges


def random_edges(seed, share=0.05):
    return np.random.default_rng(seed).random((60, 80)) < share


class CannyTest(SemCompTestCase):
    def test_a_step_has_one_line(self):
        picture = np.zeros((40, 60, 3), np.uint8)
        picture[:, 30:] = 200
        found = edges.canny(picture)
        self.assertEqual(set(found.sum(axis=1)[1:-1]), {2})
        np.testing.assert_array_equal(np.flatnonzero(found[20]), [29, 30])

    def test_weak_edges_stay_only_where_they_join_strong_ones(self):
        picture = np.full((40, 60, 3), 100, np.uint8)
        picture[20:, :] = 150
        alone = edges.canny(picture, low=0.1, high=0.6)
        self.assertEqual(alone.sum(), 0)
        picture[20:, :30] = np.linspace(250, 150, 30)[:, None]
        joined = edges.canny(picture, low=0.1, high=0.6)
        self.assertGreater(joined[:, 40:].sum(), 15)

    @parameterized.parameters((1, 1), (2, 9), (3, 3))
    def test_tiny_pictures(self, height, width):
        found = edges.canny(smooth_image(height, width))
        self.assertEqual(found.shape, (height, width))

    def test_refuses_wrong_parameters(self):
        picture = smooth_image(9, 9)
        for wrong in ({"sigma": 0}, {"low": 0}, {"low": 0.3}, {"high": float("nan")}):
            with self.assertRaisesRegex(ValueError, f"`{next(iter(wrong))}`"):
                edges.canny(picture, **wrong)
        with self.assertRaisesRegex(ValueError, "uint8"):
            edges.canny(picture / 255)


class EdgeF1Test(SemCompTestCase):
    @parameterized.parameters(0, 1, 2, 5)
    def test_is_its_formula_with_the_dilation_of_scipy(self, tolerance):
        a, b = random_edges(1), random_edges(2)
        square = np.ones((2 * tolerance + 1,) * 2)
        near_a, near_b = (scipy.ndimage.binary_dilation(x, square) for x in (a, b))
        precision, recall = near_a[b].mean(), near_b[a].mean()
        expected = 2 * precision * recall / (precision + recall)
        found = metrics.edge_map_f1(a, b, tolerance)
        self.assertAlmostEqual(found, expected, places=12)

    def test_tolerance_in_pixels(self):
        line = np.zeros((20, 20), bool)
        line[5] = True
        for shift, tolerance, expected in ((1, 1, 1), (2, 1, 0), (2, 2, 1), (1, 0, 0)):
            found = metrics.edge_map_f1(line, np.roll(line, shift, 0), tolerance)
            self.assertEqual(found, expected)

    def test_maps_without_edges(self):
        none, some = np.zeros((9, 9), bool), np.eye(9, dtype=bool)
        self.assertEqual(metrics.edge_map_f1(none, none), 1.0)
        self.assertEqual(metrics.edge_map_f1(none, some), 0.0)
        self.assertEqual(metrics.edge_map_f1(some, none), 0.0)

    def test_weights_count_edge_pixels(self):
        a, b = random_edges(1), random_edges(2)
        weights = np.random.default_rng(3).random(a.shape)
        hits = scipy.ndimage.binary_dilation(a, np.ones((3, 3)))[b]
        precision = np.average(hits, weights=weights[b])
        hits = scipy.ndimage.binary_dilation(b, np.ones((3, 3)))[a]
        recall = np.average(hits, weights=weights[a])
        expected = 2 * precision * recall / (precision + recall)
        found = metrics.edge_map_f1(a, b, weights=weights)
        self.assertAlmostEqual(found, expected, places=12)

    def test_falls_with_quality(self):
        photo = pictures.photo("astronaut")[:200, 100:320]
        values = [
            metrics.edge_f1(photo, pictures.jpeg(photo, q)) for q in (5, 20, 50, 95)
        ]
        self.assertEqual(values, sorted(values))

    def test_other_pictures_have_other_edges(self):
        a = pictures.photo("astronaut")[:200, :200]
        b = pictures.photo("coffee")[:200, :200]
        self.assertLess(metrics.edge_f1(a, b), 0.3)

    def test_refuses_what_are_no_edge_maps(self):
        a = random_edges(1)
        for wrong, message in (
            (a.astype(np.uint8), "`edges` must be a bool array"),
            (a[0], "`edges` must be a bool array"),
            (a[1:], "must have the size of `reference`"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                metrics.edge_map_f1(a, wrong)
        for tolerance in (-1, 1.0):
            with self.assertRaisesRegex(ValueError, "`tolerance`"):
                metrics.edge_map_f1(a, a, tolerance)
