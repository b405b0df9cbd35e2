// The talk: one to three models are asked the same at once. It is kept in this page's memory only.
(() => {
  "use strict";
  const { root, config, word, make, money, costOf, count, clock, copy, complain, tell, Column, settings, system, settingsAreGood,
    addSelect, removeSelect, firstReady, keyFor, onModels, onKey, codeFrom, takeImages, putImages, heldImages, offerImages } = window.playground;
  const by = (id) => document.getElementById(id);
  const [box, form, say, label, error, more, send, stop, edit, clear, exports, copies, toasts] = ["columns", "composer", "say", "say-label",
    "say-error", "more", "send", "stop", "edit", "clear", "export", "copy-talk", "toasts"].map(by);
  const UNDO_FOR = 8000; // ms
  let columns = [], turns = [], running = new Set(), stopper = new AbortController();

  function addColumn(uid) {
    const column = new Column({ onRemove: removeColumn, onChange: renamed });
    columns.push(column);
    box.append(column.node);
    addSelect(column.select, uid);
    column.redraw(turns);
    renamed();
    return column;
  }

  function removeColumn(column) {
    columns = columns.filter((one) => one !== column);
    column.node.remove();
    removeSelect(column.select);
    renamed();
    (columns.at(-1)?.select || more).focus();
  }

  /** All that depends on which models are chosen. */
  function renamed() {
    columns.forEach((column) => column.name());
    box.dataset.count = columns.length;
    const text = columns.length === 1 && columns[0].offer ? word("to_one", { model: columns[0].offer.name }) : word("to_all");
    label.textContent = text;
    say.placeholder = text;
    for (const column of columns) column.removes.hidden = columns.length === 1;
    more.disabled = columns.length >= config.most || !firstReady();
    offerImages(columns.some((column) => column.offer?.takes_images));
  }

  function refresh() {
    const isBusy = running.size > 0, hasSaid = turns.length > 0;
    stop.disabled = !isBusy;
    send.disabled = isBusy;
    more.disabled = isBusy || columns.length >= config.most || !firstReady();
    for (const button of [clear, exports, copies]) button.disabled = isBusy || !hasSaid;
    edit.hidden = isBusy || !hasSaid;
    for (const column of columns) column.select.disabled = column.removes.disabled = isBusy;
    const answers = turns.flatMap((turn) => [...turn.answers.values()]).filter((answer) => answer.measure.usage);
    const costs = answers.map((answer) => costOf(answer.offer, answer.measure.usage)).filter((cost) => cost !== null);
    const sum = (values) => values.reduce((all, value) => all + value, 0);
    by("spent").textContent = costs.length ? money(sum(costs)) : "–";
    by("total").textContent = answers.length ? `${count(sum(answers.map((one) => one.measure.usage.prompt_tokens)))} · ${
      count(sum(answers.map((one) => one.measure.usage.completion_tokens || 0)))}` : "–";
  }

  function bodyFor(column, turn) {
    return { model: column.offer.name, messages: column.messages(turns, turn, system()), ...settings(), stream: true,
      stream_options: { include_usage: true } };
  }

  async function askOne(column, turn) {
    running.add(column);
    refresh();
    const names = columns.map((one) => one.offer.name);
    const { signal } = stopper;
    const again = () => { if (!running.size && turn === turns.at(-1)) { fresh(); askOne(column, turn); } };
    await column.answer(turn, bodyFor(column, turn), { signal, names, again });
    running.delete(column);
    refresh();
  }

  function fresh() {
    if (stopper.signal.aborted) stopper = new AbortController();
  }

  async function submit() {
    const text = say.value.trim();
    const waiting = columns.find((column) => !column.offer?.is_ready);
    if (running.size || !settingsAreGood()) return;
    complain(error, say, "");
    if (waiting) return complain(error, waiting.select, word("choose_model"));
    if (!text && !heldImages().length) return say.focus();
    const turn = { text, images: takeImages(), answers: new Map(), at: new Date() };
    turns.push(turn);
    say.value = "";
    fresh();
    columns.forEach((column) => column.drawMessage(turn));
    running.add(turn);
    refresh();
    // One key for all of them, before they ask side by side.
    try { await keyFor(columns.map((column) => column.offer.name)); } catch { /* each call says why */ }
    running.delete(turn);
    columns.forEach((column) => askOne(column, turn));
  }

  function editLast() {
    const turn = turns.pop();
    if (!turn) return;
    say.value = turn.text;
    putImages(turn.images);
    columns.forEach((column) => column.redraw(turns));
    refresh();
    say.focus();
  }

  function wipe() {
    const before = turns;
    turns = [];
    columns.forEach((column) => column.redraw(turns));
    refresh();
    toast(word("cleared"), () => { if (!turns.length) { turns = before; columns.forEach((column) => column.redraw(turns)); refresh(); } });
    say.focus();
  }

  function toast(text, undo = null) {
    const place = make("div", { class: "notice toast is-idle" }, make("div", {}, text),
      undo ? make("button", { class: "btn", type: "button", onclick: () => { undo(); place.remove(); } }, word("undo")) : null);
    toasts.replaceChildren(place);
    setTimeout(() => place.remove(), UNDO_FOR);
  }

  /** The talk as others can read it: who was asked what, with which settings, and what came back how fast. */
  function talk() {
    return {
      exported_at: new Date().toISOString(), workspace: config.workspace, system: system(), settings: settings(),
      turns: turns.map((turn) => ({
        at: turn.at.toISOString(), user: turn.text, images: turn.images.map((image) => image.name),
        answers: [...turn.answers.values()].map(({ model, text, thought, state, finish, measure }) => ({
          model, text, thought: thought || undefined, state, finish_reason: finish, usage: measure.usage,
          first_token_ms: measure.first && Math.round(measure.first), took_ms: Math.round(measure.took),
          tokens_per_second: measure.speed && Math.round(measure.speed * 10) / 10,
        })),
      })),
    };
  }

  function save() {
    const url = URL.createObjectURL(new Blob([JSON.stringify(talk(), null, 2)], { type: "application/json" }));
    make("a", { href: url, download: `talk-${new Date().toISOString().slice(0, 16).replace(":", "")}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  async function copyTalk() {
    const parts = turns.flatMap((turn) => [`> ${turn.text.replaceAll("\n", "\n> ")}`,
      ...[...turn.answers.values()].map((answer) => `**${answer.model}**\n\n${answer.text}`)]);
    await copy(parts.join("\n\n"));
    toast(word("copied_all"));
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  say.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running.size) stopper.abort();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return; // Enter also ends a Chinese or Korean word
    event.preventDefault();
    submit();
  });
  stop.addEventListener("click", () => stopper.abort());
  more.addEventListener("click", () => addColumn(firstReady(columns.map((column) => column.select.value))?.uid || firstReady().uid).select.focus());
  edit.addEventListener("click", editLast);
  clear.addEventListener("click", wipe);
  exports.addEventListener("click", save);
  copies.addEventListener("click", copyTalk);
  onModels(() => columns.forEach((column) => column.name()));
  onKey((until) => { by("key-ends").textContent = word("ends_at", { time: clock(until) }); });
  codeFrom(() => {
    const text = say.value.trim();
    const next = text || !turns.length ? { text: text || word("your_message"), images: heldImages(), answers: new Map() } : turns.at(-1);
    return columns.filter((column) => column.offer).map((column) => bodyFor(column, next));
  });

  for (const uid of config.chosen.length ? config.chosen : [firstReady().uid]) addColumn(uid);
  refresh();
  root.hidden = false;
  tell("");
})();
