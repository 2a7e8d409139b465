"""The report page: whole, offline, without errors, and its controls at work."""

import dataclasses
import html.parser
import json
import math
import re
import unittest
from unittest import mock

from tests.evaluation import browser
from tests.harness import SemCompTestCase, smooth_image
from tests.metrics import pictures
from tfsemcomp import images, metrics
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import layout, report, sweep, table
from tfsemcomp.evaluation.table import Row, Table

NAMES = ("one.png", 'two </script><b> & "x".png')


def fill(folder, *, suffix: str = ".jpg") -> Table:
    """A result folder with two pictures, two codecs, two settings and a failure."""
    rows = []
    for index, name in enumerate(NAMES):
        pixels = smooth_image(48, 64, seed=index)
        roi_map = sweep_map(pixels)
        sweep.keep_picture(folder, name, pixels, roi_map)
        for codec, shift in (("jpeg", 0), ("msroi_jpeg", 1)):
            for quality in (30, 80):
                picture = pictures.jpeg(pixels, quality + shift)
                data = images.encode(pixels, "jpeg", quality=quality + shift)
                row = Row(
                    image=name,
                    codec=codec,
                    setting=f"quality={quality}",
                    quality=quality,
                    width=64,
                    height=48,
                    size_bytes=len(data),
                    metrics=metrics.measure(pixels, picture, roi_map=roi_map),
                )
                rows.append(sweep.keep_file(folder, row, data, suffix))
    rows[-1] = dataclasses.replace(
        rows[-1], metrics={**rows[-1].metrics, "psnr": math.inf}
    )
    rows.append(Row(NAMES[0], "webp", setting="quality=1", error="Boom: <i>bad</i>"))
    results = Table(tuple(rows))
    table.write(folder, results)
    return results


def sweep_map(pixels):
    """A map that is 1 in the left half."""
    roi_map = pixels[..., 0].astype("float32") * 0
    roi_map[:, :32] = 1
    return roi_map


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
        self.assertEqual(content["metrics"][0]["label"], "PSNR")
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
            self.assertRegex(source, "^data:image/png;base64,")

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


# What a reader does, in the page's own terms; results go into the body's data-*.
SCRIPT = """
const note = (name, value) => { document.body.dataset[name] = value; };
const press = (text, root = document) => [...root.querySelectorAll("button")]
  .find((button) => button.textContent === text).click();
const cells = (index) => [...document.querySelectorAll("#table tbody tr")]
  .map((line) => (line.children[index] || {}).textContent);
const rising = (list) => list.every((value, k) => k === 0 || list[k - 1] <= value);
const sizes = () => cells(3).map((text) => Number(text.replace(",", ""))).slice(0, 8);
note("rows", cells(0).length);
press("bytes");
note("sorted", rising(sizes()));
press("bytes");
note("reversed", rising(sizes().reverse()) && !rising(sizes()));
press("Means");
note("means", cells(0).length);
const search = document.querySelector("#table-tools input");
search.value = "msroi";
search.dispatchEvent(new Event("input"));
note("filtered", cells(0).length);

const stages = () => [...document.querySelectorAll(".stage")];
note("panels", stages().length);
const box = stages()[1].getBoundingClientRect();
const at = {clientX: box.left + box.width * 0.75, clientY: box.top + box.height / 2};
stages()[1].dispatchEvent(new WheelEvent("wheel",
  {deltaY: -433, bubbles: true, cancelable: true, ...at}));
const where = (stage) => ["width", "left", "top"]
  .map((name) => Math.round(parseFloat(stage.firstChild.style[name]))).join();
note("zoomed", where(stages()[0]));
note("together", new Set(stages().map(where)).size === 1);
stages()[0].dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));
note("moved", where(stages()[3]));
press("Fit");
note("fitted", where(stages()[2]));
press("Difference");
const over = document.querySelector(".coded .over");
note("difference", getComputedStyle(over).mixBlendMode);
press("Flip");
const visible = () => stages().filter((stage) => stage.clientWidth > 0);
note("flip", visible().length);
visible()[0].click();
note("flipped", visible()[0] === stages()[1]);
press("Side by side");
document.querySelectorAll("#pictures button")[1].click();
note("second", document.querySelector(".over").alt);
const select = document.querySelectorAll(".panel select")[2];
select.value = "jpeg\\nquality=80";
select.dispatchEvent(new Event("change"));
note("matched", document.querySelectorAll(".panel select")[3].value);
note("charts", document.querySelectorAll("#lines svg").length);
document.querySelector("#curves button").click();
note("more", document.querySelectorAll("#lines svg").length);
note("bars", document.querySelectorAll("#bars .up, #bars .down").length);
note("tags", document.querySelectorAll("b i, td i, h1 b, #pictures b").length);
"""


@unittest.skipUnless(browser.BROWSER, "no Chromium on the PATH")
class BrowserTest(SemCompTestCase):
    def test_opens_without_errors(self):
        fill(self.folder)
        page = report.write_report(self.folder)
        found = browser.body_data(browser.open_page(page))
        self.assertEqual(found, {"ready": "true"})

    def test_controls_work(self):
        fill(self.folder)
        page = report.write_report(self.folder)
        found = browser.body_data(browser.open_page(page, SCRIPT))
        self.assertNotIn("errors", found)
        expected = {
            "rows": "9",
            "sorted": "true",
            "reversed": "true",
            "means": "4",
            "filtered": "2",
            "panels": "4",
            # Doubled about a point at 3/4 of the width.
            "zoomed": "200,-75,-50",
            "together": "true",
            "moved": "200,-85,-50",
            "fitted": "100,0,0",
            "difference": "difference",
            "flip": "1",
            "flipped": "true",
            "second": "two &lt;/script&gt;&lt;b&gt; &amp; &quot;x&quot;.png: original",
            "matched": "msroi_jpeg\nquality=80",
            "charts": "8",
            "more": str(len(metrics.METRICS)),
            "bars": str(2 * len(metrics.METRICS)),
            "tags": "0",
            "ready": "true",
        }
        self.assertEqual({name: found.get(name) for name in expected}, expected)

    def test_opens_with_nothing_but_a_row(self):
        table.write(self.folder, Table((Row("a.png", "jpeg", error="no luck"),)))
        page = report.write_report(self.folder)
        dom = browser.open_page(page)
        self.assertEqual(browser.body_data(dom), {"ready": "true"})
        self.assertIn("no luck", dom)

    def test_tells_of_pictures_that_do_not_show(self):
        results = fill(self.folder)
        (self.folder / results.rows[0].file).write_bytes(b"no picture")
        page = report.write_report(self.folder)
        found = browser.body_data(browser.open_page(page))
        self.assertEqual(found, {"ready": "true", "errors": "a resource failed"})

    def test_tells_of_its_errors(self):
        fill(self.folder)
        page = report.write_report(self.folder)
        found = browser.body_data(browser.open_page(page, "missing();"))
        self.assertIn("missing is not defined", found["errors"])


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


def _files(content: dict) -> list[str]:
    return [row["picture"] for row in content["rows"] if "picture" in row]
