// npm `openai`.
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.env.GROUNDUP_ADDRESS}/v1`, apiKey: "any", maxRetries: 0 });
const HELLO = [{ role: "user", content: "Hello" }];
const SAID = "Good day to you.";
const MOOD = {
  type: "object",
  properties: { mood: { enum: ["sad", "glad"] } },
  required: ["mood"],
  additionalProperties: false,
};

test("answers whole and streamed are the same", async () => {
  const asked = { model: "greeter", messages: HELLO, temperature: 0 };
  const whole = await client.chat.completions.create(asked);
  assert.equal(whole.choices[0].message.content, SAID);
  let streamed = "";
  const stream = await client.chat.completions.create({ ...asked, stream: true, stream_options: { include_usage: true } });
  let usage;
  for await (const chunk of stream) {
    streamed += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(streamed, SAID);
  assert.deepEqual(usage, whole.usage);
});

test("responses", async () => {
  const said = await client.responses.create({ model: "greeter", input: "Hello", temperature: 0 });
  assert.equal(said.output_text, SAID);
});

test("a call that is forced is made, streamed too", async () => {
  const tools = [{ type: "function", function: { name: "mood", parameters: MOOD } }];
  const asked = { model: "chatty", messages: HELLO, tools, tool_choice: "required", parallel_tool_calls: false };
  const [call] = (await client.chat.completions.create(asked)).choices[0].message.tool_calls;
  assert.ok(["sad", "glad"].includes(JSON.parse(call.function.arguments).mood));
  const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
  assert.equal(streamed.choices[0].message.tool_calls[0].function.name, "mood");
});

test("a loop of tools is run", async () => {
  const called = [];
  const weather = {
    type: "function",
    function: {
      name: "weather",
      description: "The weather in a city.",
      parameters: { type: "object", properties: { city: { type: "string" } } },
      parse: JSON.parse,
      function: ({ city }) => {
        called.push(city);
        return `sunny in ${city}`;
      },
    },
  };
  const runner = client.chat.completions.runTools({ model: "helper", messages: HELLO, tools: [weather], temperature: 0 });
  assert.equal(await runner.finalContent(), "It is sunny in Ulm.");
  assert.deepEqual(called, ["Ulm"]);
});

test("a schema, embeddings, models", async () => {
  const response_format = { type: "json_schema", json_schema: { name: "mood", schema: MOOD, strict: true } };
  const said = await client.chat.completions.create({ model: "chatty", messages: HELLO, response_format });
  assert.ok(["sad", "glad"].includes(JSON.parse(said.choices[0].message.content).mood));
  const found = await client.embeddings.create({ model: "greeter", input: ["Hello", "Good day"] });
  assert.equal(found.data[1].embedding.length, 64);
  const ids = [];
  for await (const model of await client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("greeter:latest"));
});

test("a stream is left in its middle", async () => {
  const stream = await client.chat.completions.create({ model: "chatty", messages: HELLO, stream: true });
  for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
});

test("refusals are sentences", async () => {
  await assert.rejects(client.chat.completions.create({ model: "nobody", messages: HELLO }), { status: 404 });
  const odd = [{ type: "function", function: { name: "f", parameters: { type: "nonsense" } } }];
  const asked = { model: "chatty", messages: HELLO, tools: odd, tool_choice: "required" };
  await assert.rejects(client.chat.completions.create(asked), { status: 400 });
});
