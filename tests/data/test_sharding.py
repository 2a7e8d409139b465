import json
import math

from absl.testing import parameterized

from tests.data import shard_makers
from tests.harness import SemCompTestCase
from tfsemcomp.data import records, sharding
from tfsemcomp.errors import BitstreamError, SemCompError


class SplitTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "out"

    def make(self, run=sharding.run_here, **options):
        return sharding.make([shard_makers.split(self.out, **options)], run)["train"]

    def test_every_element_once(self):
        index = self.make(classes=["a"], further={"more": 1})
        self.assertEqual([shard["records"] for shard in index["shards"]], [3, 2, 2])
        self.assertEqual(records.verify(str(self.out), "train"), 7)
        self.assertEqual((index["classes"], index["more"]), (["a"], 1))
        self.assertEqual(index[sharding.PLAN], {"seed": [1, 2]})
        self.assertEqual(index["means"], {"value": 1.0})
        # Shards and index, nothing hidden.
        self.assertLen(shard_makers.files(self.out), 4)
        self.assertEqual(self.make(run=self.assertEmpty), index)

    def test_dead_letters_say_where_and_why(self):
        index = self.make(broken=("1", "5"), skip_broken=True)
        self.assertEqual((index["records"], index["dead_letters"]), (5, 2))
        letters = sharding.read_dead_letters(str(self.out), "train")
        shards = ("train-00001-of-00003.tfrecord", "train-00002-of-00003.tfrecord")
        self.assertEqual(
            letters,
            [
                {"shard": shards[0], "key": "1", "reason": "no luck"},
                {"shard": shards[1], "key": "5", "reason": "no luck"},
            ],
        )
        self.assertEmpty(sharding.read_dead_letters(str(self.out), "val"))

    def test_without_them_the_first_one_ends_the_run(self):
        with self.assertRaisesRegex(SemCompError, "^1: no luck .`--skip_broken`"):
            self.make(broken=("1", "5"))
        self.assertFalse((self.out / "train.json").exists())
        with self.subTest("and may be left out afterwards"):
            index = self.make(broken=("1", "5"), skip_broken=True)
            self.assertEqual(index["records"], 5)
        with (
            self.subTest("but not silently"),
            self.assertRaisesRegex(SemCompError, "lacks 2 pictures"),
        ):
            self.make(broken=("1", "5"))

    def test_shards_with_dead_letters_are_made_again_where_none_are_wanted(self):
        def stop(parts):
            sharding.run_here(parts[:2])
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.make(stop, broken=("1",), skip_broken=True)
        numbers = []

        def count(parts):
            numbers.extend(part.number for part in parts)
            sharding.run_here(parts)

        self.assertEqual(self.make(count)["records"], 7)
        self.assertEqual(numbers, [1, 2])

    def test_other_plans_are_refused(self):
        self.make()
        with self.assertRaisesRegex(SemCompError, "another seed"):
            self.make(plan={"seed": 2})

    def test_failures_elsewhere_are_told_here(self):
        def elsewhere(parts):
            self.made = [sharding.try_part(part) for part in parts]

        with self.assertRaisesRegex(SemCompError, "^4: no luck"):
            self.make(elsewhere, broken=("4",))
        self.assertEqual([note is None for note in self.made], [False, True, False])
        with self.subTest("the shards that could be made are kept"):
            index = self.make(elsewhere)
            self.assertLen(self.made, 1)
            self.assertEqual(index["records"], 7)
            self.assertLen(shard_makers.files(self.out), 4)

    def test_old_failures_are_not_told_again(self):
        with self.assertRaisesRegex(SemCompError, "no luck"):
            self.make(lambda parts: [*map(sharding.try_part, parts)], broken=("4",))
        with self.assertRaisesRegex(SemCompError, "00001-of-00003.* was not made"):
            self.make(lambda parts: None)

    def test_what_a_killed_process_was_writing_goes(self):
        self.out.mkdir()
        for name in (
            ".train-00001-of-00003.tfrecord.0123456789ab",
            ".train-00001-of-00003.tfrecord.part.tmp",
        ):
            (self.out / name).write_bytes(b"half")
        (self.out / ".trainer-00001-of-00003.tfrecord.part").write_bytes(b"other")
        self.make()
        self.assertLen(shard_makers.files(self.out), 5)

    def test_infinite_means_are_null(self):
        self.make(transform=shard_makers.NameRecords(value=math.inf))
        text = (self.out / "train.json").read_text()
        self.assertEqual(json.loads(text)["means"], {"value": None})
        self.assertNotIn("Infinity", text)


class RecordShardTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "a.tfrecord"
        self.write("0", "1", "2")

    def write(self, *names):
        made = shard_makers.NameRecords()
        serialized = (made(shard_makers.Name(name)).serialized for name in names)
        records.write_shard(str(self.path), serialized)

    def damage(self, offset):
        content = bytearray(self.path.read_bytes())
        content[offset] ^= 1
        self.path.write_bytes(content)

    def elements(self, count=3, unique=False):
        return list(sharding.RecordShard(str(self.path), count, unique))

    def test_whole(self):
        self.assertEqual([record.name for record in self.elements()], ["0", "1", "2"])
        payloads = sharding.RecordShard(str(self.path), 3).payloads()
        names = [records.deserialize(payload).name for payload in payloads]
        self.assertEqual(names, ["0", "1", "2"])

    @parameterized.parameters(
        # One payload; one header, behind which nothing can be found; the end.
        (lambda size: size // 3 + 40, ["0", "record 1", "2"]),
        (lambda size: size // 3, ["0", "record 1", "record 2"]),
        (lambda size: size - 1, ["0", "1", "record 2"]),
    )
    def test_damage_counts_as_many_as_it_costs(self, where, names):
        self.damage(where(self.path.stat().st_size))
        found = self.elements()
        self.assertEqual([element.name for element in found], names)
        for element in found:
            broken = isinstance(element, sharding.Damaged)
            self.assertEqual(broken, element.name.startswith("record"))
            if broken:
                self.assertIn(str(self.path), element.reason)
        with self.assertRaisesRegex(BitstreamError, "a.tfrecord"):
            list(sharding.RecordShard(str(self.path), 3).payloads())

    def test_other_counts_than_the_index_says(self):
        self.assertEqual(self.elements(4)[-1].name, "record 3")
        with self.assertRaisesRegex(BitstreamError, "more records than the 2"):
            self.elements(2)
        with self.assertRaisesRegex(BitstreamError, "holds 3 records.* says 4"):
            list(sharding.RecordShard(str(self.path), 4).payloads())
        self.path.unlink()
        with self.assertRaisesRegex(BitstreamError, "shard is missing"):
            self.elements()

    def test_names_given_twice(self):
        self.write("0", "1", "0")
        self.assertEqual([element.name for element in self.elements()], ["0", "1", "0"])
        last = self.elements(unique=True)[-1]
        self.assertIsInstance(last, sharding.Damaged)
        self.assertIn("two records", last.reason)
