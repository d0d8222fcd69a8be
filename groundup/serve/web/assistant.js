// The assistant of a firm, as its customers see it: its name and colour, a greeting, example questions, answers with their sources beside.

import { ask, parts } from "./api.js";
import { DocumentAnswer } from "./document_answer.js";
import { announce, button, get, node, refill, whenSent } from "./dom.js";
import { copyText, saveFile } from "./leaving.js";
import { rating } from "./rating.js";

const HISTORY = 40; // messages before this one that are sent with it
const PERSON = "I want to speak to a person.";

export class Assistant {
  constructor() {
    this.question = get("assistant-question");
    this.thread = get("assistant-thread");
    this.ideas = get("assistant-ideas");
    this.said = []; // {role, content}
    this.running = null; // AbortController of the reply that is being written
    whenSent(get("assistant-form"), this.question, () => this.running, (text) => this.#ask(text));
    get("assistant-person").addEventListener("click", () => this.#ask(PERSON));
    get("assistant-again").addEventListener("click", () => this.#fresh());
    get("assistant-save").addEventListener("click", () => saveFile("conversation.txt", this.#transcript(), "text/plain"));
  }

  /** Ask who is served; `name` of one, else the first. Throws Refusal. */
  async refresh(name = "") {
    const { assistants } = await ask("/groundup/assistants");
    const asked = assistants.find((each) => each.name === name || each.name === `${name}:latest`) ?? assistants[0];
    get("no-assistant").hidden = Boolean(asked);
    get("assistant-room").hidden = !asked;
    if (!asked) return;
    if (this.firm?.name !== asked.name) this.#open(asked);
    document.title = asked.organisation;
    const others = assistants.filter((each) => each !== asked);
    refill(get("assistant-others"), others.map((each) => [node("a", { href: `#assistant/${each.name}` }, each.organisation), " "]));
  }

  #open(firm) {
    this.firm = firm;
    get("assistant-name").textContent = firm.organisation;
    get("assistant-notice").textContent = firm.notice; // what is kept, where readers may rate
    const room = get("assistant");
    room.classList.toggle("coloured", Boolean(firm.colour));
    if (firm.colour) {
      room.style.setProperty("--firm", firm.colour);
      room.style.setProperty("--on-firm", isDark(firm.colour) ? "#fff" : "#111");
    }
    this.#fresh();
  }

  /** Forget what was said. */
  #fresh() {
    this.running?.abort();
    this.said = [];
    refill(this.thread, node("p", { class: "greeting" }, this.firm.greeting));
    refill(this.ideas, this.firm.questions.map((question) => button(question, () => this.#ask(question), { class: "idea" })));
    this.ideas.hidden = !this.firm.questions.length;
    get("assistant-save").hidden = true;
  }

  async #ask(question) {
    if (!question || this.running || !this.firm) return;
    this.question.value = "";
    if (this.ideas.contains(document.activeElement)) this.thread.focus({ preventScroll: true }); // a hidden button loses the focus
    this.ideas.hidden = true;
    const reply = new DocumentAnswer(question, "", true);
    this.thread.append(reply.element);
    reply.element.scrollIntoView({ block: "start" });
    const running = this.#run(new AbortController());
    try {
      const request = { assistant: this.firm.name, question, history: this.said.slice(-HISTORY) };
      for await (const part of parts(request, running.signal)) reply.add(part);
      reply.end();
      this.said.push({ role: "user", content: question }, { role: "assistant", content: reply.text });
      if (reply.kind === "person" && reply.summary.length) reply.actions.append(button("Copy what I asked", () => copyText(reply.summary.join("\n")), { class: "plain" }));
      reply.element.classList.add(`is-${reply.kind}`);
      if (reply.number) reply.actions.after(rating(reply.number));
    } catch (error) {
      const isStopped = error.name === "AbortError";
      reply.fail(isStopped ? "stopped by you" : error.message, !isStopped);
      if (!isStopped) this.question.value ||= question; // to be sent again
    }
    if (this.running === running) this.#run(null);
    reply.element.scrollIntoView({ block: "nearest" });
    get("assistant-save").hidden = !this.said.length;
    announce(reply.text);
  }

  #run(running) {
    this.running = running;
    get("assistant-send").textContent = running ? "Stop" : "Send";
    return running;
  }

  #transcript() {
    const lines = this.said.map(({ role, content }) => `${role === "user" ? "You" : this.firm.organisation}: ${content}`);
    return `${this.firm.organisation}, automatic assistant, ${new Date().toISOString()}\n\n${lines.join("\n\n")}\n`;
  }
}

/** Whether white is read better on a colour than black (WCAG 2.2, relative luminance). */
function isDark(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const share = parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05;
}
