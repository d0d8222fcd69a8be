// An action in an assistant's reply: what was understood so far, controls that fit what is asked, and what was done.

import { button, node, refill } from "./dom.js";
import { say } from "./language.js";

/** What stands below the text of a reply; `send(text)` sends a message. `isOpen`: whether it still waits for an answer. */
export function actionPanel(action, text, send, isOpen) {
  const code = action.reference && !text.includes(action.reference) ? node("p", { class: "hint" }, `${say("reference")} `, node("b", {}, action.reference)) : null;
  return [code, isOpen ? understood(action) : null, isOpen ? controls(action, send) : null];
}

/** All values so far, but that which is asked for (again). */
function understood({ asked, state, values }) {
  if (!asked && state !== "confirm") return null;
  const known = Object.entries(values).filter(([name]) => name !== asked?.slot);
  const rows = known.map(([, { label, shown }]) => node("div", {}, node("dt", {}, label), node("dd", {}, shown)));
  return rows.length ? node("dl", { class: "facts understood" }, rows) : null;
}

/** The words of a question that were taken for a value are marked, with what they were taken for. */
export function markTaken(heading, question, action) {
  const read = Object.values(action.values).filter(({ start, end }) => start !== null && end > start);
  if (!read.length || question.replace(/\s+/g, " ") !== question) return; // the places are those of a text on one line
  const spans = read.sort((one, other) => one.start - other.start);
  const pieces = [];
  let at = 0;
  for (const { label, shown, start, end } of spans) {
    if (start < at) continue;
    pieces.push(question.slice(at, start), node("mark", { class: "taken", title: `${label}: ${shown}` }, question.slice(start, end)));
    at = end;
  }
  refill(heading, ...pieces, question.slice(at));
}

function controls({ asked, yes_no: isYesOrNo, choices, undoable }, send) {
  const undo = undoable ? answer("undo", send) : null;
  if (isYesOrNo) return group([answer("yes", send, "main"), answer("no", send), undo]);
  if (choices.length) return group([ideas(choices, send), asked ? field(asked, send) : null, answer("leave", send, "plain")]);
  if (!asked) return undo && group([undo]);
  const { type, options } = asked;
  return group([type === "choice" ? ideas(options, send) : field(asked, send), answer("leave", send, "plain")]);
}

/** A button that sends what it says. */
function answer(key, send, look = null) {
  return button(say(key), () => send(say(key)), { class: look });
}

function ideas(texts, send) {
  return texts.map((text) => button(text, () => send(text), { class: "idea" }));
}

/** A field of the browser for a date, a time or a number; a text is typed into the box below. */
function field({ label, type, least, most }, send) {
  const kinds = { date: "date", time: "time", number: "number", money: "number" };
  if (!(type in kinds)) return null;
  const input = node("input", { type: kinds[type], "aria-label": label, min: least, max: most, step: type === "money" ? "0.01" : null, required: true });
  const form = node("form", { class: "field-of-action" }, input, node("button", { class: "main" }, say("use")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value) send(input.value);
  });
  return form;
}

function group(children) {
  return node("div", { class: "ways", role: "group", "aria-label": say("ways") }, children);
}
