"""Figures for print: the same bytes each time, quoted curves unlike measured ones."""

import re
import sys
import xml.etree.ElementTree as ElementTree
from unittest import mock

from tests.evaluation.result_folders import fill_kodak
from tests.harness import SemCompTestCase
from tfsemcomp import images
from tfsemcomp.errors import UnavailableError
from tfsemcomp.evaluation import figures, summary, table
from tfsemcomp.evaluation.figures import Dial
from tfsemcomp.evaluation.intervals import Estimate
from tfsemcomp.evaluation.table import Table


class FiguresTest(SemCompTestCase):
    def found(self) -> summary.Summary:
        fill_kodak(self.folder)
        return summary.summarise(table.read(self.folder))

    def test_a_figure_of_each_metric_and_of_speed(self):
        found = self.found()
        paths = figures.write_figures(found, self.folder / "new", prefix="x_")
        names = ["x_rd_psnr", "x_rd_ms_ssim", "x_speed"]
        wanted = [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
        self.assertEqual([path.name for path in paths], wanted)
        for path in paths:
            self.assertLess(path.stat().st_size, 150_000)
            if path.suffix == ".png":
                self.assertEqual(images.read(path).shape, (585, 1050, 3))

    def test_the_same_bytes_each_time(self):
        found = self.found()
        first, second = (
            [p.read_bytes() for p in figures.write_figures(found, self.folder / name)]
            for name in ("a", "b")
        )
        self.assertEqual(first, second)

    def test_quoted_curves_are_dashed_and_named_so(self):
        (path, *_) = figures.write_figures(self.found(), self.folder, formats=["svg"])
        root = ElementTree.parse(path).getroot()
        texts = self.texts(path)
        for text in ("good", "vtm, quoted", "PSNR (dB)", "bits per pixel"):
            self.assertIn(text, texts)
        lines = [
            node.get("style", "") for node in root.iter() if node.tag.endswith("}path")
        ]
        dashed = [line for line in lines if "stroke-dasharray" in line]
        quoted = len(self.found().main_quoted("psnr"))
        # Each in the plot and in the legend.
        self.assertLen(dashed, 2 * quoted)

    def texts(self, path) -> list[str]:
        root = ElementTree.parse(path).getroot()
        return [node.text for node in root.iter() if node.tag.endswith("}text")]

    def test_doubling_rates_and_the_level_of_the_originals(self):
        (path, *_) = figures.write_figures(
            self.found(),
            self.folder,
            formats=["svg"],
            rate_scale="log2",
            levels={"psnr": 45.0},
        )
        texts = self.texts(path)
        for text in ("original", "0.5", "1", "2"):
            self.assertIn(text, texts)
        ticks = [float(text) for text in texts if re.fullmatch(r"[\d.]+", text or "")]
        self.assertContainsSubset({0.5, 0.75, 1.0, 1.5, 2.0}, ticks)
        with self.assertRaisesRegex(ValueError, "`rate_scale` .*'log10'"):
            figures.write_figures(self.found(), self.folder, rate_scale="log10")

    def test_dials(self):
        points = [(1.0, Estimate(0.8, 0.7, 0.9)), (0.0, Estimate(0.9, 0.85, 0.95))]
        levels = {"jpeg": Estimate(0.6, 0.5, 0.7)}
        dials = [
            Dial("MS-SSIM", {"rnn": points}, levels),
            Dial("accuracy", {"rnn": points, "rnn small": points[:1]}, {}),
        ]
        for name in ("a", "b"):
            paths = figures.write_dials(dials, self.folder / name)
            self.assertEqual([p.name for p in paths], ["tradeoff.png", "tradeoff.svg"])
        texts = self.texts(self.folder / "a" / "tradeoff.svg")
        for text in ("rnn", "rnn small", "jpeg", "MS-SSIM", "accuracy"):
            self.assertIn(text, texts)
        self.assertEqual(texts.count("machine_weight"), 2)
        for kind in figures.FORMATS:
            one, two = (self.folder / n / f"tradeoff.{kind}" for n in "ab")
            self.assertEqual(one.read_bytes(), two.read_bytes())

    def test_no_speed_without_a_common_yardstick(self):
        rows = [r for r in table.read(self._kodak()).rows if r.image < "kodim05"]
        found = summary.summarise(Table(tuple(rows)), dataset="kodak")
        paths = figures.write_figures(
            found, self.folder, reference="vtm", formats=["svg"]
        )
        self.assertEqual([p.stem for p in paths], ["rd_psnr", "rd_ms_ssim"])

    def _kodak(self):
        fill_kodak(self.folder)
        return self.folder

    def test_refuses_what_it_cannot_draw(self):
        found = self.found()
        with self.assertRaisesRegex(ValueError, "`formats`.*pdf"):
            figures.write_figures(found, self.folder, formats=["pdf"])
        with self.assertRaisesRegex(ValueError, "`reference`"):
            figures.write_figures(found, self.folder, reference="gif")
        with (
            mock.patch.dict(sys.modules, {"matplotlib": None}),
            self.assertRaisesRegex(UnavailableError, "bench"),
        ):
            figures.write_figures(found, self.folder)
