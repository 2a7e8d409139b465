"""What of an earlier run a new one keeps, and what it says when it keeps nothing."""

import dataclasses

from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import reuse, table
from tfsemcomp.evaluation.table import Row, Table

META = {
    "versions": {"numpy": "1", "pillow": "2"},
    "models": {"rnn": "rnn-small 1 00000000"},
    "observers": ["mobilenet"],
    "labels": None,
    "label_maps": None,
    "roi_map": False,
    "repeats": 1,
    "seed": 0,
    "workers": [1],
    "images": {"a": "digest of a"},
}
GOOD = Row("a", "jpeg", "", "quality=5", metrics={"psnr": 30.0, "ssim": 0.5})


class ReuseTest(SemCompTestCase):
    def load(self, rows, old=META, new=META, columns=("psnr",), needs_files=False):
        table.write(self.folder, Table(tuple(rows), old))
        return reuse.load(self.folder, new, columns, needs_files)

    def test_nothing_from_nothing(self):
        self.assertEqual(reuse.load(self.folder, META, (), False), Table((), META))

    def test_whole_rows_stay(self):
        self.assertEqual(self.load([GOOD]), Table((GOOD,), META))

    @parameterized.parameters(
        ({"error": "Broken: x"}, {}),
        ({"metrics": {"ssim": 0.5}}, {}),
        # A picture whose file nobody knows.
        ({"image": "b"}, {}),
        ({"file": ""}, {"needs_files": True}),
        ({"file": "files/gone.jpg"}, {"needs_files": True}),
    )
    def test_others_go(self, facts, options):
        (self.folder / "there.jpg").write_bytes(b"x")
        row = Row(**{"image": "a", "codec": "x", "metrics": {"psnr": 1.0}, **facts})
        good = dataclasses.replace(GOOD, file="there.jpg")
        self.assertEqual(self.load([row, good], **options).rows, (good,))

    def test_a_picture_that_changed_goes(self):
        for digest in ("other", None):
            new = {**META, "images": {"a": digest}}
            self.assertEqual(self.load([GOOD], new=new).rows, ())
        unreadable = {**META, "images": {"a": None}}
        self.assertEqual(self.load([GOOD], unreadable, unreadable).rows, ())

    def test_the_description_holds_for_old_and_new_rows(self):
        new = {
            **META,
            "images": {"b": "digest of b"},
            "models": {"layered": "layered-small 1 11111111"},
            "workers": [2],
        }
        found = self.load([GOOD], new=new)
        self.assertEqual(found.rows, (GOOD,))
        self.assertEqual(found.meta["images"], {**META["images"], **new["images"]})
        self.assertCountEqual(found.meta["models"], ["rnn", "layered"])
        self.assertEqual(found.meta["workers"], [1, 2])

    @parameterized.parameters(
        ({"versions": {"numpy": "9"}}, "numpy was 1 and is 9"),
        ({"models": {"rnn": "x"}}, "rnn was rnn-small 1 00000000 and is x"),
        ({"labels": "digest"}, "`labels` was None and is digest"),
        ({"observers": ["a", "mobilenet"]}, "`observers` had no a"),
    )
    def test_what_would_give_other_values_drops_all(self, changed, message):
        with self.assertLogs(level="WARNING") as logged:
            found = self.load([GOOD], new={**META, **changed})
        self.assertEqual(found, Table((), {**META, **changed}))
        self.assertIn(message, logged.output[0])

    @parameterized.parameters(
        {"versions": {"numpy": "1", "jpeglib": "3"}}, {"observers": []}
    )
    def test_what_could_not_have_mattered_drops_nothing(self, **changed):
        self.assertEqual(self.load([GOOD], new={**META, **changed}).rows, (GOOD,))

    def test_a_table_of_unknown_origin_is_made_again(self):
        with self.assertLogs(level="WARNING") as logged:
            self.assertEqual(self.load([GOOD], old={}).rows, ())
        self.assertIn("does not say what made it", logged.output[0])

    def test_a_damaged_table_is_an_error(self):
        (self.folder / table.JSON_NAME).write_text("{", encoding="utf-8")
        with self.assertRaisesRegex(SemCompError, "no JSON"):
            reuse.load(self.folder, META, (), False)
