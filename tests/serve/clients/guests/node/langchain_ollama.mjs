// npm `@langchain/ollama`.
import assert from "node:assert/strict";
import test from "node:test";
import { tool } from "@langchain/core/tools";
import { ToolMessage, HumanMessage } from "@langchain/core/messages";
import { ChatOllama, OllamaEmbeddings } from "@langchain/ollama";
import { z } from "zod";

const baseUrl = process.env.GROUNDUP_ADDRESS;
const chat = (model) => new ChatOllama({ model, baseUrl, temperature: 0 });
const SAID = "Good day to you.";
const weather = tool(({ city }) => `sunny in ${city}`, {
  name: "weather",
  description: "The weather in a city.",
  schema: z.object({ city: z.string() }),
});

test("answers whole and streamed are the same", async () => {
  assert.equal((await chat("greeter").invoke("Hello")).content, SAID);
  let streamed = "";
  for await (const piece of await chat("greeter").stream("Hello")) streamed += piece.content;
  assert.equal(streamed, SAID);
});

test("a tool is called and its result used", async () => {
  const bound = chat("helper").bindTools([weather]);
  const asked = new HumanMessage("How is the weather?");
  const called = await bound.invoke([asked]);
  assert.deepEqual(called.tool_calls.map(({ name, args }) => ({ name, args })), [{ name: "weather", args: { city: "Ulm" } }]);
  const result = await weather.invoke(called.tool_calls[0]);
  assert.ok(result instanceof ToolMessage);
  assert.equal((await bound.invoke([asked, called, result])).content, "It is sunny in Ulm.");
});

test("an object that fits a schema", async () => {
  const Mood = z.object({ mood: z.enum(["sad", "glad"]), sure: z.boolean() });
  const found = await chat("chatty").withStructuredOutput(Mood, { method: "jsonSchema" }).invoke("How are you?");
  assert.ok(["sad", "glad"].includes(found.mood));
});

test("embeddings", async () => {
  const embeddings = new OllamaEmbeddings({ model: "greeter", baseUrl });
  assert.equal((await embeddings.embedQuery("Hello")).length, 64);
  assert.equal((await embeddings.embedDocuments(["Hello", "Good day"])).length, 2);
});

test("an unknown model is said", async () => {
  await assert.rejects(new ChatOllama({ model: "nobody", baseUrl, maxRetries: 0 }).invoke("Hello"), /not found/);
});
