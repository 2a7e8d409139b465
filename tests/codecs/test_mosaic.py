"""The published way to compose a JPEG, against a plain reading of its rules."""

import math

import numpy as np
from absl.testing import parameterized

from tests import harness
from tfsemcomp.codecs import jpeg_coefficients as jpeg
from tfsemcomp.codecs import mosaic

IMAGE = harness.smooth_image(48, 64)


def _random_map(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((48, 64)).astype(np.float32)


def _quality(value: float, values: np.ndarray, mode: int) -> int:
    """One pixel's quality, as the published rules read."""
    percentile = {n: np.percentile(values, n) for n in (20, 50, 60, 90)}
    if mode == 1:
        return 100 if value > values.mean() else 70
    if mode == 2:
        index = min(math.floor(10 * value / values.max()) + 2, 9)
        return 10 * (index + 1)
    if mode == 3:
        rank = (values < value).sum() / values.size
        return 10 * (min(math.floor(10 * rank) + 1, 9) + 1)
    if mode == 4:
        for limit, quality in ((20, 50), (60, 70), (90, 90)):
            if value < percentile[limit]:
                return quality
        return 100
    low, high = (30, 90) if mode == 5 else (80, 100)
    return low if value < percentile[50] else high


class RuleTest(harness.SemCompTestCase):
    @parameterized.product(mode=tuple(mosaic.MODES), seed=(0, 1))
    def test_modes_follow_the_published_rules(self, mode, seed):
        values = _random_map(seed).astype(np.float64)
        found = mosaic.mode_qualities(values, mode)
        self.assertEqual(found.dtype, np.uint8)
        for row, column in np.random.default_rng(seed).integers(0, 48, (60, 2)):
            expected = _quality(values[row, column], values, mode)
            self.assertEqual(found[row, column], expected)

    def test_deciles_are_of_equal_size(self):
        found = mosaic.mode_qualities(_random_map(), 3)
        levels, counts = np.unique(found, return_counts=True)
        np.testing.assert_array_equal(levels, range(20, 101, 10))
        np.testing.assert_allclose(counts / found.size, [0.1] * 8 + [0.2], atol=1e-3)

    @parameterized.product(mode=tuple(mosaic.MODES), value=(0.0, 0.4, 1.0))
    def test_an_even_map_takes_one_quality(self, mode, value):
        even = np.full((48, 64), value, np.float32)
        self.assertLen(np.unique(mosaic.mode_qualities(even, mode)), 1)

    @parameterized.parameters(*mosaic.MODES)
    def test_a_higher_value_never_takes_a_lower_quality(self, mode):
        values = _random_map()
        order = np.argsort(values, axis=None)
        found = mosaic.mode_qualities(values, mode).ravel()[order].astype(int)
        self.assertTrue((np.diff(found) >= 0).all())

    def test_levels_are_those_of_the_blocks(self):
        blocks = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
        found = mosaic.level_qualities(blocks.repeat(8, 0).repeat(8, 1)[:45, :61])
        self.assertEqual(found.shape, (45, 61))
        np.testing.assert_array_equal(np.unique(found), [38, 46, 54, 62, 70])
        for row in range(0, 40, 8):
            for column in range(0, 56, 8):
                block = found[row : row + 8, column : column + 8]
                self.assertEqual(block.min(), block.max())

    def test_names_and_numbers(self):
        for number, name in mosaic.MODES.items():
            for alias in (number, str(number), name):
                self.assertEqual(mosaic.resolve_mode(alias), number)
        for wrong in (0, 7, "decil", "", 3.5, True, None):
            with self.assertRaisesRegex(ValueError, "`mode`"):
                mosaic.resolve_mode(wrong)


class MixTest(harness.SemCompTestCase):
    @parameterized.parameters("4:2:0", "4:4:4")
    def test_each_pixel_is_that_of_its_jpeg(self, subsampling):
        qualities = mosaic.mode_qualities(_random_map(), 4)
        mixed = mosaic.mix(IMAGE, qualities, subsampling)
        for quality in np.unique(qualities):
            decoded = jpeg.decode(jpeg.plain(IMAGE, int(quality), subsampling))
            part = qualities == quality
            np.testing.assert_array_equal(mixed[part], decoded[part])

    def test_four_qualities(self):
        files = mosaic.four_qualities(IMAGE, _random_map(), mode="gentle")
        self.assertEqual(tuple(files), (100, 85, 65, 45))
        sizes = [len(data) for data in files.values()]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        for data in files.values():
            self.assertEqual(jpeg.decode(data).shape, IMAGE.shape)
