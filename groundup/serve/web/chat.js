// The chat: one conversation at a time, its messages, and what is asked next.

import { QUESTIONS, exampleQuestions, models, offer } from "./catalog.js";
import { announce, button, get, node, refill } from "./dom.js";
import { asJson, asMarkdown, fileName, saveFile } from "./leaving.js";
import { Question, Reply } from "./message.js";
import { Settings, asked } from "./settings.js";
import { listConversations } from "./side.js";
import * as store from "./store.js";
import { write } from "./writing.js";

const TITLE_LETTERS = 60;
const NEAR_END_PX = 80;

export class Chat {
  /** `look(text, model)` shows the inside of an answer. */
  constructor(look) {
    this.look = look;
    this.thread = get("thread");
    this.input = get("question");
    this.model = get("chat-model");
    this.system = get("system");
    this.running = null; // AbortController of the answer that is being written
    this.found = []; // the models, once they are known
    this.questions = []; // that the documents of a pack answer
    this.settings = new Settings(get("options"), "option", (set) => this.#changed({ options: { ...this.conversation.options, ...set } }));
    this.#listen();
    this.fresh();
  }

  /** Ask for the models again; keeps the choice. Throws Refusal. */
  async refresh() {
    const wanted = this.conversation.model || this.model.value || store.settings().model;
    [this.found, this.questions] = await Promise.all([models(), exampleQuestions()]);
    const isAny = offer(this.model, this.found, "completion", wanted);
    get("no-chat").hidden = isAny;
    get("composer").hidden = !isAny;
    this.conversation.model ||= this.model.value;
    this.#chosen();
  }

  /** The model that is chosen, as the server describes it; undefined until that is known. */
  get #served() {
    return this.found.find(({ name }) => name === this.model.value);
  }

  get #isBase() {
    return this.#served?.kind === "base";
  }

  /** Another model was chosen, or it is known now: its values, and what kind it is. */
  #chosen() {
    this.settings.show(asked(this.#served, this.conversation.options));
    this.#explainBase();
    if (!this.conversation.messages.length) this.#draw();
  }

  /** A base model does not answer: say so, and name one that does. */
  #explainBase() {
    const chat = this.found.find(({ kind }) => kind === "chat");
    const isBase = this.#isBase;
    get("base-note").hidden = !isBase;
    this.input.placeholder = isBase ? "Begin a text" : "Ask something";
    if (!isBase) return;
    const what = `${this.model.value} is a base model, trained to continue texts, not to answer. It continues what you write, in the style of its training text.`;
    const take = chat ? button(`Talk with ${chat.name} instead`, () => this.#take(chat.name)) : null;
    refill(get("base-note"), what, " ", take);
  }

  #take(name) {
    this.model.value = name;
    this.#changed({ model: name });
    this.#chosen();
  }

  /** A new conversation, with the settings that were used last. */
  fresh() {
    const { system = "", options = {}, shade = false } = store.settings();
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
    this.model.addEventListener("change", () => this.#take(this.model.value));
    this.system.addEventListener("change", () => this.#changed({ system: this.system.value.trim() }));
    get("standard").addEventListener("click", () => {
      this.#changed({ options: {} });
      this.settings.show(asked(this.#served, {}));
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
    if ([...this.model.options].some(({ value }) => value === conversation.model)) this.model.value = conversation.model;
    if (conversation.messages.length) this.#draw();
    this.#chosen();
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
    const what = "What you write stays on the machine that runs groundup, and conversations are stored in this browser only. Small models state wrong facts: check what matters.";
    return node("div", { class: "welcome" }, node("h2", {}, this.#isBase ? "Let your model write" : "Talk to your model"), node("p", { class: "quiet" }, what), this.#begin());
  }

  /** Three questions to begin with, or the way to the documents that are served; a base model answers none, and until the models are known that is said. */
  #begin() {
    if (!this.found.length) return node("p", { class: "waiting", role: "status" }, "Loading the list of models");
    if (!this.model.options.length) return node("p", { role: "status" }, "No model that chats is served here.");
    if (this.#served?.kind !== "chat") return null;
    const ideas = this.questions.length
      ? [button("Ask the documents, with sources", () => (location.hash = "documents"), { class: "idea" })]
      : QUESTIONS.map((question) => button(question, () => this.#send(question), { class: "idea" }));
    return node("div", { class: "ideas", role: "group", "aria-label": "Questions to start with" }, ideas);
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
    const note = await write(reply, { model: conversation.model, messages, ...asked(this.#served, conversation.options) }, running.signal);
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
