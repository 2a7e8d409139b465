"""The tables as Markdown."""

import re

from tests.evaluation.result_folders import NAMES, fill, fill_kodak
from tests.harness import SemCompTestCase
from tfsemcomp.evaluation import markdown, summary, table
from tfsemcomp.evaluation.intervals import Estimate


class MarkdownTest(SemCompTestCase):
    def kodak(self) -> summary.Summary:
        fill_kodak(self.folder)
        return summary.summarise(table.read(self.folder))

    def lines(self, text: str) -> dict[str, list[str]]:
        """Cells of a table by the first one."""
        cells = [
            [cell.strip() for cell in line.strip("|").split(" | ")]
            for line in text.splitlines()
            if line.startswith("|")
        ]
        return {line[0]: line[1:] for line in cells}

    def test_bd_rates_tell_their_range_or_their_reason(self):
        text = markdown.bd_rates(self.kodak(), "jpeg")
        found = self.lines(text)
        self.assertEqual(found["codec"], ["PSNR", "MS-SSIM"])
        self.assertEqual(found["jpeg"], ["reference", "reference"])
        self.assertEqual(found["good"][0], "−50.0 % (27.0–42.0 dB)")
        self.assertEqual(found["good"][1], "−50.0 % (10.0–25.1 dB)")
        self.assertEqual(found["short"][0], "– (1)")
        self.assertRegex(text, r"\n\n\(1\) short has 2 points")
        self.assertRegex(found["*vtm* (quoted)"][0], r"^−[\d.]+ % \(")

    def test_bd_rates_of_chosen_curves(self):
        found = self.kodak()
        (metric,) = (m for m in found.metrics if m.name == "psnr")
        text = markdown.bd_rates(found, "vtm", [metric], ["good", "hm", "no such"])
        self.assertEqual(
            list(self.lines(text)), ["codec", "---", "good", "*hm* (quoted)"]
        )

    def test_equal_rates_leave_out_what_nobody_measured(self):
        found = self.kodak()
        (metric,) = (m for m in found.metrics if m.name == "psnr")
        lines = self.lines(markdown.at_rates(found, metric, (0.01, 0.5, 9.0)))
        self.assertEqual(lines["PSNR (dB)"], ["0.5 bpp", "9 bpp"])
        self.assertEqual(lines["good"], ["31.75", "–"])
        self.assertEqual(lines["jpeg"][0], "28.75")
        self.assertIn("*vtm* (quoted)", lines)

    def test_speeds(self):
        lines = self.lines(markdown.speeds(self.kodak()))
        self.assertEqual(lines["jpeg"], ["50.9 (50.9–50.9)", "102 (102–102)"])

    def test_shares_and_their_differences(self):
        found = Estimate(0.5, 0.4213, 1.0)
        self.assertEqual(markdown.share(found), "50.0 (42.1..100.0)")
        found = Estimate(-0.25, -0.3, 0.0)
        self.assertEqual(markdown.share(found, True), "−25.0 (−30.0..±0.0)")
        self.assertEqual(markdown.share(None), "–")

    def test_all_in_a_file(self):
        fill(self.folder)
        found = summary.summarise(table.read(self.folder))
        figures = [self.folder / "figures" / "rd_psnr.png"]
        path = markdown.write_markdown(
            found, self.folder, title="Mine", figures=figures
        )
        text = path.read_text(encoding="utf-8")
        self.assertStartsWith(text, "# Mine\n\n![rd_psnr](figures/rd_psnr.png)\n")
        heads = re.findall(r"^## (.*)$", text, re.M)
        self.assertEqual(heads[0], "BD-rate against jpeg")
        self.assertEqual(heads[-2:], ["Speed", "Failures"])
        self.assertIn(
            f"| webp | quality=1 | {NAMES[0]} | Boom: &lt;i>bad&lt;/i> |", text
        )

    def test_cells_stay_cells(self):
        text = markdown.table(["a", "b"], [["x|y", "two\nlines"], ["<b>", ""]])
        self.assertEqual(
            text.splitlines()[2:], ["| x\\|y | two lines |", "| &lt;b> |  |"]
        )

    def test_signs(self):
        self.assertEqual(markdown.signed(1.25), "+1.2")
        self.assertEqual(markdown.signed(-1), "−1.0")
        self.assertEqual(markdown.signed(-0.01), "±0.0")
