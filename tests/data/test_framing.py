import struct

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.data import crc32c, framing


class Crc32cTest(SemCompTestCase):
    @parameterized.parameters(
        # RFC 3720, appendix B.4, and the usual check value.
        (bytes(32), 0x8A9136AA),
        (bytes([255]) * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    )
    def test_published_values(self, data, expected):
        self.assertEqual(crc32c.checksum(data), expected)

    def test_any_length_is_what_a_bit_by_bit_division_gives(self):
        def slow(data):
            crc = 0xFFFFFFFF
            for byte in data:
                crc ^= byte
                for _ in range(8):
                    crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
            return crc ^ 0xFFFFFFFF

        data = np.random.default_rng(0).bytes(40)
        for length in range(41):
            self.assertEqual(crc32c.checksum(data[:length]), slow(data[:length]))


class FramingTest(SemCompTestCase):
    PAYLOADS = (b"one", b"", b"three" * 9)

    def setUp(self):
        super().setUp()
        self.path = self.folder / "a.tfrecord"
        with tf.io.TFRecordWriter(str(self.path)) as writer:
            for payload in self.PAYLOADS:
                writer.write(payload)
        self.whole = self.path.read_bytes()

    def check(self, data):
        self.path.write_bytes(data)
        return framing.check_shard(str(self.path), len(self.PAYLOADS))

    def test_reads_what_tensorflow_wrote(self):
        frames = list(framing.frames(str(self.path)))
        self.assertEqual([f.payload for f in frames], list(self.PAYLOADS))
        self.assertEqual([f.offset for f in frames], [0, 19, 35])
        shard = self.check(self.whole)
        self.assertEmpty(shard.damages)
        self.assertEqual(shard.lost, 0)
        cut = [
            self.whole[offset : offset + length]
            for offset, length in zip(shard.offsets, shard.lengths, strict=True)
        ]
        self.assertEqual(cut, list(self.PAYLOADS))

    def test_every_changed_byte_is_found_in_its_record(self):
        for place in range(len(self.whole)):
            changed = bytearray(self.whole)
            changed[place] ^= 1 << place % 8
            shard = self.check(bytes(changed))
            with self.subTest(place=place):
                (damage,) = shard.damages
                self.assertEqual(
                    damage.offset, max(o for o in (0, 19, 35) if o <= place)
                )
                self.assertEqual(damage.path, str(self.path))
                self.assertGreaterEqual(shard.lost, 1)

    def test_every_truncation_is_found(self):
        for length in range(len(self.whole)):
            shard = self.check(self.whole[:length])
            with self.subTest(length=length):
                self.assertLen(shard.damages, 1)
                self.assertEqual(len(shard.offsets) + shard.lost, 3)

    def test_the_records_after_a_damaged_one_are_read(self):
        changed = bytearray(self.whole)
        changed[13] ^= 1
        shard = self.check(bytes(changed))
        self.assertLen(shard.offsets, 2)
        self.assertIn(f"{self.path}, offset 0: ", str(shard.damages[0]))

    def test_other_shards(self):
        twice = self.check(self.whole * 2)
        self.assertIn("6 records instead of 3", twice.damages[0].reason)
        self.path.unlink()
        gone = framing.check_shard(str(self.path), 3)
        self.assertIn("missing", gone.damages[0].reason)
        self.assertEqual(gone.lost, 3)

    def test_a_false_length_allocates_nothing(self):
        header = struct.pack("<Q", 2**62)
        header += struct.pack("<I", crc32c.masked(header))
        (damage,) = self.check(header + self.whole).damages
        self.assertIn("too early", damage.reason)
