import json
from unittest import mock

import tensorflow as tf

from tests.data import fake_layouts
from tests.harness import SemCompTestCase
from tfsemcomp.data import (
    building,
    layouts,
    preparation,
    reading,
    records,
    sharding,
)
from tfsemcomp.errors import SemCompError


class BuildingTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.photos = self.folder / "photos"
        for number in range(7):
            place = self.photos / f"class {number % 2}" / f"{number}.png"
            fake_layouts.write_image(place, number)

    def settings(self, out="out", **options):
        return building.Settings(
            out=str(self.folder / out),
            preparation=preparation.Preparation(height=16, width=16),
            **{"shards": 3, **options},
        )

    def build(self, out="out", run=sharding.run_here, **options):
        collection = layouts.read("class_folders", str(self.photos))
        indexes = building.build(collection, self.settings(out, **options), run)
        return indexes["train"]

    def files(self, out="out"):
        return {path.name: path.read_bytes() for path in (self.folder / out).iterdir()}

    def names(self, out="out"):
        stream = reading.serialized(str(self.folder / out), "train")
        parsed = map(records.from_parsed, stream.map(records.parse))
        return [record.name for record in parsed]

    def test_every_picture_once_with_all_that_is_known(self):
        index = self.build()
        self.assertEqual([shard["records"] for shard in index["shards"]], [3, 2, 2])
        self.assertEqual(index["classes"], ["class 0", "class 1"])
        self.assertEqual(index["dead_letters"], 0)
        self.assertEqual(records.verify(str(self.folder / "out"), "train"), 7)
        self.assertLen(set(self.names()), 7)
        stream = reading.serialized(str(self.folder / "out"), "train")
        record = records.from_parsed(records.parse(next(iter(stream))))
        self.assertEqual((record.height, record.width), (16, 21))
        self.assertEqual(record.label, int(record.class_text[-1]))
        self.assertEqual((record.split, record.dataset), ("train", "class_folders"))
        # Nothing but shards and index stays.
        self.assertLen(self.files(), 4)

    def test_the_order_of_the_shards_does_not_matter(self):
        self.build()

        def backwards(parts):
            sharding.run_here(parts[::-1])

        self.build("other", backwards)
        self.assertEqual(self.files("other"), self.files())
        self.build("third", seed=2)
        self.assertNotEqual(self.names("third"), self.names())
        self.assertCountEqual(self.names("third"), self.names())

    def test_a_stopped_run_goes_on_and_gives_the_same_files(self):
        self.build()
        for done in range(4):
            out = f"stopped {done}"

            def stop(parts, done=done):
                sharding.run_here(parts[:done])
                raise KeyboardInterrupt

            with self.assertRaises(KeyboardInterrupt):
                self.build(out, stop)
            made = []

            def count(parts, made=made):
                made.extend(parts)
                sharding.run_here(parts)

            self.build(out, count)
            with self.subTest(done=done):
                self.assertLen(made, 3 - done)
                self.assertEqual(self.files(out), self.files())

    def test_a_run_stopped_within_a_shard(self):
        self.build()
        serialize, calls = records.serialize, []

        def stop(record, further=None):
            calls.append(record)
            if len(calls) == 5:
                raise KeyboardInterrupt
            return serialize(record, further)

        with (
            mock.patch.object(records, "serialize", stop),
            self.assertRaises(KeyboardInterrupt),
        ):
            self.build("stopped")
        self.build("stopped")
        self.assertEqual(self.files("stopped"), self.files())

    def test_a_finished_split_is_left_as_it_is(self):
        first = self.build()

        def nothing(parts):
            self.assertEmpty(parts)

        self.assertEqual(self.build(run=nothing), first)
        for options in ({"seed": 5}, {"shards": 2}):
            name = [*options][0]
            with (
                self.subTest(**options),
                self.assertRaisesRegex(SemCompError, f"another {name}"),
            ):
                self.build(**options)
        fake_layouts.write_image(self.photos / "class 0" / "9.png")
        with self.assertRaisesRegex(SemCompError, "another items and count"):
            self.build()

    def test_broken_pictures_end_the_run_or_become_dead_letters(self):
        (self.photos / "class 1" / "1.png").write_text("no image")
        (self.photos / "class 0" / "2.png").write_bytes(b"")
        with self.assertRaisesRegex(SemCompError, "class ./..png.*`--skip_broken`"):
            self.build()
        index = self.build("other", skip_broken=True)
        self.assertEqual((index["records"], index["dead_letters"]), (5, 2))
        letters = sharding.read_dead_letters(str(self.folder / "other"), "train")
        found = {letter["key"]: letter["reason"] for letter in letters}
        self.assertCountEqual(found, ["class 1/1.png", "class 0/2.png"])
        self.assertIn("no image", found["class 1/1.png"])
        self.assertIn("empty", found["class 0/2.png"])
        self.assertCountEqual(
            self.names("other"),
            {p.relative_to(self.photos).as_posix() for p in self.photos.rglob("*.png")}
            - set(found),
        )
        self.assertEmpty(sharding.read_dead_letters(str(self.folder), "none"))

    def test_counts_must_add_up(self):
        def cheat(parts):
            sharding.run_here(parts)
            note = self.folder / "out" / ".train-00000-of-00003.tfrecord.part"
            content = json.loads(note.read_text())
            note.write_text(json.dumps({**content, "records": 1}))

        with self.assertRaisesRegex(SemCompError, "7 pictures, but 5 records and 0"):
            self.build(run=cheat)

    def test_nothing_readable_is_an_error(self):
        for path in self.photos.rglob("*.png"):
            path.write_bytes(b"GIF89a")
        with self.assertRaisesRegex(SemCompError, "no picture .* could be read"):
            self.build(skip_broken=True)
        self.assertFalse(tf.io.gfile.exists(str(self.folder / "out" / "train.json")))

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(ValueError, "`shards`"):
            self.settings(shards=0)
