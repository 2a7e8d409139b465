import numpy as np

from tests.data import fake_layouts
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.data import contact_sheet, planes, records, survey
from tfsemcomp.errors import SemCompError


def some_records(count=5, **changes):
    for number in range(count):
        picture = images.encode(smooth_image(24, 32, number), "png")
        fields = {
            "label": number % 2,
            "class_text": "Katze" if number % 2 else "猫",
            "captions": ("one", "two"),
            "label_map": planes.encode(fake_layouts.label_plane(number)),
            "instances": planes.encode(np.full((24, 32), 26001, np.uint16)),
        }
        yield records.Record(picture, f"{number}.png", 24, 32, **{**fields, **changes})


class SurveyTest(SemCompTestCase):
    def survey(self, stream, **options):
        records.write_shards(stream, str(self.folder), "train", 2, ["猫", "Katze"])
        return survey.survey(str(self.folder), "train", **options)

    def again(self, **options):
        return survey.survey(str(self.folder), "train", **options).problems

    def test_counts_and_sizes(self):
        found = self.survey(some_records(), decode=True, keep={0, 3})
        self.assertEmpty(found.problems)
        summary = found.summary()
        self.assertEqual((summary["records"], summary["expected"]), (5, 5))
        self.assertEqual(summary["formats"], {"PNG": 5})
        self.assertEqual(summary["height"], {"least": 24, "median": 24, "most": 24})
        self.assertEqual(
            summary["records_of_a_class"], {"least": 2, "median": 2.5, "most": 3}
        )
        self.assertEqual(summary["captions"], 10)
        features = summary["features"]
        self.assertEqual((features["label"], features["label_map/encoded"]), (5, 5))
        self.assertNotIn("edges/encoded", features)
        # In the order of the shards: 0, 2, 4, then 1, 3.
        self.assertEqual([record.name for record in found.kept], ["0.png", "1.png"])
        self.assertEmpty(found.prints)

    def test_fingerprints(self):
        found = self.survey(some_records(3), fingerprints=True)
        names = [name for name, _, _ in found.prints]
        self.assertEqual(names, ["0.png", "2.png", "1.png"])

    def test_damage_is_named_with_its_place(self):
        self.survey(some_records())
        shard = self.folder / "train-00001-of-00002.tfrecord"
        whole = shard.read_bytes()
        changed = bytearray(whole)
        changed[100] ^= 1
        shard.write_bytes(changed)
        problems = self.again()
        self.assertLen(problems, 2)
        self.assertRegex(problems[0], f"{shard.name}, offset 0: .*checksum")
        self.assertIn("1 whole records instead of 2", problems[1])
        shard.write_bytes(whole[:-1])
        self.assertRegex(self.again()[0], f"{shard.name}, offset [1-9].*too early")
        shard.unlink()
        self.assertRegex("".join(self.again()), f"{shard.name}: the shard is missing")

    def test_another_shard_with_whole_records(self):
        self.survey(some_records(4))
        records.write_shards(some_records(4, label=7), str(self.folder), "other", 2)
        other = self.folder / "other-00000-of-00002.tfrecord"
        other.rename(self.folder / "train-00000-of-00002.tfrecord")
        (problem,) = self.again()
        self.assertRegex(problem, "train-00000-of-00002.*SHA-256")

    def test_what_does_not_fit_the_record(self):
        small = planes.encode(np.zeros((5, 6), np.uint8))
        for expected, changes in (
            ("its picture has 24x32", {"height": 25}),
            ("its label_map has 5x6", {"label_map": small}),
            ("its edges is no PNG", {"edges": b"PNG"}),
            ("is empty|no image", {"image": b""}),
            ("2 names are of several|1 names are of several", {"name": "same"}),
        ):
            with self.subTest(**{k: str(v) for k, v in changes.items()}):
                stream = [
                    records.Record(**{**vars(record), **changes})
                    for record in some_records(2)
                ]
                found = self.survey(stream, decode=True)
                self.assertRegex("\n".join(found.problems), expected)

    def test_no_records(self):
        with self.assertRaisesRegex(SemCompError, "no such index"):
            survey.survey(str(self.folder), "train")


class ContactSheetTest(SemCompTestCase):
    def test_pictures_and_maps_stand_side_by_side(self):
        stream = list(some_records(4))
        sheet = contact_sheet.draw([("train", stream), ("test", stream[:1])])
        self.assertEqual(sheet.shape[1], 8 * contact_sheet.TILE)
        # A heading, two rows of two records (three tiles each), a heading, a row.
        tile = contact_sheet.TILE
        row, heading = tile + 14, 18
        self.assertEqual(sheet.shape[0], 2 * heading + 3 * row)
        first = sheet[heading + 2 : heading + 2 + 24, 2:34]
        np.testing.assert_array_equal(first, smooth_image(24, 32, 0))
        labels = sheet[heading + 2 : heading + 26, tile + 2 : tile + 34]
        expected = len(set(fake_layouts.label_plane(0).flat))
        self.assertLen(np.unique(labels.reshape(-1, 3), axis=0), expected)
        self.assertTrue((sheet[heading : heading + row, 6 * tile :] == 255).all())
