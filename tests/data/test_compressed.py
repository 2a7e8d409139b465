"""Pre-compressed records: what a codec gave, kept whole, resumed, checked."""

import dataclasses
import math
from unittest import mock

import numpy as np
import tensorflow as tf

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.codecs import base
from tfsemcomp.data import (
    compressed,
    label_maps,
    pipeline,
    planes,
    records,
    sharding,
    survey,
)
from tfsemcomp.errors import BitstreamError, SemCompError
from tfsemcomp.metrics import fidelity

QUALITY = {"quality": 40}


def some_records(count, size=(24, 36)):
    for number in range(count):
        labels = np.full(size, number, np.uint8)
        yield records.Record(
            image=images.encode(smooth_image(*size, seed=number), "jpeg", quality=95),
            name=f"class {number % 2}/{number}.jpg",
            height=size[0],
            width=size[1],
            label=number % 2,
            class_text=f"class {number % 2}",
            captions=("Ein Satz.",),
            label_map=label_maps.encode(labels),
        )


class CompressTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.codec = base.get_codec("jpeg")
        self.original = compressed.original(next(some_records(1)))

    def test_the_original_is_what_codecs_are_given(self):
        record = next(some_records(1))
        loaded = images.load_bytes(self.original.image)
        self.assertEqual(loaded.format, "PNG")
        given = images.load_bytes(record.image).pixels
        np.testing.assert_array_equal(loaded.pixels, given)
        self.assertEqual(self.original.captions, record.captions)

    def test_pictures_and_label_maps_are_scaled_together(self):
        small = compressed.original(next(some_records(1)), short_side=12)
        self.assertEqual((small.height, small.width), (12, 18))
        self.assertEqual(images.load_bytes(small.image).pixels.shape, (12, 18, 3))
        self.assertEqual(label_maps.decode(small.label_map).shape, (12, 18))

    def test_all_maps_follow_the_picture(self):
        plane = np.zeros((24, 36), np.uint8)
        plane[:12], plane[6, 4] = 100, 200
        record = dataclasses.replace(
            next(some_records(1)),
            label_map=planes.encode(plane),
            instances=planes.encode(300 * plane.astype(np.uint16)),
            edges=planes.encode(plane),
            roi=planes.encode(plane),
        )
        small = compressed.original(record, short_side=12)
        maps = survey.read_maps(small)
        for name, found in maps.items():
            self.assertEqual(found.shape, (12, 18), name)
        # Each second pixel, whose number none of its neighbours can change.
        np.testing.assert_array_equal(maps["label_map"], plane[1::2, 1::2])
        self.assertEqual(small.label_map, planes.encode(plane[1::2, 1::2]))
        self.assertEqual(maps["instances"].dtype, np.uint16)
        np.testing.assert_array_equal(maps["instances"][:6], 30000 * np.ones((6, 18)))
        # Lines stay, and importance is a mean.
        self.assertEqual(maps["edges"][3, 2], 200)
        self.assertBetween(maps["roi"][3, 2], 101, 199)
        self.assertAlmostEqual(maps["roi"].mean(), plane.mean(), delta=2)
        same = survey.read_maps(compressed.original(record))
        for name, found in same.items():
            factor = 300 if name == "instances" else 1
            np.testing.assert_array_equal(found, factor * plane.astype(int), name)

    def test_maps_that_cannot_be_read(self):
        for field in ("label_map", "instances", "edges", "roi"):
            record = dataclasses.replace(next(some_records(1)), **{field: b"no map"})
            with self.assertRaisesRegex(BitstreamError, field):
                compressed.original(record)

    def test_holds_the_file_and_what_it_decodes_to(self):
        made = compressed.compress(self.original, self.codec, "quality=40", QUALITY)
        pixels = images.load_bytes(self.original.image).pixels
        self.assertEqual(made.data, self.codec.compress(pixels, **QUALITY))
        decoded = images.load_bytes(made.image).pixels
        np.testing.assert_array_equal(decoded, self.codec.decompress(made.data))
        self.assertEqual(made.bpp, 8 * len(made.data) / (24 * 36))
        self.assertEqual((made.codec, made.quality), ("jpeg", 40))
        self.assertEqual(made.class_text, self.original.class_text)
        self.assertLen(made.source, 64)

    def test_metrics_and_no_decoded_picture(self):
        made = compressed.compress(
            self.original,
            self.codec,
            "quality=40",
            QUALITY,
            decoded=False,
            metrics=["psnr", "ssim"],
        )
        pixels = images.load_bytes(self.original.image).pixels
        expected = fidelity.psnr(pixels, self.codec.decompress(made.data))
        self.assertEqual(made.image, b"")
        values = dict(made.metrics)
        self.assertCountEqual(values, ["psnr", "ssim"])
        self.assertAlmostEqual(values["psnr"], expected, places=5)
        parsed = compressed.parse(tf.constant(compressed.serialize(made)))
        found = dict(
            zip(
                parsed["compressed/metrics"].numpy(),
                parsed["compressed/metric_values"].numpy(),
                strict=True,
            )
        )
        self.assertAlmostEqual(found[b"psnr"], expected, places=4)
        with mock.patch.object(self.codec, "decompress", side_effect=AssertionError):
            made = compressed.compress(
                self.original, self.codec, "quality=40", QUALITY, decoded=False
            )
        self.assertEqual(made.data, self.codec.compress(pixels, **QUALITY))

    def test_the_source_tells_originals_apart(self):
        one, other = map(compressed.original, some_records(2))
        made = [
            compressed.compress(record, self.codec, quality, QUALITY).source
            for record in (one, other)
            for quality in ("quality=40", "again")
        ]
        self.assertEqual(made[0], made[1])
        self.assertNotEqual(made[0], made[2])

    def test_parses_in_a_graph_as_it_was(self):
        made = compressed.compress(self.original, self.codec, "quality=40", QUALITY)
        serialized = tf.constant(compressed.serialize(made))
        parsed = tf.function(compressed.parse)(serialized)
        self.assertEqual(parsed["compressed/encoded"].numpy(), made.data)
        self.assertEqual(parsed["compressed/setting"].numpy(), b"quality=40")
        self.assertAlmostEqual(float(parsed["compressed/bpp"]), made.bpp, places=5)
        self.assertEqual(parsed["image/name"].numpy().decode(), made.name)

    def test_reads_as_an_ordinary_record(self):
        made = compressed.compress(self.original, self.codec, "quality=40", QUALITY)
        parsed = records.parse(tf.constant(compressed.serialize(made)))
        shown = pipeline.decode(parsed["image/encoded"])
        np.testing.assert_array_equal(shown, self.codec.decompress(made.data))
        self.assertEqual(int(parsed["label"]), made.label)

    def test_failures_name_codec_and_setting(self):
        with self.assertRaisesRegex(SemCompError, "^jpeg q=1: "):
            compressed.compress(self.original, self.codec, "q=1", {"target_bytes": 1})


class SplitTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.codec = base.get_codec("jpeg")
        self.place = str(self.folder / "records")
        compressed.write_originals(some_records(5), self.place, 2, ["a", "b"])

    def write(self, **options):
        return compressed.write_split(
            self.place, self.codec, "quality=40", QUALITY, **options
        )

    def test_every_picture_once_with_its_original(self):
        made = []
        index = self.write(on_record=lambda record: made.append(record.name))
        self.assertEqual(index["records"], 5)
        self.assertEqual(index["classes"], ["a", "b"])
        self.assertCountEqual(made, [r.name for r in some_records(5)])
        self.assertEqual(compressed.splits(self.place), ["jpeg@quality=40"])
        found = list(compressed.pairs(self.place, "jpeg@quality=40"))
        self.assertLen(found, 5)
        for original, record in found:
            self.assertEqual(original.name, record.name)
            pixels = images.load_bytes(original.image).pixels
            self.assertEqual(record.data, self.codec.compress(pixels, **QUALITY))
        read = list(compressed.read(self.place, "jpeg@quality=40"))
        self.assertEqual(read, [record for _, record in found])
        self.assertEqual(records.verify(self.place, "jpeg@quality=40"), 5)

    def test_as_a_dataset(self):
        self.write()
        stream = compressed.dataset(self.place, "jpeg@quality=40")
        for parsed, record in zip(
            stream, compressed.read(self.place, "jpeg@quality=40"), strict=True
        ):
            decoded = self.codec.decompress(record.data)
            np.testing.assert_array_equal(parsed["image"], decoded)
            self.assertEqual(parsed["compressed/codec"].numpy(), b"jpeg")

    def test_resumes_where_the_last_whole_shard_ends(self):
        def stop(record):
            if record.name.endswith("3.jpg"):  # the second of the second shard
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.write(on_record=stop)
        self.assertEqual(compressed.splits(self.place), [])
        hidden = [path.name for path in self.folder.glob("records/.*")]
        first = "jpeg@quality=40-00000-of-00002.tfrecord"
        self.assertCountEqual(hidden, [".jpeg@quality=40.plan", f".{first}.part"])
        again = []
        self.write(on_record=lambda record: again.append(record.name))
        self.assertEqual(again, ["class 1/1.jpg", "class 1/3.jpg"])
        whole = [s["sha256"] for s in self.indexed()["shards"]]
        for path in self.folder.glob("records/jpeg*"):
            path.unlink()
        self.write()
        self.assertEqual([s["sha256"] for s in self.indexed()["shards"]], whole)

    def indexed(self):
        return records.read_index(self.place, "jpeg@quality=40")

    def test_what_is_there_is_not_made_again(self):
        first = self.write()
        with mock.patch.object(self.codec, "_encode", side_effect=AssertionError):
            self.assertEqual(self.write(), first)

    def test_never_mixes_versions_or_originals(self):
        self.write()
        with (
            mock.patch.object(compressed.version, "__version__", "0.0.0"),
            self.assertRaisesRegex(SemCompError, "another version"),
        ):
            self.write()
        compressed.write_originals(some_records(4), self.place, 2)
        with self.assertRaisesRegex(SemCompError, "another originals"):
            self.write()

    def test_never_takes_up_the_work_of_another_version(self):
        def stop(record):
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.write(on_record=stop)
        with (
            mock.patch.object(compressed.version, "__version__", "0.0.0"),
            self.assertRaisesRegex(SemCompError, "another version"),
        ):
            self.write()

    def test_broken_pictures_stop_or_are_named(self):
        encode = self.codec._encode

        def failing(image, quality, **settings):
            if np.array_equal(image, self.broken):
                raise SemCompError("no luck")
            return encode(image, quality, **settings)

        record = list(some_records(5))[2]
        self.broken = images.load_bytes(record.image).pixels
        with mock.patch.object(self.codec, "_encode", failing):
            with self.assertRaisesRegex(SemCompError, "class 0/2.jpg.*no luck"):
                self.write()
            index = self.write(skip_broken=True)
        self.assertEqual(index["broken"], ["class 0/2.jpg"])
        self.assertEqual(index["records"], 4)
        names = [r.name for _, r in compressed.pairs(self.place, "jpeg@quality=40")]
        self.assertCountEqual(names, {r.name for r in some_records(5)} - {record.name})

    def test_a_damaged_shard_is_named(self):
        self.write()
        shard = self.folder / "records" / "jpeg@quality=40-00001-of-00002.tfrecord"
        whole = shard.read_bytes()
        for damaged in (
            whole[:40] + bytes([whole[40] ^ 1]) + whole[41:],
            whole[:-1],
            b"",
        ):
            shard.write_bytes(damaged)
            with self.assertRaisesRegex(BitstreamError, "quality=40-00001-of-00002"):
                list(compressed.read(self.place, "jpeg@quality=40"))
        shard.unlink()
        with self.assertRaisesRegex(BitstreamError, "quality=40-00001-of-00002"):
            list(compressed.pairs(self.place, "jpeg@quality=40"))

    def test_originals_of_records(self):
        source = (str(self.folder / "source"), "train")
        records.write_shards(some_records(5), *source, 2, ["a", "b"])
        place = str(self.folder / "made")
        split = compressed.originals_split(source, place, 12)
        index = sharding.make([split])[compressed.ORIGINALS]
        self.assertEqual((index["records"], index["classes"]), (5, ["a", "b"]))
        found = {record.name: record for record in compressed.read_originals(place)}
        for record in some_records(5):
            expected = compressed.original(record, 12)
            self.assertEqual(found[record.name], expected)
        with self.subTest("damaged and unreadable ones"):
            bad = dataclasses.replace(next(some_records(1)), image=b"none", name="bad")
            pictures = [*some_records(2), bad, *some_records(1)]
            records.write_shards(pictures, *source, 1)
            shard = self.folder / "source" / "train-00000-of-00001.tfrecord"
            content = bytearray(shard.read_bytes())
            content[100] ^= 1
            shard.write_bytes(content)
            place = str(self.folder / "other")
            with self.assertRaisesRegex(SemCompError, "record 0: .*offset 0"):
                sharding.make([compressed.originals_split(source, place)])
            split = compressed.originals_split(source, place, skip_broken=True)
            index = sharding.make([split])[compressed.ORIGINALS]
            self.assertEqual((index["records"], index["dead_letters"]), (2, 2))
            letters = sharding.read_dead_letters(place, compressed.ORIGINALS)
            self.assertEqual([letter["key"] for letter in letters], ["record 0", "bad"])

    def test_what_a_split_measured(self):
        split = compressed.compressed_split(
            self.place, self.codec, "quality=40", QUALITY, metrics=["psnr"]
        )
        index = sharding.make([split])[split.name]
        found = list(compressed.read(self.place, split.name))
        means = index["means"]
        self.assertCountEqual(means, ["bytes", "bpp", "psnr"])
        sizes = [len(record.data) for record in found]
        self.assertAlmostEqual(means["bytes"], np.mean(sizes))
        values = [dict(record.metrics)["psnr"] for record in found]
        self.assertAlmostEqual(means["psnr"], np.mean(values), places=4)
        with self.assertRaisesRegex(SemCompError, "another metrics"):
            self.write()
        with self.assertRaisesRegex(ValueError, "`metrics`"):
            compressed.compressed_split(
                self.place, self.codec, "quality=40", QUALITY, metrics=["none"]
            )

    def test_names_of_splits_are_plain_and_differ(self):
        names = {
            compressed.split_name("rnn", "a/b:c", "quality=3"),
            compressed.split_name("rnn", "", "quality=3"),
            compressed.split_name("jpeg", "", "quality=3, optimise=False"),
        }
        self.assertLen(names, 3)
        for name in names:
            self.assertNotRegex(name, "[/: ]")

    def test_refuses_what_cannot_be(self):
        with self.assertRaisesRegex(SemCompError, "two records"):
            twice = [next(some_records(1))] * 2
            compressed.write_originals(twice, self.place, 1)
        with self.assertRaisesRegex(SemCompError, "holds no originals"):
            compressed.splits(str(self.folder))

    def test_a_codec_without_a_number(self):
        arguments = {"target_bytes": 4000}
        with mock.patch.object(self.codec, "search") as search:
            data = self.codec.compress(smooth_image(24, 36))
            search.return_value = base.Encoded(data, None)
            compressed.write_split(self.place, self.codec, "bytes=4000", arguments)
        read = list(compressed.read(self.place, "jpeg@bytes=4000"))
        self.assertTrue(all(math.isnan(record.quality) for record in read))
