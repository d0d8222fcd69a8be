// One message of a conversation on the page.

import { Answer } from "./answer.js";
import { button, node, refill } from "./dom.js";
import { copyText } from "./leaving.js";

/** A user's message; `edited(text)` is called when it was changed. */
export class Question {
  constructor(message, edited) {
    this.message = message;
    this.edited = edited;
    this.element = node("article", { class: "message user", "aria-label": "You" });
    this.#show();
  }

  #show() {
    const edit = button("Edit", () => this.#edit(), { class: "plain" });
    const copy = button("Copy", () => copyText(this.message.content), { class: "plain", "aria-label": "Copy message" });
    refill(this.element, node("p", { class: "said" }, this.message.content), node("div", { class: "actions" }, edit, copy));
    return edit;
  }

  #edit() {
    const area = node("textarea", { "aria-label": "Edit message", rows: Math.min(12, this.message.content.split("\n").length + 1) });
    area.value = this.message.content;
    const cancel = () => this.#show().focus();
    const send = () => (area.value.trim() ? this.edited(area.value.trim()) : cancel());
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") cancel();
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        send();
      }
    });
    const hint = node("span", { class: "hint" }, "Later messages are removed, and this one is answered again.");
    refill(this.element, area, node("div", { class: "actions shown" }, button("Send again", send, { class: "main" }), button("Cancel", cancel), hint));
    area.focus();
  }
}

/** A model's answer; `acts` are {regenerate, inside}. */
export class Reply {
  constructor(message, acts) {
    this.message = message;
    this.answer = new Answer({ text: message.content, tokens: message.tokens });
    this.waiting = node("p", { class: "waiting", hidden: true }, "Thinking");
    this.note = node("p", { class: message.failed ? "note failed" : "note" }, message.note ?? "");
    this.again = button("Regenerate", acts.regenerate, { class: "plain again" });
    this.copy = button("Copy", () => copyText(this.message.content), { class: "plain", "aria-label": "Copy answer" });
    this.inside = button("Look inside", () => acts.inside(message), { class: "plain" });
    this.actions = node("div", { class: "actions" }, this.copy, this.again, this.inside);
    const head = node("p", { class: "by" }, message.model);
    this.element = node("article", { class: "message model", "aria-label": message.model }, head, this.waiting, this.answer.element, this.note, this.actions);
    this.#offer();
  }

  /** While it is written. */
  begin() {
    this.waiting.hidden = false;
    this.actions.hidden = true;
    this.element.setAttribute("aria-busy", "true");
  }

  add(piece) {
    this.waiting.hidden = true;
    this.answer.add(piece);
  }

  /** It is written, or was ended; `note` says how. */
  end(note, { failed = false } = {}) {
    this.waiting.hidden = true;
    this.actions.hidden = false;
    this.element.removeAttribute("aria-busy");
    this.answer.draw();
    this.note.textContent = note;
    this.note.classList.toggle("failed", failed);
    Object.assign(this.message, { content: this.answer.text, tokens: this.answer.tokens, note, failed });
    this.#offer();
  }

  /** Of an answer without words nothing is copied or looked into. */
  #offer() {
    for (const each of [this.copy, this.inside]) each.hidden = !this.message.content;
  }
}
