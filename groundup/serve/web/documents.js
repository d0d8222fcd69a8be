// Questions to an index, and its answers (document_answer.js).

import { ask, parts } from "./api.js";
import { models, offer } from "./catalog.js";
import { DocumentAnswer, tooLong } from "./document_answer.js";
import { announce, button, get, node, refill, whenSent } from "./dom.js";
import { openPassage } from "./passage.js";

const count = new Intl.NumberFormat("en");
const HISTORY = 6; // questions and answers before this one that are sent with it

export class Documents {
  constructor() {
    this.index = get("documents-index");
    this.model = get("documents-model");
    this.question = get("documents-question");
    this.thread = get("documents-asked");
    this.ideas = get("documents-ideas");
    this.history = [];
    this.running = null; // AbortController of the answer that is being written
    whenSent(get("documents-form"), this.question, () => this.running, (text) => this.#ask(text));
    this.index.addEventListener("change", () => this.#fresh());
    get("documents-new").addEventListener("click", () => this.#fresh());
  }

  /** Ask for the indexes and models again; keeps the choices; `place` is "INDEX/ID" of a passage to open. Throws Refusal. */
  async refresh(place = "") {
    const [{ indexes, max_characters: most }, found] = await Promise.all([ask("/groundup/indexes"), models()]);
    Object.assign(this, { indexes, most });
    const chosen = this.index.value;
    refill(this.index, indexes.map(({ name }) => node("option", { value: name }, name)));
    if (indexes.some(({ name }) => name === chosen)) this.index.value = chosen;
    this.#offerModels(found.filter(({ kind }) => kind === "chat"));
    get("no-index").hidden = indexes.length > 0;
    get("documents-room").hidden = !indexes.length;
    get("documents-send").disabled = !indexes.length;
    this.#describe();
    if (place) await openPassage(`/groundup/passages/${place}`);
  }

  #offerModels(found) {
    const [chosen, isFirst] = [this.model.value, !this.model.options.length];
    offer(this.model, found, "completion", chosen);
    this.model.append(node("option", { value: "" }, "none: quotations only"));
    this.model.value = isFirst ? "" : chosen;
  }

  #describe() {
    const found = this.indexes.find(({ name }) => name === this.index.value);
    if (!found) return;
    const { documents, passages, questions } = found;
    if (!this.thread.children.length) refill(this.ideas, questions.map((question) => button(question, () => this.#ask(question), { class: "idea" })));
    this.ideas.hidden = this.thread.children.length > 0 || !questions.length;
    get("documents-note").textContent = `${count.format(documents)} ${documents === 1 ? "document" : "documents"}, ${count.format(passages)} ${passages === 1 ? "passage" : "passages"}. Questions and answers are kept until you leave this page.`;
  }

  /** Forget what was asked. */
  #fresh() {
    this.running?.abort();
    this.history = [];
    refill(this.thread);
    this.#describe();
    this.question.focus();
  }

  async #ask(question) {
    if (!question || this.running) return;
    this.question.value = "";
    this.ideas.hidden = true;
    const answer = new DocumentAnswer(question, this.model.value);
    this.thread.append(answer.element);
    answer.element.scrollIntoView({ block: "start" });
    const running = this.#run(new AbortController());
    const request = { index: this.index.value, question, model: this.model.value || null, history: this.history.slice(-HISTORY) };
    try {
      for await (const part of parts(request, running.signal)) answer.add(part);
      answer.end();
      this.history.push({ role: "user", content: question }, { role: "assistant", content: answer.text });
    } catch (error) {
      const isStopped = error.name === "AbortError";
      answer.fail(isStopped ? "stopped by you" : (tooLong(question, this.most) ?? error.message), !isStopped);
      if (!isStopped) this.question.value ||= question; // to be sent again
    }
    if (this.running === running) this.#run(null);
    announce(`Answer ended. ${answer.text}`);
  }

  #run(running) {
    this.running = running;
    get("documents-send").textContent = running ? "Stop" : "Ask";
    return running;
  }
}
