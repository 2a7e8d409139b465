import re

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.evaluation import msroi_log, table


class DemoTest(SemCompTestCase):
    def test_same_bytes_and_a_report(self):
        images.write(self.folder / "a photo.png", smooth_image(96, 128))
        out = self.folder / "out"
        output = self.run_recipe_test(
            "recipes/demo.py",
            f"--images={self.folder / 'a photo.png'}",
            "--qualities=30,60",
            "--map=contrast",
            f"--out={out}",
        )
        page = re.search(r"Report: (.*report\.html)", output)[1]
        self.assertEqual(page, str((out / "report.html").resolve()))
        rows = table.read(out).rows
        self.assertLen(rows, 4)
        for plain, ours in (rows[:2], rows[2:]):
            self.assertEqual((plain.codec, ours.codec), ("jpeg", "msroi_jpeg"))
            self.assertLessEqual(ours.size_bytes, plain.size_bytes)
            self.assertGreater(ours.size_bytes, 0.97 * plain.size_bytes)
            self.assertEqual(images.read(out / ours.file).shape, (96, 128, 3))
        self.assertLen(msroi_log.read(out / "msroi_records.csv"), 2)
        self.assertIn("a photo.png", (out / "report.html").read_text(encoding="utf-8"))

    def test_smoke_takes_one_photo_at_one_quality(self):
        (self.folder / "photos").mkdir()
        for name in ("a.png", "b.png"):
            images.write(self.folder / "photos" / name, smooth_image(48, 48))
        out = self.folder / "out"
        flags = [f"--images={self.folder / 'photos'}", "--map=contrast", "--smoke"]
        self.run_recipe_test("recipes/demo.py", f"--out={out}", *flags)
        rows = table.read(out).rows
        self.assertEqual([row.image for row in rows], ["a.png", "a.png"])
        self.assertEqual(rows[0].quality, 30)
