// The server's answers: JSON, and answers to a conversation as they are written.

import { say } from "./language.js";

/** A refusal of the server, with its message, and its status; 0: it was told in a stream, or nothing answers. */
export class Refusal extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** What the server told, in its words, which are English. */
const refusal = (reason, status) => new Refusal(say("failed", { reason }), status);

let key = ""; // of a page in a frame of another site; the browser sends the key of this server's own page

/** Send a public key with every request, and no cookie or password. */
export function useKey(value) {
  key = value;
}

/** GET, or POST where there is a body; gives the JSON. Throws Refusal. */
export async function ask(path, body, signal) {
  return (await fetched(path, body, signal)).json();
}

/**
 * The answer to {model, messages, ...}, piece by piece: {text, tokens, reason, usage}, each there when the server has told it.
 * A token is {text: bytes, p, others: [[text, p], ...]}. Throws Refusal, and AbortError when `signal` is aborted.
 */
export async function* answer(request, signal) {
  const body = { ...request, stream: true, stream_options: { include_usage: true }, logprobs: true, top_logprobs: 5 };
  const response = await fetched("/v1/chat/completions", body, signal);
  for await (const line of lines(response.body)) {
    if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
    const said = JSON.parse(line.slice(6));
    if (said.error) throw new Refusal(said.error.message);
    yield piece(said);
  }
}

/** The parts of an answer from documents, one object each, as they come. Throws Refusal, and AbortError when `signal` is aborted. */
export async function* parts(request, signal) {
  const response = await fetched("/groundup/ask", request, signal);
  for await (const line of lines(response.body)) {
    if (!line) continue;
    const part = JSON.parse(line);
    if (part.error) throw refusal(part.error.message ?? part.error);
    yield part;
  }
}

function piece(said) {
  const [choice] = said.choices;
  if (!choice) return { text: "", tokens: [], usage: said.usage };
  const tokens = (choice.logprobs?.content ?? []).map((entry) => ({
    text: Uint8Array.from(entry.bytes),
    p: Math.exp(entry.logprob),
    others: entry.top_logprobs.map((other) => [other.token, Math.exp(other.logprob)]),
  }));
  return { text: choice.delta.content ?? "", tokens, reason: choice.finish_reason };
}

async function fetched(path, body, signal) {
  const asked = body === undefined ? { headers: {} } : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  if (key) Object.assign(asked, { credentials: "omit", headers: { ...asked.headers, authorization: `Bearer ${key}` } });
  const response = await reached(path, { ...asked, signal });
  if (response.ok) return response;
  const told = await response.json().catch(() => null);
  throw refusal(told?.error?.message ?? told?.error ?? say("status", { status: response.status }), response.status);
}

async function reached(path, asked) {
  try {
    return await fetch(path, asked);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(say("unreachable"));
  }
}

async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts;
  }
}
