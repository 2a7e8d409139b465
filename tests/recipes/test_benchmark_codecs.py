import re

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.codecs import base
from tfsemcomp.evaluation import anchors, table


class BenchmarkCodecsTest(SemCompTestCase):
    def run_recipe(self, *flags: str) -> str:
        return self.run_recipe_test(
            "recipes/benchmark_codecs.py",
            f"--images={self.folder / 'photos'}",
            f"--out={self.folder / 'out'}",
            f"--docs={self.folder / 'docs'}",
            "--map=contrast",
            *flags,
        )

    def test_two_runs_measure_each_file_once(self):
        (self.folder / "photos").mkdir()
        for number in range(1, 25):
            path = self.folder / "photos" / f"kodim{number:02}.png"
            images.write(path, smooth_image(16, 24, seed=number))
        self.run_recipe("--codecs=webp", "--limit=1")
        first = table.read(self.folder / "out").rows
        self.assertLen(first, 7)
        output = self.run_recipe("--codecs=jpeg,webp,bpg")
        self.assertIn("RESULTS.md", output)
        rows = table.read(self.folder / "out").rows
        self.assertLen(rows, 24 * 2 * 7)
        self.assertEqual({row.error for row in rows}, {""})
        # Rows of the first run are there as they were, with their times.
        for row in first:
            self.assertIn(row, rows)
        codecs = list(dict.fromkeys(row.codec for row in rows))
        self.assertEqual(codecs, ["jpeg", "webp"])
        text = (self.folder / "docs" / "RESULTS.md").read_text(encoding="utf-8")
        with self.subTest("text"):
            self.assertIn("the 24 pictures of the Kodak set", text)
            self.assertRegex(text, r"\| bpg \| not measured: bpgenc and bpgdec")
            self.assertRegex(text, r"\| webp \| [−+±][\d.]+ % \(")
            for name in ("jpeg-pillow7", "jpeg-prog-opt", "webp-pillow7", "webp-m6"):
                self.assertIn(f"| *{name}*: ", text)
            self.assertNotIn(str(self.folder), text)
        with self.subTest("figures"):
            linked = re.findall(r"\]\((images/[^)]*)\)", text)
            self.assertLen(linked, 5)
            for name in linked:
                self.assertTrue((self.folder / "docs" / name).is_file())
                svg = (self.folder / "docs" / name).with_suffix(".svg")
                self.assertTrue(svg.is_file())
        self.assertTrue((self.folder / "out" / "report.html").is_file())

    def test_models_of_one_rate_make_one_curve(self):
        (self.folder / "photos").mkdir()
        images.write(self.folder / "photos" / "p.png", smooth_image(64, 64))
        self.run_recipe("--codecs=hyperprior", "--smoke")
        self.assertFalse((self.folder / "docs").exists())
        rows = table.read(self.folder / "out" / "smoke").rows
        self.assertEqual([row.quality for row in rows if not row.model], [1.0, 8.0])
        self.assertEqual({row.error for row in rows}, {""})
        models = {row.model for row in rows}
        self.assertContainsSubset({"", "hyperprior-small-1"}, models)
        written = self.folder / "out" / "smoke" / "RESULTS.md"
        text = written.read_text(encoding="utf-8")
        _, _, speeds = text.partition("## Speed")
        names = re.findall(r"^\| (hyperprior[^|]*) \|", speeds, re.M)
        self.assertEqual(names, ["hyperprior", "hyperprior hyperprior-small-N"])

    def test_the_plan_names_every_codec_and_its_counterparts(self):
        lines = self.run_recipe("--plan").splitlines()[2:]
        cells = [line.strip("| ").split(" | ") for line in lines]
        self.assertEqual({line[0].split()[0] for line in cells}, {*base.codec_names()})
        quoted = {curve.name for curve in anchors.curves("kodak", "psnr")}
        named = {n for line in cells if len(line) == 4 for n in line[3].split(", ")}
        self.assertGreater(len(named), 5)
        self.assertContainsSubset(named, quoted)
        self.assertFalse((self.folder / "out").exists())
