// An endpoint's page lives: a stream tells what changed, the page asks for that piece; where streams fail it asks by itself.
(() => {
  "use strict";
  const live = document.getElementById("live"), charts = document.getElementById("charts"), how = document.getElementById("how");
  if (!live) return;
  const MOST = 600, POLL = 5000, SILENT = 40000, HISTORY = 30000;
  const lang = document.documentElement.lang || "en";
  let points = [], minutes = [], source = null, heard = 0, asked = 0, over = false, again = 0, head = "";

  const changed = () => document.body.dispatchEvent(new Event("endpoint-changed"));
  const mark = () => live.querySelector("[data-mark]")?.dataset.mark;
  const seconds = (text) => Date.parse(text) / 1000;

  function seen(moment) {
    const time = live.querySelector(".status.badge time");
    if (time && moment) time.dateTime = moment;
  }

  function plot() {
    const at = minutes.map((one) => seconds(one.at));
    endpointCharts.draw("first", [at, minutes.map((one) => one.p95), minutes.map((one) => one.p50)]);
    endpointCharts.draw("calls", [at, minutes.map((one) => one.calls / 60), minutes.map((one) => one.errors / 60)]);
    const then = points.map((one) => seconds(one.at));
    endpointCharts.draw("tokens", [then, points.map((one) => one.tokens_out), points.map((one) => one.tokens_in)]);
    endpointCharts.draw("queue", [then, points.map((one) => one.running), points.map((one) => one.waiting)]);
    endpointCharts.draw("cache", [then, points.map((one) => (one.cache === null ? null : one.cache * 100))]);
  }

  function figure(name, value) {
    const node = document.querySelector(`[data-figure="${name}"] [data-value]`);
    if (node && value !== null && value !== undefined) node.textContent = new Intl.NumberFormat(lang, { maximumFractionDigits: 0 }).format(value);
  }

  function point(one) {
    points = [...points.slice(-MOST + 1), one];
    figure("tokens", one.tokens_out);
    figure("waiting", one.waiting);
    figure("cache", one.cache === null ? null : one.cache * 100);
    plot();
  }

  function sixth(figures) {
    for (const one of figures) {
      const node = document.querySelector(`[data-figure="${one.name}"]`);
      if (!node) continue;
      node.querySelector("[data-value]").textContent = one.value;
      node.querySelector("[data-unit]").textContent = one.unit;
      node.querySelector("[data-source]").textContent = one.source;
    }
  }

  async function history() {
    asked = Date.now();
    try {
      const answer = await fetch(live.dataset.figures, { headers: { "HX-Request": "true" } });
      if (!answer.ok) return;
      const told = await answer.json();
      minutes = told.minutes;
      points = told.points.slice(-MOST);
      sixth(told.now);
      if (told.since) {
        const since = new Date(told.since).toLocaleTimeString(lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
        for (const node of document.querySelectorAll("[data-since-here]")) node.textContent = charts.dataset.since.replace("{time}", since);
      }
      plot();
    } catch { /* asked again soon */ }
  }

  function close() {
    source?.close();
    source = null;
  }

  function open() {
    close();
    if (over || !window.EventSource) return;
    source = new EventSource(live.dataset.stream);
    const on = (name, act) => source.addEventListener(name, (event) => { heard = Date.now(); act(JSON.parse(event.data)); });
    on("beat", () => {});
    on("state", (told) => { seen(told.seen_at); if (told.mark !== mark()) changed(); });
    on("figures", point);
    on("revoked", () => { over = true; close(); location.reload(); });
    on("gone", () => { over = true; close(); location.assign(live.dataset.list); });
    on("ended", () => { close(); again = Date.now() + 1000 + Math.random() * 4000; });
    source.addEventListener("error", () => {
      if (source?.readyState === EventSource.CLOSED) { close(); again = Date.now() + 30000; }
    });
  }

  function tick() {
    if (over || document.hidden) return;
    const lives = source !== null && Date.now() - heard < SILENT;
    how.textContent = lives ? charts.dataset.lives : charts.dataset.polls;
    if (!source && Date.now() > again) open();
    if (!lives) changed();
    if (Date.now() - asked > (lives ? HISTORY : POLL - 100)) {
      history();
      document.body.dispatchEvent(new Event("endpoint-due"));
    }
  }

  // A refused key is told where it was asked for; a page that may no longer be seen is asked for as a whole.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, target } = event.detail;
    if (xhr.status < 400) return;
    if (target.id === "call") { event.detail.shouldSwap = true; event.detail.target = document.getElementById("call-refusal"); }
    if (target === live && xhr.status === 404) { over = true; close(); location.reload(); }
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.target !== live) return;
    const now = live.querySelector("h1")?.textContent;
    if (now && now !== head) document.getElementById("said").textContent = head = now;
  });
  document.addEventListener("visibilitychange", tick);
  addEventListener("pagehide", close);
  head = live.querySelector("h1")?.textContent;
  open();
  heard = Date.now();
  history();
  setInterval(tick, POLL);
})();
