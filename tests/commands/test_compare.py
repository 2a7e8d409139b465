import pathlib
from unittest import mock

from tests.test_cli import CliTestCase
from tfsemcomp import installed
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import comparison, table


class CompareTest(CliTestCase):
    def test_a_page_of_files_of_the_same_bytes(self):
        out = self.folder / "out"
        facts = self.succeed(
            "compare",
            f"--images={self.picture}",
            f"--out={out}",
            "--qualities=60, 30",
            "--map=contrast",
        )
        self.assertEqual(facts, {"report": str(out / "report.html")})
        plain, ours, *others = table.read(out).rows
        self.assertEqual((plain.codec, plain.quality), ("jpeg", 60))
        self.assertEqual(ours.codec, "msroi_jpeg")
        self.assertLessEqual(ours.size_bytes, plain.size_bytes)
        self.assertLen(others, 2)

    def test_wrong_arguments(self):
        command = ("compare", f"--out={self.folder / 'out'}")
        for qualities in ("", "50,", "fifty", "50.5", "-1"):
            self.refuse(2, "`qualities`", *command, f"--qualities={qualities}")
        self.refuse(1, "nowhere", *command, "--images=nowhere")
        one = f"--images={self.picture}"
        self.refuse(1, "limit", *command, one, "--max_side=40")
        with self.assertRaisesRegex(ValueError, "`qualities`"):
            comparison.compare(self.folder / "out", self.picture, [])


class PhotosTest(CliTestCase):
    def test_three_photos_come_with_the_package(self):
        self.assertLen(list(comparison.photos().glob("*.png")), 3)

    def test_where_they_are_looked_for_is_named(self):
        with (
            mock.patch.object(installed, "_ROOT", pathlib.Path("/nowhere")),
            self.assertRaisesRegex(SemCompError, "/nowhere/recipes/demo_photos"),
        ):
            comparison.photos()
