// Panels that show one picture in several forms and zoom and move together.
const view = { image: null, mode: "side", active: 0, scale: 1, x: 0, y: 0, sameBytes: true, panels: [] };
const grid = byId("grid");
const MAX_SCALE = 40;

const ORIGINAL = "original", MAP = "map";
const shownNames = () => imageNames.filter((name) => data.pictures[name]);
const picture = () => data.pictures[view.image];
const filesOf = (image) => goodRows.filter((row) => row.image === image && row.picture !== undefined);
const keyOf = (row) => `${row.series}\n${row.setting}`;
const rowOf = (key) => filesOf(view.image).find((row) => keyOf(row) === key);

function optionsOfPanel() {
  const options = [[ORIGINAL, "Original"]];
  if (picture().map) options.push([MAP, "Map over the original"]);
  for (const row of filesOf(view.image)) options.push([keyOf(row), `${row.series}, ${row.setting}`]);
  return options;
}

// What to show first: original, map, the reference, ours at the same bytes.
function defaultPanels(choice) {
  const kinds = [ORIGINAL];
  if (picture().map) kinds.push(MAP);
  const files = filesOf(view.image);
  const anchor = choice && files.find((row) => row.series === choice.reference && row.setting === choice.setting);
  if (anchor) {
    const other = nearest(anchor, choice.ours);
    kinds.push(keyOf(anchor));
    if (other && other.picture !== undefined) kinds.push(keyOf(other));
  } else {
    kinds.push(...files.slice(0, 2).map(keyOf));
  }
  return kinds;
}

function statsOf(kind) {
  if (kind === ORIGINAL) return [`${picture().width} \u00d7 ${picture().height} pixels`];
  if (kind === MAP) return ["What counts most is drawn hottest."];
  const row = rowOf(kind);
  const parts = [element("b", {}, `${number(row.bytes, 0)} bytes`), ` \u00b7 ${number(row.bpp, 3)} bpp`, element("br")];
  const wanted = ["roi_psnr", "psnr", "ssim", "psnr_hvsm"].filter((name) => row.metrics[name] !== undefined).slice(0, 3);
  parts.push(wanted.map((name) => `${metricOf[name].label} ${show(name, row.metrics[name])}`).join(" \u00b7 "));
  return parts;
}

function panel(kind, index) {
  const coded = kind !== ORIGINAL && kind !== MAP;
  const source = coded ? rowOf(kind).picture : picture()[kind];
  const alt = coded ? kind.replace("\n", ", ") : kind;
  const layers = element("div", { class: "layers" });
  if (kind !== ORIGINAL) layers.append(element("img", { class: "under", src: picture().original, alt: "", draggable: "false" }));
  layers.append(element("img", { class: "over", src: source, alt: `${view.image}: ${alt}`, draggable: "false" }));
  const stage = element("div", { class: "stage", tabindex: "0" }, layers);
  listen(stage);
  const select = chooser(`Panel ${index + 1}`, optionsOfPanel(), kind, (value) => choosePanel(index, value));
  return element("figure", { class: `panel ${coded ? "coded" : kind}` }, select, stage,
    element("figcaption", { class: "stats" }, ...statsOf(kind)));
}

function choosePanel(index, kind) {
  view.panels[index] = kind;
  const chosen = rowOf(kind);
  if (view.sameBytes && chosen) {
    view.panels = view.panels.map((other, place) => {
      const row = rowOf(other);
      if (place === index || !row || row.series === chosen.series) return other;
      const match = nearest(chosen, row.series);
      return match && match.picture !== undefined ? keyOf(match) : other;
    });
  }
  drawPanels();
}

function drawPanels() {
  grid.style.setProperty("--ratio", picture().width / picture().height);
  grid.replaceChildren(...view.panels.map(panel));
  place();
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
function flip(step = 1) {
  view.active = (view.active + step + view.panels.length) % view.panels.length;
  place();
}
function setMode(mode) {
  view.mode = mode;
  place();
}

function listen(stage) {
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
  stage.addEventListener("click", () => { if (view.mode === "flip" && !moved) flip(); });
  stage.addEventListener("dblclick", () => { if (view.mode !== "flip") fit(); });
  stage.addEventListener("keydown", (event) => {
    const step = 0.1;
    const actions = {
      "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: fit,
      ArrowLeft: () => move(-step, 0), ArrowRight: () => move(step, 0),
      ArrowUp: () => move(0, -step), ArrowDown: () => move(0, step),
      " ": () => {
        if (view.mode !== "flip") setMode("flip");
        else flip();
        grid.querySelector(".panel.active .stage").focus();
      },
    };
    if (!actions[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    actions[event.key]();
  });
}

function drawTools() {
  const modes = [["side", "Side by side"], ["flip", "Flip"], ["diff", "Difference"]];
  const buttons = modes.map(([mode, text]) =>
    element("button", { type: "button", "data-mode": mode, "aria-pressed": "false", onclick: () => setMode(mode) }, text));
  const slider = (text, low, high, value, variable, unit) => {
    const input = element("input", {
      type: "range", min: low, max: high, value,
      oninput: () => grid.style.setProperty(variable, input.value / unit),
    });
    return element("label", {}, text, input);
  };
  const same = element("input", { type: "checkbox", checked: true, onchange: () => { view.sameBytes = same.checked; } });
  const press = (text, label, action) => element("button", { type: "button", "aria-label": label, onclick: action }, text);
  byId("tools").replaceChildren(
    ...buttons,
    slider("map", 0, 100, 55, "--opacity", 100),
    slider("difference \u00d7", 1, 20, 6, "--gain", 1),
    element("label", {}, same, "keep bytes equal"),
    element("span", { class: "spring" }),
    press("\u2212", "Zoom out", () => zoom(1 / 1.5)),
    element("span", { id: "zoom" }),
    press("+", "Zoom in", () => zoom(1.5)),
    press("Fit", "Whole picture", fit),
  );
}

function choosePicture(name, choice) {
  view.image = name;
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
window.addEventListener("resize", () => { if (view.image) place(); });
