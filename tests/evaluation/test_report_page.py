"""The report page in a browser: no errors, and every control at work."""

import unittest

from tests.evaluation import browser
from tests.evaluation.result_folders import fill, fill_kodak
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images, metrics
from tfsemcomp.evaluation import layout, report, table
from tfsemcomp.evaluation.table import Row, Table

# For all scripts: results go into the body's data-*.
TOOLS = """
const note = (name, value) => { document.body.dataset[name] = value; };
const all = (selector) => [...document.querySelectorAll(selector)];
const press = (text, root = document) => [...root.querySelectorAll("button")]
  .find((button) => button.textContent === text).click();
const choose = (label, value) => {
  const select = document.querySelector(`select[aria-label="${label}"]`);
  select.value = value;
  select.dispatchEvent(new Event("change"));
};
const type = (text) => {
  const search = document.querySelector("#table-tools input");
  search.value = text;
  search.dispatchEvent(new Event("input"));
};
const column = (table, index) => all(`#${table} tbody tr`)
  .map((line) => (line.children[index] || {}).textContent);
const hover = (node) => {
  const box = node.getBoundingClientRect();
  node.dispatchEvent(new PointerEvent("pointermove", {bubbles: true,
    clientX: box.left + box.width / 2, clientY: box.top + box.height / 2}));
  return document.getElementById("tip").textContent;
};
"""

TABLE_SCRIPT = """
const rising = (list) => list.every((value, k) => k === 0 || list[k - 1] <= value);
const sizes = () => column("table", 3)
  .map((text) => Number(text.replace(",", ""))).slice(0, 8);
note("rows", column("table", 0).length);
const table = document.getElementById("table");
press("bytes", table);
note("sorted", rising(sizes()));
press("bytes", table);
note("reversed", rising(sizes().reverse()) && !rising(sizes()));
type("msroi ONE");
note("words", column("table", 0).length);
type("psnr>0 quality=30");
note("bounds", column("table", 0).length);
type("boom");
note("found", column("table", 0).length);
press("Means");
type("msroi");
note("means", column("table", 0).length);
press("Every file");
type("");
press("one.png", table);
note("looked", document.querySelector(".over").alt);
note("failures", column("failures-table", 4).join());
note("tags", all("b i, td i, h1 b, #pictures b, .text-layer i").length);
"""

VIEWER_SCRIPT = """
const stages = () => all(".stage");
const key = (name, node = stages()[0]) => node.dispatchEvent(
  new KeyboardEvent("keydown", {key: name, bubbles: true}));
note("panels", stages().length);
const box = stages()[1].getBoundingClientRect();
const at = {clientX: box.left + box.width * 0.75, clientY: box.top + box.height / 2};
stages()[1].dispatchEvent(new WheelEvent("wheel",
  {deltaY: -433, bubbles: true, cancelable: true, ...at}));
const where = (stage) => ["width", "left", "top"]
  .map((name) => Math.round(parseFloat(stage.firstChild.style[name]))).join();
note("zoomed", where(stages()[0]));
note("together", new Set(stages().map(where)).size === 1);
key("ArrowRight");
note("moved", where(stages()[3]));
press("Fit");
note("fitted", where(stages()[2]));
press("Difference");
const over = document.querySelector(".coded .over");
note("difference", getComputedStyle(over).mixBlendMode);
const gain = () => getComputedStyle(document.querySelector(".coded .layers")).filter;
note("gain", gain());
const amplify = document.querySelector("#gain-tool input");
amplify.value = 12;
amplify.dispatchEvent(new Event("input"));
note("amplified", gain());
key("d");
note("undone", document.getElementById("gain-tool").hidden);
press("Flip");
const visible = () => stages().filter((stage) => stage.clientWidth > 0);
note("flip", visible().length);
visible()[0].click();
note("flipped", visible()[0] === stages()[1]);
key(" ", visible()[0]);
note("space", visible()[0] === stages()[2]);
key("1", visible()[0]);
note("digit", visible()[0] === stages()[0]);
const chips = all("#flips button[aria-pressed=true]");
note("chips", chips.map((chip) => chip.textContent).join());
press("Side by side");

all("#pictures button")[1].click();
note("second", document.querySelector(".over").alt);
const kinds = () => all(".panel-head select")
  .map((select) => select.value.replace("\\n", " "));
choose("Panel 3", "jpeg\\nquality=80");
note("matched", kinds()[3]);
key("[");
note("smaller", kinds()[3]);
const slider = document.getElementById("size");
slider.value = 1000;
slider.dispatchEvent(new Event("input"));
note("slid", kinds().slice(2).join());
note("rate", /^[0-9.]+ bpp/.test(document.getElementById("size-text").textContent));
press("All codecs");
note("codecs", kinds().join());
all(".close")[0].click();
press("Add a panel");
note("added", kinds().join());
"""

LAYERS_SCRIPT = """
note("default", all(".panel-head select")[1].selectedOptions[0].textContent);
choose("Panel 2", "jpeg\\nquality=30\\nlabels");
note("layer", all(".panel")[1].className);
note("over", all(".panel")[1].querySelector(".over").alt);
note("caption", all(".panel")[1].querySelector(".text-layer").textContent);
const opacity = document.querySelector("#layer-tool input");
opacity.value = 20;
opacity.dispatchEvent(new Event("input"));
note("opacity", getComputedStyle(document.querySelector(".panel.layer .over")).opacity);
// Another size of the same codec has no such layer: its file is shown.
slideSize(1);
note("without", all(".panel")[1].className);
choose("Panel 2", "original");
note("plain", all(".panel.layer").length);
"""

CURVES_SCRIPT = """
const shown = () => all("#plot [data-curve]").map((group) => group.dataset.curve);
const quoted = () => all("#plot .curve.quoted").length;
const entry = (name) => all("#legend button")
  .find((button) => button.textContent === name);
note("measured", shown().filter((name) => !isQuoted(name)).join());
note("quoted", quoted());
note("hollow", all('#plot [data-curve="vtm"] .mark.hollow').length);
note("solid", all('#plot [data-curve="good"] .mark:not(.hollow)').length);
note("tip", hover(all('#plot [data-curve="good"] .mark')[2]));
note("source", /^vtm, quoted\\n.*\\n.*\\nsource: CompressAI/.test(
  hover(all('#plot [data-curve="vtm"] .mark')[2])));
note("dimmed", all("#plot .dim").length === shown().length - 1);
entry("vtm").click();
note("toggled", shown().includes("vtm"));
choose("Add a quoted curve", "hm");
note("added", shown().includes("hm"));
document.querySelector("#legend input").click();
note("unquoted", quoted());
document.querySelector("#legend input").click();
choose("Metric", "ms_ssim");
const axis = () => document.querySelector("#plot .axis-name").textContent;
note("decibels", axis());
document.querySelector("#plot-tools input").click();
note("linear", axis());
choose("Rates", "0.5");
note("clipped", all('#plot [data-curve="good"] .mark').length);
choose("Rates", "");
choose("Pictures", "kodim07.png");
note("single", quoted());
choose("Pictures", "");
choose("Metric", "psnr");
entry("good").click();
note("without", shown().includes("good"));
entry("good").click();
press("MS-SSIM", document.getElementById("lines"));
note("picked", document.querySelector('select[aria-label="Metric"]').value);
note("warning", document.getElementById("quoted-warning").textContent);
"""

RATES_SCRIPT = """
const line = (name) => all("#rates-table tbody tr")
  .find((row) => row.children[0].textContent === name);
const cell = (name, index) => line(name).children[index].textContent;
note("reference", cell("jpeg", 1));
note("saved", cell("good", 1));
note("refused", /^short has 2 points/.test(cell("short", 1)));
note("quoted", /^\u2212[0-9.]+ %/.test(cell("vtm (quoted)", 1)));
const count = () => all("#rates-table tbody tr").length;
const before = count();
document.querySelector("#rates-tools input").click();
note("all", count() > before + 20);
press("PSNR", document.getElementById("rates-table"));
const values = column("rates-table", 1).map((text) => /^[+\u2212]/.test(text)
  ? parseFloat(text.replace("\u2212", "-")) : null);
const known = values.filter((value) => value !== null);
note("sorted", known.every((value, k) => k === 0 || known[k - 1] <= value));
note("last", values.indexOf(null) >= known.length);
choose("BD-rate reference", "vtm");
note("against", /^\\+/.test(cell("good", 1)));

const speeds = () => all("[data-speed]").map((group) => group.dataset.speed).join();
note("speeds", speeds());
note("label", document.querySelector("#speeds-plot .axis-name").textContent);
choose("What it buys", "quality");
choose("Rate", "0.3");
note("bought", speeds());
const hint = document.getElementById("speeds-hint").textContent;
note("missing", hint.includes("there: jpeg."));
note("quality", document.querySelector("#speeds-plot .axis-name").textContent);
choose("Time", "decode");
note("tip", hover(document.querySelector('[data-speed="good"] .mark')));
"""


@unittest.skipUnless(browser.BROWSER, "no Chromium on the PATH")
class BrowserTest(SemCompTestCase):
    def check(self, script: str, expected: dict[str, str], **options) -> None:
        """The page of `self.folder` has these data after a script, and no errors."""
        page = report.write_report(self.folder, **options)
        # A block, whose names are not those of the page.
        found = browser.body_data(browser.open_page(page, f"{{{TOOLS}{script}}}"))
        self.assertEqual(found, {**expected, "ready": "true"})

    def test_opens_without_errors(self):
        fill(self.folder)
        self.check("", {})

    def test_table_sorts_filters_and_links(self):
        fill(self.folder)
        expected = {
            "rows": "9",
            "sorted": "true",
            "reversed": "true",
            "words": "2",
            "bounds": "4",
            "found": "1",
            "means": "2",
            "looked": "one.png: original",
            "failures": "Boom: &lt;i&gt;bad&lt;/i&gt;",
            "tags": "0",
        }
        self.check(TABLE_SCRIPT, expected)

    def test_table_holds_back_many_rows(self):
        rows = [Row(f"{k}.png", "jpeg", size_bytes=k) for k in range(1, 701)]
        table.write(self.folder, Table(tuple(rows)))
        script = """
        note("first", column("table", 0).length);
        press("Show all 700 rows");
        note("all", column("table", 0).length);
        """
        self.check(script, {"first": "500", "all": "700"})

    def test_viewer_flips_zooms_and_matches_bytes(self):
        fill(self.folder)
        expected = {
            "panels": "4",
            # Doubled about a point at 3/4 of the width.
            "zoomed": "200,-75,-50",
            "together": "true",
            "moved": "200,-85,-50",
            "fitted": "100,0,0",
            "difference": "difference",
            "gain": "brightness(6)",
            "amplified": "brightness(12)",
            "undone": "true",
            "flip": "1",
            "flipped": "true",
            "space": "true",
            "digit": "true",
            "chips": "1 Original",
            "second": "two &lt;/script&gt;&lt;b&gt; &amp; &quot;x&quot;.png: original",
            "matched": "msroi_jpeg quality=80",
            "smaller": "msroi_jpeg quality=30",
            "slid": "jpeg quality=80,msroi_jpeg quality=80",
            "rate": "true",
            "codecs": "original,msroi_jpeg quality=80,jpeg quality=80",
            "added": "msroi_jpeg quality=80,jpeg quality=80,original",
        }
        self.check(VIEWER_SCRIPT, expected)

    def test_viewer_shows_layers(self):
        row = fill(self.folder).rows[0]
        images.write(layout.row_layer(self.folder, row, "labels"), smooth_image(48, 64))
        layout.row_layer(self.folder, row, "caption", ".txt").write_text("A <i>disc")
        expected = {
            "default": "Map over the original",
            "layer": "panel layer",
            "over": "one.png: labels of jpeg, quality=30",
            "caption": "Caption A &lt;i&gt;disc",
            "opacity": "0.2",
            "without": "panel coded",
            "plain": "0",
        }
        self.check(LAYERS_SCRIPT, expected)

    def test_bars_and_plots_of_every_metric(self):
        fill(self.folder)
        script = """
        note("charts", all("#lines svg").length);
        document.querySelector("#curves-tools button").click();
        note("more", all("#lines svg").length);
        note("bars", all("#bars .up, #bars .down").length);
        """
        count = len(metrics.METRICS)
        expected = {"charts": "8", "more": str(count), "bars": str(2 * count)}
        self.check(script, expected)

    def test_curves_toggle_beside_quoted_ones(self):
        fill_kodak(self.folder)
        expected = {
            "measured": "jpeg,good,short",
            "quoted": "9",
            "hollow": "8",
            "solid": "6",
            "tip": "good\nquality=3\n0.667 bpp, 33.00 dB\nmean over 24 pictures",
            "source": "true",
            "dimmed": "true",
            "toggled": "false",
            "added": "true",
            "unquoted": "0",
            "decibels": "MS-SSIM, dB",
            "linear": "MS-SSIM",
            "clipped": "2",
            "single": "0",
            "without": "false",
            "picked": "ms_ssim",
            "warning": "",
        }
        self.check(CURVES_SCRIPT, expected)

    def test_bd_rates_and_speeds(self):
        fill_kodak(self.folder)
        expected = {
            "reference": "the reference",
            "saved": "\u221250.0 %27.0\u201342.0 dB",
            "refused": "true",
            "quoted": "true",
            "all": "true",
            "sorted": "true",
            "last": "true",
            "against": "true",
            "speeds": "jpeg,good",
            "label": "Bits saved against vtm at equal PSNR, %",
            "bought": "good,short",
            "missing": "true",
            "quality": "PSNR, dB at 0.3 bpp",
            "tip": "good\n51 ms a megapixel (51 to 51)\n29.54 dB",
        }
        self.check(RATES_SCRIPT, expected)

    def test_fits_a_phone(self):
        fill(self.folder)
        page = report.write_report(self.folder)
        script = """
        document.body.dataset.width = innerWidth;
        document.body.dataset.fits = document.documentElement.scrollWidth <= innerWidth;
        """
        found = browser.body_data(browser.open_page(page, script, width=500))
        self.assertEqual(found, {"width": "500", "fits": "true", "ready": "true"})

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
