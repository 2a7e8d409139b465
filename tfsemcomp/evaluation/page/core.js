"use strict";
// Every error is written into the page, where a test, or a reader, can find it.
const problems = [];
function report(text) {
  problems.push(text);
  document.body.dataset.errors = problems.join("\n");
}
window.addEventListener("error", (event) => report(event.message || "a resource failed"), true);
window.addEventListener("unhandledrejection", (event) => report(String(event.reason)));
document.addEventListener("securitypolicyviolation", (event) => report(`blocked: ${event.blockedURI}`));

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// JSON has no infinity: the table writes "inf".
for (const row of data.rows) {
  for (const name of Object.keys(row.metrics)) {
    if (row.metrics[name] === "inf") row.metrics[name] = Infinity;
  }
}
const goodRows = data.rows.filter((row) => !row.error && row.bytes);
const imageNames = [...new Set(data.rows.map((row) => row.image))];
// The codec in question gets the first colour, its reference the second.
const seriesNames = [...new Set(goodRows.map((row) => row.series))].sort((a, b) => rank(a) - rank(b));
function rank(series) {
  return series.startsWith(data.ours) ? 0 : series === data.reference ? 1 : 2;
}
const quotedNames = Object.keys(data.quoted);
const isQuoted = (name) => data.quoted[name] !== undefined;
const metricOf = Object.fromEntries(data.metrics.map((metric) => [metric.name, metric]));
// Colours return after eight, then with another shape.
const COLOURS = 8, SHAPES = 4;
function placeOf(name) {
  return isQuoted(name) ? quotedNames.indexOf(name) + seriesNames.length : seriesNames.indexOf(name);
}
const colour = (name) => `var(--series-${placeOf(name) % COLOURS})`;
const shape = (name) => (placeOf(name) + Math.floor(placeOf(name) / COLOURS)) % SHAPES;

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  return fill(node, attributes, children);
}
function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.entries(value).forEach(([key, text]) => node.style.setProperty(key, text));
    else if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}
// Options are [value, text]; { group, options } puts some under a heading.
function chooser(label, options, chosen, onchange) {
  const select = element("select", { onchange: () => onchange(select.value), "aria-label": label });
  const add = (parent, [value, text]) => parent.append(element("option", { value, selected: value === chosen }, text));
  for (const option of options) {
    if (!option.group) add(select, option);
    else if (option.options.length) {
      const group = element("optgroup", { label: option.group });
      option.options.forEach((inner) => add(group, inner));
      select.append(group);
    }
  }
  return select;
}
function checkbox(label, checked, onchange) {
  const input = element("input", { type: "checkbox", checked, onchange: () => onchange(input.checked) });
  return element("label", {}, input, label);
}

const number = (value, digits) =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
function digitsOf(name) {
  return metricOf[name] && metricOf[name].unit === "dB" ? 2 : 4;
}
function show(name, value) {
  if (value === null || value === undefined) return "";
  if (value === Infinity) return "\u221e";
  return number(value, digitsOf(name));
}
function showGain(name, value) {
  const text = Math.abs(value) === Infinity ? "\u221e" : number(Math.abs(value), digitsOf(name));
  const zero = Number(text) === 0;
  return `${zero ? "\u00b1" : value > 0 ? "+" : "\u2212"}${text}`;
}
function percent(share) {
  const text = number(Math.abs(share) * 100, 1);
  return `${text === "0.0" ? "\u00b1" : share > 0 ? "+" : "\u2212"}${text} %`;
}
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
function difference(a, b) {
  return a === b ? 0 : a - b;  // Infinity - Infinity is no number
}

// Order for sorting: numbers by value, texts by language, what is missing last.
function compare(a, b, descending) {
  const missing = (value) => value === null || value === undefined || value === "";
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a === b ? 0 : a - b;
  return descending ? -order : order;
}
// A table's head whose buttons sort; `sorting` is { column, descending }.
function sortableHead(columns, sorting, redraw) {
  const sortBy = (index) => {
    sorting.descending = sorting.column === index && !sorting.descending;
    sorting.column = index;
    redraw();
  };
  return element("thead", {}, element("tr", {}, ...columns.map((column, index) =>
    element("th", {
      class: column.text ? "text" : "", scope: "col",
      "aria-sort": index === sorting.column ? (sorting.descending ? "descending" : "ascending") : "none",
    }, element("button", { type: "button", onclick: () => sortBy(index) }, column.title)))));
}

// The row of a codec for a picture whose file is nearest to a size.
function nearest(image, series, bytes) {
  const gap = (row) => Math.abs(row.bytes - bytes);
  return goodRows
    .filter((row) => row.image === image && row.series === series)
    .reduce((best, row) => (best && gap(best) <= gap(row) ? best : row), null);
}
// Pairs of (ours, reference), one a picture, at the reference's setting.
function pairs(choice) {
  return goodRows
    .filter((row) => row.series === choice.reference && row.setting === choice.setting)
    .map((row) => [nearest(row.image, choice.ours, row.bytes), row])
    .filter(([ours]) => ours);
}
// Settings of a codec by rising rate.
function settingsOf(series) {
  const rows = goodRows.filter((row) => row.series === series);
  const rate = (setting) => mean(rows.filter((row) => row.setting === setting).map((row) => row.bpp));
  const known = [...new Set(rows.map((row) => row.setting))].map((setting) => [setting, rate(setting)]);
  return known.sort((a, b) => a[1] - b[1]).map(([setting]) => setting);
}

const tip = byId("tip");
function showTip(event, text) {
  tip.textContent = text;
  tip.hidden = false;
  const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
  const top = Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8);
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}
function hideTip() {
  tip.hidden = true;
}
function tipped(node, text) {
  node.addEventListener("pointermove", (event) => showTip(event, text));
  node.addEventListener("pointerleave", hideTip);
  return node;
}
