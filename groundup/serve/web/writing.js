// One answer from the first byte to the last, into a Reply: used by the chat and by the comparison.

import { answer } from "./api.js";

const ENDS = { length: "cut at the token limit", stopped: "stopped by you" };

/** Ask, and write into `reply` as it comes. Returns the note below it; never throws. */
export async function write(reply, request, signal) {
  const clock = { start: performance.now(), first: 0 };
  let [reason, usage, problem] = ["stopped", null, null];
  reply.begin();
  try {
    for await (const piece of answer(request, signal)) {
      if (piece.text || piece.tokens.length) clock.first ||= performance.now();
      reply.add(piece);
      reason = piece.reason ?? reason;
      usage = piece.usage ?? usage;
    }
    if (!usage) problem = "The answer is incomplete: the connection was lost.";
  } catch (error) {
    if (error.name !== "AbortError") problem = error.message;
  }
  const note = problem ?? counted(reply.answer.tokens.length, usage, clock, reason);
  reply.end(note, { failed: Boolean(problem) });
  return note;
}

function counted(shown, usage, clock, reason) {
  const tokens = usage?.completion_tokens ?? shown;
  const seconds = (performance.now() - clock.first) / 1000;
  const rate = clock.first && tokens > 1 && seconds > 0 ? `${((tokens - 1) / seconds).toFixed(tokens / seconds < 10 ? 1 : 0)} tokens per second` : null;
  return [`${tokens} token${tokens === 1 ? "" : "s"}`, rate, ENDS[reason]].filter(Boolean).join(" · ");
}
