// Ages tick, live parts refresh, a button acts once, a key can be copied. Every page reads and posts without this.
(() => {
  "use strict";
  const language = document.documentElement.lang || "en";
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const words = new Intl.RelativeTimeFormat(language, { style: "narrow", numeric: "always" });
  const SOON = 2500, CALM = 10000;

  function tick() {
    for (const node of document.querySelectorAll(".status time[datetime], time.age[datetime]")) {
      const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(node.dateTime)) / 1000));
      const [unit, size] = units.find(([, size]) => seconds >= size) || units[3];
      const text = words.format(-Math.floor(seconds / size), unit);
      if (node.textContent !== text) node.textContent = text;
    }
  }

  // A live list: rows carry data-live-id, the page one element with data-live-url that answers
  // {"settled": bool, "parts": {"<id>": {"<name>": "<html>"}}}. The server escapes every value in that HTML.
  function targets() {
    const found = new Map();
    for (const node of document.querySelectorAll("[data-live-id][data-live-part]")) {
      found.set(`${node.dataset.liveId} ${node.dataset.livePart}`, node);
    }
    return found;
  }

  // A log that is replaced stays where it was read, or goes on at its end if that was in sight.
  function reading(node) {
    const log = node.querySelector("pre.log.full");
    const top = log ? log.scrollTop : 0;
    const atEnd = !log || log.scrollHeight - log.scrollTop - log.clientHeight < 8;
    return () => {
      const next = node.querySelector("pre.log.full");
      if (next) next.scrollTop = atEnd ? next.scrollHeight : top;
    };
  }

  async function look(url) {
    const nodes = targets();
    const ids = [...new Set([...nodes.values()].map((node) => node.dataset.liveId))];
    if (!ids.length) return true;
    const joint = url.includes("?") ? "&" : "?";
    const answer = await fetch(`${url}${joint}ids=${encodeURIComponent(ids.join(","))}`, {
      headers: { Accept: "application/json" }, credentials: "same-origin", cache: "no-store", redirect: "error",
    });
    if (!answer.ok) throw new Error(`live part answered ${answer.status}`);
    const news = await answer.json();
    for (const [id, parts] of Object.entries(news.parts)) {
      for (const [name, html] of Object.entries(parts)) {
        const node = nodes.get(`${id} ${name}`);
        if (node && node.dataset.liveSeen !== html) {
          node.dataset.liveSeen = html;
          const open = [...node.querySelectorAll("details")].map((d) => d.open);
          const back = reading(node);
          node.innerHTML = html;
          node.querySelectorAll("details").forEach((d, i) => { if (open[i] !== undefined) d.open = open[i]; });
          back();
        }
      }
    }
    tick();
    return news.settled;
  }

  function follow(url) {
    let failures = 0;
    const again = (wait) => setTimeout(step, wait);
    async function step() {
      if (document.hidden) return again(SOON);
      try {
        const settled = await look(url);
        failures = 0;
        again(settled ? CALM : SOON);
      } catch {
        failures += 1;
        again(Math.min(60000, SOON * 2 ** failures));
      }
    }
    again(SOON);
  }

  function copying() {
    for (const button of document.querySelectorAll("button[data-copy]")) {
      button.addEventListener("click", async () => {
        const text = document.getElementById(button.dataset.copy).textContent;
        await navigator.clipboard.writeText(text);
        button.textContent = button.dataset.done;
      });
    }
  }

  // The search box over engine options: groups without a match close and fade, those with one open.
  function searching(root) {
    for (const box of root.querySelectorAll("[data-options-search]")) {
      const groups = [...box.closest("[data-options]").querySelectorAll("details")];
      const before = groups.map((group) => group.open);
      box.addEventListener("input", () => {
        const wanted = box.value.trim().toLowerCase().replace(/^-+/, "").replaceAll("_", "-");
        groups.forEach((group, i) => {
          const options = [...group.querySelectorAll("[data-option]")];
          for (const option of options) option.hidden = !option.dataset.option.toLowerCase().includes(wanted);
          const found = options.some((option) => !option.hidden);
          group.hidden = options.length > 0 && !found;
          group.open = wanted ? found : before[i];
        });
      });
    }
  }

  // The fields of a place's own options come when place and profile are chosen; what was typed stays while they fit.
  function placing() {
    const form = document.querySelector("form:has([data-place-options])");
    const chosen = form ? ["cluster", "profile"].map((name) => form.querySelector(`#id_${name}`)) : [];
    if (!chosen.length || chosen.includes(null)) return;
    async function load() {
      const box = form.querySelector("[data-place-options]");
      const [cluster, profile] = chosen.map((select) => select.value);
      const answer = await fetch(`${box.dataset.placeOptions}?${new URLSearchParams({ cluster, profile })}`, {
        credentials: "same-origin", cache: "no-store", redirect: "error",
      });
      if (!answer.ok) return;
      const next = document.createRange().createContextualFragment(await answer.text()).firstElementChild;
      if (next.dataset.kind === box.dataset.kind) return;
      box.replaceWith(next);
      searching(next.parentElement);
    }
    // Select2 tells of a choice through jQuery only.
    for (const select of chosen) window.django.jQuery(select).on("change", load);
    if (chosen[0].value && !form.querySelector("[data-place-options]").dataset.kind) load();
  }

  document.addEventListener("DOMContentLoaded", () => {
    tick();
    searching(document);
    placing();
    setInterval(tick, 1000);
    copying();
    for (const log of document.querySelectorAll("pre[data-end]")) log.scrollTop = log.scrollHeight;
    const live = document.querySelector("[data-live-url]");
    if (live) follow(live.dataset.liveUrl);
    for (const form of document.querySelectorAll("form.confirm-sheet")) {
      form.addEventListener("submit", (event) => {
        const button = form.querySelector("button[type=submit]");
        if (button.getAttribute("aria-busy")) event.preventDefault();
        button.setAttribute("aria-busy", "true");
      });
    }
  });
})();
