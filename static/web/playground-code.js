// The same call as code: what is on the screen now, with a placeholder for the key.
(() => {
  "use strict";
  const { config, make } = window.playground;
  const dialog = document.getElementById("code");
  const text = document.getElementById("code-text");
  const select = document.getElementById("code-model");
  const base = `${config.base}/v1`;
  const KEY = "PORTAL_API_KEY";
  let bodies = () => [];
  let language = "curl";

  const shell = (value) => `'${value.replaceAll("'", "'\\''")}'`;
  const pretty = (value) => JSON.stringify(value, null, 2);
  const indented = (value, by) => value.replaceAll("\n", `\n${" ".repeat(by)}`);

  /** A JSON value as a Python literal: its strings are JSON's, which Python reads alike. */
  function python(value, by = 0) {
    if (value === null) return "None";
    if (typeof value === "boolean") return value ? "True" : "False";
    if (typeof value !== "object") return JSON.stringify(value);
    const deeper = " ".repeat(by + 4), end = `\n${" ".repeat(by)}`;
    if (Array.isArray(value)) {
      return value.length ? `[\n${value.map((one) => `${deeper}${python(one, by + 4)},`).join("\n")}${end}]` : "[]";
    }
    return `{\n${Object.entries(value).map(([name, one]) => `${deeper}${JSON.stringify(name)}: ${python(one, by + 4)},`).join("\n")}${end}}`;
  }

  const named = (body) => Object.entries(body).map(([name, value]) => `    ${name}=${python(value, 4)},`).join("\n");

  function curl(body) {
    const stream = body.stream ? " -N" : "";
    return `curl${stream} ${config.base}${config.path} \\\n  -H "Authorization: Bearer $${KEY}" \\\n  -H "Content-Type: application/json" \\\n  -d ${shell(pretty(body))}\n`;
  }

  const PYTHON_HEAD = `import os\n\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(base)}, api_key=os.environ["${KEY}"])\n\n`;
  const JS_HEAD = `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: ${JSON.stringify(base)}, apiKey: process.env.${KEY} });\n\n`;
  const own = config.path.replace("/v1", "");

  const PYTHON = {
    chat: (body) => `stream = client.chat.completions.create(\n${named(body)}\n)\nfor chunk in stream:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or "", end="", flush=True)\n`,
    embeddings: (body) => `answer = client.embeddings.create(\n${named(body)}\n)\nfor one in answer.data:\n    print(one.index, one.embedding[:8])\n`,
    other: (body) => `answer = client.post(${JSON.stringify(own)}, cast_to=dict, body=${python(body)})\nprint(answer)\n`,
  };
  const JAVASCRIPT = {
    chat: (body) => `const stream = await client.chat.completions.create(${pretty(body)});\nfor await (const chunk of stream) {\n  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");\n}\n`,
    embeddings: (body) => `const answer = await client.embeddings.create(${pretty(body)});\nfor (const one of answer.data) console.log(one.index, one.embedding.slice(0, 8));\n`,
    other: (body) => `const answer = await client.post(${JSON.stringify(own)}, { body: ${indented(pretty(body), 0)} });\nconsole.log(answer);\n`,
  };

  function codeOf(body) {
    if (language === "curl") return curl(body);
    const [head, kinds] = language === "python" ? [PYTHON_HEAD, PYTHON] : [JS_HEAD, JAVASCRIPT];
    return head + (kinds[config.kind] || kinds.other)(body);
  }

  function draw() {
    const all = bodies();
    text.textContent = all.length ? codeOf(all[Math.min(select.selectedIndex < 0 ? 0 : select.selectedIndex, all.length - 1)]) : "";
  }

  document.getElementById("show-code").addEventListener("click", () => {
    const all = bodies();
    select.replaceChildren(...all.map((body) => make("option", {}, body.model)));
    document.getElementById("code-model-row").hidden = all.length < 2;
    draw();
  });
  select.addEventListener("change", draw);
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("[data-code]");
    if (!button) return;
    language = button.dataset.code;
    for (const one of dialog.querySelectorAll("[data-code]")) one.setAttribute("aria-pressed", String(one === button));
    draw();
  });

  /** Say where the bodies of the next calls come from, one for each model. */
  window.playground.codeFrom = (source) => { bodies = source; };
})();
