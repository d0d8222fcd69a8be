// The `ai` SDK with its default provider, `@ai-sdk/openai`, which uses /v1/responses.
import assert from "node:assert/strict";
import test from "node:test";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

const sent = []; // the bodies of all requests
const watched = (url, options) => {
  sent.push(options.body);
  return fetch(url, options);
};
const groundup = createOpenAI({ baseURL: `${process.env.GROUNDUP_ADDRESS}/v1`, apiKey: "any", fetch: watched });
const SAID = "Good day to you.";
const Mood = z.object({ mood: z.enum(["sad", "glad"]), sure: z.boolean() });
const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});
const steps = { prompt: "How is the weather?", tools: { weather }, temperature: 0, stopWhen: isStepCount(3) };

test("text whole and streamed are the same", async () => {
  const asked = { model: groundup("greeter"), prompt: "Hello", temperature: 0 };
  const whole = await generateText(asked);
  assert.equal(whole.text, SAID);
  assert.equal(whole.finishReason, "stop");
  assert.ok(whole.usage.outputTokens > 2);
  let streamed = "";
  for await (const piece of streamText(asked).textStream) streamed += piece;
  assert.equal(streamed, SAID);
});

test("a conversation refers to the message of an answer before", async () => {
  const asked = { model: groundup("greeter"), temperature: 0 };
  const hello = { role: "user", content: "Hello" };
  const first = await generateText({ ...asked, messages: [hello] });
  const again = await generateText({ ...asked, messages: [hello, ...first.response.messages, hello] });
  assert.equal(again.text, SAID);
  assert.ok(sent.at(-1).includes("item_reference"));
});

test("an object that fits a schema", async () => {
  const asked = { model: groundup("chatty"), prompt: "How are you?", output: Output.object({ schema: Mood }) };
  const { output } = await generateText(asked);
  assert.ok(["sad", "glad"].includes(output.mood));
});

test("a tool that must be called is called", async () => {
  const mood = tool({ description: "Say a mood.", inputSchema: Mood });
  const asked = { model: groundup("chatty"), prompt: "How are you?", tools: { mood } };
  for (const toolChoice of ["required", { type: "tool", toolName: "mood" }]) {
    const { toolCalls } = await generateText({ ...asked, toolChoice });
    assert.equal(toolCalls.length, 1);
    assert.ok(["sad", "glad"].includes(toolCalls[0].input.mood));
  }
});

test("steps: a tool is run and its result said", async () => {
  const found = await generateText({ model: groundup("helper"), ...steps });
  assert.equal(found.text, "It is sunny in Ulm.");
  assert.equal(found.steps.length, 2);
});

test("steps in a stream", async () => {
  const found = streamText({ model: groundup("helper"), ...steps });
  const kinds = [];
  for await (const part of found.fullStream) kinds.push(part.type);
  assert.equal(await found.text, "It is sunny in Ulm.");
  assert.ok(kinds.includes("tool-call") && kinds.includes("tool-result") && !kinds.includes("error"));
});

test("a stream is left in its middle", async () => {
  const leaving = new AbortController();
  const { textStream } = streamText({ model: groundup("chatty"), prompt: "Hello", abortSignal: leaving.signal, onError: () => {} });
  for await (const piece of textStream) {
    if (piece) leaving.abort();
  }
});

test("an unknown model is said", async () => {
  await assert.rejects(generateText({ model: groundup("nobody"), prompt: "Hello", maxRetries: 0 }), /not found/);
});
