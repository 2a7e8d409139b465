"""The report page as a file: whole, offline, with everything in it."""

import base64
import html.parser
import json
import re
from unittest import mock

import numpy as np

from tests.evaluation.result_folders import NAMES, fill
from tests.harness import SemCompTestCase
from tfsemcomp import images
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import layout, report, table
from tfsemcomp.evaluation.table import Row, Table


class PageTest(SemCompTestCase):
    def test_writes_one_file_that_loads_nothing(self):
        fill(self.folder)
        before = set(self.folder.iterdir())
        path = report.write_report(self.folder, title="A <b> title")
        self.assertEqual(set(self.folder.iterdir()) - before, {path})
        text = path.read_text(encoding="utf-8")
        self.assertIn("<title>A &lt;b&gt; title</title>", text)
        self.assertIn("default-src 'none'", text)
        self.assertNotRegex(text, r"@@[A-Z]+@@")
        for link in _Links.of(text):
            self.assertRegex(link, "^data:")
        plain = re.sub(r"data:[\w/+]+;base64,[\w/+=]+", "", text)
        self.assertEqual(
            set(re.findall(r"https?://[^\s\"']+", plain)),
            {"http://www.w3.org/2000/svg"},
        )

    def test_data_hold_all_rows_and_files(self):
        results = fill(self.folder)
        content = _data(report.write_report(self.folder))
        self.assertLen(content["rows"], len(results.rows))
        self.assertLen(_files(content), 8)
        self.assertEqual(list(content["pictures"]), list(NAMES))
        labels = [metric["label"] for metric in content["metrics"]]
        self.assertEqual(labels[:3], ["ROI PSNR", "Background PSNR", "PSNR"])
        rows = content["rows"]
        self.assertIn("inf", [row["metrics"].get("psnr") for row in rows])
        self.assertIn("Boom: <i>bad</i>", [row["error"] for row in rows])

    def test_shows_as_many_pictures_as_asked_for(self):
        results = fill(self.folder)
        for count, expected in ((0, 0), (1, 1), (None, 2)):
            content = _data(report.write_report(self.folder, pictures=count))
            self.assertLen(content["pictures"], expected)
            self.assertLen(_files(content), 4 * expected)
            self.assertLen(content["rows"], len(results.rows))

    def test_stops_inlining_where_pages_get_slow(self):
        results = fill(self.folder)
        with mock.patch.object(report, "_MOST_INLINED", 100):
            content = _data(report.write_report(self.folder, pictures=None))
        self.assertLen(content["pictures"], 1)
        self.assertLen(content["rows"], len(results.rows))

    def test_leaves_out_files_that_do_not_decode(self):
        results = fill(self.folder, suffix=".tiff")
        (self.folder / results.rows[0].file).write_bytes(b"damaged")
        self.assertLen(_files(_data(report.write_report(self.folder))), 7)

    def test_decodes_what_browsers_do_not_show(self):
        fill(self.folder, suffix=".tiff")
        for name in NAMES:
            self.assertTrue(layout.original(self.folder, name).is_file())
        content = _data(report.write_report(self.folder))
        for source in _files(content):
            self.assertRegex(source, "^data:image/webp;base64,")

    def test_never_reads_outside_its_folder(self):
        fill(self.folder / "out")
        (self.folder / "secret.jpg").write_bytes(b"secret")
        rows = (Row(NAMES[0], "jpeg", size_bytes=1, file="../secret.jpg"),)
        table.write(self.folder / "out", Table(rows))
        content = _data(report.write_report(self.folder / "out"))
        self.assertEqual(_files(content), [])

    def test_works_without_kept_files(self):
        table.write(self.folder, Table((Row("a.png", "jpeg", size_bytes=9),)))
        content = _data(report.write_report(self.folder))
        self.assertEqual((content["pictures"], _files(content)), ({}, []))

    def test_refuses_folders_without_results(self):
        with self.assertRaisesRegex(SemCompError, "tfsemcomp evaluate"):
            report.write_report(self.folder)
        table.write(self.folder, Table(()))
        with self.assertRaisesRegex(SemCompError, "no rows"):
            report.write_report(self.folder)
        with self.assertRaisesRegex(ValueError, "`pictures`"):
            report.write_report(self.folder, pictures=-1)
        fill(self.folder)
        with self.assertRaisesRegex(ValueError, "`anchors` .* 'clic'"):
            report.write_report(self.folder, anchors="clic")
        with self.assertRaisesRegex(ValueError, "`reference` .* jpeg, msroi_jpeg,"):
            report.write_report(self.folder, reference="gif")

    def test_inlines_layers_of_pictures_and_of_files(self):
        results = fill(self.folder)
        row = results.rows[0]
        labels = np.zeros((48, 64, 3), np.uint8)
        labels[:, 32:] = 7
        for path in (
            layout.row_layer(self.folder, row, "labels"),
            layout.picture_layer(self.folder, NAMES[0], "edges"),
        ):
            images.write(path, labels)
        caption = layout.row_layer(self.folder, row, "caption", ".txt")
        caption.write_text("A <b>disc</b>.\n", encoding="utf-8")
        content = _data(report.write_report(self.folder))
        found = {layer["name"]: layer for layer in content["rows"][0]["layers"]}
        self.assertEqual(list(found), ["caption", "labels"])
        self.assertEqual(found["caption"]["text"], "A <b>disc</b>.")
        coloured = _pixels(found["labels"]["picture"])
        colours = np.unique(coloured.reshape(-1, 3), axis=0)
        self.assertLen(colours, 2)
        self.assertGreater(np.ptp(colours.astype(int), axis=1).min(), 100)
        self.assertEqual(content["rows"][1]["layers"], [])
        first, second = (content["pictures"][name]["layers"] for name in NAMES)
        self.assertEqual([layer["label"] for layer in first], ["Edges", "Map"])
        np.testing.assert_array_equal(_pixels(first[0]["picture"]), labels)
        self.assertEqual([layer["name"] for layer in second], ["map"])
        heat = _pixels(second[0]["picture"])
        self.assertGreater(heat[0, 0].sum(), heat[0, -1].sum())


class _Links(html.parser.HTMLParser):
    """Collects what a page would load or lead to."""

    @classmethod
    def of(cls, text: str) -> list[str]:
        parser = cls()
        parser.links = []
        parser.feed(text)
        return parser.links

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]


def _data(page) -> dict:
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(found[1])


def _pixels(source: str) -> np.ndarray:
    return images.load_bytes(base64.b64decode(source.partition(",")[2])).pixels


def _files(content: dict) -> list[str]:
    return [row["picture"] for row in content["rows"] if "picture" in row]
