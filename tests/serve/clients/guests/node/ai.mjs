// The `ai` SDK with its provider for OpenAI-compatible servers.
import assert from "node:assert/strict";
import test from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

const groundup = createOpenAICompatible({
  name: "groundup",
  baseURL: `${process.env.GROUNDUP_ADDRESS}/v1`,
  supportsStructuredOutputs: true,
});
const SAID = "Good day to you.";
const Mood = z.object({ mood: z.enum(["sad", "glad"]), sure: z.boolean() });

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

test("an object that fits a schema", async () => {
  const asked = { model: groundup("chatty"), prompt: "How are you?", output: Output.object({ schema: Mood }) };
  const { output } = await generateText(asked);
  assert.ok(["sad", "glad"].includes(output.mood));
});

test("a tool that must be called is called", async () => {
  const mood = tool({ description: "Say a mood.", inputSchema: Mood });
  const asked = { model: groundup("chatty"), prompt: "How are you?", tools: { mood }, toolChoice: "required" };
  const { toolCalls } = await generateText(asked);
  assert.ok(["sad", "glad"].includes(toolCalls[0].input.mood));
});

test("steps: a tool is run and its result said", async () => {
  const weather = tool({
    description: "The weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `sunny in ${city}`,
  });
  const asked = { model: groundup("helper"), prompt: "How is the weather?", tools: { weather }, temperature: 0 };
  const { text, steps } = await generateText({ ...asked, stopWhen: isStepCount(3) });
  assert.equal(text, "It is sunny in Ulm.");
  assert.equal(steps.length, 2);
});

test("embeddings", async () => {
  const { embeddings } = await embedMany({ model: groundup.embeddingModel("greeter"), values: ["Hello", "Good day"] });
  assert.deepEqual(embeddings.map((each) => each.length), [64, 64]);
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
