// The painter of ROI maps: cells over a photo, 255 (red) matters most, 0 (blue) least.
// props.photo: the photo as a data: address; props.start: the map to begin with, as
// "WIDTHxHEIGHT:" and base64; props.value: the map once somebody painted, else "".
const LONGEST = 640; // side of the canvas in pixels
const canvas = element.querySelector("canvas");
const context = canvas.getContext("2d");
const size = element.querySelector("input");
const buttons = [...element.querySelectorAll("button[data-level]")];
const photo = new Image();
let cells = null, columns = 0, rows = 0, level = 255, last = null;

function decode(text) {
  const [head, body] = text.split(":");
  [columns, rows] = head.split("x").map(Number);
  cells = Float32Array.from(atob(body), (letter) => letter.charCodeAt(0));
}

function encode() {
  const bytes = Uint8Array.from(cells, (value) => Math.round(value));
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return `${columns}x${rows}:${btoa(text)}`;
}

function draw() {
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!cells || !photo.naturalWidth) return;
  const scale = LONGEST / Math.max(photo.naturalWidth, photo.naturalHeight);
  canvas.width = Math.max(1, Math.round(scale * photo.naturalWidth));
  canvas.height = Math.max(1, Math.round(scale * photo.naturalHeight));
  context.filter = "grayscale(1)";
  context.drawImage(photo, 0, 0, canvas.width, canvas.height);
  context.filter = "none";
  const layer = document.createElement("canvas");
  layer.width = columns;
  layer.height = rows;
  const pixels = new ImageData(columns, rows);
  cells.forEach((value, index) => {
    // The colours of `tfsemcomp map --overlay`.
    const place = value / 255 * 4;
    [3, 2, 1].forEach((centre, channel) => {
      const colour = 255 * Math.max(0, Math.min(1, 1.5 - Math.abs(place - centre)));
      pixels.data[4 * index + channel] = colour;
    });
    pixels.data[4 * index + 3] = 128;
  });
  layer.getContext("2d").putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(layer, 0, 0, canvas.width, canvas.height);
}

function dab(x, y) {
  const radius = size.value / 100 * Math.max(columns, rows) / 2;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const far = Math.hypot(column + 0.5 - x, row + 0.5 - y) / radius;
      if (far >= 1) continue;
      const index = row * columns + column;
      cells[index] += Math.min(1, 2 * (1 - far)) * (level - cells[index]);
    }
  }
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * columns,
    (event.clientY - box.top) / box.height * rows];
}

function stroke(event) {
  const to = place(event), from = last || to;
  const steps = Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])) || 1;
  for (let step = 1; step <= steps; step++) {
    const share = step / steps;
    dab(from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1]));
  }
  last = to;
  draw();
}

function load() {
  cells = null;
  if (props.start) decode(props.value || props.start);
  if (props.photo) photo.src = props.photo;
  draw();
}

function choose(button) {
  level = Number(button.dataset.level);
  buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
}

canvas.addEventListener("pointerdown", (event) => {
  if (!cells) return;
  canvas.setPointerCapture(event.pointerId);
  last = null;
  stroke(event);
});
canvas.addEventListener("pointermove", (event) => {
  if (cells && canvas.hasPointerCapture(event.pointerId)) stroke(event);
});
canvas.addEventListener("pointerup", () => {
  if (!cells) return;
  last = null;
  props.value = encode();
  trigger("change");
});
buttons.forEach((button) => button.addEventListener("click", () => choose(button)));
element.querySelector("button[data-fill]").addEventListener("click", () => {
  if (!cells) return;
  cells.fill(level);
  draw();
  props.value = encode();
  trigger("change");
});
element.querySelector("button[data-again]").addEventListener("click", () => {
  props.value = "";
  load();
  trigger("change");
});
photo.addEventListener("load", draw);
choose(buttons[0]);
load();
// One text: Gradio takes each quoted name for an event.
watch("photo start".split(" "), load);
