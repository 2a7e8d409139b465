import itertools

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.entropy import bit_contexts, bit_network
from tfsemcomp.training import bit_predictor

ITERATIONS = 3
CHANNELS = 4
SMALL = {"hidden": 16, "groups": 2, "steps": 200, "batch": 80, "learning_rate": 1e-2}


def structured_codes(height: int, width: int, seed: int) -> np.ndarray:
    """Signs of a smooth field, and of what halving steps leave of it."""
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(height + 3, width + 3, CHANNELS))
    for axis in (0, 1):
        field = sum(np.roll(field, shift, axis) for shift in range(4))
    # Channels have a part in common.
    field = field[3:, 3:] + field[3:, 3:, :1]
    field = field / field.std()
    planes = []
    for iteration in range(ITERATIONS):
        planes.append(np.where(field >= 0, 1, -1))
        field = field - planes[-1] * 0.8 * 0.5**iteration
    return np.int8(planes)


def random_stops(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, ITERATIONS + 1, (height, width))


def stopped(codes: np.ndarray, stops: np.ndarray) -> np.ndarray:
    active = stops > np.arange(ITERATIONS)[:, None, None]
    return codes * active[..., None].astype(np.int8)


class SamplesTest(SemCompTestCase):
    def test_cells_come_with_what_is_around_them(self):
        sizes = ((2, 5), (4, 3), (1, 1))
        pictures = [
            stopped(structured_codes(*size, seed), random_stops(*size, seed))
            for seed, size in enumerate(sizes)
        ]
        expected = [[[] for _ in range(ITERATIONS)] for _ in range(2)]
        for codes in pictures:
            padded = np.pad(codes, [(2, 0), (1, 1), (1, 1), (0, 0)])
            for t, y, x in np.argwhere(codes.any(axis=-1)):
                around = padded[t : t + 3, y : y + 3, x : x + 3][::-1]
                around = around.reshape(3, 9, CHANNELS)
                expected[(y + x) % 2][t].append(around.tolist())
        samples = bit_predictor.Samples(pictures)
        for half, iteration in itertools.product(range(2), range(ITERATIONS)):
            count = samples.count(half, iteration)
            around = samples.gather(half, iteration, np.arange(count))
            self.assertCountEqual(around.tolist(), expected[half][iteration])

    def test_drawn_cells_are_cells(self):
        codes = structured_codes(4, 5, 0)
        # None of them reaches the last iteration.
        samples = bit_predictor.Samples([stopped(codes, np.full((4, 5), 2))])
        rng = np.random.default_rng(0)
        for half in (0, 1):
            drawn = samples.draw(half, 50, rng)
            self.assertEqual(drawn.shape, (ITERATIONS, 50, 3, 9, CHANNELS))
            for iteration in (0, 1):
                known = samples.gather(half, iteration, np.arange(10)).tolist()
                found = drawn[iteration].tolist()
                self.assertTrue(all(item in known for item in found))
                # With replacement, 50 draws see nearly all of 10.
                self.assertGreater(sum(item in found for item in known), 6)
            self.assertFalse(drawn[2].any())

    @parameterized.named_parameters(
        ("none", []),
        ("rank", [np.ones((3, 4), np.int8)]),
        ("dtype", [np.ones((3, 2, 2, 4), np.int32)]),
        ("twos", [np.full((3, 2, 2, 4), 2, np.int8)]),
        ("lowest", [np.full((3, 2, 2, 4), -128, np.int8)]),
        ("half_a_cell", [np.int8([1, 0]).reshape(1, 1, 1, 2)]),
        ("iterations", [np.ones((t, 2, 2, 4), np.int8) for t in (3, 2)]),
        ("channels", [np.ones((3, 2, 2, c), np.int8) for c in (3, 4)]),
        ("restarts", [np.int8([1, 0, 1]).reshape(3, 1, 1, 1)]),
    )
    def test_other_codes_are_refused(self, codes):
        with self.assertRaisesRegex(ValueError, "`codes`"):
            bit_predictor.Samples(codes)


class FitTest(SemCompTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        sizes = [(16, 17), (15, 20), (24, 9)] * 20
        # Every third picture stops somewhere.
        cls.stops = [
            random_stops(*size, s) if s % 3 == 0 else np.full(size, ITERATIONS)
            for s, size in enumerate(sizes)
        ]
        cls.codes = [
            stopped(structured_codes(*size, seed), cls.stops[seed])
            for seed, size in enumerate(sizes)
        ]
        cls.weights = bit_predictor.train(cls.codes, **SMALL)

    def setUp(self):
        super().setUp()
        # Pictures that the network was not trained on.
        self.fresh = [structured_codes(14, 15, seed) for seed in (50, 51)]
        self.count = sum(item.size for item in self.fresh)

    def test_structure_is_found(self):
        bits = bit_predictor.float_bits(self.weights, self.fresh)
        self.assertEqual(bits.shape, (ITERATIONS,))
        self.assertLess(bits.sum(), 0.85 * self.count)
        # The neighbours of the half before help beyond what the past says.
        self.assertLess(bits[0], 0.75 * self.count / ITERATIONS)

    def test_rounding_costs_little(self):
        before = bit_predictor.float_bits(self.weights, self.fresh)
        network = bit_predictor.quantise(self.weights)
        after = bit_predictor.integer_bits(network, self.fresh)
        np.testing.assert_allclose(after, before, rtol=0.005)

    def test_files_are_as_small_as_the_network_says(self):
        # So no pass sees what its decoder does not know.
        network = bit_predictor.quantise(self.weights)
        levels = bit_predictor.count_stops([], ITERATIONS)
        model = bit_contexts.BitModel(network, levels)
        bits = bit_predictor.integer_bits(network, self.fresh)
        payloads = [bit_contexts.encode(model, item) for item in self.fresh]
        for iteration in range(ITERATIONS):
            size = sum(8 * (len(data[iteration]) - 2) for data in payloads)
            self.assertAlmostEqual(size, bits[iteration], delta=32)
        decoder = bit_contexts.Decoder(model, 14, 15, False)
        for plane, data in zip(self.fresh[0], payloads[0], strict=True):
            np.testing.assert_array_equal(decoder.take(data), plane)

    def test_weights_of_zero_cost_a_bit_a_bit(self):
        zeros = tuple(np.zeros_like(item) for item in self.weights.arrays)
        weights = bit_predictor.Weights(zeros, 2)
        expected = [sum(np.count_nonzero(c[t]) for c in self.codes) for t in range(3)]
        bits = bit_predictor.float_bits(weights, self.codes)
        np.testing.assert_allclose(bits, expected, rtol=1e-5)
        network = bit_predictor.quantise(weights)
        bits = bit_predictor.integer_bits(network, self.codes)
        np.testing.assert_allclose(bits, expected, rtol=1e-5)

    def test_large_weights_are_rounded_to_what_int16_holds(self):
        arrays = tuple(item * 300 for item in self.weights.arrays)
        weights = bit_predictor.Weights(arrays, 2)
        network = bit_predictor.quantise(weights)
        self.assertGreater(abs(network.hidden_weights.astype(int)).max(), 2**13)
        before = bit_predictor.float_bits(weights, self.fresh)
        after = bit_predictor.integer_bits(network, self.fresh)
        # Levels end at 8, such logits do not.
        self.assertLess(after.sum(), before.sum())

    def test_weights_that_are_not_finite_are_refused(self):
        first, *others = self.weights.arrays
        weights = bit_predictor.Weights((first * np.nan, *others), 2)
        with self.assertRaisesRegex(ValueError, "`learning_rate`"):
            bit_predictor.quantise(weights)

    def test_the_seed_decides(self):
        settings = {**SMALL, "steps": 3}
        first, again, other = (
            bit_predictor.train(self.codes, **settings, seed=seed) for seed in (1, 1, 2)
        )
        for a, b in zip(first.arrays, again.arrays, strict=True):
            np.testing.assert_array_equal(a, b)
        self.assertFalse(np.array_equal(first.arrays[0], other.arrays[0]))

    def test_fit_makes_a_model(self):
        with self.assertLogs("absl", "INFO") as logs:
            model = bit_predictor.fit(
                self.codes, self.stops, **{**SMALL, "steps": 5}, seed=3
            )
        self.assertRegex(logs.output[-1], r"\d bits a bit, .*\d with integers")
        self.assertEqual((model.iterations, model.channels), (ITERATIONS, CHANNELS))
        weights = bit_predictor.train(self.codes, **{**SMALL, "steps": 5}, seed=3)
        network = bit_predictor.quantise(weights)
        np.testing.assert_array_equal(
            model.network.hidden_weights, network.hidden_weights
        )
        levels = bit_predictor.count_stops(self.stops, ITERATIONS)
        np.testing.assert_array_equal(model.continue_levels, levels)
        codes, stops = self.codes[0], self.stops[0]
        payloads = bit_contexts.encode(model, codes, stops)
        decoder = bit_contexts.Decoder(model, *stops.shape, True)
        for plane, data in zip(codes, payloads, strict=True):
            np.testing.assert_array_equal(decoder.take(data), plane)

    def test_a_single_cell(self):
        # There is no odd half to learn from.
        codes = [np.ones((ITERATIONS, 1, 1, CHANNELS), np.int8)]
        weights = bit_predictor.train(codes, **{**SMALL, "steps": 2})
        bits = bit_predictor.float_bits(weights, codes)
        self.assertLess(bits.sum(), ITERATIONS * CHANNELS)

    @parameterized.parameters("hidden", "groups", "steps", "batch", "learning_rate")
    def test_wrong_numbers(self, name):
        with self.assertRaisesRegex(ValueError, f"`{name}`"):
            bit_predictor.train(self.codes, **{**SMALL, name: 0})

    def test_groups_must_divide(self):
        with self.assertRaisesRegex(ValueError, "`groups`"):
            bit_predictor.train(self.codes, **{**SMALL, "groups": 3})


class CountStopsTest(SemCompTestCase):
    def test_levels_are_frequencies(self):
        # Nine of ten cells go on in the first iteration, alone among their kind.
        rng = np.random.default_rng(0)
        stops = [np.where(rng.random((20, 20)) < 0.9, 2, 0) for _ in range(9)]
        levels = bit_predictor.count_stops(stops, 2)
        self.assertEqual((levels.shape, levels.dtype), ((2, 5, 6), np.uint8))
        expected = bit_network.EVEN + 4 * np.log(9)
        self.assertAlmostEqual(levels[0, 4, 5], expected, delta=1)
        self.assertAlmostEqual(levels[0, 4, 4], expected, delta=1)
        # Those who are left stay.
        self.assertGreater(levels[1, 4, 5], 56)

    def test_neighbours_that_go_on_count(self):
        stops = np.repeat([[1, 2]], 10, axis=0).repeat(10, axis=1)
        levels = bit_predictor.count_stops([stops] * 20, 2)
        self.assertLess(levels[1, 4, 0], 32)
        self.assertGreater(levels[1, 4, 4], 32)

    def test_unseen_contexts_are_even(self):
        levels = bit_predictor.count_stops([np.full((5, 5), 2)], 2)
        np.testing.assert_array_equal(levels[:, 0, :], bit_network.EVEN)
        levels = bit_predictor.count_stops([], 3)
        np.testing.assert_array_equal(levels, np.full((3, 5, 6), bit_network.EVEN))

    def test_they_are_what_continue_bits_cost(self):
        stops = [random_stops(20, 20, seed) // 3 * 3 for seed in range(5)]
        levels = bit_predictor.count_stops(stops, ITERATIONS)
        network = bit_predictor.quantise(
            bit_predictor.Weights(
                tuple(
                    np.zeros(shape)
                    for shape in (
                        (2, 3, 9, 4, 1),
                        (3, 2, 1),
                        (3, 2, 1, 4),
                        (3, 2, 3, 4, 4),
                        (3, 2, 4),
                    )
                ),
                1,
            )
        )
        model = bit_contexts.BitModel(network, levels)
        codes = stopped(np.ones((ITERATIONS, 20, 20, 4), np.int8), stops[0])
        bits = bit_contexts.estimate_bits(model, codes, stops[0])
        share = np.mean(stops[0] > 0)
        entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
        continues = bits - [np.count_nonzero(plane) for plane in codes]
        self.assertAlmostEqual(continues[0] / 400, entropy, delta=0.03)
        np.testing.assert_array_less(continues[1:] / 400, 0.03)
