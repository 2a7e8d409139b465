"""The MSROI records: three formats, one content; averages and figures."""

import math
import sys
from unittest import mock

from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp import images
from tfsemcomp.errors import SemCompError, UnavailableError
from tfsemcomp.evaluation import msroi_log, table
from tfsemcomp.evaluation.table import Row, Table

JPEG = (30.5, 0.9, 0.98, 0.6, 34.0, 42.0)
OURS = (30.75, 0.8, 0.99, 0.7, 34.5, 42.5)
# A line as the original wrote it, and one whose name has blanks and a pipe unquoted.
LEGACY = (
    "images/kodim01.png 6 600000 40000 40400 50 54 "
    "| 30.5 0.9 0.98 0.6 34.0 42.0 | 30.75 0.8 0.99 0.7 34.5 42.5 |\n"
    "my | odd name 02.png 6 500000 30000 30300 50 53 "
    "| 31.5 0.9 0.98 0.6 34.0 42.0 | 31.5 0.8 0.99 0.7 34.5 42.5 |\n"
)


def record(name: str, **changes: float | None) -> msroi_log.Record:
    """A record with all values known."""
    values = (6, 600000, 40000, 40400, 50.0, 54.0, *JPEG, *OURS)
    known = dict(zip(msroi_log.COLUMNS[1:], values, strict=True))
    return msroi_log.Record(name, {**known, **changes})


def row(codec: str, size: int, image: str = "a.png", quality: float = 50) -> Row:
    """A row of a results table with the six metrics."""
    values = JPEG if codec == "jpeg" else OURS
    return Row(
        image=image,
        codec=codec,
        quality=quality,
        width=8,
        height=8,
        size_bytes=size,
        metrics=dict(zip(msroi_log.METRICS.values(), values, strict=True)),
    )


HOSTILE = ("plain.png", "two words.png", "pi|pe.png", 'quo"te, comma.png', "ümlaut.png")


class FormatTest(SemCompTestCase):
    def test_there_are_the_original_19_columns(self):
        self.assertEqual(
            set(msroi_log.COLUMNS),
            {
                *("filename", "model_number", "png_size"),
                *("jpeg_size", "jpeg_q", "jpeg_psnr", "jpeg_ssim", "jpeg_msssim"),
                *("jpeg_vifp", "jpeg_psnrhvs", "jpeg_psnrhvsm"),
                *("our_size", "our_q", "our_psnr", "our_ssim", "our_msssim"),
                *("our_vifp", "our_psnrhvs", "our_psnrhvsm"),
            },
        )

    @parameterized.parameters("to_csv", "to_json_lines", "to_pipes")
    def test_round_trip(self, writer):
        records = [record(name) for name in HOSTILE]
        records.append(record("gaps.png", png_size=None, our_q=None, our_vifp=None))
        records.append(record("same.png", our_psnr=math.inf))
        path = self.folder / "log"
        path.write_text(getattr(msroi_log, writer)(records), encoding="utf-8")
        self.assertEqual(msroi_log.read(path), records)

    def test_reads_the_original_format(self):
        first, second = msroi_log.parse(LEGACY)
        self.assertEqual(first, record("images/kodim01.png"))
        self.assertEqual(second.filename, "my | odd name 02.png")
        self.assertEqual(second.values["our_size"], 30300)

    def test_writes_the_original_format(self):
        text = msroi_log.to_pipes([record("images/kodim01.png")])
        self.assertEqual(msroi_log.parse(text), [record("images/kodim01.png")])
        self.assertEqual(text.count("|"), 3)

    def test_an_empty_log_has_no_records(self):
        self.assertEqual(msroi_log.parse("\n\n"), [])

    @parameterized.parameters(
        "a.png 6 1 2 | 3",
        LEGACY.replace("0.9 ", "", 1),
        LEGACY.replace("600000", "many"),
        '{"filename": "a"}',
        "[1, 2]",
        ",".join(msroi_log.COLUMNS) + "\na,b\n",
    )
    def test_refuses_other_lines(self, text):
        with self.assertRaisesRegex(SemCompError, r"line \d+ is no record"):
            msroi_log.parse(text)

    def test_refuses_files_that_cannot_be_read(self):
        with self.assertRaisesRegex(SemCompError, "cannot read"):
            msroi_log.read(self.folder / "nope")


class RecordsTest(SemCompTestCase):
    def test_pairs_the_reference_nearest_in_size(self):
        rows = [row("jpeg", 900, quality=40), row("jpeg", 1000), row("msroi_jpeg", 990)]
        (found,) = msroi_log.from_rows(rows, png_sizes={"a.png": 5000})
        self.assertEqual(found.values["jpeg_size"], 1000)
        self.assertEqual(found.values["png_size"], 5000)
        self.assertEqual(found.values["our_size"], 990)
        self.assertEqual(found.values["jpeg_q"], 50)
        self.assertEqual(found.gain("psnr"), 0.25)

    def test_leaves_out_what_does_not_compare(self):
        rows = [
            row("jpeg", 1000),
            row("msroi_jpeg", 1100),
            row("msroi_jpeg", 1000, image="b.png"),
            Row("a.png", "msroi_jpeg", error="no"),
        ]
        self.assertEqual(msroi_log.from_rows(rows), [])

    def test_takes_png_sizes_from_the_result_folder(self):
        from tests.harness import smooth_image
        from tfsemcomp.evaluation import layout

        path = layout.original(self.folder, "a.png")
        path.parent.mkdir()
        images.write(path, smooth_image(8, 8))
        rows = (row("jpeg", 1000), row("msroi_jpeg", 1000))
        table.write(self.folder, Table(rows))
        (found,) = msroi_log.from_folder(self.folder)
        self.assertEqual(found.values["png_size"], path.stat().st_size)


class AveragesTest(SemCompTestCase):
    def test_means_over_all_and_by_category(self):
        records = [
            record("kodim01.png", our_psnr=30.0),
            record("x/kodim02.png", our_psnr=33.0, our_q=None),
            record("x/other.png", our_psnr=36.0, our_q=None),
        ]
        found = msroi_log.averages(records, msroi_log.kodak_category)
        self.assertEqual(list(found), ["all", "01", "02"])
        self.assertEqual(found["all"]["our_psnr"], 33.0)
        self.assertEqual(found["02"]["our_psnr"], 33.0)
        self.assertEqual(found["all"]["our_q"], 54.0)
        self.assertIsNone(found["02"]["our_q"])
        self.assertEqual(
            list(msroi_log.averages(records, {"x/other.png": "else"})), ["all", "else"]
        )

    @parameterized.parameters(
        ("kodim07.png", "07"),
        ("24.png", "24"),
        ("kodim25.png", ""),
        ("12/photo.png", ""),
        ("kodim113.png", ""),
    )
    def test_kodak_categories(self, name, expected):
        self.assertEqual(msroi_log.kodak_category(name), expected)


class FiguresTest(SemCompTestCase):
    def test_one_figure_a_metric_with_losses_in_red(self):
        from PIL import Image

        records = [record("a.png"), record("b.png", our_psnr=20.0, our_vifp=None)]
        paths = msroi_log.plot_gains(records, self.folder / "new", name="mine")
        self.assertEqual(
            [path.name for path in paths],
            [f"plot_mine_{metric}.png" for metric in msroi_log.METRICS],
        )
        losses = Image.open(paths[1]).convert("RGB")
        self.assertEqual(losses.size, (2500, 300))
        self.assertTrue(_has(losses, (0xD0, 0x3B, 0x3B)))
        self.assertFalse(_has(losses, (0x2A, 0x78, 0xD6)))
        gains = Image.open(paths[2]).convert("RGB")
        self.assertFalse(_has(gains, (0xD0, 0x3B, 0x3B)))
        self.assertTrue(_has(gains, (0x2A, 0x78, 0xD6)))

    def test_says_what_to_install(self):
        blocked = {"matplotlib.figure": None, "matplotlib.backends.backend_agg": None}
        with (
            mock.patch.dict(sys.modules, blocked),
            self.assertRaisesRegex(UnavailableError, r"tfsemcomp\[bench\]"),
        ):
            msroi_log.plot_gains([record("a.png")], self.folder)


def _has(picture, colour) -> bool:
    return colour in {found for _, found in picture.getcolors(1 << 24)}
