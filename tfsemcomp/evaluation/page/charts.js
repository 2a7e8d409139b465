// What all plots share: scales, axes and marks, as SVG, so that the page needs no library.
const BOX = { width: 340, height: 220, left: 46, right: 10, top: 10, bottom: 34 };

// What people look at first; the rest on request.
const showing = { allMetrics: false };
function chartedMetrics() {
  const main = data.metrics.filter((metric) => metric.main);
  return showing.allMetrics || !main.length ? data.metrics : main;
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
// 1, 2 and 5 times powers of ten.
function logTicks(low, high) {
  const values = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    values.push(...[1, 2, 5].map((n) => n * 10 ** power).filter((n) => n >= low && n <= high));
  }
  return values;
}
function scale(low, high, from, to) {
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}
function logScale(low, high, from, to) {
  const linear = scale(Math.log(low), Math.log(high), from, to);
  return (value) => linear(Math.log(value));
}
function padded(values, share = 0.08) {
  const low = Math.min(...values), high = Math.max(...values);
  const pad = (high - low || Math.abs(high) * 0.1 || 1) * share;
  return [low - pad, high + pad];
}
function frame(label, box = BOX) {
  return svg("svg", { viewBox: `0 0 ${box.width} ${box.height}`, role: "img", "aria-label": label });
}
function valueAxis(plot, y, low, high, box = BOX) {
  const { values, digits } = ticks(low, high);
  for (const value of values) {
    plot.append(
      svg("line", { class: "rule", x1: box.left, x2: box.width - box.right, y1: y(value), y2: y(value) }),
      svg("text", { x: box.left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value, digits)),
    );
  }
}
// Ticks are [value, text].
function acrossAxis(plot, x, marks, label, box = BOX) {
  for (const [value, text] of marks) {
    plot.append(svg("text", { x: x(value), y: box.height - box.bottom + 15, "text-anchor": "middle" }, text));
  }
  plot.append(svg("text", { x: (box.left + box.width - box.right) / 2, y: box.height - 4, "text-anchor": "middle" }, label));
}
function evenMarks(low, high, count) {
  const { values, digits } = ticks(low, high, count);
  return values.map((value) => [value, number(value, digits)]);
}
// A box as wide as its place on the page, so that text keeps its size.
function wideBox(place, left, right) {
  const width = Math.max(300, place.clientWidth);
  const height = Math.round(Math.min(520, Math.max(280, width * 0.46)));
  return { width, height, left, right, top: 12, bottom: 38 };
}

// Shapes tell codecs apart where colours do not; quoted points are hollow.
function mark(name, x, y, r = 5) {
  const hollow = isQuoted(name);
  const attributes = {
    class: hollow ? "mark hollow" : "mark",
    style: hollow ? { stroke: colour(name) } : { fill: colour(name) },
  };
  switch (shape(name)) {
    case 0: return svg("circle", { ...attributes, cx: x, cy: y, r });
    case 1: return svg("rect", { ...attributes, x: x - r + 0.5, y: y - r + 0.5, width: 2 * r - 1, height: 2 * r - 1 });
    case 2: return svg("polygon", { ...attributes, points: `${x},${y - r - 1} ${x + r + 1},${y + r - 1} ${x - r - 1},${y + r - 1}` });
    default: return svg("polygon", { ...attributes, points: `${x},${y - r - 1} ${x + r + 1},${y} ${x},${y + r + 1} ${x - r - 1},${y}` });
  }
}
function swatch(name) {
  const picture = svg("svg", { class: "swatch", viewBox: "0 0 30 14", "aria-hidden": "true" });
  picture.append(svg("line", { class: isQuoted(name) ? "curve quoted" : "curve", x1: 1, x2: 29, y1: 7, y2: 7, style: { stroke: colour(name) } }));
  picture.append(mark(name, 15, 7, isQuoted(name) ? 3.5 : 4.5));
  return picture;
}
