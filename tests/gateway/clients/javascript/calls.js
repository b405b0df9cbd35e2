// Makes one call of each kind with OpenAI's client and prints what came back, by name, as JSON.
import { File } from "node:buffer";

globalThis.File ??= File; // Node before 20

const { default: OpenAI, toFile } = await import("openai");
const { GATEWAY, KEY, MODEL: model } = process.env;
const client = new OpenAI({ apiKey: KEY, baseURL: `${GATEWAY}/v1`, maxRetries: 0 });
const messages = [{ role: "user", content: "Hello" }];

const calls = {
  async chat() {
    const answer = await client.chat.completions.create({ model, messages });
    return [answer.choices[0].message.content, answer.usage.total_tokens];
  },
  async stream() {
    const words = [];
    let usages = 0;
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
      words.push(chunk.choices[0].delta.content);
      usages += "usage" in chunk ? 1 : 0;
    }
    return [words.join(""), usages];
  },
  async streamWithUsage() {
    let last;
    const options = { model, messages, stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await client.chat.completions.create(options)) last = chunk;
    return last.usage.completion_tokens;
  },
  async responses() {
    const answer = await client.responses.create({ model, input: "Hello" });
    return [answer.output_text, answer.usage.output_tokens];
  },
  async streamedResponses() {
    const words = [];
    let last;
    for await (const event of await client.responses.create({ model, input: "Hello", stream: true })) {
      if (event.type === "response.output_text.delta") words.push(event.delta);
      last = event.type;
    }
    return [words.join(""), last];
  },
  async completion() {
    return (await client.completions.create({ model, prompt: "a" })).choices[0].text;
  },
  async embedding() {
    return (await client.embeddings.create({ model, input: "a", encoding_format: "float" })).data[0].embedding;
  },
  async transcription() {
    const file = await toFile(Buffer.from("RIFF sound"), "speech.wav", { type: "audio/wav" });
    return (await client.audio.transcriptions.create({ model, file })).text;
  },
  async models() {
    const found = [];
    for await (const one of client.models.list()) found.push(one.id);
    return found;
  },
  async aborted() {
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    for await (const chunk of stream) {
      stream.controller.abort();
      return chunk.choices[0].delta.content;
    }
  },
  async wrongKey() {
    return await client.withOptions({ apiKey: "sk-nobody" }).models.list();
  },
  async unknownModel() {
    return await client.chat.completions.create({ model: "nobody", messages });
  },
  async badNumber() {
    return await client.chat.completions.create({ model, messages, n: 1000 });
  },
};

const only = process.argv.slice(2);
const told = {};
for (const name of only.length ? only : Object.keys(calls)) {
  try {
    told[name] = await calls[name]();
  } catch (error) {
    told[name] = [error.constructor.name, error.status ?? null, error.code ?? null];
  }
}
console.log(JSON.stringify(told));
