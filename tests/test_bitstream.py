"""The container: round trips, every kind of damage, limits, and the frozen format."""

import dataclasses
import json
import math
import tracemalloc
import zlib

import numpy as np
from absl.testing import absltest, parameterized

import tfsemcomp
from tests.harness import SemCompTestCase
from tfsemcomp import bitstream, errors

HEADER = bitstream.Header("layered", b"\x01\xfe\x00\x99", 256, 256)
CHUNKS = (
    bitstream.Chunk("text", b"a dog", 0),
    bitstream.Chunk("structure", bytes(range(40)), 1),
    bitstream.Chunk("structure", b"", 1),
    bitstream.Chunk("signal", bytes(range(200, 255)), 2),
)
DATA = bitstream.write(HEADER, CHUNKS)
# Format version 1, frozen: these bytes must be read, and written, for ever.
GOLDEN = bytes.fromhex(
    "f7545343010301fe0099800280022005f224f6b66120646f67310391e90220000102"
)


def random_stream(
    rng: np.random.Generator,
) -> tuple[bitstream.Header, tuple[bitstream.Chunk, ...]]:
    """A valid header and 1 to 12 chunks, payloads of 0 to 300 bytes."""
    header = bitstream.Header(
        str(rng.choice(sorted(bitstream.CONTAINER_CODECS))),
        rng.bytes(4),
        *(int(2 ** rng.uniform(0, 14)) for _ in range(2)),
    )
    layers = np.sort(rng.integers(0, 16, size=rng.integers(1, 13)))
    kinds = sorted(bitstream.CHUNK_TYPES)
    chunks = tuple(
        bitstream.Chunk(str(rng.choice(kinds)), rng.bytes(rng.integers(301)), int(n))
        for n in layers
    )
    return header, chunks


def chunk_ends(data: bytes) -> list[int]:
    """Offsets at which the chunks of a valid stream end."""
    info = bitstream.describe(data)
    sizes = [chunk["bytes"] for chunk in info["chunks"]]
    return list(info["header_bytes"] + np.cumsum(sizes))


def signed(start: bytes, *bodies: tuple[int, bytes]) -> bytes:
    """A stream with right CRCs over any header bytes, tags and payloads."""
    parts, link = [start], start
    for tag, payload in bodies:
        head = bytes([tag, len(payload)])
        link = zlib.crc32(link + head + payload).to_bytes(4, "big")
        parts += [head, link, payload]
    return b"".join(parts)


class RoundTripTest(SemCompTestCase):
    def test_random_streams_come_back(self):
        rng = np.random.default_rng(1)
        for _ in range(300):
            header, chunks = random_stream(rng)
            data = bitstream.write(header, chunks)
            self.assertEqual(
                bitstream.read(data), bitstream.Stream(header, tuple(chunks))
            )

    def test_writing_is_the_inverse_of_reading(self):
        stream = bitstream.read(DATA)
        self.assertEqual(bitstream.write(stream.header, stream.chunks), DATA)

    @parameterized.parameters(bytes, bytearray, memoryview)
    def test_any_kind_of_bytes_is_read(self, kind):
        self.assertEqual(bitstream.read(kind(DATA)).chunks, CHUNKS)

    @parameterized.parameters(0, 1, 127, 128, 16383, 16384, 2**21 - 1, 2**21)
    def test_overhead_of_a_chunk(self, size):
        chunk = bitstream.Chunk("signal", bytes(size))
        info = bitstream.describe(bitstream.write(HEADER, [chunk]))
        overhead = info["chunks"][0]["bytes"] - size
        self.assertLessEqual(overhead, 8 if size < 2**21 else 9)

    def test_header_of_a_256_image_takes_14_bytes(self):
        self.assertEqual(bitstream.describe(DATA)["header_bytes"], 14)

    @parameterized.parameters(1, 127, 128, 16384, 2**31, 2**32 - 1)
    def test_sides_of_every_length_of_varint(self, side):
        header = dataclasses.replace(HEADER, width=side, height=1)
        data = bitstream.write(header, CHUNKS)
        no_limits = bitstream.NO_LIMITS
        self.assertEqual(bitstream.read(data, limits=no_limits).header, header)

    def test_magic_is_neither_text_nor_another_format(self):
        self.assertGreaterEqual(bitstream.MAGIC[0], 0xF5)
        with self.assertRaises(UnicodeDecodeError):
            DATA.decode("utf-8")
        self.assertTrue(bitstream.is_container(DATA))
        for other in (b"", b"\xf7", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"):
            self.assertFalse(bitstream.is_container(other))


class FormatTest(SemCompTestCase):
    """The wire format, which may never change for version 1."""

    def test_golden_stream(self):
        chunks = (
            bitstream.Chunk("text", b"a dog", 0),
            bitstream.Chunk("structure", b"\x00\x01\x02", 1),
        )
        self.assertEqual(bitstream.write(HEADER, chunks), GOLDEN)
        self.assertEqual(bitstream.read(GOLDEN), bitstream.Stream(HEADER, chunks))

    def test_checks_are_chained_as_documented(self):
        self.assertEqual(
            signed(GOLDEN[:14], (0x20, b"a dog"), (0x31, b"\x00\x01\x02")), GOLDEN
        )

    def test_numbers_are_those_of_the_specification(self):
        self.assertEqual(
            bitstream.CODEC_NUMBERS,
            {
                "msroi_jpeg": 1,
                "rnn": 2,
                "layered": 3,
                "conceptual": 4,
                "semantic_enhanced": 5,
                "hyperprior": 6,
                "jpeg": 16,
                "webp": 17,
                "jpeg2000": 18,
                "avif": 19,
                "heif": 20,
                "jxl": 21,
                "bpg": 22,
            },
        )
        self.assertEqual(
            list(bitstream.CHUNK_TYPES.items()),
            list(
                zip(
                    [
                        *("meta", "text", "structure", "texture", "signal", "hyper"),
                        *("base", "labels", "boundaries", "map", "residual", "codes"),
                        "colour",
                    ],
                    range(1, 14),
                    strict=True,
                )
            ),
        )


class DamageTest(SemCompTestCase):
    def assert_refused(self, data: bytes) -> None:
        with self.assertRaises((errors.BitstreamError, errors.LimitError)) as caught:
            bitstream.read(data)
        self.assertNotIn("\n", str(caught.exception))

    def test_cut_at_every_byte(self):
        ends = chunk_ends(DATA)
        for size in range(len(DATA)):
            if size in ends:
                kept = bitstream.read(DATA[:size]).chunks
                self.assertEqual(kept, CHUNKS[: ends.index(size) + 1])
            else:
                with self.assertRaises(errors.BitstreamError):
                    bitstream.read(DATA[:size])

    def test_torn_streams_keep_their_whole_chunks_on_request(self):
        ends = chunk_ends(DATA)
        for size in range(ends[0], len(DATA)):
            whole = sum(end <= size for end in ends)
            kept = bitstream.read(DATA[:size], allow_torn=True).chunks
            self.assertEqual(kept, CHUNKS[:whole])
        for size in range(ends[0]):
            with self.assertRaises(errors.BitstreamError):
                bitstream.read(DATA[:size], allow_torn=True)

    def test_each_flipped_bit_is_found(self):
        for data in (DATA, GOLDEN):
            for position in range(8 * len(data)):
                damaged = bytearray(data)
                damaged[position // 8] ^= 1 << position % 8
                self.assert_refused(bytes(damaged))

    def test_damage_spares_the_chunks_before_it_on_request(self):
        ends = chunk_ends(DATA)
        for position in range(ends[0], len(DATA)):
            damaged = bytearray(DATA)
            damaged[position] ^= 0x10
            whole = sum(end <= position for end in ends)
            kept = bitstream.read(bytes(damaged), allow_torn=True).chunks
            self.assertEqual(kept, CHUNKS[:whole])

    def test_seeded_mutations_are_found(self):
        rng = np.random.default_rng(2)
        for _ in range(2000):
            damaged = bytearray(DATA)
            for _ in range(rng.integers(1, 6)):
                position = int(rng.integers(len(damaged)))
                kind = rng.integers(3)
                if kind == 0:
                    damaged[position] = int(rng.integers(256))
                elif kind == 1:
                    del damaged[position]
                else:
                    damaged.insert(position, int(rng.integers(256)))
            if bytes(damaged) != DATA:
                self.assert_refused(bytes(damaged))

    def test_random_bytes_are_refused(self):
        rng = np.random.default_rng(3)
        for _ in range(2000):
            noise = rng.bytes(rng.integers(100))
            self.assert_refused(noise)
            self.assert_refused(bitstream.MAGIC + noise)
            self.assert_refused(DATA[:14] + noise)

    def test_every_splice_of_chunks_is_found(self):
        """Only the chunks in their own order from the first on are a stream."""
        bounds = [14, *chunk_ends(DATA)]
        pieces = [DATA[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
        legal = [list(range(n)) for n in range(1, 5)]
        for order in np.ndindex(5, 5, 5, 5):
            chosen = [n for n in order if n < 4]
            data = DATA[:14] + b"".join(pieces[n] for n in chosen)
            if chosen in legal:
                bitstream.read(data)
            else:
                self.assert_refused(data)

    def test_chunks_of_another_stream_are_found(self):
        other_header = dataclasses.replace(HEADER, width=257)
        other = bitstream.write(other_header, CHUNKS)
        self.assertLen(other, len(DATA))
        for end in [14, *chunk_ends(DATA)][:-1]:
            self.assert_refused(DATA[:end] + other[end:])

    @parameterized.parameters(1, 2, 3, 6, 100)
    def test_trailing_bytes_are_found(self, size):
        for byte in (0, 1, 0x25, 0xFF):
            self.assert_refused(DATA + bytes([byte]) * size)

    def test_streams_without_chunks_are_refused(self):
        self.assert_refused(DATA[:14])


class ReaderTest(SemCompTestCase):
    """What arrives in pieces."""

    @parameterized.parameters(1, 2, 7, 31, 10**6)
    def test_chunks_come_as_soon_as_they_are_whole(self, size):
        ends = chunk_ends(DATA)
        reader, found = bitstream.Reader(), []
        for start in range(0, len(DATA), size):
            found += reader.feed(DATA[start : start + size])
            arrived = min(start + size, len(DATA))
            whole = sum(end <= arrived for end in ends)
            self.assertEqual(tuple(found), CHUNKS[:whole])
            self.assertEqual(reader.end if whole else 0, [0, *ends][whole])
            self.assertEqual(reader.header, HEADER if arrived >= 14 else None)
        reader.finish()

    def test_a_stream_may_end_after_whole_chunks_only(self):
        ends = chunk_ends(DATA)
        for size in range(len(DATA) + 1):
            reader = bitstream.Reader()
            reader.feed(DATA[:size])
            if size in ends:
                reader.finish()
            else:
                with self.assertRaisesRegex(errors.BitstreamError, "ends"):
                    reader.finish()

    def test_damage_is_told_when_it_arrives(self):
        ends = [14, *chunk_ends(DATA)]
        rng = np.random.default_rng(5)
        for position in rng.integers(len(DATA), size=60):
            damaged = bytearray(DATA)
            damaged[position] ^= 1 << rng.integers(8)
            reader, whole = bitstream.Reader(), 0
            with self.assertRaises((errors.BitstreamError, errors.LimitError)):
                for byte in damaged:
                    whole += len(reader.feed(bytes([byte])))
                reader.finish()
            self.assertEqual(whole, sum(end <= position for end in ends[1:]))

    def test_damage_spares_the_chunks_that_came_with_it(self):
        ends = chunk_ends(DATA)
        damaged = DATA[: ends[1]] + bytes(len(DATA) - ends[1])
        for call in ("feed", "finish"):
            reader = bitstream.Reader()
            self.assertEqual(tuple(reader.feed(damaged)), CHUNKS[:2])
            with self.assertRaises(errors.BitstreamError):
                reader.feed(b"") if call == "feed" else reader.finish()

    def test_limits_are_checked_first(self):
        reader = bitstream.Reader(bitstream.Limits(side=255))
        with self.assertRaises(errors.LimitError):
            reader.feed(DATA[:14])
        reader = bitstream.Reader(bitstream.Limits(layers=1))
        self.assertLen(reader.feed(DATA[: chunk_ends(DATA)[0]]), 1)
        with self.assertRaises(errors.LimitError):
            reader.feed(DATA[chunk_ends(DATA)[0] :])
        with self.assertRaisesRegex(ValueError, "`data`"):
            bitstream.Reader().feed("text")


class HostileHeaderTest(SemCompTestCase):
    """Well-signed streams that say what no writer says."""

    def read_signed(self, start: bytes, tag: int = 0x50) -> bitstream.Stream:
        return bitstream.read(signed(start, (tag, b"x")))

    @parameterized.parameters(
        ("version", 4, 2, "format version 2"),
        ("no version", 4, 0, "format version 0"),
        ("codec", 5, 99, "codec number 99"),
        ("no codec", 5, 0, "codec number 0"),
    )
    def test_unknown_numbers_ask_for_a_newer_package(self, _, place, value, text):
        start = bytearray(DATA[:14])
        start[place] = value
        with self.assertRaisesRegex(errors.BitstreamError, f"{text}.*newer tfsemcomp"):
            self.read_signed(bytes(start))

    @parameterized.parameters(0x00, 0xE0, 0xF0)
    def test_unknown_chunk_types_ask_for_a_newer_package(self, tag):
        with self.assertRaisesRegex(errors.BitstreamError, "newer tfsemcomp"):
            self.read_signed(DATA[:14], tag)

    @parameterized.parameters("msroi_jpeg", "jpeg", "bpg")
    def test_codecs_with_files_of_their_own_have_no_container(self, codec):
        start = bytearray(DATA[:14])
        start[5] = bitstream.CODEC_NUMBERS[codec]
        with self.assertRaisesRegex(errors.BitstreamError, codec):
            self.read_signed(bytes(start))

    @parameterized.parameters(
        b"\x80\x00",  # 0 in two bytes
        b"\x81\x00",  # 1 in two bytes
        b"\x80\x82\x00",  # 256 in three bytes
        b"\x00",  # no pixels
        b"\xff\xff\xff\xff\x7f",  # above 2**32 - 1
        b"\x80\x80\x80\x80\x80\x01",  # six bytes
    )
    def test_sides_have_one_form_and_a_range(self, varint):
        for sides in (varint + b"\x01", b"\x01" + varint):
            with self.assertRaises(errors.BitstreamError):
                self.read_signed(DATA[:10] + sides)

    def test_lengths_have_one_form(self):
        tag, payload = b"\x50", b"x"
        crc = zlib.crc32(DATA[:14] + tag + b"\x81\x00" + payload).to_bytes(4, "big")
        with self.assertRaisesRegex(errors.BitstreamError, "shortest form"):
            bitstream.read(DATA[:14] + tag + b"\x81\x00" + crc + payload)

    def test_layers_must_not_decrease(self):
        with self.assertRaisesRegex(errors.BitstreamError, "layer 1, below layer 2"):
            bitstream.read(signed(DATA[:14], (0x52, b""), (0x51, b"")))

    def test_newer_streams_are_not_taken_for_torn_ones(self):
        data = signed(DATA[:14], (0x50, b""), (0xF0, b""))
        with self.assertRaisesRegex(errors.BitstreamError, "newer tfsemcomp"):
            bitstream.read(data, allow_torn=True)


class LimitsTest(SemCompTestCase):
    @parameterized.parameters(
        (2**31, 2**31), (32769, 1), (1, 32769), (16385, 16384), (2**32 - 1, 1)
    )
    def test_large_sizes_are_refused(self, width, height):
        header = dataclasses.replace(HEADER, width=width, height=height)
        with self.assertRaises(errors.LimitError):
            bitstream.read(
                bitstream.write(header, CHUNKS),
                limits=bitstream.Limits(pixels_per_byte=None),
            )

    @parameterized.parameters((32768, 1), (16384, 16384), (32768, 8192))
    def test_sizes_up_to_the_limit_are_taken(self, width, height):
        header = dataclasses.replace(HEADER, width=width, height=height)
        data = bitstream.write(header, CHUNKS)
        limits = bitstream.Limits(pixels_per_byte=None)
        self.assertEqual(bitstream.read(data, limits=limits).header, header)

    def test_pixels_are_limited_by_the_bytes_at_hand(self):
        width = 64 * len(DATA)
        header = dataclasses.replace(HEADER, width=width, height=3)
        data = bitstream.write(header, CHUNKS)
        most = math.ceil(3 * width / len(data))
        bitstream.read(data, limits=bitstream.Limits(pixels_per_byte=most))
        limits = bitstream.Limits(pixels_per_byte=most - 1)
        told = f"{len(data)} bytes declare {width}x3 pixels"
        for read in (bitstream.read, bitstream.truncate):
            with self.assertRaisesRegex(errors.LimitError, told):
                read(data, limits=limits)
        with self.assertRaisesRegex(errors.LimitError, told):
            tfsemcomp.info(data, limits=limits)

    def test_layers_are_limited(self):
        with self.assertRaisesRegex(errors.LimitError, "3 layers"):
            bitstream.read(DATA, limits=bitstream.Limits(layers=2))
        bitstream.read(DATA, limits=bitstream.Limits(layers=3))
        bitstream.read(DATA, limits=bitstream.Limits(layers=None))

    def test_number_of_chunks_is_limited(self):
        bodies = [(0x50, b"")] * (bitstream.MAX_CHUNKS + 1)
        data = signed(DATA[:14], *bodies)
        with self.assertRaisesRegex(errors.LimitError, "65536 chunks"):
            bitstream.read(data)

    def test_declared_lengths_allocate_nothing(self):
        bomb = DATA[:14] + b"\x50" + b"\xff\xff\xff\xff\x0f" + bytes(100)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        with self.assertRaises(errors.BitstreamError):
            bitstream.read(bomb)
        self.assertLess(tracemalloc.get_traced_memory()[1], 100_000)

    @parameterized.parameters("pixels", "side", "layers", "pixels_per_byte")
    def test_limits_are_positive_integers_or_none(self, name):
        for value in (0, -1, 1.5, "8", True):
            with self.assertRaisesRegex(ValueError, f"`{name}`"):
                bitstream.Limits(**{name: value})

    def test_seconds_are_a_positive_number_or_none(self):
        bitstream.Limits(seconds=0.5)
        for value in (0, -1.0, math.inf, math.nan, "8", True):
            with self.assertRaisesRegex(ValueError, "`seconds`"):
                bitstream.Limits(seconds=value)


class TruncateTest(SemCompTestCase):
    def test_layers_are_kept_without_re_encoding(self):
        rng = np.random.default_rng(4)
        for _ in range(100):
            header, chunks = random_stream(rng)
            data = bitstream.write(header, chunks)
            for layers in range(chunks[0].layer + 1, 18):
                short = bitstream.truncate(data, layers)
                self.assertTrue(data.startswith(short))
                self.assertEqual(
                    bitstream.read(short).chunks,
                    tuple(chunk for chunk in chunks if chunk.layer < layers),
                )

    def test_damaged_streams_are_refused(self):
        with self.assertRaises(errors.BitstreamError):
            bitstream.truncate(DATA[:-1], 1)

    def test_what_is_whole_of_a_torn_stream_is_a_stream(self):
        ends = [len(bitstream.truncate(DATA, layers)) for layers in (1, 2, 3)]
        for end in range(ends[0], len(DATA)):
            mended = bitstream.truncate(DATA[:end], allow_torn=True)
            self.assertTrue(DATA.startswith(mended))
            self.assertEqual(
                bitstream.read(mended), bitstream.read(DATA[:end], allow_torn=True)
            )
            cut = bitstream.truncate(DATA[:end], 1, allow_torn=True)
            self.assertLen(cut, ends[0])
        for end in (0, 4, 13, 20):
            with self.assertRaises(errors.BitstreamError):
                bitstream.truncate(DATA[:end], allow_torn=True)

    def test_as_many_layers_stay_as_fit(self):
        cuts = [bitstream.truncate(DATA, layers) for layers in (1, 2, 3)]
        for size in range(len(cuts[0]), len(DATA) + 2):
            fitting = [cut for cut in cuts if len(cut) <= size]
            self.assertEqual(bitstream.truncate(DATA, max_bytes=size), fitting[-1])
            self.assertEqual(bitstream.truncate(DATA, 1, max_bytes=size), cuts[0])
        with self.assertRaisesRegex(errors.SemCompError, f"byte {len(cuts[0])}"):
            bitstream.truncate(DATA, max_bytes=len(cuts[0]) - 1)
        for size in (0, 1.5, True):
            with self.assertRaisesRegex(ValueError, "`max_bytes`"):
                bitstream.truncate(DATA, max_bytes=size)

    def test_layers_of_several_chunks_stay_whole(self):
        chunks = [bitstream.Chunk("text", b"a"), bitstream.Chunk("structure", b"b" * 9)]
        last = bitstream.Chunk("signal", b"c" * 50, layer=1)
        data = bitstream.write(HEADER, [*chunks, last])
        both = bitstream.truncate(data, 1)
        self.assertEqual(bitstream.truncate(data, max_bytes=len(both)), both)
        with self.assertRaises(errors.SemCompError):
            bitstream.truncate(data, max_bytes=len(both) - 1)

    def test_something_must_be_left(self):
        data = bitstream.write(HEADER, CHUNKS[1:])
        with self.assertRaisesRegex(errors.SemCompError, "must be at least 2"):
            bitstream.truncate(data, 1)
        for layers in (0, -1, 1.0, None, True):
            with self.assertRaisesRegex(ValueError, "`layers`"):
                bitstream.truncate(DATA, layers)


class DescribeTest(SemCompTestCase):
    def test_description(self):
        info = json.loads(json.dumps(bitstream.describe(DATA)))
        self.assertEqual(
            info,
            {
                "version": 1,
                "codec": "layered",
                "fingerprint": "01fe0099",
                "width": 256,
                "height": 256,
                "layers": 3,
                "chunks": [
                    {"type": "text", "layer": 0, "bytes": 11},
                    {"type": "structure", "layer": 1, "bytes": 46},
                    {"type": "structure", "layer": 1, "bytes": 6},
                    {"type": "signal", "layer": 2, "bytes": 61},
                ],
                "header_bytes": 14,
                "bytes": len(DATA),
                "bpp": len(DATA) * 8 / 256**2,
            },
        )

    def test_sizes_sum_to_the_stream(self):
        rng = np.random.default_rng(5)
        for _ in range(50):
            info = bitstream.describe(bitstream.write(*random_stream(rng)))
            total = sum(chunk["bytes"] for chunk in info["chunks"])
            self.assertEqual(info["header_bytes"] + total, info["bytes"])

    def test_torn_streams_are_described_on_request(self):
        info = bitstream.describe(DATA[:-1], allow_torn=True)
        self.assertLen(info["chunks"], 3)
        self.assertEqual(info["bytes"], len(DATA) - 1)


class ArgumentsTest(SemCompTestCase):
    @parameterized.parameters(
        ("codec", "jpeg"),
        ("codec", "none"),
        ("fingerprint", b"123"),
        ("fingerprint", "1234"),
        ("width", 0),
        ("width", 2**32),
        ("height", -1),
        ("height", 1.0),
        ("version", 2),
    )
    def test_header_is_checked(self, name, value):
        with self.assertRaisesRegex(ValueError, f"`{name}`"):
            dataclasses.replace(HEADER, **{name: value})

    @parameterized.parameters(
        ("type", "nothing"), ("payload", "text"), ("layer", 16), ("layer", -1)
    )
    def test_chunk_is_checked(self, name, value):
        with self.assertRaisesRegex(ValueError, f"`{name}`"):
            dataclasses.replace(CHUNKS[0], **{name: value})

    def test_chunks_are_checked(self):
        for chunks in ([], CHUNKS[::-1], [CHUNKS[0]] * (bitstream.MAX_CHUNKS + 1)):
            with self.assertRaisesRegex(ValueError, "`chunks`"):
                bitstream.write(HEADER, chunks)

    @parameterized.parameters("text", None, 7, ([1, 2],))
    def test_data_must_be_bytes(self, data):
        with self.assertRaisesRegex(ValueError, "`data` must be bytes"):
            bitstream.read(data)


if __name__ == "__main__":
    absltest.main()
