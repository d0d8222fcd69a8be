// How a reader rates a reply: thumb up or down at once, words to it if they like. Shown only where the server keeps that.

import { ask } from "./api.js";
import { announce, button, node, refill, shape } from "./dom.js";
import { say } from "./language.js";

const THUMB = "M4 11h3.5v9H4zM7.5 11 11 3.6c1.6 0 2.6 1.2 2.3 2.8L12.7 9h5.6c1.3 0 2.2 1.2 1.9 2.4l-1.7 7c-.2 1-1 1.6-2 1.6h-9";
const MAX_CHARACTERS = 2000;
let made = 0;

/** The buttons for the reply of a number, and the field for words once one was pressed. */
export function rating(number) {
  const words = node("div");
  const said = node("span", { class: "hint", role: "status" });
  const thumbs = ["up", "down"].map((way) => thumb(way, () => rate(way)));
  const choice = node("div", { class: "choice", role: "group", "aria-label": say("rate") }, node("span", { class: "hint" }, say("helped")), thumbs, said);

  async function rate(way, text = "") {
    try {
      await ask("/groundup/feedback", { reply: number, rating: way, text });
    } catch (error) {
      said.textContent = error.message;
      return announce(error.message);
    }
    for (const each of thumbs) each.setAttribute("aria-pressed", String(each.classList.contains(way)));
    said.textContent = say("thanks");
    announce(say("thanks"));
    if (words.contains(document.activeElement)) thumbs.find((each) => each.classList.contains(way)).focus(); // its button goes
    refill(words, text ? null : comment(way, (written) => rate(way, written)));
    whole.scrollIntoView({ block: "nearest" });
  }

  const whole = node("div", { class: "rating" }, choice, words);
  return whole;
}

function thumb(way, act) {
  const icon = shape("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, shape("path", { d: THUMB }));
  return node("button", { type: "button", class: way, "aria-pressed": "false", click: act }, icon, say(way === "up" ? "yes" : "no"));
}

function comment(way, send) {
  const id = `rating-${++made}`;
  const ask = say(way === "up" ? "good" : "bad");
  const field = node("textarea", { id, rows: 2, maxlength: MAX_CHARACTERS });
  const sent = button(say("comment"), () => field.value.trim() && send(field.value.trim()));
  return node("div", {}, node("label", { class: "hint", for: id }, ask), field, node("p", {}, sent));
}
