// Ours minus the reference in each metric, a bar a picture.
function bar(gain, x, width, zero, top, good) {
  const height = Math.max(Math.abs(top - zero), 0.5);
  return svg("rect", {
    x, width, y: gain >= 0 ? zero - height : zero, height, rx: Math.min(2, width / 4),
    class: gain >= 0 ? "up" : "down", style: { fill: good ? "var(--series-0)" : "var(--bad)" },
  });
}

function gainChart(metric, matched) {
  const gains = matched
    .map(([ours, theirs]) => ({ ours, theirs, gain: difference(ours.metrics[metric.name] ?? NaN, theirs.metrics[metric.name] ?? NaN) }))
    .filter(({ gain }) => Number.isFinite(gain));
  if (!gains.length) return null;
  const heights = gains.map(({ gain }) => gain);
  let [low, high] = padded([0, ...heights], 0.14);
  if (Math.min(...heights) >= 0) low = 0;
  if (Math.max(...heights) <= 0) high = 0;
  if (low === high) [low, high] = [-1, 1];
  const y = scale(low, high, BOX.height - BOX.bottom, BOX.top);
  const step = (BOX.width - BOX.left - BOX.right) / gains.length;
  const plot = frame(`${metric.label}: difference for each picture`);
  valueAxis(plot, y, low, high);
  plot.append(svg("line", { class: "zero", x1: BOX.left, x2: BOX.width - BOX.right, y1: y(0), y2: y(0) }));
  gains.forEach(({ ours, theirs, gain }, index) => {
    const width = Math.min(step * 0.72, 46), middle = BOX.left + step * (index + 0.5);
    const text = `${ours.image}\n${showGain(metric.name, gain)} ${metric.unit}\n${number(theirs.bytes, 0)} \u2192 ${number(ours.bytes, 0)} bytes`;
    plot.append(tipped(bar(gain, middle - width / 2, width, y(0), y(gain), gain === 0 || gain > 0 === metric.higher), text));
    if (gains.length <= 8) {
      const above = gain >= 0;
      plot.append(svg("text", { x: middle, y: y(gain) + (above ? -5 : 13), "text-anchor": "middle" }, showGain(metric.name, gain)));
    }
    const name = gains.length <= 4 ? shorten(ours.image) : String(index + 1);
    if (gains.length <= 24 || index % 5 === 0) {
      plot.append(svg("text", { x: middle, y: BOX.height - BOX.bottom + 16, "text-anchor": "middle" }, name));
    }
  });
  const average = showGain(metric.name, mean(heights));
  return element("figure", { class: "chart" },
    element("figcaption", {}, metric.label, element("span", {}, `mean ${average} ${metric.unit}`)), plot);
}
function shorten(name) {
  const bare = name.replace(/^.*\//, "").replace(/\.[^.]*$/, "");
  return bare.length > 13 ? `${bare.slice(0, 12)}\u2026` : bare;
}

function drawGains(choice) {
  const matched = choice ? pairs(choice) : [];
  const charts = chartedMetrics().map((metric) => gainChart(metric, matched)).filter(Boolean);
  byId("gains").hidden = !charts.length;
  byId("bars").replaceChildren(...charts);
  if (!charts.length) return;
  byId("gains-title").textContent = `${choice.ours} minus ${choice.reference}, picture by picture`;
  const order = matched.length > 4 ? ` Numbers count the pictures in the table's order: 1 is ${matched[0][0].image}.` : "";
  byId("gains-hint").textContent = `At the bytes of ${choice.reference} ${choice.setting}. Losses are red.${order}`;
}
