// What all parts of the playground share: what the server said, words, figures, and small pieces of page.
(() => {
  "use strict";
  const root = document.getElementById("playground");
  const config = JSON.parse(root.dataset.config);
  const language = config.language || "en";
  const whole = new Intl.NumberFormat(language);
  const SVG = "http://www.w3.org/2000/svg";

  /** A sentence of the server's, with its {names} filled in. */
  function word(name, values = {}) {
    return config.words[name].replace(/\{(\w+)\}/g, (all, key) => values[key] ?? all);
  }

  /** An element. Text is always text: what a model says is never read as HTML. */
  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") node.addEventListener("click", value);
      else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }

  function sign(address, name) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS(SVG, "use");
    use.setAttribute("href", `${address}#${name}`);
    svg.append(use);
    return svg;
  }
  const shape = (name) => sign(config.urls.shapes, `s-${name}`);
  const icon = (name) => sign(config.urls.icons, `i-${name}`);

  const STATES = {
    idle: ["is-idle", "ok"], waiting: ["is-mean", "pending"], writing: ["is-mean", "creating"], done: ["is-good", "ok"],
    stopped: ["is-idle", "stopped"], refused: ["is-bad", "no"], cut: ["is-warn", "warn"],
  };

  /** Word, colour and shape of how a call stands. */
  function show(place, state) {
    const [colour, drawn] = STATES[state];
    place.className = `status ${colour}`;
    const svg = shape(drawn);
    if (state === "writing") svg.classList.add("turning");
    place.replaceChildren(svg, word(state));
  }

  const seconds = (ms) => (ms < 1000 ? `${whole.format(Math.round(ms))} ms`
    : `${(ms / 1000).toLocaleString(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 })} s`);
  const count = (number) => whole.format(Math.round(number));

  /** Enough digits that a call for a hundredth of a cent still costs something. */
  function money(amount) {
    const digits = amount === 0 ? {} : amount >= 0.01 ? { maximumFractionDigits: 4 } : { maximumSignificantDigits: 2 };
    return new Intl.NumberFormat(language, { style: "currency", currency: config.currency, ...digits }).format(amount);
  }

  /** What a call costs by the price book; null where no price is set. `usage` is OpenAI's. */
  function costOf(offer, usage) {
    if (!offer?.cost || !usage) return null;
    const cached = usage.prompt_tokens_details?.cached_tokens || 0;
    const { prompt, completion, cached: kept } = offer.cost;
    return ((usage.prompt_tokens - cached) * prompt + cached * kept + (usage.completion_tokens || 0) * completion) / 1e6;
  }

  function costText(offer, usage) {
    const amount = costOf(offer, usage);
    if (amount === null) return word("no_price");
    return offer.cost.is_most ? word("most", { money: money(amount) }) : money(amount);
  }

  const clock = (date) => date.toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });

  function copy(text) {
    return navigator.clipboard.writeText(text);
  }

  /** For those who can't see the page: what has just come to its end. */
  function tell(text) {
    document.getElementById("told").textContent = text;
  }

  function complain(place, field, text) {
    place.hidden = !text;
    place.replaceChildren(...(text ? [shape("no"), text] : []));
    if (text) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    if (text) field.focus();
  }

  window.playground = {
    root, config, language, word, make, shape, icon, show, seconds, count, money, costOf, costText, clock, copy, tell, complain,
  };
})();
