// Which models can be chosen: kept fresh while the page is looked at, and searched where there are many.
(() => {
  "use strict";
  const { config, word, make } = window.playground;
  const EVERY = 20_000; // ms between two looks
  const offers = new Map(config.models.map((offer) => [offer.uid, offer]));
  let listed = config.models.map((offer) => offer.uid);
  const selects = new Set();
  const listeners = [];

  const offerOf = (uid) => offers.get(uid);
  const chosen = () => [...selects].map((select) => offers.get(select.value)).filter(Boolean);

  function label(offer) {
    const name = offer.is_route ? word("route", { name: offer.name }) : offer.name;
    return offer.is_ready ? name : word("not_ready", { name, state: offer.state });
  }

  /** Write the list into a select without touching what is chosen: its call may be running. */
  function fill(select) {
    const held = select.value || select.dataset.first;
    const uids = listed.includes(held) || !offers.has(held) ? listed : [held, ...listed];
    select.replaceChildren(...uids.map((uid) => {
      const offer = offers.get(uid);
      return make("option", { value: uid, disabled: !offer.is_ready && uid !== held }, label(offer));
    }));
    if (held) select.value = held;
  }

  function add(select, first) {
    select.dataset.first = first;
    selects.add(select);
    fill(select);
    select.addEventListener("change", remember);
    remember();
  }

  function remove(select) {
    selects.delete(select);
    remember();
  }

  /** The address names what is chosen, so that it can be kept and sent to colleagues. */
  function remember() {
    const query = new URLSearchParams([["try", config.kind],
      ...chosen().map((offer) => [offer.is_route ? "route" : "endpoint", offer.uid])]);
    history.replaceState(null, "", `${config.urls.page}?${query}`);
    listeners.forEach((listener) => listener());
  }

  async function look() {
    if (document.hidden || [...selects].includes(document.activeElement)) return;
    const query = new URLSearchParams([["try", config.kind], ["q", finder.value.trim()],
      ...chosen().map((offer) => [offer.is_route ? "route" : "endpoint", offer.uid])]);
    try {
      const answer = await fetch(`${config.urls.models}?${query}`, { headers: { "HX-Request": "true", Accept: "application/json" } });
      if (!answer.ok) return;
      const told = await answer.json();
      told.models.forEach((offer) => offers.set(offer.uid, offer));
      listed = told.models.map((offer) => offer.uid);
      finder.setCustomValidity(listed.length ? "" : word("find_none"));
      selects.forEach(fill);
      listeners.forEach((listener) => listener());
    } catch { /* the next look may find the portal again */ }
  }

  const finder = document.getElementById("find");
  finder.parentElement.hidden = !config.is_cut;
  let typing;
  finder.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(look, 250); });
  setInterval(look, EVERY);

  Object.assign(window.playground, { offers, offerOf, chosen, addSelect: add, removeSelect: remove, lookAgain: look,
    firstReady: (but = []) => config.models.find((offer) => offer.is_ready && !but.includes(offer.uid)),
    onModels: (listener) => listeners.push(listener) });
})();
