import tensorflow as tf

from tests.harness import SemCompTestCase
from tfsemcomp.data import records
from tfsemcomp.errors import BitstreamError, SemCompError


def some_records(count):
    for number in range(count):
        yield records.Record(
            image=b"\xff\xd8" + bytes([number]),
            name=f"a folder/{number}|x.jpg",
            height=4,
            width=5 + number,
            label=number % 3,
            class_text="Katze",
            captions=("Ein Satz.", "日本語"),
            roi=b"png",
            instances=b"16 bit",
            split="train",
            dataset="faux/1.0.0",
        )


class RecordsTest(SemCompTestCase):
    def test_every_field_comes_back(self):
        record = next(some_records(1))
        parsed = records.parse(tf.constant(records.serialize(record)))
        self.assertEqual(parsed["image/encoded"].numpy(), record.image)
        self.assertEqual(parsed["image/name"].numpy().decode(), record.name)
        self.assertEqual(int(parsed["image/width"]), 5)
        self.assertEqual(int(parsed["label"]), 0)
        captions = [text.decode() for text in parsed["captions"].numpy()]
        self.assertEqual(captions, list(record.captions))
        self.assertEqual(parsed["roi/encoded"].numpy(), b"png")
        self.assertEqual(parsed["edges/encoded"].numpy(), b"")
        self.assertEqual(records.from_parsed(parsed), record)
        self.assertEqual(records.deserialize(records.serialize(record)), record)

    def test_records_of_older_writers_are_read(self):
        feature = {"image/encoded": records.bytes_feature(b"jpeg")}
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        parsed = records.parse(tf.constant(example.SerializeToString()))
        expected = records.Record(b"jpeg", "", -1, -1)
        self.assertEqual(records.from_parsed(parsed), expected)
        self.assertEqual(records.deserialize(example.SerializeToString()), expected)

    def test_other_bytes_are_no_record(self):
        feature = {"class/text": records.bytes_feature(b"\xff")}
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        for data in (b"\xff\xff\xff", example.SerializeToString()):
            with self.assertRaisesRegex(BitstreamError, "no record"):
                records.deserialize(data)

    def test_one_shard(self):
        path = str(self.folder / "a.tfrecord")
        serialized = map(records.serialize, some_records(3))
        self.assertEqual(records.write_shard(path, serialized), 3)
        self.assertLen(list(tf.data.TFRecordDataset(path)), 3)

        def failing():
            yield from map(records.serialize, some_records(1))
            raise SemCompError("broken image")

        before = (self.folder / "a.tfrecord").read_bytes()
        with self.assertRaisesRegex(SemCompError, "broken image"):
            records.write_shard(path, failing())
        self.assertEqual((self.folder / "a.tfrecord").read_bytes(), before)
        self.assertLen(list(self.folder.iterdir()), 1)

    def test_shards_hold_every_record_once(self):
        folder = str(self.folder / "out")
        index = records.write_shards(some_records(11), folder, "train", 3, ["a"])
        self.assertEqual([s["records"] for s in index["shards"]], [4, 4, 3])
        self.assertEqual(records.verify(folder, "train"), 11)
        read = tf.data.TFRecordDataset(records.shard_paths(folder, "train"))
        names = {records.parse(r)["image/name"].numpy() for r in read}
        self.assertLen(names, 11)

    def test_writing_twice_gives_the_same_bytes(self):
        sums = []
        for name in ("one", "two"):
            index = records.write_shards(
                some_records(5), str(self.folder / name), "test", 2
            )
            sums.append([s["sha256"] for s in index["shards"]])
        self.assertEqual(*sums)

    def test_a_changed_or_missing_shard_is_named(self):
        folder = self.folder / "out"
        records.write_shards(some_records(4), str(folder), "train", 2)
        shard = folder / "train-00001-of-00002.tfrecord"
        data = bytearray(shard.read_bytes())
        data[20] ^= 1
        shard.write_bytes(data)
        with self.assertRaisesRegex(BitstreamError, "train-00001-of-00002"):
            records.verify(str(folder), "train")
        shard.unlink()
        with self.assertRaisesRegex(BitstreamError, "train-00001-of-00002"):
            records.verify(str(folder), "train")

    def test_a_failing_source_leaves_nothing(self):
        def failing():
            yield from some_records(3)
            raise SemCompError("broken image")

        folder = self.folder / "out"
        with self.assertRaisesRegex(SemCompError, "broken image"):
            records.write_shards(failing(), str(folder), "train", 2)
        self.assertEmpty(list(folder.iterdir()))
        with self.assertRaisesRegex(SemCompError, "no image"):
            records.write_shards([], str(folder), "train", 2)

    def test_index_errors(self):
        with self.assertRaisesRegex(SemCompError, "build_records"):
            records.read_index(str(self.folder), "train")
        (self.folder / "train.json").write_text("{")
        with self.assertRaisesRegex(BitstreamError, "not an index"):
            records.read_index(str(self.folder), "train")
        (self.folder / "train.json").write_text('{"schema": 99, "shards": []}')
        with self.assertRaisesRegex(BitstreamError, "newer"):
            records.read_index(str(self.folder), "train")
        with self.assertRaisesRegex(ValueError, "folder:split"):
            records.parse_source("nowhere")

    def test_classes_that_sources_share(self):
        sources = []
        for split, names in (("a", ["x", "y"]), ("b", []), ("c", ["x", "y"])):
            records.write_shards(some_records(2), str(self.folder), split, 1, names)
            sources.append((str(self.folder), split))
        self.assertEqual(records.class_names(sources), ["x", "y"])
        records.write_shards(some_records(2), str(self.folder), "d", 1, ["y", "x"])
        for wrong in ([sources[1]], [sources[0], (str(self.folder), "d")]):
            with self.assertRaisesRegex(SemCompError, "share their classes"):
                records.class_names(wrong)
