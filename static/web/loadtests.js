// Draws the charts of a load test's page, and again after each piece of the page that comes.
(() => {
  "use strict";
  const drawn = [];
  const text = new Intl.NumberFormat(document.documentElement.lang || "en", { maximumSignificantDigits: 3 });

  // Tokens of the page as colours that a canvas takes.
  function ink(name) {
    const probe = document.createElement("span");
    probe.className = `ink-${name}`;
    probe.hidden = true;
    document.body.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }

  const time = (seconds) => (seconds < 1 ? `${text.format(seconds * 1000)} ms` : `${text.format(seconds)} s`);

  // The goal: a dash-dot line right across the chart.
  function limitLine(chart, data) {
    const { left, top, width, height } = chart.bbox;
    const spread = data.unit === "calls";
    const at = Math.round(chart.valToPos(data.limit, spread ? "x" : "y", true));
    const pen = chart.ctx;
    pen.save();
    pen.strokeStyle = ink("limit");
    pen.lineWidth = 1.5 * devicePixelRatio;
    pen.setLineDash([6, 2, 1.5, 2].map((one) => one * devicePixelRatio));
    pen.beginPath();
    if (spread) { pen.moveTo(at, top); pen.lineTo(at, top + height); } else { pen.moveTo(left, at); pen.lineTo(left + width, at); }
    pen.stroke();
    pen.restore();
  }

  function axes(data) {
    const common = { stroke: ink("text"), font: "12px system-ui", grid: { stroke: ink("grid"), width: 1 }, ticks: { show: false } };
    const spread = data.unit === "calls";
    const along = spread ? (_chart, splits) => splits.map((one) => (/^[125]/.test(String(Math.round(one * 1e5))) ? time(one) : ""))
      : (_chart, splits) => splits.map((one) => `${one} s`);
    const up = (_chart, splits) => splits.map((one) => (data.unit === "s" ? time(one) : text.format(one)));
    return [{ ...common, grid: { show: false }, values: along, size: 28, filter: (_chart, splits) => splits }, { ...common, values: up, size: 62 }];
  }

  function top(data, _chart, _low, high) {
    return [0, Math.max(high || 0, data.unit === "calls" ? 0 : data.limit || 0) * 1.1 || 1];
  }

  function draw(node) {
    const data = JSON.parse(node.dataset.chart);
    const spread = data.unit === "calls";
    const series = data.lines.map((line) => ({
      label: line.label, stroke: ink(line.colour), width: 1.75, spanGaps: line.colour === 5, points: { show: data.at.length < 3 },
      ...(spread ? { paths: uPlot.paths.bars({ size: [0.9, 60] }), fill: ink(line.colour), points: { show: false } } : {}),
    }));
    const high = node.classList.contains("big") ? 224 : 144;
    node.replaceChildren();
    const chart = new uPlot({
      width: node.clientWidth, height: high, padding: [8, 20, 0, 0], legend: { show: false },
      cursor: { x: false, y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: spread ? { time: false, distr: 3 } : { time: false, range: (_c, _l, last) => [0, Math.max(last, data.until || 1)] },
                y: { range: (...all) => top(data, ...all) } },
      series: [{}, ...series], axes: axes(data),
      hooks: data.limit === null ? {} : { draw: [(one) => limitLine(one, data)] },
    }, [data.at, ...data.lines.map((line) => line.values)], node);
    drawn.push({ node, chart, high });
  }

  function drawAll() {
    while (drawn.length) drawn.pop().chart.destroy();
    for (const node of document.querySelectorAll(".plot[data-chart]")) draw(node);
  }

  document.addEventListener("htmx:afterSwap", drawAll);
  new MutationObserver(drawAll).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("resize", () => drawn.forEach(({ node, chart, high }) => chart.setSize({ width: node.clientWidth, height: high })));
  drawAll();
})();
