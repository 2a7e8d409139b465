// Quality over rate: one large plot with all its controls, and a small one of each metric.
const plotting = {
  metric: null, decibels: true, picture: "", most: "", quoted: true, toggled: new Map(),
};
const toDecibels = (value) => -10 * Math.log10(1 - value);
const inDecibels = (metric) => metric.decibels && plotting.decibels;
const plottedUnit = (metric) => (inDecibels(metric) ? "dB" : metric.unit);
const plottedLabel = (metric) => (plottedUnit(metric) ? `${metric.label}, ${plottedUnit(metric)}` : metric.label);
const plottedDigits = (metric) => (plottedUnit(metric) === "dB" ? 2 : 4);

// Curves of a metric: those of the table's means, or of one picture. Points rise in rate.
function curvesOf(metric, picture = "") {
  const found = picture ? curvesOfPicture(metric, picture) : (data.curves[metric.name] || []).map((curve) => {
    const settings = isQuoted(curve.name) ? [] : settingsOf(curve.name);
    const named = settings.length === curve.rates.length;
    const points = curve.rates.map((bpp, k) => ({ bpp, value: curve.values[k], setting: named ? settings[k] : "" }));
    return { ...curve, points };
  });
  for (const curve of found) {
    const shown = inDecibels(metric) ? toDecibels : (value) => value;
    curve.points = curve.points.map((point) => ({ ...point, value: shown(point.value) })).filter((point) => Number.isFinite(point.value));
  }
  return found.filter((curve) => curve.points.length);
}
function curvesOfPicture(metric, picture) {
  return seriesNames.map((name) => {
    const rows = goodRows.filter((row) => row.series === name && row.image === picture && Number.isFinite(row.metrics[metric.name]));
    const points = rows.map((row) => ({ bpp: row.bpp, value: row.metrics[metric.name], setting: row.setting }));
    return { name, images: 1, source: "measured", points: points.sort((a, b) => a.bpp - b.bpp) };
  });
}
// Measured curves, and the main quoted ones of the metric, unless toggled by hand.
function isShown(name, metric = plotting.metric) {
  if (isQuoted(name) && !plotting.quoted) return false;
  return plotting.toggled.get(name) ?? (!isQuoted(name) || data.quoted[name].main.includes(metric));
}

// Scales that hold every measured point, and of quoted ones what lies in that range of rates.
function rangesOf(curves) {
  const measured = curves.filter((curve) => !isQuoted(curve.name));
  const rates = (measured.length ? measured : curves).flatMap((curve) => curve.points.map((point) => point.bpp));
  const most = Number(plotting.most) || Infinity;
  let [low, high] = padded(rates);
  [low, high] = [Math.max(0, low), Math.min(high, most)];
  const inside = curves.flatMap((curve) => curve.points).filter((point) => point.bpp >= low && point.bpp <= high);
  if (!inside.length) return null;
  return [low, high, ...padded(inside.map((point) => point.value))];
}

function drawnCurve(curve, x, y) {
  const path = curve.points.map((point) => `${x(point.bpp)},${y(point.value)}`).join(" ");
  const kind = isQuoted(curve.name) ? "curve quoted" : "curve";
  return svg("polyline", { class: kind, points: path, style: { stroke: colour(curve.name) } });
}
function describe(curve, point, metric) {
  const unit = plottedUnit(metric);
  const lines = [isQuoted(curve.name) ? `${curve.name}, quoted` : curve.name];
  if (point.setting) lines.push(point.setting);
  lines.push(`${number(point.bpp, 3)} bpp, ${number(point.value, plottedDigits(metric))}${unit ? ` ${unit}` : ""}`);
  if (curve.images > 1) lines.push(`mean over ${curve.images} pictures`);
  if (isQuoted(curve.name)) lines.push(`source: ${curve.source}`);
  return lines.join("\n");
}

let clips = 0;
function clipped(plot, box) {
  const id = `clip-${clips++}`;
  const area = { x: box.left, y: box.top, width: box.width - box.left - box.right, height: box.height - box.top - box.bottom };
  plot.append(svg("clipPath", { id }, svg("rect", area)));
  const group = svg("g", { "clip-path": `url(#${id})` });
  plot.append(group);
  return group;
}

function drawPlot() {
  const metric = metricOf[plotting.metric];
  const place = byId("plot");
  const curves = curvesOf(metric, plotting.picture).filter((curve) => isShown(curve.name));
  const ranges = rangesOf(curves);
  if (!ranges) {
    place.replaceChildren(element("p", { class: "hint" }, "No curve is shown: choose some below."));
    return;
  }
  const box = wideBox(place, 56, 12);
  const [xLow, xHigh, yLow, yHigh] = ranges;
  const x = scale(xLow, xHigh, box.left, box.width - box.right);
  const y = scale(yLow, yHigh, box.height - box.bottom, box.top);
  const plot = frame(`${metric.label} over bits per pixel`, box);
  valueAxis(plot, y, yLow, yHigh, box);
  acrossAxis(plot, x, evenMarks(xLow, xHigh, box.width > 600 ? 10 : 5), "bits per pixel", box);
  const area = clipped(plot, box);
  const inside = (point) => point.bpp >= xLow && point.bpp <= xHigh;
  // Measured ones lie on top.
  const ordered = [...curves].sort((a, b) => isQuoted(b.name) - isQuoted(a.name));
  const points = [], radius = box.width < 500 ? 3.5 : 5;
  for (const curve of ordered) {
    const dense = isQuoted(curve.name) && curve.points.length > 24;
    const group = svg("g", { "data-curve": curve.name }, drawnCurve(curve, x, y));
    for (const point of curve.points.filter(inside)) {
      points.push({ curve, point, x: x(point.bpp), y: y(point.value) });
      if (!dense) group.append(mark(curve.name, x(point.bpp), y(point.value), isQuoted(curve.name) ? 0.7 * radius : radius));
    }
    area.append(group);
  }
  const near = (event) => {
    const bounds = plot.getBoundingClientRect();
    const at = [(event.clientX - bounds.left) * (box.width / bounds.width), (event.clientY - bounds.top) * (box.height / bounds.height)];
    const gap = (candidate) => Math.hypot(candidate.x - at[0], candidate.y - at[1]);
    const best = points.reduce((found, one) => (found && gap(found) <= gap(one) ? found : one), null);
    return best && gap(best) < 32 ? best : null;
  };
  plot.addEventListener("pointermove", (event) => {
    const found = near(event);
    focusCurve(found && found.curve.name);
    if (found) showTip(event, describe(found.curve, found.point, metric));
    else hideTip();
  });
  plot.addEventListener("pointerleave", () => {
    focusCurve(null);
    hideTip();
  });
  place.replaceChildren(element("div", { class: "axis-name" }, plottedLabel(metric)), plot);
}
// All other curves step back.
function focusCurve(name) {
  for (const group of byId("plot").querySelectorAll("[data-curve]")) {
    group.classList.toggle("dim", name !== null && group.dataset.curve !== name);
  }
}

function smallPlot(metric) {
  const curves = curvesOf(metric, plotting.picture).filter((curve) => isShown(curve.name, metric.name));
  const ranges = rangesOf(curves);
  if (!ranges) return null;
  const [xLow, xHigh, yLow, yHigh] = ranges;
  const x = scale(xLow, xHigh, BOX.left, BOX.width - BOX.right);
  const y = scale(yLow, yHigh, BOX.height - BOX.bottom, BOX.top);
  const plot = frame(`${metric.label} over bits per pixel`);
  valueAxis(plot, y, yLow, yHigh);
  acrossAxis(plot, x, evenMarks(xLow, xHigh, 5), "bits per pixel");
  clipped(plot, BOX).append(...curves.map((curve) => drawnCurve(curve, x, y)));
  const pick = element("button", { type: "button", "aria-pressed": String(metric.name === plotting.metric), onclick: () => chooseMetric(metric.name) }, metric.label);
  return element("figure", { class: "chart small" }, element("figcaption", {}, pick, element("span", {}, plottedUnit(metric))), plot);
}

function toggleCurve(name, shown) {
  plotting.toggled.set(name, shown);
  drawCurves();
  drawRates();
}
function legendEntry(name) {
  const toggle = () => toggleCurve(name, !isShown(name));
  const button = element("button", { type: "button", class: "key", "aria-pressed": String(isShown(name)), onclick: toggle }, swatch(name), name);
  button.addEventListener("pointerenter", () => focusCurve(name));
  button.addEventListener("pointerleave", () => focusCurve(null));
  return isQuoted(name) ? tipped(button, `quoted: ${data.quoted[name].source}`) : button;
}
function drawLegend() {
  const entries = seriesNames.map(legendEntry);
  // Quoted means are over all pictures of their set.
  const quoted = plotting.picture ? [] : (data.curves[plotting.metric] || []).map((curve) => curve.name).filter(isQuoted);
  if (quoted.length) {
    const onOff = checkbox("quoted:", plotting.quoted, (checked) => {
      plotting.quoted = checked;
      drawCurves();
      drawRates();
    });
    const spare = quoted.filter((name) => !isShown(name));
    entries.push(element("span", { class: "break" }), onOff);
    if (plotting.quoted) {
      const options = [["", `${spare.length} more \u2026`], ...spare.map((name) => [name, name])];
      const add = chooser("Add a quoted curve", options, "", (name) => toggleCurve(name, true));
      entries.push(...quoted.filter((name) => isShown(name)).map(legendEntry), ...(spare.length ? [add] : []));
    }
  }
  byId("legend").replaceChildren(...entries);
}
function drawPlotTools() {
  const change = (field) => (value) => {
    plotting[field] = value;
    drawCurves();
  };
  const highest = Math.max(...goodRows.map((row) => row.bpp));
  const rates = [0.25, 0.5, 1, 2].filter((rate) => rate < highest);
  const tools = [
    chooser("Metric", data.metrics.map((metric) => [metric.name, metric.label]), plotting.metric, chooseMetric),
    chooser("Pictures", [["", "mean of all pictures"], ...imageNames.map((name) => [name, name])], plotting.picture, change("picture")),
    chooser("Rates", [["", "all rates"], ...rates.map((rate) => [String(rate), `up to ${rate} bpp`])], plotting.most, change("most")),
  ];
  if (metricOf[plotting.metric].decibels) tools.push(checkbox("in dB: \u221210 log\u2081\u2080(1 \u2212 value)", plotting.decibels, change("decibels")));
  byId("plot-tools").replaceChildren(...tools);
}
function chooseMetric(name) {
  plotting.metric = name;
  drawCurves();
}
function drawCurves() {
  const metrics = chartedMetrics().filter((metric) => (data.curves[metric.name] || []).length);
  const section = byId("curves");
  section.hidden = !metrics.length;
  if (!metrics.length) return;
  if (plotting.metric === null) plotting.metric = (metrics.find((metric) => metric.name === "psnr") || metrics[0]).name;
  byId("quoted-hint").textContent = quotedNames.length ? "Dashed lines and hollow marks: quoted; hover for their source." : "";
  byId("quoted-warning").textContent = quotedNames.length ? data.warning : "";
  drawPlotTools();
  drawPlot();
  drawLegend();
  byId("lines").replaceChildren(...metrics.map(smallPlot).filter(Boolean));
}
