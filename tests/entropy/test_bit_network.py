import dataclasses
import itertools

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.entropy import bit_network
from tfsemcomp.entropy.bit_network import EVEN, LEVELS, Network


def random_network(
    iterations=3, channels=4, hidden=5, groups=2, shift=14, seed=0
) -> Network:
    rng = np.random.default_rng(seed)

    def draw(dtype, *shape):
        return rng.integers(-300, 300, shape).astype(dtype)

    return Network(
        draw("int16", 2, 3, 9, channels, hidden),
        draw("int32", iterations, 2, hidden),
        draw("int16", iterations, 2, hidden, channels),
        16 * draw("int32", iterations, 2, 3, channels, channels),
        draw("int32", iterations, 2, channels),
        shift,
        groups,
    )


def random_planes(iterations, height, width, channels, seed=0) -> np.ndarray:
    """Codes int8 [T,h,w,C]; each cell stops at a random iteration."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(np.int8([-1, 1]), (iterations, height, width, channels))
    stops = rng.integers(0, iterations + 1, (height, width))
    return codes * (stops > np.arange(iterations)[:, None, None])[..., None]


def reference_levels(network, codes, iteration) -> dict:
    """Levels by the definition, bit by bit, in Python integers."""
    _, height, width, channels = codes.shape
    size = channels // network.groups

    def rank(y, x, c):
        return (y + x) % 2 * network.groups + c // size

    def known(plane, y, x, c, now):
        if not (plane >= 0 and 0 <= y < height and 0 <= x < width):
            return 0
        return (
            0 if plane == iteration and rank(y, x, c) >= now else codes[plane, y, x, c]
        )

    levels = {}
    for y, x, c in itertools.product(*map(range, (height, width, channels))):
        if not codes[iteration, y, x, c]:
            continue
        half, now = (y + x) % 2, rank(y, x, c)
        hidden = [int(b) for b in network.hidden_biases[iteration, half]]
        total = int(network.output_biases[iteration, half, c])
        for back, k in itertools.product(range(3), range(channels)):
            weight = int(network.direct_weights[iteration, half, back, k, c])
            total += known(iteration - back, y, x, k, now) * weight
        for back, place, k in itertools.product(range(3), range(9), range(channels)):
            dy, dx = divmod(place, 3)
            bit = known(iteration - back, y + dy - 1, x + dx - 1, k, now)
            for unit in range(len(hidden)):
                hidden[unit] += bit * int(
                    network.hidden_weights[half, back, place, k, unit]
                )
        total += sum(
            max(value, 0) * int(weight)
            for value, weight in zip(
                hidden, network.output_weights[iteration, half, :, c], strict=True
            )
        )
        level = EVEN + (total >> network.shift)
        levels[y, x, c] = min(max(level, 0), LEVELS - 1)
    return levels


def run_levels(network, codes, iteration) -> tuple[np.ndarray, np.ndarray]:
    """Levels int [h,w,C] as `run` gives them, -1 where there are none; the plane."""
    planes = np.pad(codes, [(2, 0), (1, 1), (1, 1), (0, 0)]).astype(np.float64)
    flat = planes[iteration + 2].reshape(-1, network.channels)
    levels = np.full(flat.shape, -1)

    def code(found, cells, group):
        levels[cells, group] = found
        return flat[cells, group] > 0

    plane = bit_network.run(
        network,
        iteration,
        (planes[iteration + 1], planes[iteration]),
        codes[iteration].any(axis=-1),
        code,
    )
    np.testing.assert_array_equal(plane, planes[iteration + 2])
    return levels.reshape(plane.shape)[1:-1, 1:-1], plane


class RunTest(SemCompTestCase):
    @parameterized.parameters(
        (1, 1, 2), (1, 4, 2), (5, 1, 4), (3, 4, 1), (4, 3, 2), (5, 5, 4)
    )
    def test_levels_are_those_of_the_definition(self, height, width, groups):
        network = random_network(groups=groups)
        codes = random_planes(3, height, width, 4)
        for iteration in range(3):
            levels, _ = run_levels(network, codes, iteration)
            expected = np.full(levels.shape, -1)
            for place, level in reference_levels(network, codes, iteration).items():
                expected[place] = level
            np.testing.assert_array_equal(levels, expected)

    def test_sums_near_the_limit_are_exact(self):
        # Sums of up to 2**47: float32, or float64 after another rounding, would fail.
        network = random_network(hidden=9)
        rng = np.random.default_rng(3)
        weights = rng.integers(-(2**15), 2**15, network.hidden_weights.shape)
        biases = rng.integers(2**30, 2**31, network.hidden_biases.shape)
        outputs = rng.integers(-(2**15), 2**15, network.output_weights.shape)
        network = dataclasses.replace(
            network,
            hidden_weights=weights.astype(np.int16),
            hidden_biases=biases.astype(np.int32),
            output_weights=outputs.astype(np.int16),
            shift=30,
        )
        codes = random_planes(3, 4, 5, 4, seed=1)
        levels, _ = run_levels(network, codes, 2)
        for place, level in reference_levels(network, codes, 2).items():
            self.assertEqual(levels[place], level)

    def test_order_of_summation_does_not_matter(self):
        network = random_network(hidden=6)
        order = np.random.default_rng(1).permutation(6)
        mixed = dataclasses.replace(
            network,
            hidden_weights=network.hidden_weights[..., order],
            hidden_biases=network.hidden_biases[..., order],
            output_weights=network.output_weights[:, :, order],
        )
        codes = random_planes(3, 9, 8, 4)
        for iteration in range(3):
            levels, _ = run_levels(network, codes, iteration)
            again, _ = run_levels(mixed, codes, iteration)
            np.testing.assert_array_equal(levels, again)

    def test_blocks_of_cells_do_not_matter(self):
        network = random_network()
        codes = random_planes(3, 70, 130, 4)
        levels, _ = run_levels(network, codes, 2)
        before = bit_network._BLOCK
        self.addCleanup(setattr, bit_network, "_BLOCK", before)
        bit_network._BLOCK = 1000
        again, _ = run_levels(network, codes, 2)
        np.testing.assert_array_equal(levels, again)


class RunMaskTest(SemCompTestCase):
    @parameterized.parameters((1, 1), (1, 5), (4, 1), (5, 6))
    def test_contexts_are_those_of_the_definition(self, height, width):
        rng = np.random.default_rng(height)
        before = rng.random((height, width)) < 0.8
        after = before & (rng.random((height, width)) < 0.6)
        seen = {}

        def count(mask, y, x):
            near = ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
            return sum(
                mask[v, u] for v, u in near if 0 <= v < height and 0 <= u < width
            )

        def code(old, new, cells):
            for place, *context in zip(np.argwhere(cells), old, new, strict=True):
                seen[tuple(place)] = tuple(context)
            return after[cells]

        mask = bit_network.run_mask(before, code)
        np.testing.assert_array_equal(mask, after)
        # Odd cells see the even ones only: their four neighbours.
        expected = {
            (y, x): (count(before, y, x), count(after, y, x) if (y + x) % 2 else 5)
            for y, x in np.argwhere(before)
        }
        self.assertEqual(seen, expected)


class NetworkTest(SemCompTestCase):
    @parameterized.named_parameters(
        ("dtype", {"hidden_weights": np.zeros((2, 3, 9, 4, 5), np.int32)}),
        ("planes", {"hidden_weights": np.zeros((2, 2, 9, 4, 5), np.int16)}),
        ("units", {"hidden_biases": np.zeros((3, 2, 6), np.int32)}),
        ("iterations", {"hidden_biases": np.zeros((4, 2, 5), np.int32)}),
        ("halves", {"output_weights": np.zeros((3, 3, 5, 4), np.int16)}),
        ("rank", {"output_weights": np.zeros((2, 5, 4), np.int16)}),
        ("no_unit", {"output_weights": np.zeros((3, 2, 0, 4), np.int16)}),
        ("many_units", {"output_weights": np.zeros((3, 2, 1025, 4), np.int16)}),
        ("no_iteration", {"output_weights": np.zeros((0, 2, 5, 4), np.int16)}),
        ("many_iterations", {"output_weights": np.zeros((65, 2, 5, 4), np.int16)}),
        ("direct", {"direct_weights": np.zeros((3, 2, 3, 4, 5), np.int32)}),
        ("floats", {"output_biases": np.zeros((3, 2, 4))}),
        ("biases", {"output_biases": np.zeros((3, 2, 5), np.int32)}),
        ("negative_shift", {"shift": -1}),
        ("shift", {"shift": 31}),
        ("no_groups", {"groups": 0}),
        ("groups", {"groups": 3}),
    )
    def test_others_are_refused(self, changes):
        with self.assertRaisesRegex(ValueError, f"`{next(iter(changes))}`"):
            dataclasses.replace(random_network(), **changes)

    def test_sums_that_could_round_are_refused(self):
        network = random_network(hidden=200)
        full = {
            "hidden_weights": np.full_like(network.hidden_weights, -(2**15)),
            "hidden_biases": np.full_like(network.hidden_biases, 2**31 - 1),
            "output_weights": np.full_like(network.output_weights, -(2**15)),
        }
        with self.assertRaisesRegex(ValueError, "below 2\\*\\*53"):
            dataclasses.replace(network, **full)

    def test_arrays_are_frozen_copies(self):
        biases = np.zeros((3, 2, 4), np.int32)
        network = dataclasses.replace(random_network(), output_biases=biases)
        biases[:] = 1
        self.assertFalse(network.output_biases.any())
        with self.assertRaises(ValueError):
            network.output_biases[0] = 1
