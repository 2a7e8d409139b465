// The results as a table that sorts by any column: each file, or means by setting.
const sorting = { column: null, descending: false, means: false, filter: "" };

function columnsOf() {
  const text = (name, title) => ({ title, text: true, value: (row) => row[name] });
  const amount = (name, title, digits) => ({
    title, value: (row) => row[name],
    print: (value) => (value === null || value === undefined ? "" : number(value, digits)),
  });
  const time = (name, title) => ({
    title, value: (row) => row[name],
    print: (value) => (value === null || value === undefined ? "" : number(value * 1000, 0)),
  });
  const list = [text("image", "image"), text("series", "codec"), text("setting", "setting")];
  if (sorting.means) list.shift();
  list.push(amount("bytes", "bytes", 0), amount("bpp", "bpp", 3));
  for (const metric of data.metrics) {
    list.push({
      title: metric.unit ? `${metric.label}, ${metric.unit}` : metric.label,
      value: (row) => row.metrics[metric.name],
      print: (value) => show(metric.name, value),
    });
  }
  list.push(time("encode_s", "encode, ms"), time("decode_s", "decode, ms"));
  return list;
}

// Means over the pictures, of what is known in each.
function meanRows() {
  const groups = new Map();
  for (const row of goodRows) {
    const key = `${row.series}\n${row.setting}`;
    groups.set(key, [...(groups.get(key) || []), row]);
  }
  const over = (rows, value) => {
    const known = rows.map(value).filter((item) => item !== null && item !== undefined);
    return known.length ? mean(known) : null;
  };
  return [...groups.values()].map((rows) => ({
    series: rows[0].series, setting: `${rows[0].setting} (${rows.length} pictures)`,
    bytes: over(rows, (row) => row.bytes), bpp: over(rows, (row) => row.bpp),
    encode_s: over(rows, (row) => row.encode_s), decode_s: over(rows, (row) => row.decode_s),
    metrics: Object.fromEntries(data.metrics.map(({ name }) => [name, over(rows, (row) => row.metrics[name])])),
  }));
}

function compare(a, b) {
  const missing = (value) => value === null || value === undefined || value === "";
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a === b ? 0 : a - b;
  return sorting.descending ? -order : order;
}

function drawTable() {
  const columns = columnsOf();
  const matches = (row) => `${row.image || ""} ${row.series} ${row.setting}`.toLowerCase().includes(sorting.filter);
  const rows = (sorting.means ? meanRows() : [...data.rows]).filter(matches);
  const sorted = columns[sorting.column];
  if (sorted) rows.sort((a, b) => compare(sorted.value(a), sorted.value(b)));
  const head = element("tr", {}, ...columns.map((column, index) =>
    element("th", {
      class: column.text ? "text" : "", scope: "col",
      "aria-sort": index === sorting.column ? (sorting.descending ? "descending" : "ascending") : "none",
    }, element("button", { type: "button", onclick: () => sortBy(index) }, column.title))));
  const body = rows.map((row) => {
    const cells = row.error ? columns.slice(0, 3) : columns;
    const line = element("tr", {}, ...cells.map((column) => {
      const value = column.value(row);
      return element("td", { class: column.text ? "text" : "" }, column.print ? column.print(value) : value || "");
    }));
    if (row.error) line.append(element("td", { class: "error", colspan: columns.length - 3 }, row.error));
    return line;
  });
  byId("table").replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}
function sortBy(index) {
  sorting.descending = sorting.column === index && !sorting.descending;
  sorting.column = index;
  drawTable();
}
function drawTableTools() {
  const modes = [[false, "Every file"], [true, "Means"]].map(([means, text]) =>
    element("button", {
      type: "button", "aria-pressed": String(means === sorting.means),
      onclick: () => {
        Object.assign(sorting, { means, column: null, descending: false });
        drawTableTools();
        drawTable();
      },
    }, text));
  const search = element("input", {
    type: "search", placeholder: "Filter", "aria-label": "Filter rows", value: sorting.filter,
    oninput: () => { sorting.filter = search.value.toLowerCase(); drawTable(); },
  });
  byId("table-tools").replaceChildren(...modes, search);
}
