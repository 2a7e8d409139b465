"""The results table: what is written is what is read."""

import csv
import json
import math

from tests.harness import SemCompTestCase
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import table
from tfsemcomp.evaluation.table import Row, Table

GOOD = Row(
    image='odd, "name" | <b>.png',
    codec="jpeg",
    model="",
    setting="quality=50",
    quality=50.0,
    width=16,
    height=8,
    size_bytes=320,
    payload_bytes=300,
    encode_s=0.1 + 0.2,
    decode_s=1e-7,
    file="files/jpeg/x.jpg",
    metrics={"psnr": 1 / 3, "ssim": 0.5},
)
SAME = Row("b.png", "png", width=2, height=2, size_bytes=9, metrics={"psnr": math.inf})
FAILED = Row("c.png", "jpeg", setting="quality=50", error="BitstreamError: line 1\n2")
TABLE = Table((GOOD, SAME, FAILED), {"repeats": 3})


class TableTest(SemCompTestCase):
    def test_rates_are_bits_of_the_file_per_pixel(self):
        self.assertEqual(GOOD.bpp, 320 * 8 / (16 * 8))
        self.assertIsNone(FAILED.bpp)

    def test_csv_round_trip_is_exact(self):
        self.assertEqual(table.from_csv(table.to_csv(TABLE)).rows, TABLE.rows)

    def test_json_round_trip_is_exact(self):
        self.assertEqual(table.from_json(table.to_json(TABLE)), TABLE)

    def test_infinity_is_a_string_in_json_and_inf_in_csv(self):
        rows = json.loads(table.to_json(TABLE))["rows"]
        self.assertEqual(rows[1]["psnr"], "inf")
        lines = list(csv.DictReader(table.to_csv(TABLE).splitlines()))
        self.assertEqual(lines[1]["psnr"], "inf")
        self.assertEqual(lines[1]["ssim"], "")

    def test_columns_hold_the_metrics_of_all_rows(self):
        names = table.columns(TABLE)
        self.assertEqual(names[:4], ("image", "codec", "model", "setting"))
        self.assertEqual(names[-4:], ("psnr", "ssim", "file", "error"))

    def test_folder_round_trip(self):
        table.write(self.folder / "new" / "out", TABLE)
        self.assertEqual(table.read(self.folder / "new" / "out"), TABLE)
        (self.folder / "new" / "out" / table.JSON_NAME).unlink()
        self.assertEqual(table.read(self.folder / "new" / "out").rows, TABLE.rows)

    def test_refuses_what_is_no_table(self):
        with self.assertRaisesRegex(SemCompError, "tfsemcomp evaluate"):
            table.read(self.folder)
        for text, message in (
            ("not json", "no JSON"),
            ("[1]", "no results table"),
            ('{"format": "tfsemcomp-results", "version": 99}', "update tfsemcomp"),
            (
                '{"format": "tfsemcomp-results", "version": 1, "rows": [{"width": 1}]}',
                "row 1 .* damaged",
            ),
            ('{"format": "tfsemcomp-results", "version": 1, "rows": [3]}', "row 1"),
        ):
            (self.folder / table.JSON_NAME).write_text(text, encoding="utf-8")
            with self.assertRaisesRegex(SemCompError, message):
                table.read(self.folder)
        (self.folder / table.JSON_NAME).unlink()
        for text, message in (
            ("a,b\n1,2\n", "lacks image, codec"),
            ("image,codec,bytes\na,b,many\n", "row 1"),
        ):
            (self.folder / table.CSV_NAME).write_text(text, encoding="utf-8")
            with self.assertRaisesRegex(SemCompError, message):
                table.read(self.folder)

    def test_refuses_a_folder_that_cannot_be_made(self):
        (self.folder / "file").write_text("x", encoding="utf-8")
        with self.assertRaisesRegex(SemCompError, "cannot make the folder"):
            table.write(self.folder / "file" / "out", TABLE)
