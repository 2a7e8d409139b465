// The results as a table that sorts by any column: each file, or means by setting.
const sorting = { column: null, descending: false, means: false, filter: "", all: false };

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
  const list = [{ ...text("image", "image"), link: true }, text("series", "codec"), text("setting", "setting")];
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

// "word", or "column<number" with <, <=, >, >= or =; columns by the names of the table.
function termOf(text) {
  const bound = /^([\w@.-]+?)(<=|>=|<|>|=)(-?\d+(?:\.\d+)?)$/.exec(text);
  const known = bound && ["quality", "width", "height", "bytes", "bpp", "encode_s", "decode_s", ...data.metrics.map(({ name }) => name)].includes(bound[1]);
  if (!known) {
    return (row) => `${row.image || ""} ${row.series} ${row.setting} ${row.error || ""}`.toLowerCase().includes(text);
  }
  const [, name, sign, limit] = bound;
  const tests = {
    "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b, "=": (a, b) => a === b,
  };
  return (row) => {
    const value = name in row ? row[name] : row.metrics[name];
    return value !== null && value !== undefined && tests[sign](value, Number(limit));
  };
}

// More rows than this make pages slow; the rest on request.
const ROWS_AT_ONCE = 500;

function tableLine(row, columns) {
  const cells = row.error ? columns.slice(0, 3) : columns;
  const line = element("tr", {}, ...cells.map((column) => {
    const value = column.value(row);
    const text = column.print ? column.print(value) : value || "";
    const link = column.link && data.pictures[value];
    return element("td", { class: column.text ? "text" : "" },
      link ? element("button", { type: "button", class: "link", onclick: () => look(row) }, text) : text);
  }));
  if (row.error) line.append(element("td", { class: "error", colspan: columns.length - 3 }, row.error));
  return line;
}

function drawTable() {
  const columns = columnsOf();
  const terms = sorting.filter.split(/\s+/).filter(Boolean).map(termOf);
  const rows = (sorting.means ? meanRows() : [...data.rows]).filter((row) => terms.every((term) => term(row)));
  const sorted = columns[sorting.column];
  if (sorted) rows.sort((a, b) => compare(sorted.value(a), sorted.value(b), sorting.descending));
  const shown = sorting.all ? rows : rows.slice(0, ROWS_AT_ONCE);
  byId("table").replaceChildren(sortableHead(columns, sorting, drawTable), element("tbody", {}, ...shown.map((row) => tableLine(row, columns))));
  const rest = byId("table-rest");
  rest.hidden = shown.length === rows.length;
  rest.textContent = `Show all ${number(rows.length, 0)} rows`;
  byId("table-count").textContent = `${number(rows.length, 0)} rows`;
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
    oninput: () => {
      sorting.filter = search.value.toLowerCase();
      drawTable();
    },
  });
  const rest = element("button", { type: "button", id: "table-rest", onclick: () => {
    sorting.all = true;
    drawTable();
  } });
  byId("table-tools").replaceChildren(...modes, search, element("span", { id: "table-count", class: "soft" }), rest);
}
