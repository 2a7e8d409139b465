// BD-rates against a reference of choice. They were computed when the page was written.
const rating = { reference: null, all: false, column: null, descending: false };

const referencesOf = () => [...new Set(Object.values(data.comparisons).flatMap((byReference) => Object.keys(byReference)))];
const comparisonOf = (metric, test) => ((data.comparisons[metric] || {})[rating.reference] || {})[test];
const savedPercent = (found) => (Array.isArray(found) ? found[0] : null);

function rateCell(found, metric) {
  if (found === undefined) return element("td", {});
  if (!Array.isArray(found)) return element("td", { class: "refused" }, found);
  const [value, low, high, share] = found;
  const unit = metric.decibels ? "dB" : metric.unit;
  const digits = unit === "dB" ? 1 : 3;
  const range = `${number(low, digits)}\u2013${number(high, digits)}${unit ? ` ${unit}` : ""}`;
  const kind = Math.abs(value) < 0.05 ? "" : value < 0 ? "good" : "bad";
  const cell = element("td", {}, element("b", { class: kind }, percent(value / 100)), element("small", {}, range));
  return tipped(cell, `over ${range}, ${number(share * 100, 0)} % of the shorter curve`);
}

function drawRates() {
  const metrics = data.metrics.filter((metric) => data.comparisons[metric.name]);
  const references = referencesOf();
  byId("rates").hidden = !metrics.length || references.length < 2;
  if (byId("rates").hidden) return;
  if (rating.reference === null) rating.reference = references.includes(data.baseline) ? data.baseline : references[0];
  const shown = metrics.filter((metric) => showing.allMetrics || metric.main || !metrics.some((other) => other.main));
  // Where pictures differ there is no number for any quoted curve, and one reason for all.
  const isMain = (name) => !data.warning && shown.some((metric) => isShown(name, metric.name));
  const tests = [...seriesNames, ...quotedNames.filter((name) => rating.all || isMain(name))];
  const columns = [
    { title: "codec", text: true, value: (name) => name },
    ...shown.map((metric) => ({ title: metric.label, metric, value: (name) => savedPercent(comparisonOf(metric.name, name)) })),
  ];
  const rows = tests.filter((name) => shown.some((metric) => comparisonOf(metric.name, name) !== undefined));
  const sorted = columns[rating.column];
  if (sorted) rows.sort((a, b) => compare(sorted.value(a), sorted.value(b), rating.descending));
  const body = rows.map((name) => element("tr", { class: isQuoted(name) ? "quoted" : "" },
    element("td", { class: "text" }, swatch(name), isQuoted(name) ? `${name} (quoted)` : name),
    ...columns.slice(1).map(({ metric }) => rateCell(comparisonOf(metric.name, name), metric))));
  byId("rates-table").replaceChildren(sortableHead(columns, rating, drawRates), element("tbody", {}, ...body));
  const named = (list) => list.map((name) => [name, name]);
  const tools = [element("label", {}, "against", chooser("BD-rate reference", [
    { group: "measured", options: named(references.filter((name) => !isQuoted(name))) },
    { group: "quoted", options: named(references.filter(isQuoted)) },
  ], rating.reference, (name) => {
    rating.reference = name;
    drawRates();
    drawSpeeds();
  }))];
  if (quotedNames.length) {
    tools.push(checkbox(`all ${quotedNames.length} quoted curves`, rating.all, (checked) => {
      rating.all = checked;
      drawRates();
    }));
  }
  byId("rates-tools").replaceChildren(...tools);
}
