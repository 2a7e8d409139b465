// Panels that show one picture in several forms and zoom and move together.
const view = { image: null, mode: "side", active: 0, scale: 1, x: 0, y: 0, sameBytes: true, bytes: null, panels: [] };
const grid = byId("grid");
const MAX_SCALE = 40;

// A panel's key: the original, a layer of it, "series\nsetting", or that and a layer.
const ORIGINAL = "original";
const shownNames = () => imageNames.filter((name) => data.pictures[name]);
const picture = () => data.pictures[view.image];
const filesOf = (image) => goodRows.filter((row) => row.image === image && row.picture !== undefined);
const keyOf = (row, layer) => `${row.series}\n${row.setting}${layer ? `\n${layer}` : ""}`;
const rowOf = (key) => filesOf(view.image).find((row) => key === keyOf(row) || key.startsWith(`${keyOf(row)}\n`));
const drawnLayers = (owner) => (owner.layers || []).filter((layer) => layer.picture);
const textLayers = (owner) => (owner.layers || []).filter((layer) => layer.text !== undefined);
const layerKey = (layer) => `layer\n\n${layer.name}`;
function layerOf(key) {
  const row = rowOf(key);
  return drawnLayers(row || picture()).find((layer) => key === (row ? keyOf(row, layer.name) : layerKey(layer)));
}

function optionsOfPanel() {
  const options = [[ORIGINAL, "Original"]];
  for (const layer of drawnLayers(picture())) options.push([layerKey(layer), `${layer.label} over the original`]);
  for (const series of seriesNames) {
    const rows = filesOf(view.image).filter((row) => row.series === series).sort((a, b) => a.bytes - b.bytes);
    const named = rows.flatMap((row) => [
      [keyOf(row), `${series}, ${row.setting}`],
      ...drawnLayers(row).map((layer) => [keyOf(row, layer.name), `${series}: ${layer.label}, ${row.setting}`]),
    ]);
    options.push({ group: series, options: named });
  }
  return options;
}
function nameOfPanel(key) {
  const row = rowOf(key), layer = layerOf(key);
  if (!row) return layer ? layer.label : "Original";
  return layer ? `${row.series}: ${layer.label}` : row.series;
}

// What to show first: original, its first layer, the reference, ours at the same bytes.
function defaultPanels(choice) {
  const kinds = [ORIGINAL, ...drawnLayers(picture()).slice(0, 1).map(layerKey)];
  const files = filesOf(view.image);
  const anchor = choice && files.find((row) => row.series === choice.reference && row.setting === choice.setting);
  if (!anchor) return [...kinds, ...files.slice(0, 2).map((row) => keyOf(row))];
  view.bytes = anchor.bytes;
  return [...kinds, ...[choice.reference, choice.ours].map(atBytes).filter(Boolean)];
}
// The key of a codec's file nearest to the chosen size; null if none is in the page.
function atBytes(series) {
  const row = nearest(view.image, series, view.bytes);
  return row && row.picture !== undefined ? keyOf(row) : null;
}
function showAllCodecs() {
  if (view.bytes === null) view.bytes = middleSize();
  view.panels = [ORIGINAL, ...seriesNames.map(atBytes).filter(Boolean)];
  drawPanels();
}
const sizes = () => filesOf(view.image).map((row) => row.bytes).sort((a, b) => a - b);
function middleSize() {
  const known = sizes();
  return known[Math.floor(known.length / 2)];
}

// All files at about one size; a panel that shows a layer keeps showing it.
function chooseBytes(bytes) {
  view.bytes = bytes;
  view.panels = view.panels.map((key) => {
    const row = rowOf(key), layer = layerOf(key);
    const other = row && nearest(view.image, row.series, bytes);
    if (!other || other.picture === undefined) return key;
    return keyOf(other, layer && drawnLayers(other).some(({ name }) => name === layer.name) ? layer.name : "");
  });
  drawPanels();
}
// To the next smaller or larger size that any shown codec has.
function stepBytes(step) {
  const shown = new Set(view.panels.map(rowOf).filter(Boolean).map((row) => row.series));
  const known = [...new Set(filesOf(view.image).filter((row) => shown.has(row.series)).map((row) => row.bytes))].sort((a, b) => a - b);
  const next = step > 0 ? known.find((size) => size > view.bytes * 1.0001) : known.reverse().find((size) => size < view.bytes * 0.9999);
  if (next !== undefined) chooseBytes(next);
}

function statsOf(key) {
  const row = rowOf(key), layer = layerOf(key);
  const texts = textLayers(row || picture()).map(({ label, text }) =>
    element("p", { class: "text-layer" }, element("b", {}, label), ` ${text}`));
  if (!row && layer) return [layer.name === "map" ? "What counts most is drawn hottest." : `${layer.label} of the original`];
  if (!row) return [`${picture().width} \u00d7 ${picture().height} pixels`, ...texts];
  const parts = [element("b", {}, `${number(row.bytes, 0)} bytes`), ` \u00b7 ${number(row.bpp, 3)} bpp \u00b7 ${row.setting}`, element("br")];
  const wanted = ["roi_psnr", "psnr", "ms_ssim", "psnr_hvsm"].filter((name) => row.metrics[name] !== undefined).slice(0, 3);
  parts.push(wanted.map((name) => `${metricOf[name].label} ${show(name, row.metrics[name])}`).join(" \u00b7 "));
  return [...parts, ...texts];
}

function panel(key, index) {
  const row = rowOf(key), layer = layerOf(key);
  const base = row ? row.picture : picture().original;
  const image = (kind, source, alt) => element("img", { class: kind, src: source, alt, draggable: "false", decoding: "sync" });
  const layers = element("div", { class: "layers" });
  if (layer) layers.append(image("under", base, ""));
  else if (row) layers.append(image("under", picture().original, ""));
  const name = row ? `${row.series}, ${row.setting}` : "original";
  layers.append(image("over", layer ? layer.picture : base, `${view.image}: ${layer ? `${layer.name} of ` : ""}${name}`));
  const stage = element("div", { class: "stage", tabindex: "0", "aria-label": `${nameOfPanel(key)} of ${view.image}` }, layers);
  listen(stage, index);
  const select = chooser(`Panel ${index + 1}`, optionsOfPanel(), key, (value) => choosePanel(index, value));
  const close = element("button", { type: "button", class: "close", "aria-label": `Remove panel ${index + 1}`, onclick: () => removePanel(index) }, "\u00d7");
  const kind = layer ? "layer" : row ? "coded" : "original";
  const figure = element("figure", { class: `panel ${kind}`, "data-key": key },
    element("div", { class: "panel-head" }, select, ...(view.panels.length > 1 ? [close] : [])), stage,
    element("figcaption", { class: "stats" }, ...statsOf(key)));
  return figure;
}

function choosePanel(index, key) {
  view.panels[index] = key;
  const chosen = rowOf(key);
  if (view.sameBytes && chosen) {
    view.bytes = chosen.bytes;
    view.panels = view.panels.map((other, place) => {
      const row = rowOf(other);
      if (place === index || !row || row.series === chosen.series) return other;
      return atBytes(row.series) || other;
    });
  }
  drawPanels();
}
function addPanel() {
  const spare = seriesNames.find((series) => !view.panels.some((key) => (rowOf(key) || {}).series === series) && filesOf(view.image).some((row) => row.series === series));
  if (view.bytes === null) view.bytes = middleSize();
  view.panels.push((spare && atBytes(spare)) || ORIGINAL);
  drawPanels();
}
function removePanel(index) {
  view.panels.splice(index, 1);
  drawPanels();
}

function drawPanels() {
  grid.style.setProperty("--ratio", picture().width / picture().height);
  grid.style.setProperty("--columns", Math.min(4, Math.max(2, view.panels.length)));
  grid.replaceChildren(...view.panels.map(panel));
  byId("flips").replaceChildren(...view.panels.map((key, index) =>
    element("button", { type: "button", onclick: () => showPanel(index) }, `${index + 1} ${nameOfPanel(key)}`)));
  drawSize();
  place();
}
// The slider's place and what it stands for.
function drawSize() {
  const known = sizes(), slider = byId("size");
  const [low, high] = [known[0], known[known.length - 1]];
  slider.disabled = !(high > low) || !view.sameBytes;
  byId("size-text").textContent = "";
  if (view.bytes === null || !(high > low)) return;
  slider.value = String(Math.round((1000 * Math.log(view.bytes / low)) / Math.log(high / low)));
  const rate = (8 * view.bytes) / (picture().width * picture().height);
  const gaps = view.panels.map(rowOf).filter(Boolean).map((row) => Math.abs(row.bytes / view.bytes - 1));
  const apart = Math.max(0, ...gaps);
  byId("size-text").textContent = `${number(rate, 3)} bpp${apart > 0.02 ? `, files differ by up to ${number(apart * 100, 0)} %` : ""}`;
}
function slideSize(share) {
  const known = sizes();
  chooseBytes(known[0] * (known[known.length - 1] / known[0]) ** share);
}

// One view for all: x and y are the upper left corner, as shares of the picture.
function place() {
  view.scale = Math.min(MAX_SCALE, Math.max(1, view.scale));
  const most = 1 - 1 / view.scale;
  view.x = Math.min(most, Math.max(0, view.x));
  view.y = Math.min(most, Math.max(0, view.y));
  view.active = Math.min(view.active, view.panels.length - 1);
  grid.classList.toggle("flip", view.mode === "flip");
  grid.classList.toggle("diff", view.mode === "diff");
  byId("flips").hidden = view.mode !== "flip";
  byId("layer-tool").hidden = !grid.querySelector(".panel.layer");
  byId("gain-tool").hidden = view.mode !== "diff";
  [...byId("flips").children].forEach((button, index) => button.setAttribute("aria-pressed", String(index === view.active)));
  [...grid.children].forEach((figure, index) => {
    figure.classList.toggle("active", index === view.active);
    const stage = figure.querySelector(".stage"), layers = stage.firstChild;
    // Sizes, not a CSS transform: browsers scale a transformed layer's finished pixels,
    // which blurs them and misplaces the difference of two pictures.
    const size = `${view.scale * 100}%`;
    Object.assign(layers.style, {
      width: size, height: size,
      left: `${-view.x * view.scale * 100}%`, top: `${-view.y * view.scale * 100}%`,
    });
    const enlarged = (stage.clientWidth * view.scale * window.devicePixelRatio) / picture().width;
    layers.classList.toggle("pixels", enlarged >= (view.mode === "diff" ? 1 : 3));
    stage.classList.toggle("zoomed", view.scale > 1);
  });
  const shown = grid.querySelector(".panel.active .stage") || grid.querySelector(".stage");
  if (shown) byId("zoom").textContent = `${Math.round((100 * shown.clientWidth * view.scale) / picture().width)} %`;
  for (const button of byId("tools").querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === view.mode));
  }
}
// Zooms about a point, given as shares of the panel.
function zoom(factor, px = 0.5, py = 0.5) {
  const scaled = Math.min(MAX_SCALE, Math.max(1, view.scale * factor));
  view.x += px / view.scale - px / scaled;
  view.y += py / view.scale - py / scaled;
  view.scale = scaled;
  place();
}
function fit() {
  Object.assign(view, { scale: 1, x: 0, y: 0 });
  place();
}
function move(dx, dy) {
  view.x += dx / view.scale;
  view.y += dy / view.scale;
  place();
}
function showPanel(index) {
  if (index >= view.panels.length) return;
  view.active = index;
  place();
}
function flip() {
  showPanel((view.active + 1) % view.panels.length);
}
function setMode(mode) {
  view.mode = mode;
  place();
}

function listen(stage, index) {
  const fingers = new Map();
  let moved = false;
  const share = (event) => {
    const box = stage.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const apart = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };
  stage.addEventListener("wheel", (event) => {
    // At the whole picture, turning back scrolls the page as everywhere.
    if (view.scale === 1 && event.deltaY > 0) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...share(event));
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, share(event));
    moved = false;
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("dragging");
  });
  stage.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = share(event);
    if (Math.hypot(now[0] - before[0], now[1] - before[1]) > 0.004) moved = true;
    if (fingers.size === 1) move(before[0] - now[0], before[1] - now[1]);
    const gap = fingers.size === 2 ? apart() : 0;
    fingers.set(event.pointerId, now);
    if (gap > 0) zoom(apart() / gap, ...now);
  });
  const release = (event) => {
    fingers.delete(event.pointerId);
    stage.classList.remove("dragging");
  };
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  stage.addEventListener("focus", () => { view.active = index; });
  stage.addEventListener("click", () => { if (view.mode === "flip" && !moved) flip(); });
  stage.addEventListener("dblclick", () => { if (view.mode !== "flip") fit(); });
}

// Keys work wherever the focus is within the viewer, but never take those of a control.
function onKey(event) {
  const onControl = event.target.closest("select, input");
  const onButton = event.target.closest("button");
  if (onControl || (onButton && event.key === " ") || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = 0.1;
  const actions = {
    "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: fit,
    ArrowLeft: () => move(-step, 0), ArrowRight: () => move(step, 0),
    ArrowUp: () => move(0, -step), ArrowDown: () => move(0, step),
    "[": () => stepBytes(-1), "]": () => stepBytes(1),
    d: () => setMode(view.mode === "diff" ? "side" : "diff"),
    " ": () => {
      if (view.mode !== "flip") setMode("flip");
      else flip();
    },
  };
  const digit = /^[1-9]$/.test(event.key) && Number(event.key) <= view.panels.length;
  if (!actions[event.key] && !digit) return;
  event.preventDefault();
  if (digit) {
    setMode("flip");
    showPanel(Number(event.key) - 1);
  } else actions[event.key]();
  // New panels take the focus of those that they replace.
  const stage = grid.querySelector(view.mode === "flip" ? ".panel.active .stage" : ".stage");
  if (!grid.contains(document.activeElement) || view.mode === "flip") stage.focus({ preventScroll: true });
}
byId("viewer").addEventListener("keydown", onKey);

function drawTools() {
  const modes = [["side", "Side by side"], ["flip", "Flip"], ["diff", "Difference"]];
  const buttons = modes.map(([mode, text]) =>
    element("button", { type: "button", "data-mode": mode, "aria-pressed": "false", onclick: () => setMode(mode) }, text));
  const slider = (id, text, low, high, value, variable, unit) => {
    const input = element("input", {
      type: "range", min: low, max: high, value,
      oninput: () => grid.style.setProperty(variable, input.value / unit),
    });
    return element("label", { id }, text, input);
  };
  const size = element("input", { id: "size", type: "range", min: 0, max: 1000, oninput: () => slideSize(size.value / 1000) });
  const same = checkbox("equal bytes", true, (checked) => {
    view.sameBytes = checked;
    drawSize();
  });
  const press = (text, label, action) => element("button", { type: "button", "aria-label": label, onclick: action }, text);
  byId("tools").replaceChildren(
    ...buttons,
    same,
    element("label", {}, "size", size, element("span", { id: "size-text" })),
    slider("layer-tool", "layer", 0, 100, 55, "--opacity", 100),
    slider("gain-tool", "difference \u00d7", 1, 20, 6, "--gain", 1),
    element("span", { class: "spring" }),
    element("button", { type: "button", onclick: addPanel }, "Add a panel"),
    element("button", { type: "button", onclick: showAllCodecs }, "All codecs"),
    element("span", { class: "group" },
      press("\u2212", "Zoom out", () => zoom(1 / 1.5)),
      element("span", { id: "zoom" }),
      press("+", "Zoom in", () => zoom(1.5)),
      press("Fit", "Whole picture", fit)),
  );
}

function choosePicture(name, choice) {
  view.image = name;
  view.bytes = null;
  view.panels = defaultPanels(choice);
  Object.assign(view, { scale: 1, x: 0, y: 0 });
  for (const button of byId("pictures").children) {
    button.setAttribute("aria-pressed", String(button.dataset.name === name));
  }
  drawPanels();
}

function drawViewer(choice) {
  const names = shownNames();
  byId("viewer").hidden = !names.length;
  if (!names.length) return;
  byId("pictures").replaceChildren(...names.map((name) =>
    element("button", { type: "button", "data-name": name, "aria-pressed": "false", onclick: () => choosePicture(name, currentChoice()) }, name)));
  if (!byId("tools").children.length) drawTools();
  choosePicture(names.includes(view.image) ? view.image : names[0], choice);
}
// From the table: a picture and one file of it beside the original.
function look(row) {
  choosePicture(row.image, currentChoice());
  if (row.picture !== undefined) {
    const index = view.panels.findIndex((key) => (rowOf(key) || {}).series === row.series);
    if (index < 0) view.panels.push(keyOf(row));
    choosePanel(index < 0 ? view.panels.length - 1 : index, keyOf(row));
  }
  byId("viewer").scrollIntoView();
}
window.addEventListener("resize", () => { if (view.image) place(); });
