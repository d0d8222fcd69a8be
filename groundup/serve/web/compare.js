// One prompt, two models, side by side. Nothing of it is kept.

import { QUESTIONS, exampleQuestions, models, offer } from "./catalog.js";
import { announce, button, get, node, refill } from "./dom.js";
import { Reply } from "./message.js";
import { Settings, asked } from "./settings.js";
import { write } from "./writing.js";

export class Compare {
  constructor() {
    this.selects = [get("compare-left"), get("compare-right")];
    this.running = null;
    this.set = { seed: 1 };
    this.settings = new Settings(get("compare-options"), "compare", (set) => Object.assign(this.set, set));
    this.selects[0].addEventListener("change", () => this.#show());
    get("compare-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.running) this.running.abort();
      else this.#ask(get("compare-text").value.trim());
    });
  }

  /** Ask for the models again; keeps the choices. Throws Refusal. */
  async refresh() {
    const [found, questions] = await Promise.all([models(), exampleQuestions()]);
    this.found = found;
    const [left, right] = this.selects;
    const isFirst = !right.value;
    offer(left, found, "completion");
    offer(right, found, "completion");
    if (isFirst && right.options.length > 1) right.selectedIndex = 1;
    get("one-model").hidden = right.options.length !== 1;
    this.#offerQuestions(questions.length ? questions : QUESTIONS);
    this.#show();
  }

  #offerQuestions(questions) {
    const asked = (question) => () => {
      get("compare-text").value = question;
      if (!this.running) this.#ask(question);
    };
    refill(get("compare-ideas"), node("span", { class: "hint" }, "To try:"), questions.map((question) => button(question, asked(question), { class: "idea" })));
    get("compare-ideas").hidden = !this.selects[0].value;
  }

  /** Both are drawn in the same way: as the user set it, else as the left model's values are. */
  get #asked() {
    return asked(this.found.find(({ name }) => name === this.selects[0].value), this.set);
  }

  #show() {
    this.settings.show(this.#asked);
  }

  async #ask(content) {
    if (!content) return;
    this.running = new AbortController();
    get("compare-send").textContent = "Stop";
    const replies = this.selects.map(({ value }) => this.#reply(value));
    refill(get("compared"), node("p", { class: "question" }, content), replies.map((reply) => reply.element));
    await Promise.all(replies.map((reply) => this.#write(reply, content)));
    this.running = null;
    get("compare-send").textContent = "Ask both";
    announce("Both answers ended.");
  }

  #reply(model) {
    const reply = new Reply({ role: "assistant", content: "", model }, {});
    reply.again.remove();
    reply.inside.remove();
    return reply;
  }

  #write(reply, content) {
    const request = { model: reply.message.model, messages: [{ role: "user", content }], ...this.#asked };
    return write(reply, request, this.running.signal);
  }
}
