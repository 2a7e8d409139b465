// Seconds a megapixel against what they buy: bits saved, or quality at one rate.
const speeding = { time: "encode", against: "bits", metric: null, rate: null };

function boughtBy(name, metric) {
  if (speeding.against === "bits") {
    if (name === rating.reference) return 0;
    const saved = savedPercent(comparisonOf(metric.name, name));
    return saved === null ? null : -saved;
  }
  const table = data.matched[metric.name];
  const values = table.values[name];
  return values ? values[table.rates.indexOf(Number(speeding.rate))] : null;
}

function speedTools(metrics, metric) {
  const change = (field) => (value) => {
    speeding[field] = value;
    drawSpeeds();
  };
  const rates = data.matched[metric.name].rates;
  const tools = [
    chooser("Time", [["encode", "time to encode"], ["decode", "time to decode"]], speeding.time, change("time")),
    "against",
    chooser("What it buys", [["bits", "bits saved"], ["quality", "quality at a rate"]], speeding.against, change("against")),
    chooser("Metric of the speed plot", metrics.map((one) => [one.name, one.label]), metric.name, change("metric")),
  ];
  if (speeding.against === "quality") {
    tools.push("at", chooser("Rate", rates.map((rate) => [String(rate), `${rate} bpp`]), speeding.rate, change("rate")));
  }
  return tools;
}

function drawSpeeds() {
  const metrics = data.metrics.filter((metric) => data.matched[metric.name] && data.matched[metric.name].rates.length);
  const names = seriesNames.filter((name) => (data.speeds[name] || {})[speeding.time]);
  byId("speeds").hidden = !metrics.length || names.length < 2;
  if (byId("speeds").hidden) return;
  const metric = metrics.find((one) => one.name === speeding.metric) || metrics.find((one) => one.name === "psnr") || metrics[0];
  const rates = data.matched[metric.name].rates.map(String);
  if (!rates.includes(speeding.rate)) speeding.rate = rates[Math.floor(rates.length / 2)];
  byId("speeds-tools").replaceChildren(...speedTools(metrics, metric));
  const points = names
    .map((name) => ({ name, seconds: data.speeds[name][speeding.time], value: boughtBy(name, metric) }))
    .filter((point) => point.value !== null && point.value !== undefined);
  const missing = names.filter((name) => !points.some((point) => point.name === name));
  byId("speeds-hint").textContent = "Means over the pictures; lines reach from the fastest to the slowest setting. Up and left is better"
    + (metric.higher || speeding.against === "bits" ? "." : ", except that here lower values are better.")
    + (missing.length ? ` Without a number there: ${missing.join(", ")}.` : "");
  const place = byId("speeds-plot");
  place.replaceChildren();
  if (points.length) place.append(...speedPlot(points, metric, place));
}

function speedPlot(points, metric, place) {
  const box = wideBox(place, 56, 16);
  const unit = metric.decibels ? "dB" : metric.unit;
  const bits = speeding.against === "bits";
  const label = bits ? `Bits saved against ${rating.reference} at equal ${metric.label}, %`
    : `${metric.label}${unit ? `, ${unit}` : ""} at ${speeding.rate} bpp`;
  const times = points.flatMap((point) => point.seconds);
  const [xLow, xHigh] = [Math.min(...times) / 1.4, Math.max(...times) * 1.4];
  const [yLow, yHigh] = padded(points.map((point) => point.value), 0.14);
  const x = logScale(xLow, xHigh, box.left, box.width - box.right);
  const y = scale(yLow, yHigh, box.height - box.bottom, box.top);
  const plot = frame(`${label} over seconds to ${speeding.time}`, box);
  valueAxis(plot, y, yLow, yHigh, box);
  const marks = logTicks(xLow, xHigh).map((value) => [value, milliseconds(value)]);
  acrossAxis(plot, x, marks, `ms a megapixel to ${speeding.time}`, box);
  if (bits && yLow < 0 && yHigh > 0) plot.append(svg("line", { class: "zero", x1: box.left, x2: box.width - box.right, y1: y(0), y2: y(0) }));
  const labels = freeLabels(points.map(({ name, seconds, value }) => ({ name, x: x(seconds[0]), from: x(seconds[1]), to: x(seconds[2]), y: y(value) })), box);
  for (const [index, { name, seconds, value }] of points.entries()) {
    const [middle, low, high] = seconds;
    const shown = bits ? `${number(value, 1)} % of the bits saved` : `${number(value, unit === "dB" ? 2 : 4)}${unit ? ` ${unit}` : ""}`;
    const text = `${name}\n${milliseconds(middle)} ms a megapixel (${milliseconds(low)} to ${milliseconds(high)})\n${shown}`;
    const group = svg("g", { "data-speed": name },
      svg("line", { class: "curve", x1: x(low), x2: x(high), y1: y(value), y2: y(value), style: { stroke: colour(name) } }),
      mark(name, x(middle), y(value), 6),
      svg("text", { class: "name", ...labels[index] }, name),
      svg("circle", { class: "hit", cx: x(middle), cy: y(value), r: 14 }));
    plot.append(tipped(group, text));
  }
  return [element("div", { class: "axis-name" }, label), plot];
}
// Beside each mark, where no other name and no edge is; a name takes about 7 units a letter.
function freeLabels(marks, box) {
  const taken = marks.flatMap(({ x, from, to, y }) => [[x - 7, y - 7, x + 7, y + 7], [from, y - 2, to, y + 2]]);
  const meets = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
  return marks.map(({ name, x, y }) => {
    const width = 7 * name.length;
    const places = [[1, -8], [-1, -8], [1, 16], [-1, 16], [1, -22], [-1, -22], [1, 30], [-1, 30]].map(([side, down]) => {
      const from = side > 0 ? x + 9 : x - 9 - width;
      return { side, down, area: [from, y + down - 11, from + width, y + down + 3] };
    });
    const fits = ({ area }) => area[0] > 0 && area[2] < box.width && !taken.some((other) => meets(area, other));
    const { side, down, area } = places.find(fits) || places[0];
    taken.push(area);
    return { x: x + 9 * side, y: y + down, "text-anchor": side > 0 ? "start" : "end" };
  });
}
function milliseconds(seconds) {
  const value = seconds * 1000;
  return number(value, value < 1 ? 2 : value < 10 ? 1 : 0);
}
