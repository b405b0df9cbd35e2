// Theme, ages that tick, menus that go somewhere, buttons that act once, text that can be copied. Pages work without it.
(() => {
  "use strict";
  const root = document.documentElement;
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const words = new Intl.RelativeTimeFormat(root.lang || "en", { style: "narrow", numeric: "always" });

  function tick() {
    for (const node of document.querySelectorAll(".status time[datetime], time.age[datetime]")) {
      const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(node.dateTime)) / 1000));
      const [unit, size] = units.find(([, each]) => seconds >= each) || units[3];
      const text = words.format(-Math.floor(seconds / size), unit);
      if (node.textContent !== text) node.textContent = text;
    }
  }

  function switchTheme() {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* kept for this page only */ }
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    button.dataset.was ??= button.textContent;
    button.textContent = button.dataset.done || button.dataset.was;
    setTimeout(() => { button.textContent = button.dataset.was; }, 2000);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.matches(".theme")) switchTheme();
    if (button.dataset.copy) copy(button);
    if (button.dataset.opens) document.getElementById(button.dataset.opens).showModal();
    if (button.matches("dialog [data-closes]")) button.closest("dialog").close();
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("select[data-goes]")) location.assign(event.target.value);
    if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
  });

  // A form that changes something is sent once; coming back with the browser's own button frees it again.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    event.submitter?.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      form.querySelectorAll("[aria-busy]").forEach((one) => one.removeAttribute("aria-busy"));
    }
  });

  // A typed name arms the button beside it: <input data-arms="id of the button" data-name="what to type">.
  function arm(input) {
    document.getElementById(input.dataset.arms).disabled = input.value !== input.dataset.name;
  }
  document.addEventListener("input", (event) => { if (event.target.dataset.arms) arm(event.target); });
  document.querySelectorAll("[data-arms]").forEach(arm);

  setInterval(tick, 1000);
  tick();
})();
