// Embeddings as a table of cosines; rerank and scores as lists. One call with all texts.
(() => {
  "use strict";
  const { root, config, word, make, show, seconds, count, costText, clock, ask, noticeOf, asRefused, complain, tell, addSelect, offerOf,
    firstReady, onKey, codeFrom } = window.playground;
  const by = (id) => document.getElementById(id);
  const [form, select, lines, error, send, stop, state, answer] = ["texts", "model", "lines", "lines-error", "send", "stop", "state", "answer"].map(by);
  const MOST_TEXTS = 10, MOST_DOCUMENTS = 50;
  const isEmbeddings = config.kind === "embeddings";
  let stopper = null;

  const texts = () => lines.value.split("\n").map((line) => line.trim()).filter(Boolean);
  const query = () => by("query").value.trim();

  function wrong() {
    const found = texts();
    if (isEmbeddings) return found.length < 2 || found.length > MOST_TEXTS ? word("few_texts") : "";
    if (!found.length || !query()) return word("no_documents");
    return found.length > MOST_DOCUMENTS ? word("many_documents") : "";
  }

  function body() {
    const model = offerOf(select.value)?.name || "";
    if (isEmbeddings) return { model, input: texts(), encoding_format: "float" };
    return config.kind === "rerank" ? { model, query: query(), documents: texts() } : { model, text_1: query(), text_2: texts() };
  }

  function cosine(one, other) {
    let dot = 0, first = 0, second = 0;
    for (let at = 0; at < one.length; at += 1) {
      dot += one[at] * other[at];
      first += one[at] ** 2;
      second += other[at] ** 2;
    }
    return first && second ? dot / Math.sqrt(first * second) : 0;
  }

  const shown = (value) => value.toLocaleString(config.language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const exact = (value) => value.toLocaleString(config.language, { maximumSignificantDigits: 4 });

  /** A table of each two texts: the number in the cell, its depth by the colour. */
  function table(asked, told) {
    const vectors = told.data.toSorted((one, other) => one.index - other.index).map((one) => one.embedding);
    if (vectors.length !== asked.length || !vectors.every((vector) => Array.isArray(vector) && vector.length)) throw new Error("form");
    by("dimensions").textContent = count(vectors[0].length);
    const head = make("tr", {}, make("th", { scope: "col" }, word("text")), ...asked.map((_, number) => make("th", { scope: "col", class: "n" }, String(number + 1))));
    const rows = vectors.map((one, row) => make("tr", {}, make("th", { scope: "row" }, `${row + 1}. ${asked[row]}`),
      ...vectors.map((other) => cosine(one, other)).map((value) =>
        make("td", { class: `n heat-${Math.max(0, Math.min(9, Math.floor(value * 10)))}` }, shown(value)))));
    return [make("p", { class: "pad" }, closest(vectors)),
      make("table", { class: "table heat" }, make("thead", {}, head), make("tbody", {}, ...rows))];
  }

  function closest(vectors) {
    let best = [0, 1, -2];
    vectors.forEach((one, first) => vectors.slice(0, first).forEach((other, second) => {
      const value = cosine(one, other);
      if (value > best[2]) best = [second, first, value];
    }));
    return word("closest", { first: best[0] + 1, second: best[1] + 1, value: shown(best[2]) });
  }

  /** [{index, score}], in the order in which they are shown. */
  function scores(asked, told) {
    const found = config.kind === "rerank" ? told.results.map((one) => ({ index: one.index, score: one.relevance_score }))
      : told.data.map((one) => ({ index: one.index, score: Array.isArray(one.score) ? one.score[0] : one.score }));
    if (!found.length || !found.every((one) => one.index in asked && Number.isFinite(one.score))) throw new Error("form");
    return config.kind === "rerank" ? found.toSorted((one, other) => other.score - one.score) : found;
  }

  function list(asked, told) {
    const found = scores(asked, told);
    const best = found.reduce((one, other) => (other.score > one.score ? other : one));
    const [low, high] = [Math.min(0, ...found.map((one) => one.score)), Math.max(1, ...found.map((one) => one.score))];
    const rows = found.map(({ index, score }) => make("li", {}, make("span", { class: "num src" }, word("document_number", { number: index + 1 })),
      make("div", {}, asked[index], bar((score - low) / (high - low))), make("b", { class: "num" }, exact(score))));
    return [make("p", { class: "pad" }, word("best", { number: best.index + 1, score: exact(best.score) })), make("ol", { class: "list" }, ...rows)];
  }

  function bar(part) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of Object.entries({ class: "f-1", width: `${Math.max(0.5, part * 100)}%`, height: "6" })) rect.setAttribute(name, value);
    svg.setAttribute("class", "bar thin");
    svg.setAttribute("aria-hidden", "true");
    svg.append(rect);
    return svg;
  }

  function busy(isBusy) {
    send.disabled = isBusy;
    stop.disabled = !isBusy;
    select.disabled = isBusy;
    by("result").setAttribute("aria-busy", String(isBusy));
  }

  async function submit() {
    const offer = offerOf(select.value);
    complain(error, lines, wrong());
    if (stopper || wrong()) return;
    if (!offer?.is_ready) return complain(error, select, word("choose_model"));
    stopper = new AbortController();
    busy(true);
    show(state, "waiting");
    const asked = texts(), began = performance.now();
    try {
      const response = await ask(body(), { signal: stopper.signal });
      const told = await response.json();
      draw(offer, asked, told, performance.now() - began);
    } catch (problem) {
      refuse(problem, offer);
    }
    stopper = null;
    busy(false);
  }

  function draw(offer, asked, told, took) {
    answer.replaceChildren(...(isEmbeddings ? table : list)(asked, told));
    const usage = told.usage && { completion_tokens: 0, ...told.usage, prompt_tokens: told.usage.prompt_tokens ?? told.usage.total_tokens };
    by("took").textContent = seconds(took);
    by("total").textContent = usage ? count(usage.prompt_tokens) : "–";
    by("spent").textContent = usage ? costText(offer, usage) : "–";
    show(state, "done");
    tell(word("told_done", { model: offer.name, tokens: usage ? count(usage.prompt_tokens) : "–", seconds: seconds(took) }));
  }

  function refuse(problem, offer) {
    if (stopper.signal.aborted) {
      show(state, "stopped");
      tell(word("told_stopped", { model: offer.name }));
      return;
    }
    const refused = asRefused(problem);
    show(state, refused.state);
    answer.replaceChildren(make("div", { class: "pad" }, noticeOf(refused, submit)));
    tell(word("told_refused", { model: offer.name, reason: refused.message }));
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  stop.addEventListener("click", () => stopper?.abort());
  onKey((until) => { by("key-ends").textContent = word("ends_at", { time: clock(until) }); });
  codeFrom(() => [body()]);
  addSelect(select, config.chosen[0] || firstReady().uid);
  root.hidden = false;
})();
