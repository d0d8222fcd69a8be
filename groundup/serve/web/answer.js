// An answer on the page: grows as it is generated; the pointer or the arrow keys show each token's probability.

import { announce, get, node, refill } from "./dom.js";
import { parse } from "./markdown.js";
import { rendered } from "./render.js";
import { Places, percent, visible } from "./tokens.js";

const REDRAW_MS = 60;
const SHOWN_OTHERS = 5;

/** Draws {text, tokens} into `element`. Tokens: {from, to, p, others}, in order. */
export class Answer {
  constructor({ text = "", tokens = [] } = {}) {
    this.text = text;
    this.tokens = tokens;
    this.element = node("div", { class: "answer", tabindex: 0, role: "group", "aria-label": "Answer. Arrow keys go through its tokens.", keydown: (event) => this.#key(event) });
    this.element.addEventListener("pointerover", (event) => this.#point(event.target.closest?.("[data-token]")));
    this.element.addEventListener("pointerleave", ({ pointerType }) => pointerType !== "touch" && this.#leave()); // a finger leaves the screen after a tap
    this.element.addEventListener("blur", () => this.#leave());
    this.current = -1;
    this.#places = new Places();
    this.#blocks = [];
    this.draw();
  }

  #places;
  #blocks; // of the last drawing: {source, element}
  #timer = 0;

  /** A piece of the stream: {text, tokens}. */
  add({ text, tokens }) {
    this.text += text;
    this.tokens.push(...this.#places.add(tokens));
    this.#timer ||= setTimeout(() => this.draw(), REDRAW_MS);
  }

  /** Draw now. Blocks whose source is the same stay as they are: a selection in them survives. */
  draw() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const kept = this.#blocks;
    this.#blocks = parse(this.text).map((block, index) => {
      const source = `${block.from} ${this.text.slice(block.from, block.to)}`;
      return kept[index]?.source === source ? kept[index] : { source, element: rendered(block, this.tokens) };
    });
    const first = this.#blocks.findIndex((block, index) => block !== kept[index]);
    const from = first < 0 ? this.#blocks.length : first;
    kept.slice(from).forEach((block) => block.element.remove());
    this.element.append(...this.#blocks.slice(from).map((block) => block.element));
  }

  #key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.target !== this.element || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") this.#leave();
    if (!step || !this.tokens.length) return;
    event.preventDefault();
    const next = this.#shownToken(this.current + (this.current < 0 && step < 0 ? 0 : step), step);
    if (!next) return;
    next.scrollIntoView({ block: "nearest" });
    this.#point(next);
    announce(spoken(next.textContent, this.tokens[this.current]));
  }

  /** The nearest token from `index` on that can be seen (marks of Markdown can't). */
  #shownToken(index, step) {
    for (let at = index; at >= 0 && at < this.tokens.length; at += step) {
      const found = this.element.querySelector(`[data-token="${at}"]`);
      if (found) return found;
    }
    return null;
  }

  #point(span) {
    if (!span) return;
    this.#leave();
    this.current = Number(span.dataset.token);
    this.element.querySelectorAll(`[data-token="${this.current}"]`).forEach((each) => each.classList.add("current"));
    const token = this.tokens[this.current];
    showReadout(span, this.text.slice(token.from, token.to), token);
  }

  #leave() {
    this.element.querySelectorAll(".current").forEach((each) => each.classList.remove("current"));
    this.current = -1;
    get("readout").hidden = true;
  }
}

function spoken(text, { p, others }) {
  const best = others.slice(0, 3).map(([other, q]) => `${visible(other)} ${percent(q)}`);
  return `${visible(text)} had ${percent(p)}. Most probable: ${best.join(", ")}`;
}

function showReadout(span, text, token) {
  const readout = get("readout");
  const rows = token.others.slice(0, SHOWN_OTHERS).map(([other, p]) => {
    const bar = node("meter", { min: 0, max: 1, value: p, "aria-hidden": "true" });
    return node("li", { class: other === text ? "chosen" : null }, node("code", {}, visible(other)), bar, node("span", {}, percent(p)));
  });
  refill(readout, node("p", {}, node("code", {}, visible(text)), " had ", node("b", {}, percent(token.p))), node("ol", {}, rows));
  readout.hidden = false;
  const box = span.getClientRects()[0];
  const below = box.bottom + 8 + readout.offsetHeight < innerHeight;
  readout.style.left = `${Math.max(8, Math.min(box.left, innerWidth - readout.offsetWidth - 8))}px`;
  readout.style.top = `${below ? box.bottom + 8 : box.top - readout.offsetHeight - 8}px`;
}
