// The chat: one conversation at a time, its messages, and what is asked next.

import { models, offer } from "./catalog.js";
import { announce, button, get, node, refill } from "./dom.js";
import { asJson, asMarkdown, fileName, saveFile } from "./leaving.js";
import { Question, Reply } from "./message.js";
import { STANDARD, Settings, asked } from "./settings.js";
import { listConversations } from "./side.js";
import * as store from "./store.js";
import { write } from "./writing.js";

const TITLE_LETTERS = 60;
const NEAR_END_PX = 80;
const IDEAS = ["Explain what a language model is, to a ten-year-old.", "Write a short poem about the sea.", "Give me three ideas for dinner."];

export class Chat {
  /** `look(text, model)` shows the inside of an answer. */
  constructor(look) {
    this.look = look;
    this.thread = get("thread");
    this.input = get("question");
    this.model = get("chat-model");
    this.system = get("system");
    this.running = null; // AbortController of the answer that is being written
    this.settings = new Settings(get("options"), "option", (options) => this.#changed({ options }));
    this.#listen();
    this.fresh();
  }

  /** Ask for the models again; keeps the choice. Throws Refusal. */
  async refresh() {
    const wanted = this.conversation.model || this.model.value || store.settings().model;
    const found = await models();
    const isAny = offer(this.model, found, "completion", wanted);
    get("no-chat").hidden = isAny;
    get("composer").hidden = !isAny;
    this.conversation.model ||= this.model.value;
    if (!this.conversation.messages.length) this.#draw();
  }

  /** A new conversation, with the settings that were used last. */
  fresh() {
    const { system = "", options = STANDARD, shade = false } = store.settings();
    get("shade").checked = shade;
    this.thread.classList.toggle("shaded", shade);
    this.#show(store.begin(this.model.value, { system, options }));
  }

  #listen() {
    get("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.running) this.running.abort();
      else this.#send();
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.running) this.#send();
    });
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.running?.abort());
    get("new").addEventListener("click", () => {
      this.fresh();
      this.#closeSide();
      this.input.focus();
    });
    this.model.addEventListener("change", () => this.#changed({ model: this.model.value }));
    this.system.addEventListener("change", () => this.#changed({ system: this.system.value.trim() }));
    get("standard").addEventListener("click", () => {
      this.settings.show(STANDARD);
      this.#changed({ options: STANDARD });
    });
    get("shade").addEventListener("change", ({ target }) => {
      store.saveSettings({ shade: target.checked });
      this.thread.classList.toggle("shaded", target.checked);
    });
    get("save-markdown").addEventListener("click", () => this.#export("md", asMarkdown, "text/markdown"));
    get("save-json").addEventListener("click", () => this.#export("json", asJson, "application/json"));
    get("side-toggle").addEventListener("click", () => this.#toggleSide());
    addEventListener("storage", () => this.#list());
  }

  #changed(part) {
    Object.assign(this.conversation, part);
    store.saveSettings(part);
    if (this.conversation.messages.length) this.#keep();
  }

  #show(conversation) {
    this.running?.abort();
    this.conversation = conversation;
    this.system.value = conversation.system;
    this.settings.show(conversation.options);
    if ([...this.model.options].some(({ value }) => value === conversation.model)) this.model.value = conversation.model;
    this.#draw();
    this.#list();
  }

  #draw() {
    const { messages } = this.conversation;
    const shown = messages.map((message, index) => (message.role === "user" ? this.#question(message, index) : this.#reply(message)));
    refill(this.thread, shown.length ? shown.map((each) => each.element) : this.#welcome());
    this.last = shown.at(-1);
    get("exports").hidden = !shown.length;
    this.thread.scrollTop = this.thread.scrollHeight;
  }

  #welcome() {
    const ideas = IDEAS.map((idea) => button(idea, () => this.#send(idea), { class: "idea" }));
    const what = "What you write stays on the machine that runs groundup, and conversations are kept in this browser only. Small models make things up: check what matters.";
    return node("div", { class: "welcome" }, node("h2", {}, "Talk to your model"), node("p", { class: "quiet" }, what), this.model.value ? node("div", { class: "ideas" }, ideas) : null);
  }

  #question(message, index) {
    return new Question(message, (content) => {
      this.conversation.messages.length = index;
      this.#send(content);
    });
  }

  #reply(message) {
    return new Reply(message, { regenerate: () => this.#regenerate(), inside: () => this.look(message.content, message.model) });
  }

  /** Ask what is written in the field, or `content`. */
  async #send(content = this.input.value.trim()) {
    if (!this.model.value) await this.refresh().catch(() => null); // asked before the models were known
    if (!content || !this.model.value || this.running) return;
    if (content === this.input.value.trim()) this.input.value = "";
    this.conversation.title ||= content.replace(/\s+/g, " ").slice(0, TITLE_LETTERS);
    this.conversation.model = this.model.value;
    this.conversation.messages.push({ role: "user", content });
    this.#answer();
  }

  #regenerate() {
    if (this.running) return;
    this.conversation.messages.pop();
    this.conversation.model = this.model.value;
    this.#answer();
  }

  async #answer() {
    const { conversation } = this;
    const before = conversation.messages.filter(({ content }) => content).map(({ role, content }) => ({ role, content }));
    const message = { role: "assistant", content: "", model: conversation.model };
    conversation.messages.push(message);
    this.#keep();
    this.#draw();
    const { last: reply } = this;
    const running = this.#run();
    const messages = conversation.system ? [{ role: "system", content: conversation.system }, ...before] : before;
    const note = await write(reply, { model: conversation.model, messages, ...asked(conversation.options) }, running.signal);
    this.#follow();
    if (this.running === running) this.#run(null);
    if (this.conversation === conversation || store.conversation(conversation.id)) this.#keep(conversation);
    announce(`Answer ended: ${note}`);
  }

  /** Begin an answer, or with null have none. */
  #run(running = new AbortController()) {
    this.running = running;
    get("send").textContent = running ? "Stop" : "Send";
    clearInterval(this.following);
    if (running) this.following = setInterval(() => this.#follow(), 100);
    return running;
  }

  /** Keep the end of the answer in sight, unless the reader has gone elsewhere. */
  #follow() {
    const { scrollHeight, scrollTop, clientHeight } = this.thread;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END_PX) this.thread.scrollTop = scrollHeight;
  }

  #keep(conversation = this.conversation) {
    const isKept = store.save(conversation);
    get("not-kept").hidden = isKept;
    this.#list();
  }

  #list() {
    listConversations(this.conversation.id, {
      open: (id) => {
        this.#show(store.conversation(id));
        this.#closeSide();
      },
      renamed: (id, title) => {
        const changed = id === this.conversation.id ? this.conversation : store.conversation(id);
        changed.title = title;
        this.#keep(changed);
      },
      removed: (id) => {
        store.remove(id);
        if (id === this.conversation.id) this.fresh();
        else this.#list();
        get("new").focus();
      },
    });
  }

  #export(ending, written, type) {
    saveFile(fileName(this.conversation.title, ending), written(this.conversation), type);
  }

  #toggleSide(isOpen = !get("side").classList.contains("open")) {
    get("side").classList.toggle("open", isOpen);
    get("side-toggle").setAttribute("aria-expanded", isOpen);
  }

  #closeSide() {
    this.#toggleSide(false);
  }
}
