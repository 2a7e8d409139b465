// Which two codecs are compared, at which of the reference's settings; and the start.
const choice = { ours: null, reference: null, setting: null };

function currentChoice() {
  return choice.ours ? choice : null;
}
function chooseFirst() {
  if (seriesNames.length < 2) return;
  choice.reference = seriesNames.find((name) => name === data.reference) || seriesNames[seriesNames.length - 1];
  choice.ours = seriesNames.find((name) => name !== choice.reference);
  const settings = settingsOf(choice.reference);
  choice.setting = settings[Math.floor((settings.length - 1) / 2)];
}

function drawChoices() {
  const named = seriesNames.map((name) => [name, name]);
  const settings = settingsOf(choice.reference);
  const change = (field) => (value) => {
    choice[field] = value;
    if (choice.ours === choice.reference) {
      const spare = field === "ours" ? "reference" : "ours";
      choice[spare] = seriesNames.find((name) => name !== value);
    }
    const known = settingsOf(choice.reference);
    if (!known.includes(choice.setting)) choice.setting = known[Math.floor((known.length - 1) / 2)];
    drawComparison();
  };
  byId("choices").replaceChildren(
    chooser("Codec", named, choice.ours, change("ours")), "against",
    chooser("Reference", named, choice.reference, change("reference")), "at the bytes of",
    chooser("Setting", settings.map((name) => [name, name]), choice.setting, change("setting")),
  );
}

const HEADLINES = ["roi_psnr", "background_psnr", "psnr", "weighted_psnr_hvsm", "psnr_hvsm", "ssim", "ms_ssim"];
function drawTiles() {
  const matched = pairs(choice);
  const ratios = matched.map(([ours, theirs]) => ours.bytes / theirs.bytes - 1);
  const least = Math.min(...ratios), most = Math.max(...ratios);
  const span = matched.length > 1 ? `${percent(least)} to ${percent(most)}` : "1 picture";
  const tiles = [tile("Bytes", matched.length ? percent(mean(ratios)) : "", "", span)];
  const apart = Math.max(most, -least);
  byId("apart").textContent = apart > 0.02
    ? `Files differ by up to ${number(apart * 100, 0)} % in size: these are the nearest there are, not equal bytes.` : "";
  for (const name of HEADLINES) {
    const known = matched.filter(([a, b]) => a.metrics[name] !== undefined && b.metrics[name] !== undefined);
    if (!known.length) continue;
    const gain = mean(known.map(([a, b]) => difference(a.metrics[name], b.metrics[name])));
    const from = mean(known.map(([, theirs]) => theirs.metrics[name])), to = mean(known.map(([ours]) => ours.metrics[name]));
    const { label, unit } = metricOf[name];
    const text = `${showGain(name, gain)}${unit ? ` ${unit}` : ""}`;
    const kind = text.startsWith("+") ? "good" : text.startsWith("\u2212") ? "bad" : "";
    tiles.push(tile(label, text, kind, `${show(name, from)} \u2192 ${show(name, to)}`));
  }
  byId("tiles").replaceChildren(...(matched.length ? tiles : []));
}
function tile(name, value, kind, more) {
  return element("div", { class: "tile" }, element("div", { class: "name" }, name),
    element("div", { class: `value ${kind}` }, value), element("div", { class: "more" }, more));
}
function drawComparison() {
  if (currentChoice()) {
    byId("comparison").hidden = false;
    drawChoices();
    drawTiles();
  }
  drawGains(currentChoice());
  drawViewer(currentChoice());
}
function drawChartTools() {
  const spare = data.metrics.some((metric) => !metric.main) && data.metrics.some((metric) => metric.main);
  for (const place of ["gains-tools", "curves-tools"]) {
    byId(place).hidden = !spare;
    byId(place).replaceChildren(element("button", {
      type: "button", "aria-pressed": String(showing.allMetrics),
      onclick: () => {
        showing.allMetrics = !showing.allMetrics;
        drawChartTools();
        drawGains(currentChoice());
        drawCurves();
        drawRates();
      },
    }, "All metrics"));
  }
}

// One line for the same failure on several pictures.
function drawFailures() {
  const groups = new Map();
  for (const row of data.rows.filter((one) => one.error)) {
    const key = `${row.series}\n${row.error}`;
    groups.set(key, [...(groups.get(key) || []), row]);
  }
  byId("failures").hidden = !groups.size;
  const listed = (rows, field) => {
    const names = [...new Set(rows.map((row) => row[field]))];
    return names.length > 4 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");
  };
  const lines = [...groups.values()].map((rows) => element("tr", {},
    element("td", { class: "text" }, rows[0].series), element("td", { class: "text" }, listed(rows, "setting")),
    element("td", { class: "text" }, listed(rows, "image")), element("td", {}, String(rows.length)),
    element("td", { class: "error" }, rows[0].error)));
  const head = ["codec", "setting", "pictures", "times", "error"].map((title) =>
    element("th", { class: title === "times" ? "plain" : "plain text", scope: "col" }, title));
  byId("failures-table").replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...lines));
}

function drawCircumstances() {
  byId("circumstances").hidden = !data.circumstances.length;
  byId("facts").replaceChildren(...data.circumstances.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]));
}

function start() {
  const failed = data.rows.length - goodRows.length;
  const facts = [`${imageNames.length} pictures`, `${seriesNames.join(", ")}`, `${goodRows.length} files`];
  if (failed) facts.push(`${failed} failed`);
  const hidden = imageNames.length - shownNames().length;
  if (shownNames().length && hidden) facts.push(`${hidden} pictures in the numbers only`);
  byId("lead").textContent = facts.join(" \u00b7 ");
  chooseFirst();
  drawComparison();
  drawCurves();
  drawRates();
  drawSpeeds();
  drawChartTools();
  drawTableTools();
  drawTable();
  drawFailures();
  drawCircumstances();
}
start();
// Large plots are as wide as the page.
let drawnWidth = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === drawnWidth) return;
  drawnWidth = window.innerWidth;
  drawCurves();
  drawSpeeds();
});
// By then the pictures are there, or have told of their failure.
window.addEventListener("load", () => { document.body.dataset.ready = "true"; });
