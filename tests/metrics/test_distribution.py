import math

import numpy as np
import scipy.linalg
from absl.testing import parameterized

from tests.harness import SemCompTestCase, noise_image
from tfsemcomp import metrics

# Rows below and above the number of columns.
SHAPES = ((7, 9), (9, 9), (40, 9), (400, 5))


def features(count, width, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(width, width))
    return (rng.normal(size=(count, width)) @ mixing + shift).astype(np.float32)


class FidTest(SemCompTestCase):
    @parameterized.parameters(*SHAPES)
    def test_is_the_formula_with_the_root_of_scipy(self, count, width):
        a, b = features(count, width, 1), features(count + 3, width, 2, 0.5)
        mean_a, mean_b = a.astype(np.float64).mean(0), b.astype(np.float64).mean(0)
        cov_a, cov_b = (np.cov(x.astype(np.float64), rowvar=False) for x in (a, b))
        root = scipy.linalg.sqrtm(cov_a @ cov_b).real
        expected = np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a + cov_b - 2 * root)
        # scipy's root of a singular matrix is good to the root of its precision only.
        tolerance = 1e-9 if count > width else 1e-4
        self.assertAlmostEqual(metrics.fid(a, b) / expected, 1, delta=tolerance)

    @parameterized.parameters(*SHAPES)
    def test_equal_sets_have_no_distance(self, count, width):
        a = features(count, width, 1)
        self.assertAlmostEqual(metrics.fid(a, a[::-1].copy()), 0, delta=1e-9)

    def test_of_two_gaussians_in_one_dimension(self):
        line = np.linspace(-1, 1, 101)[:, None]
        deviation = line.std(ddof=1)
        expected = 3.0**2 + (deviation - 2 * deviation) ** 2
        self.assertAlmostEqual(metrics.fid(line, 2 * line + 3), expected, places=9)

    def test_is_symmetric_and_forgets_order(self):
        a, b = features(30, 6, 1), features(50, 6, 2, 1.0)
        expected = metrics.fid(a, b)
        self.assertAlmostEqual(metrics.fid(b, a), expected, places=9)
        self.assertAlmostEqual(metrics.fid(a, b[::-1].copy()), expected, places=9)


class KidTest(SemCompTestCase):
    @parameterized.parameters(*SHAPES)
    def test_is_its_formula(self, count, width):
        a, b = features(count, width, 1), features(count + 3, width, 2, 0.5)
        a, b = a[:40].astype(np.float64), b[:40].astype(np.float64)

        def kernel(x, y):
            return (sum(p * q for p, q in zip(x, y, strict=True)) / width + 1) ** 3

        own = [
            np.mean([kernel(x, y) for i, x in enumerate(s) for y in np.delete(s, i, 0)])
            for s in (a, b)
        ]
        across = np.mean([kernel(x, y) for x in a for y in b])
        found = metrics.kid(a, b)
        self.assertAlmostEqual(found / (sum(own) - 2 * across), 1, delta=1e-9)

    def test_has_no_bias(self):
        values = [
            metrics.kid(features(8, 3, 2 * k), features(8, 3, 2 * k + 1))
            for k in range(400)
        ]
        error = np.std(values) / math.sqrt(len(values))
        self.assertLess(abs(np.mean(values)), 3 * error)
        self.assertLess(min(values), 0)

    def test_blocks_of_rows_add_up(self):
        a, b = features(1500, 3, 1), features(1100, 3, 2, 0.2)
        gram = (a.astype(np.float64) @ b.T.astype(np.float64) / 3 + 1) ** 3
        grams = [
            (x.astype(np.float64) @ x.T.astype(np.float64) / 3 + 1) ** 3 for x in (a, b)
        ]
        own = [(g.sum() - np.trace(g)) / (len(g) * (len(g) - 1)) for g in grams]
        expected = sum(own) - 2 * gram.mean()
        self.assertAlmostEqual(metrics.kid(a, b), expected, places=8)


class ArgumentsTest(SemCompTestCase):
    @parameterized.product(
        function=(metrics.fid, metrics.kid),
        case=(
            (np.zeros((4, 3), np.uint8), "must be a float array"),
            (np.zeros(4), r"the shape \[N,D\]"),
            (np.zeros((1, 3)), "N >= 2"),
            (np.full((4, 3), np.nan), "must be finite"),
            (np.zeros((4, 2)), "must have the 3 columns"),
            ([[1.0]], "not list"),
        ),
    )
    def test_refuses_what_are_no_features(self, function, case):
        wrong, message = case
        with self.assertRaisesRegex(ValueError, f"`features_b`.*{message}"):
            function(np.zeros((4, 3)), wrong)


class PatchesTest(SemCompTestCase):
    def test_two_grids(self):
        image = noise_image(70, 100)
        found = metrics.patches(image, 32)
        self.assertEqual(found.shape, (2 * 3 + 1 * 2, 32, 32, 3))
        np.testing.assert_array_equal(found[4], image[32:64, 32:64])
        np.testing.assert_array_equal(found[7], image[16:48, 48:80])

    def test_a_kodak_picture_has_eight(self):
        self.assertLen(metrics.patches(np.zeros((512, 768, 3), np.uint8)), 8)

    @parameterized.parameters((1, 1), (5, 30), (31, 31))
    def test_small_pictures_are_mirrored(self, height, width):
        image = noise_image(height, width)
        found = metrics.patches(image, 32)
        self.assertEqual(found.shape, (1, 32, 32, 3))
        np.testing.assert_array_equal(found[0, :height, :width], image)
        np.testing.assert_array_equal(found[0, height], found[0, height - 1])

    def test_refuses_other_inputs(self):
        with self.assertRaisesRegex(ValueError, "uint8"):
            metrics.patches(noise_image(40, 40) / 255)
        for size in (1, 0, 16.0, None):
            with self.assertRaisesRegex(ValueError, "`size`"):
                metrics.patches(noise_image(40, 40), size)
