// Line and bar charts as SVG, drawn here so that the page needs no library.
const BOX = { width: 340, height: 220, left: 46, right: 10, top: 10, bottom: 34 };

// What people look at first; the rest on request.
const MAIN = ["roi_psnr", "background_psnr", "psnr", "psnr_s", "ssim", "ms_ssim", "vifp", "psnr_hvsm"];
const charting = { all: false };
function chartedMetrics() {
  const main = MAIN.map((name) => metricOf[name]).filter(Boolean);
  const others = data.metrics.filter((metric) => !MAIN.includes(metric.name));
  return charting.all || !main.length ? [...main, ...others] : main;
}

function ticks(low, high, count = 5) {
  const span = high - low || Math.abs(high) || 1;
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const values = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) values.push(k * step || 0);  // no -0
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) + (step / power === 2.5 ? 1 : 0);
  return { values, digits: Math.min(digits, 5) };
}
function scale(low, high, from, to) {
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}
function padded(values, share = 0.08) {
  const low = Math.min(...values), high = Math.max(...values);
  const pad = (high - low || Math.abs(high) * 0.1 || 1) * share;
  return [low - pad, high + pad];
}
function frame(label) {
  return svg("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: "img", "aria-label": label });
}
function valueAxis(plot, y, low, high) {
  const { values, digits } = ticks(low, high);
  for (const value of values) {
    plot.append(
      svg("line", { class: "rule", x1: BOX.left, x2: BOX.width - BOX.right, y1: y(value), y2: y(value) }),
      svg("text", { x: BOX.left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value, digits)),
    );
  }
}

// Shapes tell the codecs apart where colours do not.
function mark(series, x, y) {
  const shape = seriesNames.indexOf(series) % 4, r = 5;
  const attributes = { class: "mark", style: { fill: colour(series) } };
  if (shape === 0) return svg("circle", { ...attributes, cx: x, cy: y, r });
  if (shape === 1) return svg("rect", { ...attributes, x: x - r + 0.5, y: y - r + 0.5, width: 2 * r - 1, height: 2 * r - 1 });
  const points = shape === 2
    ? [[x, y - r - 1], [x + r + 1, y + r - 1], [x - r - 1, y + r - 1]]
    : [[x, y - r - 1], [x + r + 1, y], [x, y + r + 1], [x - r - 1, y]];
  return svg("polygon", { ...attributes, points: points.map((p) => p.join(",")).join(" ") });
}

// Mean rate and mean value of each setting, by codec, rising in rate.
function curvesOf(name) {
  const curves = new Map();
  for (const series of seriesNames) {
    const points = [];
    const rows = goodRows.filter((row) => row.series === series && Number.isFinite(row.metrics[name]));
    for (const setting of new Set(rows.map((row) => row.setting))) {
      const same = rows.filter((row) => row.setting === setting);
      points.push({
        series, setting, count: same.length,
        bpp: mean(same.map((row) => row.bpp)),
        value: mean(same.map((row) => row.metrics[name])),
      });
    }
    points.sort((a, b) => a.bpp - b.bpp);
    if (points.length) curves.set(series, points);
  }
  return curves;
}

function lineChart(metric) {
  const curves = curvesOf(metric.name);
  const points = [...curves.values()].flat();
  if (!points.length) return null;
  const [xLow, xHigh] = padded(points.map((point) => point.bpp));
  const [yLow, yHigh] = padded(points.map((point) => point.value));
  const x = scale(Math.max(0, xLow), xHigh, BOX.left, BOX.width - BOX.right);
  const y = scale(yLow, yHigh, BOX.height - BOX.bottom, BOX.top);
  const plot = frame(`${metric.label} over bits per pixel`);
  valueAxis(plot, y, yLow, yHigh);
  const across = ticks(Math.max(0, xLow), xHigh);
  for (const value of across.values) {
    plot.append(svg("text", { x: x(value), y: BOX.height - BOX.bottom + 15, "text-anchor": "middle" }, number(value, across.digits)));
  }
  plot.append(svg("text", { x: (BOX.left + BOX.width - BOX.right) / 2, y: BOX.height - 4, "text-anchor": "middle" }, "bits per pixel"));
  for (const [series, list] of curves) {
    const path = list.map((point) => `${x(point.bpp)},${y(point.value)}`).join(" ");
    plot.append(svg("polyline", { class: "curve", points: path, style: { stroke: colour(series) } }));
  }
  for (const point of points) {
    const text = `${point.series}\n${point.setting} (${point.count} pictures)\n${number(point.bpp, 3)} bpp, ${show(metric.name, point.value)} ${metric.unit}`;
    const group = svg("g", {}, mark(point.series, x(point.bpp), y(point.value)));
    group.append(svg("circle", { class: "hit", cx: x(point.bpp), cy: y(point.value), r: 11 }));
    plot.append(tipped(group, text));
  }
  return element("figure", { class: "chart" }, element("figcaption", {}, metric.label, element("span", {}, metric.unit)), plot);
}

function bar(gain, x, width, zero, top) {
  const up = gain >= 0;
  const height = Math.max(Math.abs(top - zero), 0.5);
  return svg("rect", {
    x, width, y: up ? zero - height : zero, height, rx: Math.min(2, width / 4),
    class: up ? "up" : "down", style: { fill: up ? "var(--series-0)" : "var(--bad)" },
  });
}

// Ours minus reference in one metric, a bar a picture; losses are red.
function gainChart(metric, matched) {
  const gains = matched
    .map(([ours, theirs]) => ({ ours, theirs, gain: difference(ours.metrics[metric.name] ?? NaN, theirs.metrics[metric.name] ?? NaN) }))
    .filter(({ gain }) => Number.isFinite(gain));
  if (!gains.length) return null;
  const heights = gains.map(({ gain }) => gain);
  let [low, high] = padded([0, ...heights], 0.14);
  if (Math.min(...heights) >= 0) low = 0;
  if (Math.max(...heights) <= 0) high = 0;
  if (low === high) [low, high] = [-1, 1];
  const y = scale(low, high, BOX.height - BOX.bottom, BOX.top);
  const step = (BOX.width - BOX.left - BOX.right) / gains.length;
  const plot = frame(`${metric.label}: difference for each picture`);
  valueAxis(plot, y, low, high);
  plot.append(svg("line", { class: "zero", x1: BOX.left, x2: BOX.width - BOX.right, y1: y(0), y2: y(0) }));
  gains.forEach(({ ours, theirs, gain }, index) => {
    const width = Math.min(step * 0.72, 46), middle = BOX.left + step * (index + 0.5);
    const text = `${ours.image}\n${showGain(metric.name, gain)} ${metric.unit}\n${number(theirs.bytes, 0)} \u2192 ${number(ours.bytes, 0)} bytes`;
    plot.append(tipped(bar(gain, middle - width / 2, width, y(0), y(gain)), text));
    if (gains.length <= 8) {
      const above = gain >= 0;
      plot.append(svg("text", { x: middle, y: y(gain) + (above ? -5 : 13), "text-anchor": "middle" }, showGain(metric.name, gain)));
    }
    const name = gains.length <= 4 ? shorten(ours.image) : String(index + 1);
    if (gains.length <= 24 || index % 5 === 0) {
      plot.append(svg("text", { x: middle, y: BOX.height - BOX.bottom + 16, "text-anchor": "middle" }, name));
    }
  });
  const average = showGain(metric.name, mean(heights));
  return element("figure", { class: "chart" },
    element("figcaption", {}, metric.label, element("span", {}, `mean ${average} ${metric.unit}`)), plot);
}
function shorten(name) {
  const bare = name.replace(/^.*\//, "").replace(/\.[^.]*$/, "");
  return bare.length > 13 ? `${bare.slice(0, 12)}\u2026` : bare;
}

function drawCurves() {
  const charts = chartedMetrics().map(lineChart).filter(Boolean);
  byId("curves").hidden = !charts.length;
  byId("lines").replaceChildren(...charts);
  byId("legend").replaceChildren(...seriesNames.map((series) =>
    element("span", { class: "key" }, element("i", { style: { background: colour(series) } }), series)));
}
function drawGains(choice) {
  const matched = choice ? pairs(choice) : [];
  const charts = chartedMetrics().map((metric) => gainChart(metric, matched)).filter(Boolean);
  byId("gains").hidden = !charts.length;
  byId("bars").replaceChildren(...charts);
  if (!charts.length) return;
  byId("gains-title").textContent = `${choice.ours} minus ${choice.reference}, picture by picture`;
  const order = matched.length > 4 ? ` Numbers count the pictures in the table's order: 1 is ${matched[0][0].image}.` : "";
  byId("gains-hint").textContent = `At the bytes of ${choice.reference} ${choice.setting}. Losses are red.${order}`;
}
