// Charts of an endpoint's page, drawn by uPlot in the page's own colours. Without script the table below them has the values.
window.endpointCharts = (() => {
  "use strict";
  const lang = document.documentElement.lang || "en";
  const clock = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const exact = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const number = new Intl.NumberFormat(lang, { maximumFractionDigits: 2 });
  const WIDTHS = [1.75, 1];
  const COLOURS = { first: ["--s1", "--s2"], calls: ["--s1", "--s3"], tokens: ["--s1", "--s2"], queue: ["--s1", "--s3"], cache: ["--s1"] };
  const drawn = new Map();
  const probe = document.createElement("i");

  function colour(name) {
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  function axis(more) {
    return { stroke: colour("--ink-3"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
      font: `12px ${getComputedStyle(document.body).fontFamily}`, ...more };
  }

  function options(name, width) {
    const range = (_chart, _low, high) => [0, name === "cache" ? 100 : Math.max(high || 0, name === "first" ? 0.1 : 1) * 1.1];
    return {
      width, height: 160, padding: [8, 28, 0, 0], legend: { show: false }, cursor: { points: { size: 5 }, drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range } },
      axes: [axis({ values: (_chart, ticks) => ticks.map((tick) => (ticks[1] - ticks[0] < 60 ? exact : clock).format(tick * 1000)), space: 80, size: 26 }),
        axis({ values: (_chart, ticks) => ticks.map((tick) => number.format(tick)), size: 44, space: 28 })],
      series: [{}, ...COLOURS[name].map((each, index) => ({ stroke: colour(each), width: WIDTHS[index], spanGaps: false,
        points: { show: false } }))],
    };
  }

  function say(node, columns) {
    const last = columns.slice(1).map((values) => [...values].reverse().find((value) => value !== null));
    if (last[0] === undefined) return;
    node.setAttribute("aria-label", node.dataset.said.replace(/\{(\d)\}/g, (_all, index) => number.format(last[index] ?? 0)));
  }

  // `columns` is [times in seconds, values, …]; null is a gap.
  function draw(name, columns) {
    const node = document.querySelector(`[data-plot="${name}"]`);
    if (!node || !window.uPlot) return;
    const known = drawn.get(name);
    say(node, columns);
    if (known) { known.chart.setData(columns); known.columns = columns; return; }
    if (columns[0].length < 2) return;
    drawn.set(name, { node, columns, chart: new uPlot(options(name, node.clientWidth), columns, node) });
  }

  function again() {
    for (const [name, one] of drawn) {
      one.chart.destroy();
      one.chart = new uPlot(options(name, one.node.clientWidth), one.columns, one.node);
    }
  }

  new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  let resizing;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(again, 150); });
  return { draw };
})();
