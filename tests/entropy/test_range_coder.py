import time

import numpy as np
import tensorflow_compression as tfc
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.entropy import builders, checks, escape, range_coder
from tfsemcomp.entropy.tables import Tables, row_starts
from tfsemcomp.errors import BitstreamError

SCALES = builders.scale_table()
INT32 = np.iinfo(np.int32)


def gaussian_data(shape, seed=0, spread=1.0):
    """Symbols and the indexes of their scales, mostly low as in pictures."""
    rng = np.random.default_rng(seed)
    indexes = np.minimum(rng.gamma(2.0, 8.0, shape), 63).astype(np.int32)
    symbols = rng.normal(size=shape) * SCALES[indexes] * spread
    return np.rint(symbols).astype(np.int32), indexes


class ReferenceDecoder:
    """The decoder as BITSTREAM.md words it, one symbol at a time in plain Python."""

    def __init__(self, tables: Tables, data: bytes):
        self.tables, self.data = tables, data
        self.base, self.size, self.value, self.position = 0, 2**32, 0, 0
        self.read()
        self.read()

    def read(self):
        pair = (self.data[self.position : self.position + 2] + b"\0\0")[:2]
        self.position += 2
        self.value = (self.value << 16 | int.from_bytes(pair, "big")) % 2**32

    def entry(self, cdf) -> int:
        bounds = [self.size * int(c) // int(cdf[-1]) for c in cdf]
        place = (self.value - self.base) % 2**32
        i = max(i for i, bound in enumerate(bounds[:-1]) if bound <= place)
        self.base = (self.base + bounds[i]) % 2**32
        self.size = bounds[i + 1] - bounds[i]
        if self.size <= 2**16:
            self.base, self.size = (self.base << 16) % 2**32, self.size << 16
            self.read()
        return i

    def call(self, indexes) -> list[int]:
        tables, total = self.tables, 1 << self.tables.precision
        cdfs = [row[1:] for row in np.split(tables.lookup, tables.starts[1:])]
        entries = [self.entry(cdfs[i]) for i in indexes]
        offsets = tables.offsets[indexes].tolist()
        symbols = [sum(pair) for pair in zip(entries, offsets, strict=True)]
        classes = [max(total >> k + 1, 1) for k in range(32)]
        classes[0] = total - sum(classes[1:])
        classes = np.cumsum([0, *classes])
        escapes = [
            n
            for n, i in enumerate(indexes)
            if tables.escapes[i] and entries[n] == tables.counts[i]
        ]
        for n, k in [(n, self.entry(classes)) for n in escapes]:
            rest = 0
            for low in range(0, k + 1, 8):
                bits = min(8, k + 1 - low)
                rest |= self.entry(range((1 << bits) + 1)) << low
            overshoot = (1 << k) + (rest >> 1)
            offset = int(tables.offsets[indexes[n]])
            greatest = offset + int(tables.counts[indexes[n]]) - 1
            symbols[n] = offset - overshoot if rest & 1 else greatest + overshoot
        return symbols


class RangeCoderTestCase(SemCompTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tables = builders.gaussian_tables()
        cls.words = builders.from_pmf(
            [[5, 1, 1, 1], [1, 1, 6]], [0, 10], precision=16, escape=False
        )

    def assert_round_trip(self, tables, symbols, indexes) -> list[bytes]:
        data = range_coder.encode(tables, symbols, indexes)
        decoded = range_coder.decode(tables, data, indexes)
        self.assertEqual(decoded.dtype, np.int32)
        np.testing.assert_array_equal(decoded, symbols)
        return data


class RoundTripTest(RangeCoderTestCase):
    @parameterized.product(shape=[(1, 500), (3, 7, 5, 4), (4, 1), (2,)], spread=[1, 30])
    def test_symbols_come_back(self, shape, spread):
        self.assert_round_trip(self.tables, *gaussian_data(shape, spread=spread))

    @parameterized.parameters((0,), (0, 5), (3, 0), (2, 0, 4))
    def test_nothing_takes_no_bytes(self, *shape):
        nothing = np.zeros(shape, np.int32)
        data = self.assert_round_trip(self.tables, nothing, nothing)
        self.assertEqual(data, [b""] * shape[0])

    def test_every_int32_can_be_coded(self):
        powers = [1 << k for k in range(31)]
        edges = [s * p + d for p in powers for s in (1, -1) for d in (-1, 0, 1)]
        edges += [INT32.min, INT32.min + 1, INT32.max, INT32.max - 1]
        symbols = np.tile(np.int32(edges), (2, 1))
        for index in (0, 31, 63):
            indexes = np.full(symbols.shape, index, np.int32)
            self.assert_round_trip(self.tables, symbols, indexes)

    @parameterized.parameters(8, 12, 16)
    def test_extreme_tables(self, precision):
        top = 1 << precision
        widest = np.arange(top + 1)
        lookup = [-precision, 0, top, -precision, *widest, precision, 0, 1, top]
        tables = Tables(np.int32(lookup), np.int32([-(2**30), 2**30, 4]))
        self.assertSequenceEqual(list(tables.counts), [0, top - 1, 2])
        values = [INT32.min, -(2**30), -1, 0, 2**30, 2**30 + top - 1, INT32.max]
        symbols = np.int32([values + values + [4, 5]])
        indexes = np.int32([[0] * 7 + [1] * 7 + [2] * 2])
        self.assert_round_trip(tables, symbols, indexes)

    def test_elements_of_a_batch_are_coded_alone(self):
        # Rows with no, few and many escapes are padded to one length inside.
        symbols, indexes = gaussian_data((4, 300), seed=3)
        symbols[1] *= 50
        symbols[2, :7] = 10**6
        data = range_coder.encode(self.tables, symbols, indexes)
        for row in range(4):
            cut = slice(row, row + 1)
            alone = range_coder.encode(self.tables, symbols[cut], indexes[cut])
            self.assertEqual(alone, data[cut])
        order = [2, 0, 3, 1]
        decoded = range_coder.decode(
            self.tables, [data[i] for i in order], indexes[order]
        )
        np.testing.assert_array_equal(decoded, symbols[order])

    def test_channels(self):
        tables = builders.gaussian_tables([0.4, 2.0, 30.0])
        rng = np.random.default_rng(2)
        noise = rng.normal(size=(2, 5, 6, 3)) * [0.4, 2, 30]
        symbols = np.rint(noise).astype(np.int32)
        data = range_coder.encode_channels(tables, symbols)
        decoded = range_coder.decode_channels(tables, data, (5, 6, 3))
        np.testing.assert_array_equal(decoded, symbols)

    def test_many_calls_on_one_stream(self):
        symbols, indexes = gaussian_data((2, 90), spread=5)
        encoder = range_coder.Encoder(self.tables, 2)
        for part in np.split(np.arange(90), [10, 10, 55]):
            encoder.put(symbols[:, part], indexes[:, part])
        data = encoder.finish()
        decoder = range_coder.Decoder(self.tables, data)
        for part in np.split(np.arange(90), [10, 10, 55]):
            taken = decoder.take(indexes[:, part])
            np.testing.assert_array_equal(taken, symbols[:, part])
        decoder.finish()

    def test_words_one_by_one(self):
        # The table of a word depends on the word before it.
        words = [0, 3, 10, 12, 11, 12, 2]
        rows = [0, 0, 1, 1, 1, 1, 0]
        pair = np.int32([words]), np.int32([rows])
        decoder = range_coder.Decoder(self.words, range_coder.encode(self.words, *pair))
        taken = [decoder.take(np.int32([[row]])).item() for row in rows]
        self.assertSequenceEqual(taken, words)
        decoder.finish()


class OracleTest(RangeCoderTestCase):
    def test_streams_are_those_of_the_specification(self):
        symbols, indexes = gaussian_data((2, 300), spread=3)
        symbols[:, ::50] = [INT32.min, -(10**6), -300, 300, 10**6, INT32.max]
        encoder = range_coder.Encoder(self.tables, 2)
        encoder.put(symbols[:, :200], indexes[:, :200])
        encoder.put(symbols[:, 200:], indexes[:, 200:])
        for row, data in enumerate(encoder.finish()):
            decoder = ReferenceDecoder(self.tables, data)
            decoded = decoder.call(indexes[row, :200]) + decoder.call(
                indexes[row, 200:]
            )
            np.testing.assert_array_equal(decoded, symbols[row])

    def test_bytes_are_those_of_tensorflow_compression(self):
        # Without escapes, where its format and ours part.
        symbols, indexes = gaussian_data((2, 4000), spread=0.6)
        offsets = self.tables.offsets[indexes]
        inside = (symbols >= offsets) & (
            symbols < offsets + self.tables.counts[indexes]
        )
        symbols = np.where(inside, symbols, 0).astype(np.int32)
        handle = tfc.create_range_encoder([2], self.tables.lookup)
        handle = tfc.entropy_encode_index(handle, indexes, symbols - offsets)
        expected = list(tfc.entropy_encode_finalize(handle).numpy())
        data = range_coder.encode(self.tables, symbols, indexes)
        self.assertEqual(data, expected)

    def test_escapes_cost_what_those_of_tensorflow_compression_cost(self):
        symbols, indexes = gaussian_data((1, 4000), spread=4)
        handle = tfc.create_range_encoder([1], self.tables.lookup)
        relative = symbols - self.tables.offsets[indexes]
        handle = tfc.entropy_encode_index(handle, indexes, relative)
        theirs = len(tfc.entropy_encode_finalize(handle).numpy()[0])
        ours = len(range_coder.encode(self.tables, symbols, indexes)[0])
        self.assertAlmostEqual(ours / theirs, 1, delta=0.005)

    def test_escape_splits_and_joins(self):
        overshoot = [1, 2, 3, 4, 255, 256, 2**30, 2**31, 2**31 + 1, 2**32 - 1]
        overshoot = np.repeat(np.int64(overshoot), 2)
        below = np.arange(len(overshoot)) % 2 == 1
        classes, groups = escape.split(overshoot, below)
        expected = [int(g).bit_length() - 1 for g in overshoot]
        self.assertSequenceEqual(list(classes), expected)
        bits = escape.group_bits(classes)
        self.assertSequenceEqual(list(bits.sum(axis=1)), list(classes + 1))
        self.assertTrue((groups < 1 << bits).all())
        again, signs = escape.join(classes, groups)
        np.testing.assert_array_equal(again, overshoot)
        np.testing.assert_array_equal(signs, below)

    @parameterized.parameters(8, 12, 16)
    def test_escape_tables_are_tables(self, precision):
        rows = escape.rows(precision)
        tables = Tables(rows, np.zeros(len(row_starts(rows, precision)), np.int32))
        expected = [escape.CLASSES, *(1 << b for b in range(escape.GROUP_BITS + 1))]
        self.assertSequenceEqual(list(tables.counts), expected)
        self.assertFalse(tables.escapes.any())


class InformationTest(RangeCoderTestCase):
    @parameterized.parameters(0.3, 1.0, 3.0, 100.0)
    def test_size_is_the_estimate(self, spread):
        symbols, indexes = gaussian_data((3, 20000), spread=spread)
        data = range_coder.encode(self.tables, symbols, indexes)
        estimate = range_coder.estimate_bits(self.tables, symbols, indexes)
        for stream, bits in zip(data, estimate, strict=True):
            # Intervals are rounded to whole numbers, and the end takes some bytes.
            self.assertAlmostEqual(8 * len(stream), bits, delta=0.001 * bits + 32)

    def test_estimate_by_hand(self):
        lookup = np.int32([-8, 0, 128, 192, 256, 8, 0, 64, 256])
        tables = Tables(lookup, np.int32([0, 0]))
        # Masses 1/2 and 1/4 and an escape of 1/4; 1/4 and 3/4 without one.
        classes = 8 - np.log2(np.diff(escape.rows(8)[1:34]))
        expected = {
            (0, 0): 1,
            (1, 0): 2,
            (0, 1): 2,
            (1, 1): -np.log2(0.75),
            (2, 0): 2 + classes[0] + 1,
            (-1, 0): 2 + classes[0] + 1,
            (4, 0): 2 + classes[1] + 2,
            (INT32.min, 0): 2 + classes[31] + 32,
        }
        for (symbol, index), bits in expected.items():
            with self.subTest(symbol=symbol, index=index):
                pair = np.int32([[symbol]]), np.int32([[index]])
                estimate = range_coder.estimate_bits(tables, *pair)
                np.testing.assert_allclose(estimate, [bits])

    @parameterized.parameters(0.4, 1.5, 12.0, 200.0)
    def test_size_is_bounded_by_entropy(self, scale):
        # No code is shorter than the entropy of its source; ours is little longer.
        tables = builders.gaussian_tables([scale])
        count = 40000
        rng = np.random.default_rng(4)
        symbols = np.rint(rng.normal(size=(1, count)) * scale).astype(np.int32)
        indexes = np.zeros_like(symbols)
        size = 8 * len(range_coder.encode(tables, symbols, indexes)[0])
        frequencies = np.unique(symbols, return_counts=True)[1] / count
        empirical = -(frequencies * np.log2(frequencies)).sum() * count
        k = np.arange(-2000, 2001)
        masses = tfc.NoisyNormal(loc=0.0, scale=scale).prob(np.float32(k)).numpy()
        masses = masses[masses > 0].astype(np.float64)
        entropy = -(masses * np.log2(masses)).sum() * count
        # The empirical ideal knows the frequencies of this very draw: about half a
        # bit log2(count) less for each symbol that occurs.
        self.assertGreater(size, empirical)
        self.assertAlmostEqual(size / entropy, 1, delta=0.02)

    def test_constant_symbols_cost_next_to_nothing(self):
        zeros = np.zeros((1, 100000), np.int32)
        data = self.assert_round_trip(self.tables, zeros, zeros)
        # 4093 of 4096 at the smallest scale: .00106 bits each.
        self.assertLess(len(data[0]), 16)


class DamageTest(RangeCoderTestCase):
    def decode(self, tables, data: list[bytes], indexes) -> np.ndarray | None:
        """The symbols, or None for a BitstreamError; anything else fails the test."""
        try:
            symbols = range_coder.decode(tables, data, indexes)
        except BitstreamError:
            return None
        self.assertEqual(symbols.shape, indexes.shape)
        return symbols

    def test_the_byte_that_stops_tensorflow_compression_does_not_stop_us(self):
        # Its own escape counts zero bits past the end of this stream for ever.
        tables = Tables(np.int32([-12, 0, 2048, 4096]), np.int32([0]))
        self.decode(tables, [b"\x80"], np.zeros((1, 1), np.int32))

    def test_random_streams(self):
        rng = np.random.default_rng(5)
        _, indexes = gaussian_data((64, 200), seed=6)
        lookup = [-8, 0, 128, 256, -8, 0, 256, -8, 0, 1, 256, 8, 0, 255, 256]
        hard = Tables(np.int32(lookup), np.int32([0, -(2**30), 2**30, 0]))
        hard_indexes = rng.integers(0, 4, indexes.shape).astype(np.int32)
        started, found = time.monotonic(), 0
        fills = [None, 0x00, 0xFF, 0x80, 0x01]
        for fill in fills * 12:
            lengths = rng.integers(0, 120, 64)
            if fill is None:
                data = [rng.bytes(n) for n in lengths]
            else:
                data = [bytes([fill] * n) for n in lengths]
            found += self.decode(self.tables, data, indexes) is None
            found += self.decode(hard, data, hard_indexes) is None
        self.assertGreater(found, 60)
        # 7,680 streams of 200 symbols; measured: 0.3 s.
        self.assertLess(time.monotonic() - started, 20)

    def test_cut_streams_give_other_symbols(self):
        # They are what the encoder would have written for those: zeros at the end of
        # a stream are left out. So only a check of the symbols can find a cut.
        symbols, indexes = gaussian_data((1, 400), spread=2)
        data = range_coder.encode(self.tables, symbols, indexes)[0]
        expected = checks.symbol_check(symbols)
        for cut in range(len(data)):
            decoded = self.decode(self.tables, [data[:cut]], indexes)
            if decoded is not None:
                self.assertNotEqual(checks.symbol_check(decoded), expected)

    def test_changed_streams_are_found(self):
        symbols, indexes = gaussian_data((1, 400), spread=2)
        data = range_coder.encode(self.tables, symbols, indexes)[0]
        expected = checks.symbol_check(symbols)
        missed = 0
        for place in range(8 * len(data)):
            changed = bytearray(data)
            changed[place // 8] ^= 1 << place % 8
            decoded = self.decode(self.tables, [bytes(changed)], indexes)
            if decoded is not None:
                missed += 1
                self.assertNotEqual(checks.symbol_check(decoded), expected)
        # The coder's own check is weak, but it is there.
        self.assertLess(missed, 8 * len(data))

    def test_longer_streams_and_wrong_shapes_are_found(self):
        symbols, indexes = gaussian_data((3, 400))
        data = range_coder.encode(self.tables, symbols, indexes)
        longer = [data[0], data[1] + b"tail", data[2]]
        with self.assertRaisesRegex(BitstreamError, "2 of 3"):
            range_coder.decode(self.tables, longer, indexes)
        with self.assertRaises(BitstreamError):
            range_coder.decode(self.tables, data, indexes[:, :300])

    def test_symbols_beyond_32_bits_are_an_error(self):
        # An encoder whose table lies higher reaches symbols that ours cannot hold.
        lookup = np.int32([-8, 0, 128, 256])
        low, high = Tables(lookup, np.int32([0])), Tables(lookup, np.int32([2**30]))
        indexes = np.zeros((1, 1), np.int32)
        data = range_coder.encode(low, np.int32([[INT32.max]]), indexes)
        with self.assertRaisesRegex(BitstreamError, "32 bits"):
            range_coder.decode(high, data, indexes)


class ArgumentsTest(RangeCoderTestCase):
    @parameterized.parameters(-1, 64, INT32.min, INT32.max)
    def test_indexes_out_of_range(self, index):
        symbols, indexes = np.zeros((2, 3), np.int32), np.zeros((2, 3), np.int32)
        indexes[1, 2] = index
        for call in (
            lambda: range_coder.encode(self.tables, symbols, indexes),
            lambda: range_coder.decode(self.tables, [b"", b""], indexes),
            lambda: range_coder.estimate_bits(self.tables, symbols, indexes),
        ):
            with self.assertRaisesRegex(ValueError, "`indexes` must be from 0 to 63"):
                call()

    @parameterized.named_parameters(
        ("float_symbols", np.zeros((2, 3)), np.zeros((2, 3), np.int32)),
        ("int64_symbols", np.zeros((2, 3), np.int64), np.zeros((2, 3), np.int32)),
        ("shapes", np.zeros((2, 3), np.int32), np.zeros((3, 2), np.int32)),
        ("float_indexes", np.zeros((2, 3), np.int32), np.zeros((2, 3))),
        ("scalar", np.int32(3), np.int32(3)),
    )
    def test_wrong_arrays(self, symbols, indexes):
        with self.assertRaisesRegex(ValueError, "`(symbols|indexes)` must be"):
            range_coder.encode(self.tables, symbols, indexes)

    def test_symbols_out_of_range_without_escape(self):
        for symbol in (-1, 4, 10, INT32.min, INT32.max):
            with self.assertRaisesRegex(ValueError, f"escape; received .{symbol}"):
                pair = np.int32([[0, symbol]]), np.int32([[0, 0]])
                range_coder.encode(self.words, *pair)

    def test_wrong_data(self):
        indexes = np.zeros((2, 3), np.int32)
        for data in (b"ab", ["a", "b"], [b"a", None]):
            with self.assertRaisesRegex(ValueError, "`data`"):
                range_coder.decode(self.tables, data, indexes)
        with self.assertRaisesRegex(ValueError, "batch of 1"):
            range_coder.decode(self.tables, [b""], indexes)

    def test_wrong_channels(self):
        for shape in ((2, 4, 3), (2,), ()):
            with self.assertRaisesRegex(ValueError, "C = 2"):
                range_coder.encode_channels(self.words, np.zeros(shape, np.int32))
        with self.assertRaisesRegex(ValueError, "C = 2"):
            range_coder.decode_channels(self.words, [b""], (4, 3))


class SpeedTest(RangeCoderTestCase):
    def test_a_photo_takes_a_moment(self):
        # 768x512 at 1/16 with 192 channels; measured: about 10 ms each way.
        symbols, indexes = gaussian_data((1, 48 * 32 * 192))
        data = self.assert_round_trip(self.tables, symbols, indexes)
        started = time.process_time()
        range_coder.encode(self.tables, symbols, indexes)
        middle = time.process_time()
        range_coder.decode(self.tables, data, indexes)
        self.assertLess(middle - started, 0.5)
        self.assertLess(time.process_time() - middle, 0.5)
