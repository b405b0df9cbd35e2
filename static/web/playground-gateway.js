// Calls through the gateway, with a key that lives in this page's memory only. Every refusal becomes a clear sentence.
(() => {
  "use strict";
  const { root, config, word, clock, language } = window.playground;
  const SPARE = 60_000; // ms that a key must still be good for
  const MONTHLY = /_per_month$/;
  let key = null; // {text, until, models}
  const listeners = [];

  /** A call that did not end well: `state` of the page, a sentence, and where else to go. */
  class Refused extends Error {
    constructor(sentence, { state = "refused", link = null, reference = "", isKey = false } = {}) {
      super(sentence);
      Object.assign(this, { state, link, reference, isKey });
    }
  }

  function signedOut() {
    return new Refused(word("signed_out"), { link: { text: word("sign_in"), url: location.href } });
  }

  async function drawn(names) {
    const body = new URLSearchParams(names.map((name) => ["model", name]));
    let answer;
    try {
      answer = await fetch(config.urls.key, {
        method: "POST", body, headers: {
          "X-CSRFToken": root.querySelector("[name=csrfmiddlewaretoken]").value, "HX-Request": "true",
          Accept: "application/json",
        },
      });
    } catch {
      throw new Refused(word("network"));
    }
    if (answer.status === 401) throw signedOut();
    const told = await answer.json().catch(() => null);
    if (!answer.ok || !told?.key) throw new Refused(told?.error?.message || word("key_refused"), { link: { text: word("load"), url: location.href } });
    await known(told.key);
    return { text: told.key, until: Date.parse(told.expires_at), models: new Set(told.models) };
  }

  /** Let the gateway look the new key up now, so that the first answer's times are the model's alone. */
  async function known(text) {
    await fetch("/v1/models", { credentials: "omit", headers: { Authorization: `Bearer ${text}` } }).catch(() => null);
  }

  /** A key for these models: the one in memory while it lasts, else a new one. */
  async function keyFor(names) {
    const isGood = key && key.until - Date.now() > SPARE && names.every((name) => key.models.has(name));
    if (!isGood) {
      key = await drawn([...new Set(names)]);
      listeners.forEach((listener) => listener(new Date(key.until)));
    }
    return key;
  }

  /** The answer to a call, if it is a good one. `names` are all models that the page calls now. Throws Refused. */
  async function ask(body, { signal, names = [body.model] }) {
    for (let attempt = 1; ; attempt += 1) {
      const used = await keyFor(names);
      const answer = await sent(body, used, signal);
      if (answer.ok) return answer;
      if (answer.status === 401) {
        if (key === used) key = null;
        if (attempt === 1) continue; // it ended, or its drawer's rights changed: a new one says which
      }
      throw await refusal(answer, body.model);
    }
  }

  async function sent(body, used, signal) {
    try {
      return await fetch(config.path, {
        method: "POST", signal, body: JSON.stringify(body), credentials: "omit",
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${used.text}` },
      });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new Refused(word("network"));
    }
  }

  async function refusal(answer, model) {
    const told = (await answer.json().catch(() => null)) || {};
    const error = typeof told.error === "object" && told.error ? told.error : { message: told.message || told.error || told.detail };
    const reason = String(error.message || answer.statusText || "–").slice(0, 500);
    const reference = answer.headers.get("x-request-id") || "";
    const [sentence, link] = sentenceOf(answer, error.code, model, reason);
    return new Refused(sentence, { link, reference });
  }

  const endpoints = () => ({ text: word("look"), url: config.urls.endpoints });

  function sentenceOf(answer, code, model, reason) {
    const { status } = answer;
    if (status === 401) return [word("wrong_key")];
    if (status === 403) return [word("no_right")];
    if (status === 404) return code === "model_not_found" ? [word("model_gone", { model })] : [word("failed", { status, reason })];
    if (status === 413) return [word("too_big")];
    if (status === 429) return [limitText(answer), { text: word("see_limits"), url: config.urls.limits }];
    if (status === 503) return code === "model_not_ready" ? [word("model_waits", { model }), endpoints()] : [word("away")];
    if (status === 502 || status === 504) return [word("engine_gone"), endpoints()];
    if (status < 500) return [word("engine_refused", { reason })];
    return [word("failed", { status, reason }), endpoints()];
  }

  /** Which limit, how far it is used, and when it takes calls again. */
  function limitText(answer) {
    const said = Object.fromEntries((answer.headers.get("x-limit-reached") || "").split(";")
      .map((part) => part.trim().split("=")).filter((pair) => pair.length === 2));
    const wait = Number(answer.headers.get("retry-after") || 0);
    const sentences = [word(config.words[`limit_${said.kind}`] ? `limit_${said.kind}` : "limit_other")];
    if (config.words[`of_${said.quantity}`]) sentences.push(word(`of_${said.quantity}`, figures(said)));
    if (wait) {
      const then = new Date(Date.now() + wait * 1000);
      const isFar = wait > 12 * 3600;
      sentences.push(isFar ? word("again_on", { time: then.toLocaleDateString(language, { dateStyle: "long" }) })
        : word("again_at", { time: wait < 300 ? then.toLocaleTimeString(language) : clock(then) }));
    }
    return sentences.join(language.startsWith("zh") ? "" : " ");
  }

  function figures({ used, limit, quantity }) {
    const style = quantity.startsWith("money") ? { style: "currency", currency: config.currency } : {};
    const shown = new Intl.NumberFormat(language, { ...style, maximumFractionDigits: MONTHLY.test(quantity) ? 4 : 0 });
    return { used: shown.format(Number(used)), limit: shown.format(Number(limit)) };
  }

  /** What is said in a stream, event by event, without the last one; throws Refused where it was cut. */
  async function* events(answer, signal) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const reference = answer.headers.get("x-request-id") || "";
    let rest = "";
    for (;;) {
      let part;
      try {
        part = await reader.read();
      } catch (error) {
        if (signal.aborted) throw error;
        throw new Refused(word("was_cut"), { state: "cut", reference });
      }
      rest += part.done ? "\n\n" : part.value;
      const blocks = rest.split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const data = block.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
        if (data === "[DONE]") return;
        if (!data) continue;
        const event = JSON.parse(data);
        if (event.error) throw new Refused(word("was_cut"), { state: "cut", reference, link: endpoints() });
        yield event;
      }
      if (part.done) throw new Refused(word("was_cut"), { state: "cut", reference });
    }
  }

  /** A notice of what went wrong, with the ways out. `again` is called by its button. */
  function noticeOf(refused, again) {
    const { make, shape } = window.playground;
    return make("div", { class: `notice ${refused.state === "cut" ? "is-warn" : "is-bad"}`, role: "alert" },
      shape(refused.state === "cut" ? "warn" : "no"),
      make("div", {}, refused.message, refused.reference ? make("span", { class: "sub" }, word("reference", { id: refused.reference })) : null),
      make("span", { class: "row ways" },
        again ? make("button", { class: "btn", type: "button", onclick: again }, word("try_again")) : null,
        refused.link ? make("a", { class: "btn", href: refused.link.url }, refused.link.text) : null));
  }

  /** Whatever was thrown as Refused. */
  function asRefused(error) {
    return error instanceof Refused ? error : new Refused(word("strange"));
  }

  Object.assign(window.playground, { ask, events, keyFor, noticeOf, asRefused, onKey: (listener) => listeners.push(listener) });
})();
