// One model's side of the talk: its choice, what was said, the answer that is being written, and its figures.
(() => {
  "use strict";
  const { word, make, show, seconds, count, costText, written, ask, events, noticeOf, asRefused, offerOf, copy, tell } = window.playground;
  const DRAWN_EVERY = 60; // ms between two drawings of an answer that is being written
  const SHORTEST = 50; // ms: what came at once says nothing of a speed
  const template = document.getElementById("column");

  /** How a call went so far. Times are in ms since it was sent. */
  class Measure {
    constructor() {
      this.began = performance.now();
      this.first = this.last = null;
      this.pieces = 0;
      this.usage = null;
    }

    piece() {
      this.last = performance.now() - this.began;
      this.first ??= this.last;
      this.pieces += 1;
    }

    end() { this.took = performance.now() - this.began; }
    get tokens() { return this.usage?.completion_tokens ?? this.pieces; }
    get speed() { return this.tokens > 1 && this.last - this.first >= SHORTEST ? ((this.tokens - 1) * 1000) / (this.last - this.first) : null; }
  }

  class Column {
    constructor({ onRemove, onChange }) {
      this.node = template.content.cloneNode(true).firstElementChild;
      const find = (selector) => this.node.querySelector(selector);
      [this.title, this.select, this.place, this.state, this.talk] = ["h2", "select", ".place", ".status", ".talk"].map(find);
      this.removes = find("header .btn");
      this.figures = Object.fromEntries(["first", "speed", "tokens", "took"].map((name) => [name, find(`.${name}`)]));
      this.nothing = find(".nothing");
      this.removes.addEventListener("click", () => onRemove(this));
      this.select.addEventListener("change", () => { this.name(); onChange(); });
      show(this.state, "idle");
    }

    get offer() { return offerOf(this.select.value); }

    name() {
      const { offer } = this;
      if (!offer) return;
      this.title.textContent = offer.name;
      this.talk.setAttribute("aria-label", offer.name);
      this.place.textContent = offer.place;
      this.removes.setAttribute("aria-label", word("remove_model", { model: offer.name }));
    }

    /** What this model is told: the system prompt, and those turns that it answered. */
    messages(turns, next, system) {
      const said = system ? [{ role: "system", content: system }] : [];
      for (const turn of turns) {
        const answer = turn.answers.get(this);
        if (turn !== next && answer?.text) said.push(this.message(turn), { role: "assistant", content: answer.text });
      }
      return [...said, ...(next ? [this.message(next)] : [])];
    }

    message(turn) {
      const images = this.offer?.takes_images ? turn.images : [];
      if (!images.length) return { role: "user", content: turn.text };
      return { role: "user", content: [{ type: "text", text: turn.text },
        ...images.map((image) => ({ type: "image_url", image_url: { url: image.url } }))] };
    }

    /** Draw all that was said up to now, as after a change of the turns. */
    redraw(turns) {
      this.talk.replaceChildren(this.nothing);
      this.nothing.hidden = turns.length > 0;
      for (const turn of turns) {
        this.drawMessage(turn);
        const answer = turn.answers.get(this);
        if (answer) {
          this.talk.append(answer.node);
          if (answer.notice) this.talk.append(answer.notice);
        }
      }
      if (!turns.length) {
        show(this.state, "idle");
        for (const figure of Object.values(this.figures)) figure.textContent = "–";
      }
    }

    drawMessage(turn) {
      this.nothing.hidden = true;
      const me = make("div", { class: "me" }, turn.text);
      for (const image of turn.images) {
        const canvas = make("canvas", { width: image.preview.width, height: image.preview.height });
        canvas.getContext("2d").drawImage(image.preview, 0, 0);
        me.append(canvas);
      }
      this.talk.append(me);
      if (turn.images.length && !this.offer?.takes_images) this.talk.append(make("p", { class: "src" }, word("no_images")));
      this.talk.scrollTop = this.talk.scrollHeight;
    }

    /** Change what is shown; who reads the end goes on reading the end, who has scrolled up stays there. */
    following(change) {
      const { talk } = this;
      const isAtEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 40;
      change();
      if (isAtEnd) talk.scrollTop = talk.scrollHeight;
    }

    /** Ask the model, and write its answer as it comes. Never throws: what goes wrong is said in the column. */
    async answer(turn, body, { signal, names, again }) {
      const before = turn.answers.get(this);
      before?.node.remove();
      before?.notice?.remove();
      const offer = this.offer;
      const answer = { model: body.model, offer, text: "", thought: "", state: "waiting", node: make("div", { class: "said" }), notice: null,
        measure: new Measure(), finish: null };
      turn.answers.set(this, answer);
      this.talk.append(answer.node);
      this.talk.setAttribute("aria-busy", "true");
      show(this.state, "waiting");
      try {
        await this.read(await ask(body, { signal, names }), answer, signal);
        answer.state = "done";
      } catch (error) {
        this.refuse(answer, error, signal, again);
      }
      answer.measure.end();
      this.finish(answer, body);
    }

    async read(response, answer, signal) {
      for await (const event of events(response, signal)) {
        const choice = event.choices?.[0];
        const piece = choice?.delta?.content || "", thought = choice?.delta?.reasoning_content || choice?.delta?.reasoning || "";
        if (event.usage) answer.measure.usage = event.usage;
        if (choice?.finish_reason) answer.finish = choice.finish_reason;
        if (!piece && !thought) continue;
        answer.measure.piece();
        answer.text += piece;
        answer.thought += thought;
        this.drawSoon(answer);
      }
    }

    refuse(answer, error, signal, again) {
      if (signal.aborted) {
        answer.state = "stopped";
        return;
      }
      const refused = asRefused(error);
      answer.state = refused.state;
      answer.notice = noticeOf(refused, again);
      answer.reason = refused.message;
    }

    drawSoon(answer) {
      if (answer.state === "waiting") {
        answer.state = "writing";
        show(this.state, "writing");
      }
      this.drawing ??= setTimeout(() => { this.drawing = null; this.following(() => this.draw(answer)); }, DRAWN_EVERY);
    }

    draw(answer) {
      const isOpen = answer.node.querySelector("details")?.open;
      const thought = answer.thought
        ? [make("details", { open: isOpen }, make("summary", {}, word("thinking")), ...written(answer.thought))] : [];
      answer.node.replaceChildren(...thought, ...written(answer.text));
      if (answer.state === "writing") this.caret(answer.node);
      this.drawFigures(answer);
    }

    /** At the end of the last line. */
    caret(node) {
      let last = node;
      while (last.lastElementChild?.matches("p, ul, ol, li, pre, pre > code, details")) last = last.lastElementChild;
      last.append(make("span", { class: "caret" }));
    }

    drawFigures({ measure, offer, state }) {
      const put = (name, value, more = "") => this.figures[name].replaceChildren(value, " ", make("small", {}, more));
      const now = measure.took ?? performance.now() - measure.began;
      const isOver = state !== "writing" && state !== "waiting";
      put("first", measure.first === null ? "–" : seconds(measure.first));
      put("speed", measure.speed === null ? "–" : count(measure.speed), measure.speed === null ? "" : "tok/s");
      if (measure.usage) put("tokens", count(measure.tokens), word("out_in", { tokens: count(measure.usage.prompt_tokens) }));
      else put("tokens", measure.pieces ? `≈ ${count(measure.pieces)}` : "–", measure.pieces ? word("about_out") : "");
      put("took", seconds(now), isOver && measure.usage ? costText(offer, measure.usage) : "");
    }

    finish(answer, body) {
      clearTimeout(this.drawing);
      this.drawing = null;
      show(this.state, answer.state);
      this.following(() => this.drawEnd(answer, body));
      this.talk.setAttribute("aria-busy", "false");
      this.tell(answer);
    }

    drawEnd(answer, body) {
      this.draw(answer);
      if (answer.finish === "length") answer.node.append(make("p", { class: "src" }, word("too_long", { tokens: count(body.max_tokens) })));
      if (answer.text) answer.node.append(this.copies(answer));
      if (answer.notice) this.talk.append(answer.notice);
    }

    copies(answer) {
      const button = make("button", { class: "btn quiet small", type: "button", onclick: async () => {
        await copy(answer.text);
        button.textContent = word("copied");
        setTimeout(() => { button.textContent = word("copy"); }, 2000);
      } }, word("copy"));
      return make("div", { class: "row after" }, make("span", { class: "src grow" }, this.summary(answer)), button);
    }

    summary({ model, measure }) {
      return word("by", { model, tokens: `${measure.usage ? "" : "≈ "}${count(measure.tokens)}`,
        seconds: seconds(measure.took) });
    }

    tell({ state, model, measure, reason }) {
      if (state === "done") tell(word("told_done", { model, tokens: count(measure.tokens), seconds: seconds(measure.took) }));
      else if (state === "stopped") tell(word("told_stopped", { model }));
      else tell(word("told_refused", { model, reason }));
    }
  }

  window.playground.Column = Column;
})();
