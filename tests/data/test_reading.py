import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.data import reading, records
from tfsemcomp.errors import BitstreamError


class ReadingTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.source = str(self.folder), "train"
        stream = (records.Record(b"x" * 50, str(n), 1, 1) for n in range(9))
        records.write_shards(stream, *self.source, 3)
        self.shard = self.folder / "train-00001-of-00003.tfrecord"

    def names(self, **options):
        stream = reading.serialized(*self.source, **options)
        parsed = stream.map(records.parse)
        return [int(record["image/name"].numpy()) for record in parsed]

    def damage(self, record=1, place=40):
        """Changes a byte of a record of the second shard; returns its offset."""
        data = bytearray(self.shard.read_bytes())
        offset = record * len(data) // 3
        data[offset + place] ^= 1
        self.shard.write_bytes(data)
        return offset

    def test_whole_splits_are_read_in_order(self):
        expected = [0, 3, 6, 1, 4, 7, 2, 5, 8]
        self.assertEqual(self.names(), expected)
        self.assertEqual(self.names(skip_corrupt=True), expected)
        self.assertEqual([shard.lost for shard in reading.check(*self.source)], [0] * 3)

    def test_damage_is_an_error_with_shard_and_offset(self):
        offset = self.damage()
        with self.assertRaises(tf.errors.DataLossError):
            self.names()
        message = rf"{self.shard.name}, offset {offset}: .*checksum"
        with (
            self.assertRaisesRegex(BitstreamError, message),
            reading.naming_damage([self.source]),
        ):
            self.names()

    def test_only_what_is_damaged_is_left_out_and_counted(self):
        offset = self.damage()
        with self.assertLogs(level="WARNING") as logs:
            self.assertEqual(self.names(skip_corrupt=True), [0, 3, 6, 1, 7, 2, 5, 8])
        text = "\n".join(logs.output)
        self.assertIn(f"{self.shard.name}, offset {offset}", text)
        self.assertIn("1 of 9 records left out", text)

    def test_behind_a_damaged_header_the_shard_is_lost(self):
        self.damage(place=3)
        with self.assertLogs(level="WARNING") as logs:
            self.assertEqual(self.names(skip_corrupt=True), [0, 3, 6, 1, 2, 5, 8])
        self.assertIn("2 of 9 records left out", "\n".join(logs.output))

    def test_missing_and_torn_shards_are_named_at_once(self):
        self.shard.write_bytes(self.shard.read_bytes()[:-5])
        with self.assertRaisesRegex(BitstreamError, self.shard.name):
            reading.serialized(*self.source)
        self.assertEqual(self.names(skip_corrupt=True), [0, 3, 6, 1, 4, 2, 5, 8])
        self.shard.unlink()
        with self.assertRaisesRegex(BitstreamError, f"{self.shard.name}.*missing"):
            reading.serialized(*self.source)
        self.assertEqual(self.names(skip_corrupt=True), [0, 3, 6, 2, 5, 8])

    def test_nothing_left_is_an_error(self):
        for path in self.folder.glob("*.tfrecord"):
            path.unlink()
        with self.assertRaisesRegex(BitstreamError, "no whole record"):
            reading.serialized(*self.source, skip_corrupt=True)

    def test_other_errors_pass(self):
        with self.assertRaises(KeyError), reading.naming_damage([self.source]):
            raise KeyError
        with (
            self.assertRaises(tf.errors.DataLossError),
            reading.naming_damage([self.source]),
        ):
            raise tf.errors.DataLossError(None, None, "elsewhere")
