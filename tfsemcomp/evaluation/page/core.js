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
  row.series = row.model ? `${row.codec} ${row.model}` : row.codec;
}
const goodRows = data.rows.filter((row) => !row.error && row.bytes);
const imageNames = [...new Set(data.rows.map((row) => row.image))];
// The codec in question gets the first colour, its reference the second.
const seriesNames = [...new Set(goodRows.map((row) => row.series))].sort((a, b) => rank(a) - rank(b));
function rank(series) {
  return series.startsWith(data.ours) ? 0 : series === data.reference ? 1 : 2;
}
const colour = (series) => `var(--series-${Math.min(seriesNames.indexOf(series), 7)})`;
const metricOf = Object.fromEntries(data.metrics.map((metric) => [metric.name, metric]));

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
function chooser(label, options, chosen, onchange) {
  const select = element("select", { onchange: () => onchange(select.value), "aria-label": label });
  for (const [value, text] of options) {
    select.append(element("option", { value, selected: value === chosen }, text));
  }
  return select;
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

// The row of a codec for the same picture whose file is nearest in size.
function nearest(row, series) {
  const same = goodRows.filter((other) => other.image === row.image && other.series === series);
  const gap = (other) => Math.abs(other.bytes - row.bytes);
  return same.reduce((best, other) => (best && gap(best) <= gap(other) ? best : other), null);
}
// Pairs of (ours, reference), one a picture, at the reference's setting.
function pairs(choice) {
  return goodRows
    .filter((row) => row.series === choice.reference && row.setting === choice.setting)
    .map((row) => [nearest(row, choice.ours), row])
    .filter(([ours]) => ours);
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
