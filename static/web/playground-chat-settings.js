// The settings of the next calls. Numbers are kept in the browser, the system prompt in this tab; a key is kept nowhere.
(() => {
  "use strict";
  const { config } = window.playground;
  const form = document.getElementById("settings");
  const place = `playground:${config.workspace}`;
  const NUMBERS = ["temperature", "top_p", "max_tokens", "presence_penalty", "frequency_penalty", "seed"];
  const UNSAID = { presence_penalty: 0, frequency_penalty: 0 }; // engines that know no penalties are spared them

  function read(store) {
    try { return JSON.parse(store().getItem(place)) || {}; } catch { return {}; }
  }
  function write(store, values) {
    try { store().setItem(place, JSON.stringify(values)); } catch { /* kept for this page only */ }
  }
  const local = () => localStorage, tab = () => sessionStorage;

  function show() {
    for (const output of form.querySelectorAll("output")) output.textContent = form.elements[output.htmlFor.value].value;
  }

  function keep() {
    show();
    write(local, Object.fromEntries(NUMBERS.map((name) => [name, form.elements[name].value])));
    write(tab, { system: form.elements.system.value, stop: form.elements.stop.value });
  }

  for (const [name, value] of Object.entries({ ...read(local), ...read(tab) })) {
    if (form.elements[name] && typeof value === "string") form.elements[name].value = value;
  }
  if (!form.elements.max_tokens.value) form.elements.max_tokens.value = "512";
  form.addEventListener("input", keep);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();

  /** Whether all can be sent; the browser says what can't. */
  function areGood() {
    const wrong = [...form.elements].find((field) => !field.checkValidity());
    if (wrong?.closest("details")) wrong.closest("details").open = true;
    return form.reportValidity();
  }

  /** Fields of the call's body: only what was set. */
  function settings() {
    const said = {};
    for (const name of NUMBERS) {
      const text = form.elements[name].value;
      if (text !== "" && Number(text) !== UNSAID[name]) said[name] = Number(text);
    }
    const stop = form.elements.stop.value.split("\n").filter(Boolean).slice(0, 4);
    return stop.length ? { ...said, stop } : said;
  }

  const system = () => form.elements.system.value.trim();

  Object.assign(window.playground, { settings, system, settingsAreGood: areGood });
})();
