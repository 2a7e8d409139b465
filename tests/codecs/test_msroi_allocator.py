"""Where bits go: choices against brute force, weights, and the search for a size."""

import itertools

import numpy as np
from absl.testing import parameterized

from tests import harness
from tfsemcomp import errors
from tfsemcomp.codecs import jpeg_coefficients as jpeg
from tfsemcomp.codecs import jpeg_kernels
from tfsemcomp.codecs import msroi_allocator as allocator
from tfsemcomp.metrics import fidelity

IMAGE = harness.smooth_image(96, 128)
BALANCED = allocator.TUNINGS["balanced"]


def _map(height: int = 96, width: int = 128, left: float = 1.0) -> np.ndarray:
    """`left` on the left half, its opposite on the right."""
    roi = np.full((height, width), 1 - left, np.float32)
    roi[:, : width // 2] = left
    return roi


def _trellis(image, roi_map, strength=4.0, tuning=BALANCED, subsampling="4:2:0"):
    spectrum = jpeg.analyse(image, subsampling, fit_chroma=True)
    weights = allocator.block_weights(roi_map, spectrum, strength, tuning)
    return allocator.Trellis(spectrum, weights, tuning)


def _symbol_bits(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 17, 256)
    return (lengths + (np.arange(256) & 15)).astype(np.float32)


class ChoiceTest(harness.SemCompTestCase):
    @parameterized.parameters(*range(8))
    def test_ac_levels_are_the_best_of_all_candidates(self, seed):
        rng = np.random.default_rng(seed)
        block = rng.normal(0, 1.2, (1, 64)).astype(np.float32)
        # Few that may be nonzero, far enough apart for runs of more than 15 zeros.
        places = rng.choice(np.arange(1, 64), 6, replace=False)
        block[0, places] = rng.normal(0, 25, 6)
        block[0, 63] = [0.0, 18.0][seed % 2]
        steps = np.full(64, 10, np.float32)
        error_bits = rng.uniform(2, 12, 64).astype(np.float32)
        weights = np.array([rng.uniform(0.5, 2)], np.float32)
        bits = _symbol_bits(seed)
        levels = np.zeros((1, 64), np.int16)
        jpeg_kernels.choose_ac(block, steps, error_bits, weights, bits, levels)

        def cost(chosen: np.ndarray) -> float:
            counts = np.zeros(256, np.int64)
            jpeg_kernels.count_ac(chosen.astype(np.int16)[None], counts)
            error = np.square(block[0] / 10 - chosen)[1:] @ error_bits[1:]
            return float(error * weights[0] + counts @ bits)

        nearest = np.sign(block[0]) * np.floor(np.abs(block[0]) / 10 + 0.5)
        free = [k for k in range(1, 64) if nearest[k]]
        candidates = [
            sorted({0, nearest[k], nearest[k] - np.sign(nearest[k])}) for k in free
        ]
        best = np.inf
        for values in itertools.product(*candidates):
            chosen = np.zeros(64)
            chosen[free] = values
            best = min(best, cost(chosen))
        self.assertAlmostEqual(cost(levels[0]), best, delta=1e-3 * best)

    @parameterized.parameters(*range(4))
    def test_dc_levels_are_the_best_of_all_candidates(self, seed):
        rng = np.random.default_rng(seed)
        values = rng.normal(0, 40, 6).astype(np.float32)
        error_bits = rng.uniform(0.2, 4, 6).astype(np.float32)
        bits = np.cumsum(rng.integers(1, 5, 256)).astype(np.float32)
        chosen = np.zeros(6, np.int16)
        jpeg_kernels.choose_dc(values, 8.0, error_bits, bits, chosen)

        def cost(levels) -> float:
            sizes = [int(abs(d)).bit_length() for d in np.diff(levels, prepend=0)]
            error = np.square(values / 8.0 - levels) @ error_bits
            return float(error + bits[sizes].sum())

        middle = np.floor(values / 8 + 0.5)
        every = itertools.product((-1, 0, 1), repeat=6)
        best = min(cost(middle + np.array(change)) for change in every)
        self.assertAlmostEqual(cost(chosen), best, places=3)

    def test_without_pressure_everything_is_rounded(self):
        trellis = _trellis(IMAGE, _map())
        _, first = trellis.start(4000)
        trial = trellis.allocate(1.0, 1e-7, first)
        plain = jpeg.quantise(trellis.spectrum, trellis.tables(1.0))
        for chosen, rounded in zip(
            trial.coefficients.levels, plain.levels, strict=True
        ):
            # Ties of half a step may go either way.
            self.assertLess((chosen != rounded).mean(), 1e-3)

    def test_code_lengths_are_those_of_a_prefix_code(self):
        rng = np.random.default_rng(0)
        for scale in (1, 10, 1000):
            counts = (rng.pareto(0.3, 256) * scale).astype(np.int64).clip(0, 10**8)
            lengths = jpeg.code_lengths(counts)
            self.assertLessEqual(lengths.max(), 16)
            self.assertTrue(((lengths > 0) == (counts > 0)).all())
            used = lengths[lengths > 0]
            # One code, that of all ones, stays free.
            self.assertLess((0.5**used).sum(), 1)
            entropy = counts[counts > 0] @ -np.log2(counts[counts > 0] / counts.sum())
            self.assertBetween(counts @ lengths, entropy, entropy + counts.sum())


class WeightTest(harness.SemCompTestCase):
    def _layout(self, height=96, width=128, subsampling="4:2:0"):
        return jpeg.Layout(width, height, subsampling)

    def test_importance_follows_the_map(self):
        rng = np.random.default_rng(0)
        blocks = rng.permutation(12 * 16).reshape(12, 16) / 192
        roi_map = blocks.repeat(8, 0).repeat(8, 1).astype(np.float32)
        found = allocator.importance(roi_map, self._layout())
        self.assertBetween(found.min(), 0, 0.01)
        self.assertBetween(found.max(), 0.99, 1)
        order = np.argsort(blocks, axis=None)
        self.assertTrue((np.diff(found.ravel()[order]) > 0).all())

    @parameterized.parameters(0.0, 0.3, 1.0)
    def test_an_even_map_prefers_no_block(self, value):
        roi_map = np.full((96, 128), value, np.float32)
        found = allocator.importance(roi_map, self._layout())
        self.assertEqual(found.min(), found.max())
        spectrum = jpeg.analyse(IMAGE, "4:2:0", fit_chroma=True)
        for one, other in zip(
            allocator.block_weights(roi_map, spectrum, 4.0, BALANCED),
            allocator.block_weights(_map(), spectrum, 0.0, BALANCED),
            strict=True,
        ):
            np.testing.assert_allclose(one, other, rtol=1e-6)

    def test_a_nearly_even_map_prefers_little(self):
        rng = np.random.default_rng(0)
        noise = rng.uniform(0.5, 0.501, (96, 128)).astype(np.float32)
        found = allocator.importance(noise, self._layout())
        self.assertLess(np.ptp(found), 0.02)

    @parameterized.parameters(*jpeg.SUBSAMPLINGS)
    def test_every_block_of_every_channel_has_a_weight(self, subsampling):
        image = IMAGE[:37, :51]
        spectrum = jpeg.analyse(image, subsampling, fit_chroma=True)
        roi_map = np.ascontiguousarray(_map()[:37, :51])
        weights = allocator.block_weights(roi_map, spectrum, 4.0, BALANCED)
        for weight, blocks in zip(weights, spectrum.blocks, strict=True):
            self.assertLen(weight, len(blocks))
            self.assertTrue((weight > 0).all())
        self.assertAlmostEqual(float(np.log(weights[0]).mean()), 0, places=4)

    def test_weights_change_by_an_octave_a_block_at_most(self):
        flat = np.full((96, 128, 3), 90, np.uint8)
        spectrum = jpeg.analyse(flat, "gray", fit_chroma=False)
        (weights,) = allocator.block_weights(_map(), spectrum, 4.0, BALANCED)
        octaves = np.log2(weights).reshape(12, 16)
        self.assertLessEqual(np.abs(np.diff(octaves, axis=1)).max(), 1 + 1e-5)
        self.assertGreater(octaves[0, 0] - octaves[0, -1], 2)

    def test_chroma_gains_are_those_of_the_triangle_filter(self):
        layout = self._layout()
        gains = allocator.chroma_gains(layout)
        self.assertAlmostEqual(gains[0], 4)
        self.assertTrue((gains > 0).all() and (gains <= 4 + 1e-9).all())
        ones = allocator.chroma_gains(self._layout(subsampling="4:4:4"))
        np.testing.assert_array_equal(ones, np.ones(64))


class SizeTest(harness.SemCompTestCase):
    @parameterized.product(
        subsampling=jpeg.SUBSAMPLINGS, share=(0.3, 1.0, 3.0), kind=("rdoq", "dead_zone")
    )
    def test_files_come_close_to_the_target_from_below(self, subsampling, share, kind):
        image = harness.smooth_image(160, 160)
        roi_map = _map(160, 160)
        target = int(share * len(jpeg.plain(image, 60, subsampling)))
        if kind == "rdoq":
            chooser = _trellis(image, roi_map, subsampling=subsampling)
        else:
            spectrum = jpeg.analyse(image, subsampling, fit_chroma=True)
            chooser = allocator.DeadZone(spectrum, roi_map, 4.0)
        found = allocator.fit_size(chooser, target, jpeg.write)
        jpeg.verify(found.data, found.coefficients)
        self.assertLessEqual(len(found.data), target)
        self.assertGreater(len(found.data), target * (0.99 if kind == "rdoq" else 0.97))
        self.assertLessEqual(found.allocations, 15)

    def test_larger_than_possible_gives_the_best(self):
        found = allocator.fit_size(_trellis(IMAGE, _map()), 10**7, jpeg.write)
        for table in found.coefficients.tables:
            self.assertEqual(table.max(), 1)
        self.assertGreater(fidelity.psnr(IMAGE, jpeg.decode(found.data)), 33)

    def test_out_of_reach_names_the_smallest(self):
        trellis = _trellis(IMAGE, _map())
        with self.assertRaisesRegex(errors.SemCompError, "smallest file has") as caught:
            allocator.fit_size(trellis, 300, jpeg.write)
        smallest = int(str(caught.exception).split("file has ")[1].split()[0])
        found = allocator.fit_size(trellis, smallest, jpeg.write)
        self.assertLen(found.data, smallest)

    def test_a_score_is_reached_with_little_excess(self):
        def score(data) -> float:
            return fidelity.psnr(IMAGE, jpeg.decode(data))

        trellis = _trellis(IMAGE, _map())
        found = allocator.fit_score(trellis, 31.0, score, jpeg.write, 5000)
        self.assertBetween(score(found.data), 31.0, 31.15)
        less = allocator.fit_size(trellis, int(0.97 * len(found.data)), jpeg.write)
        self.assertLess(score(less.data), 31.0)
        with self.assertRaisesRegex(errors.SemCompError, "dB"):
            allocator.fit_score(trellis, 90.0, score, jpeg.write, 5000)


class PictureTest(harness.SemCompTestCase):
    """At the same bytes, the map moves quality and nothing is lost on the way."""

    def _halves(self, roi_map, strength=4.0) -> tuple[float, float]:
        target = len(jpeg.plain(IMAGE, 50, "4:2:0"))
        trellis = _trellis(IMAGE, roi_map, strength)
        decoded = jpeg.decode(allocator.fit_size(trellis, target, jpeg.write).data)
        return tuple(
            fidelity.psnr(IMAGE[:, part], decoded[:, part])
            for part in (slice(0, 64), slice(64, 128))
        )

    def test_a_higher_map_never_lowers_a_regions_quality(self):
        left, right = self._halves(_map(left=0.5))
        for level in (0.6, 0.8, 1.0):
            more, less = self._halves(_map(left=level))
            self.assertGreater(more, left)
            self.assertLess(less, right)
            left, right = more - 0.05, less + 0.05

    def test_strength_widens_the_difference(self):
        differences = [
            np.subtract(*self._halves(_map(), strength)) for strength in (0, 2, 4, 8)
        ]
        self.assertEqual(differences, sorted(differences))

    def test_choosing_levels_beats_rounding_at_the_same_bytes(self):
        image = harness.smooth_image(160, 160, seed=3)
        even = np.ones((160, 160), np.float32)
        plain = jpeg.plain(image, 50, "4:2:0")
        for name in ("balanced", "psnr"):
            trellis = _trellis(image, even, tuning=allocator.TUNINGS[name])
            ours = allocator.fit_size(trellis, len(plain), jpeg.write).data
            gain = fidelity.psnr(image, jpeg.decode(ours))
            gain -= fidelity.psnr(image, jpeg.decode(plain))
            self.assertGreater(gain, 0.3)
