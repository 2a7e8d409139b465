import dataclasses
import hashlib
import subprocess
import sys
import zipfile

import numpy as np
from absl.testing import parameterized

from tests.entropy.test_bit_network import random_network, random_planes
from tests.entropy.test_tables import write_npz
from tests.harness import SemCompTestCase
from tfsemcomp.entropy import bit_contexts, bit_network, range_coder
from tfsemcomp.entropy.bit_contexts import BitModel, Decoder
from tfsemcomp.entropy.tables import Tables
from tfsemcomp.errors import BitstreamError, ModelMismatchError, SemCompError

ITERATIONS = 3
CHANNELS = 4
CHECK = 2


def random_model(seed=0, **sizes) -> BitModel:
    network = random_network(seed=seed, **sizes)
    rng = np.random.default_rng(seed)
    levels = rng.integers(26, 39, (network.iterations, 5, 6)).astype(np.uint8)
    return BitModel(network, levels)


def repeating_model() -> BitModel:
    """Expects each bit to be that of the iteration before, with 98 %."""
    weights = np.zeros((2, 3, 9, CHANNELS, CHANNELS), np.int16)
    outputs = np.zeros((ITERATIONS, 2, CHANNELS, CHANNELS), np.int16)
    direct = np.zeros((ITERATIONS, 2, 3, CHANNELS, CHANNELS), np.int32)
    # Half of the channels by hidden units (32 or 0, less 16), half of them directly.
    for channel in (0, 1):
        weights[:, 1, 4, channel, channel] = 1
        outputs[:, :, channel, channel] = 32
    for channel in (2, 3):
        direct[:, :, 1, channel, channel] = 16
    network = bit_network.Network(
        weights,
        np.zeros((ITERATIONS, 2, CHANNELS), np.int32),
        outputs,
        direct,
        np.broadcast_to(np.int32([-16, -16, 0, 0]), (ITERATIONS, 2, CHANNELS)),
        0,
        2,
    )
    return BitModel(network, np.full((ITERATIONS, 5, 6), 32, np.uint8))


def repeating_codes(height: int, width: int, seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    plane = rng.choice(np.int8([-1, 1]), (height, width, CHANNELS))
    flips = rng.random((ITERATIONS, *plane.shape)) < 0.02
    flips[0] = False
    return plane * np.cumprod(np.where(flips, -1, 1), axis=0).astype(np.int8)


def drawn_codes(model, stops: np.ndarray, draw) -> np.ndarray:
    """Codes whose bits are a function of the levels that predict them."""
    plane = bit_network.empty_plane(*stops.shape, model.channels)
    planes = [plane, plane]
    for iteration in range(model.iterations):
        past = planes[-1], planes[-2]
        plane = bit_network.run(
            model.network,
            iteration,
            past,
            stops > iteration,
            lambda levels, *_: draw(levels),
        )
        planes.append(plane)
    return np.stack(planes[2:])[:, 1:-1, 1:-1].astype(np.int8)


def sampled_codes(model, stops: np.ndarray, seed=0) -> np.ndarray:
    """Codes that cost what they should: drawn from the model's own probabilities."""
    rng = np.random.default_rng(seed)
    return drawn_codes(
        model,
        stops,
        lambda levels: rng.random(levels.shape) < 1 / (1 + np.exp((32 - levels) / 4)),
    )


def random_stops(height: int, width: int, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, ITERATIONS + 1, (height, width))


def stops_of(codes: np.ndarray) -> np.ndarray:
    return codes.any(axis=-1).sum(axis=0)


def decode(model, payloads, height, width, adaptive) -> np.ndarray:
    decoder = Decoder(model, height, width, adaptive)
    return np.stack([decoder.take(data) for data in payloads])


class BitContextsTestCase(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.model = random_model()

    def assert_round_trip(self, model, codes, stops) -> list[bytes]:
        payloads = bit_contexts.encode(model, codes, stops)
        self.assertLen(payloads, len(codes))
        size = codes.shape[1:3]
        decoded = decode(model, payloads, *size, stops is not None)
        self.assertEqual(decoded.dtype, np.int8)
        np.testing.assert_array_equal(decoded, codes)
        active = np.ones(size, bool)
        for plane, data in zip(codes, payloads, strict=True):
            packed = np.count_nonzero(plane)
            if stops is not None:
                packed += np.count_nonzero(active)
                active = plane.any(axis=-1)
            self.assertLessEqual(len(data), -(-packed // 8) + 1 + CHECK)
        return payloads


class RoundTripTest(BitContextsTestCase):
    @parameterized.parameters(
        (1, 1), (1, 2), (2, 1), (1, 9), (3, 3), (5, 8), (7, 4), (16, 16), (33, 21)
    )
    def test_sizes(self, height, width):
        codes = random_planes(ITERATIONS, height, width, CHANNELS)
        self.assert_round_trip(self.model, codes, stops_of(codes))
        codes[codes == 0] = 1
        self.assert_round_trip(self.model, codes, None)
        self.assert_round_trip(self.model, codes, stops_of(codes))

    def test_every_stop_of_two_cells(self):
        for first in range(ITERATIONS + 1):
            for second in range(ITERATIONS + 1):
                stops = np.array([[first, second]])
                active = stops > np.arange(ITERATIONS)[:, None, None]
                codes = np.repeat(active[..., None], CHANNELS, axis=3).astype(np.int8)
                with self.subTest(stops=stops):
                    self.assert_round_trip(self.model, codes, stops)

    @parameterized.parameters(1, 2)
    def test_fewer_iterations_are_a_prefix(self, number):
        codes = random_planes(ITERATIONS, 6, 5, CHANNELS)
        stops = stops_of(codes)
        whole = self.assert_round_trip(self.model, codes, stops)
        part = self.assert_round_trip(self.model, codes[:number], stops)
        self.assertEqual(part, whole[:number])

    @parameterized.parameters((1, 1, 1, 1), (8, 32, 16, 4), (2, 6, 3, 3), (64, 2, 1, 1))
    def test_sizes_of_models(self, iterations, channels, hidden, groups):
        model = random_model(
            iterations=iterations, channels=channels, hidden=hidden, groups=groups
        )
        codes = random_planes(iterations, 5, 6, channels)
        self.assert_round_trip(model, codes, stops_of(codes))

    def test_extreme_levels(self):
        # Each bit has the probability 2**-11 of the last table.
        network = dataclasses.replace(
            self.model.network,
            output_biases=np.full_like(self.model.network.output_biases, 2**30),
            shift=0,
        )
        model = dataclasses.replace(self.model, network=network)
        codes = np.full((ITERATIONS, 9, 9, CHANNELS), -1, np.int8)
        self.assert_round_trip(model, codes, None)
        payloads = self.assert_round_trip(model, -codes, None)
        self.assertLessEqual(max(map(len, payloads)), 2 + CHECK)

    def test_bits_of_the_model_itself(self):
        stops = random_stops(13, 14)
        codes = sampled_codes(self.model, stops)
        payloads = self.assert_round_trip(self.model, codes, stops)
        # Its contexts pay.
        active = [np.count_nonzero(stops >= i) for i in range(ITERATIONS)]
        packed = (sum(active) + np.count_nonzero(codes)) / 8
        self.assertLess(sum(map(len, payloads)), 0.9 * packed)

    def test_random_bits_cost_no_more_than_packed_ones(self):
        rng = np.random.default_rng(5)
        for _ in range(40):
            height, width = rng.integers(1, 12, 2)
            shape = (ITERATIONS, height, width, CHANNELS)
            codes = rng.choice(np.int8([-1, 1]), shape)
            self.assert_round_trip(self.model, codes, None)


class SizeTest(BitContextsTestCase):
    def test_expected_bits_are_cheap(self):
        codes = repeating_codes(20, 30)
        payloads = self.assert_round_trip(repeating_model(), codes, None)
        sizes = [8 * (len(data) - CHECK) for data in payloads]
        self.assertAlmostEqual(sizes[0], codes[0].size, delta=16)
        surprise = np.log2(1 + np.exp(-4)), np.log2(1 + np.exp(4))
        for before, plane, size in zip(codes, codes[1:], sizes[1:], strict=False):
            changed = np.count_nonzero(before != plane)
            expected = np.dot([plane.size - changed, changed], surprise)
            self.assertAlmostEqual(size, expected, delta=16)

    def test_estimate_is_the_size(self):
        codes = repeating_codes(40, 30)
        stops = random_stops(40, 30)
        masked = codes * (stops > np.arange(ITERATIONS)[:, None, None])[..., None]
        sampled = sampled_codes(self.model, stops)
        for model in (repeating_model(), self.model):
            pairs = (codes, None), (masked.astype(np.int8), stops), (sampled, stops)
            for pair in pairs:
                payloads = bit_contexts.encode(model, *pair)
                bits = bit_contexts.estimate_bits(model, *pair)
                self.assertEqual(bits.shape, (ITERATIONS,))
                sizes = np.array([8 * (len(data) - CHECK) for data in payloads])
                self.assertBetween((sizes - bits).min(), -8, 16)
                np.testing.assert_allclose(sizes, bits, rtol=0.01, atol=16)

    def test_continue_bits_cost_what_their_levels_say(self):
        # Level 52: 0.7 % stop. All go on: log2(1 + exp(-5)) bits a cell.
        levels = np.full((ITERATIONS, 5, 6), 52, np.uint8)
        model = dataclasses.replace(repeating_model(), continue_levels=levels)
        codes = repeating_codes(30, 30)
        stops = np.full((30, 30), ITERATIONS)
        extra = bit_contexts.estimate_bits(model, codes, stops)
        extra -= bit_contexts.estimate_bits(model, codes)
        expected = 900 * np.log2(1 + np.exp(-5))
        # The first plane takes the even table, with or without continue bits.
        np.testing.assert_allclose(extra[1:], expected, rtol=0.02)


class DeterminismTest(BitContextsTestCase):
    def test_pictures_do_not_depend_on_each_other(self):
        pictures = [
            sampled_codes(self.model, random_stops(6, 5, seed), seed)
            for seed in range(4)
        ]

        def encode(order):
            return {
                i: bit_contexts.encode(self.model, pictures[i], stops_of(pictures[i]))
                for i in order
            }

        self.assertEqual(encode([0, 1, 2, 3]), encode([2, 3, 1, 0]))

    def test_processes_agree(self):
        path = self.folder / "contexts.npz"
        bit_contexts.save(path, self.model)
        codes = sampled_codes(self.model, random_stops(9, 7))
        np.save(self.folder / "codes.npy", codes)
        payloads = bit_contexts.encode(self.model, codes, stops_of(codes))
        script = (
            "import sys, hashlib, numpy as np\n"
            "from tfsemcomp.entropy import bit_contexts\n"
            "model = bit_contexts.load(sys.argv[1] + '/contexts.npz')\n"
            "codes = np.load(sys.argv[1] + '/codes.npy')\n"
            "stops = codes.any(axis=-1).sum(axis=0)\n"
            "data = b''.join(bit_contexts.encode(model, codes, stops))\n"
            "print(hashlib.sha256(data).hexdigest())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(self.folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        expected = hashlib.sha256(b"".join(payloads)).hexdigest()
        self.assertEqual(done.stdout.strip(), expected)

    def test_format_is_frozen(self):
        # Streams of this model may be kept anywhere: they must decode for ever.
        network = self.model.network
        patterns = {
            name: np.resize(np.arange(601) * 7 % 601 - 300, array.shape)
            for name, array in vars(network).items()
            if isinstance(array, np.ndarray)
        }
        network = dataclasses.replace(
            network,
            **{
                name: pattern.astype(getattr(network, name).dtype)
                for name, pattern in patterns.items()
            },
        )
        levels = np.resize(np.uint8([30, 35, 33]), (ITERATIONS, 5, 6))
        model = BitModel(network, levels)
        stops = np.array([[3, 2, 0, 1], [3, 3, 1, 3], [2, 3, 3, 3]])

        def draw(levels):
            # Every fifth bit is a surprise.
            return (levels >= 32) ^ np.resize([False] * 4 + [True], levels.shape)

        codes = drawn_codes(model, stops, draw)
        payloads = self.assert_round_trip(model, codes, stops)
        self.assertEqual([data.hex() for data in payloads], GOLDEN)


class HostileTest(BitContextsTestCase):
    def setUp(self):
        super().setUp()
        self.stops = random_stops(6, 7)
        self.codes = sampled_codes(self.model, self.stops)
        self.payloads = bit_contexts.encode(self.model, self.codes, self.stops)

    def assert_refused(self, data: bytes) -> None:
        decoder = Decoder(self.model, 6, 7, True)
        decoder.take(self.payloads[0])
        with self.assertRaises(BitstreamError):
            decoder.take(data)
        # The decoder is where it was.
        plane = decoder.take(self.payloads[1])
        np.testing.assert_array_equal(plane, self.codes[1])

    def test_flipped_bits(self):
        data = self.payloads[1]
        for place in range(8 * len(data)):
            changed = bytearray(data)
            changed[place // 8] ^= 1 << place % 8
            with self.subTest(place=place):
                self.assert_refused(bytes(changed))

    def test_cuts_and_additions(self):
        data = self.payloads[1]
        for cut in range(len(data)):
            with self.subTest(cut=cut):
                self.assert_refused(data[:cut])
        for more in (b"\0", b"\xff", data):
            self.assert_refused(data + more)

    def test_random_bytes(self):
        rng = np.random.default_rng(0)
        for size in (2, 3, 10, 17, 200):
            for _ in range(20):
                self.assert_refused(rng.bytes(size))
        self.assert_refused(bytes(1000))
        self.assert_refused(b"\xff" * 1000)

    def test_payloads_out_of_turn(self):
        self.assert_refused(self.payloads[2])
        self.assert_refused(self.payloads[0])

    def test_another_model(self):
        decoder = Decoder(random_model(seed=1), 6, 7, True)
        with self.assertRaisesRegex(BitstreamError, "check|end"):
            decoder.take(self.payloads[0])

    @parameterized.parameters((7, 6, True), (6, 7, False), (6, 8, True))
    def test_another_size_or_kind(self, height, width, adaptive):
        decoder = Decoder(self.model, height, width, adaptive)
        with self.assertRaises(BitstreamError):
            decoder.take(self.payloads[0])

    def test_more_iterations_than_the_model_has(self):
        decoder = Decoder(self.model, 6, 7, True)
        for data in self.payloads:
            decoder.take(data)
        with self.assertRaisesRegex(BitstreamError, "more binary codes than the 3"):
            decoder.take(self.payloads[0])


class ArgumentsTest(BitContextsTestCase):
    @parameterized.named_parameters(
        ("dtype", np.ones((2, 3, 3, 4), np.int32)),
        ("rank", np.ones((3, 3, 4), np.int8)),
        ("channels", np.ones((2, 3, 3, 5), np.int8)),
        ("too_many", np.ones((4, 3, 3, 4), np.int8)),
        ("none", np.ones((0, 3, 3, 4), np.int8)),
        ("no_cells", np.ones((2, 0, 3, 4), np.int8)),
        ("zeros", np.zeros((2, 3, 3, 4), np.int8)),
        ("twos", np.full((2, 3, 3, 4), 2, np.int8)),
        ("lowest", np.full((2, 3, 3, 4), -128, np.int8)),
        ("list", [[[[1]]]]),
    )
    def test_codes(self, codes):
        for function in (bit_contexts.encode, bit_contexts.estimate_bits):
            with self.assertRaisesRegex(ValueError, "`codes`"):
                function(self.model, codes)

    @parameterized.named_parameters(
        ("dtype", np.full((3, 3), 2.0)),
        ("shape", np.full((3, 2), 2)),
        ("negative", np.full((3, 3), -1)),
        ("beyond", np.full((3, 3), 4)),
    )
    def test_stops(self, stops):
        codes = np.ones((2, 3, 3, 4), np.int8)
        with self.assertRaisesRegex(ValueError, "`stops`"):
            bit_contexts.encode(self.model, codes, stops)

    def test_codes_and_stops_must_agree(self):
        codes = np.ones((2, 3, 3, 4), np.int8)
        with self.assertRaisesRegex(ValueError, "`codes`"):
            bit_contexts.encode(self.model, codes, np.full((3, 3), 1))
        codes[1, 2, 2] = 0
        with self.assertRaisesRegex(ValueError, "`codes`"):
            bit_contexts.encode(self.model, codes, np.full((3, 3), 2))

    def test_decoder(self):
        for size in ((0, 3), (3, -1)):
            with self.assertRaisesRegex(ValueError, "`height` and `width`"):
                Decoder(self.model, *size, False)
        for data in ("text", None, [b""], bytearray(9)):
            with self.assertRaisesRegex(ValueError, "`data`"):
                Decoder(self.model, 1, 1, False).take(data)


class BitModelTest(BitContextsTestCase):
    def test_tables_are_spaced_evenly_in_logit(self):
        tables = bit_contexts.level_tables()
        self.assertLen(tables, 64)
        zeros = tables.lookup[tables.starts + 2] / 2.0**16
        logits = np.log((1 - zeros) / zeros)
        np.testing.assert_allclose(logits, (np.arange(64) - 32) / 4, atol=0.02)
        self.assertEqual(zeros[32], 0.5)

    @parameterized.named_parameters(
        ("dtype", np.zeros((3, 5, 6), np.int32)),
        ("shape", np.zeros((3, 6, 5), np.uint8)),
        ("iterations", np.zeros((2, 5, 6), np.uint8)),
        ("beyond", np.full((3, 5, 6), 64, np.uint8)),
    )
    def test_continue_levels(self, levels):
        with self.assertRaisesRegex(ValueError, "`continue_levels`"):
            dataclasses.replace(self.model, continue_levels=levels)

    def test_tables(self):
        rows = self.model.tables.lookup.reshape(64, 4)
        escape, symbols, uneven = (
            rows.copy(),
            np.insert(rows, 2, 1, axis=1),
            rows.copy(),
        )
        escape[3, 0] *= -1
        uneven[32, 2] += 1
        zeros = np.zeros(64, np.int32)
        for lookup, offsets in (
            (rows[:63], zeros[:63]),
            (rows, zeros + 1),
            (escape, zeros),
            (symbols[rows[:, 2] > 1], zeros[rows[:, 2] > 1]),
            (uneven, zeros),
        ):
            tables = Tables(lookup.ravel(), offsets)
            with self.assertRaisesRegex(ValueError, "`tables`"):
                dataclasses.replace(self.model, tables=tables)


class FileTest(BitContextsTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.folder / bit_contexts.FILE_NAME
        bit_contexts.save(self.path, self.model)
        with np.load(self.path) as archive:
            self.arrays = dict(archive)

    def rewrite(self, **changes) -> None:
        """Writes the file with other content and a checksum that fits."""
        arrays = {**self.arrays, **changes}
        arrays = {name: item for name, item in arrays.items() if item is not None}
        stored = arrays.pop("sha256")
        if stored is self.arrays["sha256"]:
            stored = np.frombuffer(bit_contexts._digest(arrays), np.uint8)
        write_npz(self.path, **arrays, sha256=stored)

    def test_round_trip(self):
        loaded = bit_contexts.load(self.path)
        stops = random_stops(6, 7)
        codes = sampled_codes(self.model, stops)
        self.assertEqual(
            bit_contexts.encode(loaded, codes, stops),
            bit_contexts.encode(self.model, codes, stops),
        )
        again = self.folder / "again.npz"
        bit_contexts.save(again, loaded)
        self.assertEqual(again.read_bytes(), self.path.read_bytes())

    def test_rewritten_file_is_read(self):
        # So that the tests below refuse what they mean to.
        self.rewrite()
        bit_contexts.load(self.path)

    @parameterized.named_parameters(
        ("dtype", {"hidden_weights": np.zeros((2, 3, 9, 4, 5), np.int64)}),
        ("floats", {"output_weights": np.zeros((3, 2, 5, 4), np.float32)}),
        ("objects", {"output_biases": np.array([print])}),
        ("direct", {"direct_weights": np.zeros((3, 2, 3, 4, 4), np.int16)}),
        ("shape", {"output_biases": np.zeros((3, 2, 5), np.int32)}),
        ("groups", {"groups": np.int64(3)}),
        ("many_groups", {"groups": np.int64([2, 2])}),
        ("shift", {"shift": np.int64(-1)}),
        ("text", {"shift": np.array("9")}),
        ("levels", {"continue_levels": np.full((3, 5, 6), 64, np.uint8)}),
        ("lookup", {"lookup": np.int32([16, 0, 1, 65536])}),
        ("missing", {"lookup": None}),
        ("more", {"more": np.zeros(1)}),
        ("no_checksum", {"sha256": np.zeros((), np.float32)}),
    )
    def test_other_content_is_refused(self, changes):
        self.rewrite(**changes)
        with self.assertRaisesRegex(ModelMismatchError, "contexts.npz: "):
            bit_contexts.load(self.path)

    def test_any_changed_value_is_found(self):
        for name in self.arrays:
            changed = self.arrays[name].copy()
            changed.reshape(-1)[-2:-1] ^= 1
            if changed.ndim == 0:
                changed = changed // 2
            write_npz(self.path, **{**self.arrays, name: changed})
            with self.subTest(name), self.assertRaises(ModelMismatchError):
                bit_contexts.load(self.path)

    def test_cuts_are_refused(self):
        whole = self.path.read_bytes()
        for cut in range(0, len(whole), 7):
            self.path.write_bytes(whole[:cut])
            with self.subTest(cut=cut), self.assertRaises(ModelMismatchError):
                bit_contexts.load(self.path)

    def test_bombs_are_refused_before_they_unpack(self):
        self.rewrite(hidden_weights=np.zeros(2**25 + 1, np.int16))
        self.assertLess(self.path.stat().st_size, 2**18)
        with self.assertRaisesRegex(ModelMismatchError, "unpacks to"):
            bit_contexts.load(self.path)

    def test_foreign_files_are_refused(self):
        self.path.write_bytes(b"text")
        with self.assertRaises(ModelMismatchError):
            bit_contexts.load(self.path)
        with zipfile.ZipFile(self.path, "w"):
            pass
        with self.assertRaises(ModelMismatchError):
            bit_contexts.load(self.path)
        with self.assertRaisesRegex(ModelMismatchError, "absent.npz"):
            bit_contexts.load(self.folder / "absent.npz")

    def test_unwritable_place_is_an_error_of_ours(self):
        with self.assertRaises(SemCompError):
            bit_contexts.save(self.folder / "none" / "contexts.npz", self.model)


class FallbackTest(BitContextsTestCase):
    def test_mode_is_the_first_symbol(self):
        codes = repeating_codes(8, 8)
        for sign, mode in ((1, 1), (-1, 0)):
            # Bits that are never those of the iteration before cost more than even.
            planes = codes * np.int8([1, sign, 1])[:, None, None, None]
            data = bit_contexts.encode(repeating_model(), planes)[1]
            decoder = range_coder.Decoder(bit_contexts.level_tables(), [data[:-CHECK]])
            first = decoder.take(np.int32([[bit_contexts.MODE_LEVEL]]))
            self.assertEqual(first.item(), mode)


GOLDEN = ["b07b108a6b7ce9ab", "fa34830d29721e", "e0343cbfe2"]
