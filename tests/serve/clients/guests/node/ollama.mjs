// npm `ollama`.
import assert from "node:assert/strict";
import test from "node:test";
import { Ollama } from "ollama";

const client = new Ollama({ host: process.env.GROUNDUP_ADDRESS });
const HELLO = [{ role: "user", content: "Hello" }];
const SAID = "Good day to you.";
const TOOL = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
const greedy = { temperature: 0 };

test("answers whole and streamed are the same", async () => {
  const whole = await client.chat({ model: "greeter", messages: HELLO, options: greedy });
  assert.equal(whole.message.content, SAID);
  let streamed = "";
  for await (const part of await client.chat({ model: "greeter", messages: HELLO, options: greedy, stream: true })) {
    streamed += part.message.content;
  }
  assert.equal(streamed, SAID);
});

test("generate goes on from its context", async () => {
  const first = await client.generate({ model: "greeter", prompt: "Hello", options: greedy });
  assert.equal(first.response, SAID);
  const next = await client.generate({ model: "greeter", prompt: "And?", context: first.context, options: greedy });
  assert.equal(next.response, SAID);
  assert.deepEqual(next.context.slice(0, first.context.length), first.context);
});

test("a tool is called and its result used", async () => {
  const asked = { model: "helper", tools: [TOOL], options: greedy };
  const first = await client.chat({ ...asked, messages: HELLO });
  assert.deepEqual(first.message.tool_calls.map((call) => call.function), [{ name: "weather", arguments: { city: "Ulm" } }]);
  const result = { role: "tool", tool_name: "weather", content: "sunny in Ulm" };
  const said = await client.chat({ ...asked, messages: [...HELLO, first.message, result] });
  assert.equal(said.message.content, "It is sunny in Ulm.");
});

test("a schema, embeddings, lists, names", async () => {
  const format = { type: "object", properties: { sure: { type: "boolean" } }, required: ["sure"], additionalProperties: false };
  const said = await client.chat({ model: "chatty", messages: HELLO, format });
  assert.equal(typeof JSON.parse(said.message.content).sure, "boolean");
  assert.equal((await client.embed({ model: "greeter", input: ["Hello", "Good day"] })).embeddings.length, 2);
  assert.ok((await client.list()).models.some((model) => model.name === "helper:latest"));
  assert.ok((await client.show({ model: "helper" })).capabilities.includes("tools"));
  const template = "{% for each in messages %}{{ each.content }}{% endfor %}";
  assert.equal((await client.create({ model: "own", from: "greeter", template, stream: false })).status, "success");
  assert.equal((await client.show({ model: "own" })).template, template);
  await client.delete({ model: "own" });
});

test("a stream is left in its middle", async () => {
  const stream = await client.chat({ model: "chatty", messages: HELLO, stream: true });
  const read = async () => {
    for await (const part of stream) if (part.message.content) stream.abort();
  };
  await assert.rejects(read(), { name: "AbortError" });
});

test("refusals are sentences", async () => {
  await assert.rejects(client.chat({ model: "nobody", messages: HELLO }), /not found/);
  await assert.rejects(client.generate({ model: "greeter", prompt: "Hi", template: '{{ template "x" . }}' }), /Go's template language/);
  await assert.rejects(client.generate({ model: "greeter", prompt: "Hi", images: ["aGk="] }), /does not support vision/);
});
