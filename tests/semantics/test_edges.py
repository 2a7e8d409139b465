import zlib

import numpy as np
import scipy.ndimage
import skimage.feature
import skimage.filters
import skimage.morphology
from absl.testing import parameterized

from tests.harness import SemCompTestCase, noise_image, smooth_image
from tests.metrics import pictures
from tfsemcomp.metrics import inputs
from tfsemcomp.semantics import edges

EIGHT = np.ones((3, 3))
PHOTOS = ("astronaut", "chelsea", "coffee")
CLASSICAL = ("canny", "canny_opencv", "sobel")
# Pixels, and CRC-32 of the packed bits, of cv2.Canny(cv2.GaussianBlur(grey, (5, 5), 0),
# threshold // 3, threshold) in OpenCV 4.11 on the demo photos.
OPENCV = {
    ("astronaut", 60): (27473, 3484144541),
    ("astronaut", 150): (18039, 3315952919),
    ("chelsea", 60): (19494, 765661942),
    ("chelsea", 300): (688, 1308711714),
    ("coffee", 150): (13823, 1225561180),
    ("coffee", 300): (5472, 2598262922),
}


class FakeRunner:
    """Answers `structure` with bars of three strengths, soft across."""

    def __init__(self):
        self.signatures = []

    def call(self, signature, images):
        self.signatures.append((signature, images.dtype, images.shape))
        y, x = np.mgrid[: images.shape[1], : images.shape[2]]
        bars = sum(
            level * np.exp(-0.5 * ((x - place) / 1.5) ** 2)
            for level, place in ((0.9, 12), (0.6, 24), (0.3, 36))
        )
        return {"strength": bars[None].astype(np.float32)}


def random_map(seed=0, share=0.3, shape=(60, 80)):
    return (np.random.default_rng(seed).random(shape) < share).astype(np.uint8)


def thick_map(name="coffee"):
    lines = edges.extract(pictures.photo(name)[:200, :240])
    return scipy.ndimage.binary_dilation(lines, EIGHT).astype(np.uint8)


def parts(lines):
    return scipy.ndimage.label(lines, EIGHT)[1]


class ExtractTest(SemCompTestCase):
    @parameterized.product(
        method=CLASSICAL, shape=((1, 1), (2, 9), (3, 3), (17, 33), (1, 40))
    )
    def test_any_size(self, method, shape):
        for image in (smooth_image(*shape), noise_image(*shape)):
            found = edges.extract(image, method)
            self.assertEqual((found.shape, found.dtype), (shape, np.uint8))
            self.assertLessEqual(found.max(), 1)
            strength = edges.strength(image, method)
            self.assertEqual((strength.shape, strength.dtype), (shape, np.float32))
            self.assertGreaterEqual(strength.min(), 0)

    @parameterized.product(
        name=PHOTOS, options=({}, {"sigma": 1.0}, {"threshold": 0.3})
    )
    def test_canny_as_scikit_image(self, name, options):
        photo = pictures.photo(name)
        sigma, high = options.get("sigma", 2.0), options.get("threshold", 0.09)
        expected = skimage.feature.canny(
            inputs.luma(photo) / 255, sigma, high / 3, high, mode="nearest"
        )
        found = edges.extract(photo, "canny", **options)
        np.testing.assert_array_equal(found, expected)

    @parameterized.parameters(*OPENCV)
    def test_canny_as_opencv(self, name, threshold):
        found = edges.extract(pictures.photo(name), "canny_opencv", threshold=threshold)
        bits = np.packbits(found).tobytes()
        self.assertEqual((int(found.sum()), zlib.crc32(bits)), OPENCV[name, threshold])

    @parameterized.parameters(*PHOTOS)
    def test_sobel_as_scikit_image(self, name):
        photo = pictures.photo(name)
        expected = skimage.filters.sobel(inputs.luma(photo) / 255)
        found = edges.strength(photo, "sobel")
        np.testing.assert_allclose(found, expected, atol=1e-6)
        self.assertLessEqual(found.max(), 1)
        lines = edges.extract(photo, "sobel", threshold=0.2)
        self.assertGreaterEqual(found[lines == 1].min(), 0.2)
        self.assertBetween(lines.sum(), 1, (found >= 0.2).sum() - 1)

    @parameterized.parameters(*CLASSICAL)
    def test_lines_are_ones_and_flat_pictures_have_none(self, method):
        picture = np.full((40, 60, 3), 40, np.uint8)
        self.assertEqual(edges.extract(picture, method).sum(), 0)
        picture[:, 30:] = 200
        for step in (picture, 255 - picture):
            found = edges.extract(step, method)
            self.assertEqual(found[:, :29].sum() + found[:, 31:].sum(), 0)
            np.testing.assert_array_equal(found[1:-1].any(axis=1), True)

    @parameterized.parameters(*CLASSICAL)
    def test_a_higher_threshold_keeps_fewer_lines(self, method):
        photo = pictures.photo("astronaut")[:200, :200]
        factors = edges.THRESHOLDS[method] * np.array([0.5, 1, 2, 4])
        maps = [edges.extract(photo, method, threshold=t) for t in factors]
        for more, fewer in zip(maps[:-1], maps[1:], strict=True):
            self.assertGreater(more.sum(), fewer.sum())
            self.assertEqual((fewer & ~more & 1).sum(), 0)

    def test_learned_edges_are_crests_above_the_threshold(self):
        runner = FakeRunner()
        image = smooth_image(30, 48)
        found = edges.extract(image, "learned", model=runner)
        np.testing.assert_array_equal(np.flatnonzero(found[15]), [12, 24])
        found = edges.extract(image, "learned", model=runner, threshold=0.2)
        np.testing.assert_array_equal(np.flatnonzero(found[15]), [12, 24, 36])
        strength = edges.strength(image, "learned", model=runner)
        self.assertAlmostEqual(float(strength[3, 12]), 0.9, places=5)
        expected = ("structure", np.dtype("float32"), (1, 30, 48, 3))
        self.assertEqual(set(runner.signatures), {expected})

    @parameterized.parameters(
        ({"method": "prewitt"}, "`method` must be one of canny"),
        ({"threshold": 0}, "`threshold`"),
        ({"threshold": float("nan")}, "`threshold`"),
        ({"sigma": -1.0}, "`sigma`"),
        ({"method": "sobel", "sigma": 2.0}, "`sigma` is for canny"),
        ({"model": "edges-small"}, "`model` is for learned"),
    )
    def test_refuses_wrong_options(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            edges.extract(smooth_image(9, 9), **options)

    @parameterized.parameters(*edges.METHODS)
    def test_refuses_what_is_no_picture(self, method):
        with self.assertRaisesRegex(ValueError, "uint8"):
            edges.extract(smooth_image(9, 9) / 255, method)


class LabelBoundariesTest(SemCompTestCase):
    def test_separates_what_differs_and_nothing_else(self):
        labels = np.random.default_rng(1).integers(0, 3, (20, 30))
        found = edges.label_boundaries(labels)
        unlike = np.zeros(labels.shape, bool)
        for i, j in np.ndindex(labels.shape):
            below, right = labels[i : i + 2, j], labels[i, j : j + 2]
            unlike[i, j] = (below != labels[i, j]).any() | (right != labels[i, j]).any()
        np.testing.assert_array_equal(found, unlike)

    def test_one_pixel_wide(self):
        labels = np.zeros((9, 9), np.uint8)
        labels[:, 4:] = 7
        found = edges.label_boundaries(labels)
        np.testing.assert_array_equal(found.sum(axis=1), 1)
        self.assertEqual(edges.label_boundaries(labels[:1, :1]).sum(), 0)

    def test_refuses_other_arrays(self):
        for wrong in (np.zeros((3, 3)), np.zeros(3, int)):
            with self.assertRaisesRegex(ValueError, "`labels`"):
                edges.label_boundaries(wrong)


class ScalesTest(SemCompTestCase):
    @parameterized.product(scale=edges.SCALES, shape=((1, 1), (8, 12), (13, 7)))
    def test_down_and_up(self, scale, shape):
        lines = random_map(1, 0.1, shape)
        small = edges.downscale(lines, scale)
        self.assertEqual(small.shape, tuple(-(-side // scale) for side in shape))
        for i, j in np.ndindex(small.shape):
            block = lines[i * scale : (i + 1) * scale, j * scale : (j + 1) * scale]
            self.assertEqual(small[i, j], block.max())
        whole = edges.upscale(small, scale, *shape)
        self.assertEqual((whole.shape, whole.dtype), (shape, np.uint8))
        # No line is lost, and what was sent once is sent alike again.
        self.assertEqual((lines & ~whole & 1).sum(), 0)
        np.testing.assert_array_equal(edges.downscale(whole, scale), small)

    def test_refuses_other_scales_and_maps(self):
        lines = random_map()
        with self.assertRaisesRegex(ValueError, "`scale`"):
            edges.downscale(lines, 3)
        with self.assertRaisesRegex(ValueError, r"must be \[30, 40\]"):
            edges.upscale(lines, 2, 60, 80)
        for wrong in (lines * 255, lines.astype(bool), lines[0], lines[:0]):
            with self.assertRaisesRegex(ValueError, "`edges`"):
                edges.downscale(wrong, 2)


class CleaningTest(SemCompTestCase):
    @parameterized.parameters(0, 1, 2, 20, 10**6)
    def test_remove_short_as_scipy(self, size):
        lines = edges.extract(pictures.photo("coffee"))
        labels, _ = scipy.ndimage.label(lines, EIGHT)
        sizes = np.bincount(labels.ravel())
        expected = lines & (sizes[labels] >= size)
        found = edges.remove_short(lines, size)
        self.assertEqual(found.dtype, np.uint8)
        np.testing.assert_array_equal(found, expected)

    def test_remove_short_refuses(self):
        for size in (-1, 1.5):
            with self.assertRaisesRegex(ValueError, "`size`"):
                edges.remove_short(random_map(), size)
        with self.assertRaisesRegex(ValueError, "divide a map of 0 and 255"):
            edges.remove_short(255 * random_map(), 2)

    def test_thin_as_scikit_image(self):
        for lines in (thick_map(), random_map(2, 0.6), random_map(3, 0.9)):
            expected = skimage.morphology.thin(lines.astype(bool))
            np.testing.assert_array_equal(edges.thin(lines), expected)

    @parameterized.parameters(0.2, 0.5, 0.8)
    def test_thin_keeps_parts_and_is_done_at_once(self, share):
        lines = random_map(4, share)
        found = edges.thin(lines)
        self.assertEqual((found & ~lines & 1).sum(), 0)
        self.assertEqual(parts(found), parts(lines))
        np.testing.assert_array_equal(edges.thin(found), found)

    @parameterized.parameters((1, 1), (1, 9), (2, 2))
    def test_thin_of_full_maps(self, height, width):
        found = edges.thin(np.ones((height, width), np.uint8))
        self.assertEqual(parts(found), 1)


class SuppressTest(SemCompTestCase):
    @parameterized.parameters(0, 30, 45, 77, 90, 120, 160)
    def test_keeps_the_crest_of_a_ridge_in_any_direction(self, degrees):
        y, x = np.mgrid[:61, :61] - 30.0
        angle = np.radians(degrees)
        distance = abs(x * np.sin(angle) - y * np.cos(angle))
        ridge = np.exp(-0.5 * (distance / 2) ** 2)
        found = edges.suppress(ridge)
        inner = found[9:-9, 9:-9]
        self.assertLess(distance[9:-9, 9:-9][inner > 1e-3].max(), 1)
        self.assertGreater(inner[distance[9:-9, 9:-9] < 0.3].min(), 0.9)
        np.testing.assert_array_equal(found[found > 0], ridge[found > 0].astype("f"))

    def test_flat_maps_have_no_crest_but_stay_in_range(self):
        self.assertEqual(edges.suppress(np.zeros((9, 9), np.float32)).max(), 0)
        for shape in ((1, 1), (2, 7)):
            found = edges.suppress(np.ones(shape, np.float32))
            self.assertEqual(found.shape, shape)

    def test_refuses_other_arrays(self):
        ramp = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
        for wrong in (random_map(), ramp[0], ramp - 1, ramp + np.float32(np.inf)):
            with (
                np.errstate(all="ignore"),
                self.assertRaisesRegex(ValueError, "`strength`"),
            ):
                edges.suppress(wrong)
