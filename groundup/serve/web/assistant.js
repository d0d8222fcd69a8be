// The assistant of a firm, as its customers see it: its name and colour, a greeting, example questions, answers with their sources beside.

import { actionPanel, markTaken } from "./action.js";
import { ask, parts } from "./api.js";
import { DocumentAnswer, tooLong } from "./document_answer.js";
import { announce, button, get, node, refill, whenSent } from "./dom.js";
import { keepConversation, keptConversation, newConversation } from "./kept.js";
import { say, speak } from "./language.js";
import { copyText, saveFile } from "./leaving.js";
import { rating } from "./rating.js";

const HISTORY = 254; // messages before this one that are sent with it
const BUSY = [429, 503]; // of a response

export class Assistant {
  constructor() {
    this.question = get("assistant-question");
    this.thread = get("assistant-thread");
    this.ideas = get("assistant-ideas");
    this.conversation = newConversation(); // its exchanges: {question, parts}
    this.running = null; // AbortController of the reply that is being written
    whenSent(get("assistant-form"), this.question, () => this.running, (text) => this.#ask(text));
    get("assistant-person").addEventListener("click", () => this.#ask(say("person_wish")));
    get("assistant-again").addEventListener("click", () => this.#fresh());
    get("assistant-forget").addEventListener("click", () => this.#forget());
    get("assistant-save").addEventListener("click", () => saveFile(`${say("file_name")}.txt`, this.#transcript(), "text/plain"));
  }

  /** Ask who is served; `name` of one, else the first. Throws Refusal. */
  async refresh(name = "") {
    if (!this.firm) speak(""); // until its own is known
    const { assistants } = await ask("/groundup/assistants");
    const asked = assistants.find((each) => each.name === name || each.name === `${name}:latest`) ?? assistants[0];
    get("no-assistant").hidden = Boolean(asked);
    get("assistant-room").hidden = !asked;
    if (!asked) return;
    speak(asked.language);
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
    this.#resume(keptConversation(firm.name));
  }

  /** Forget what was said. */
  #fresh() {
    this.running?.abort();
    this.#resume(newConversation());
    this.#keep();
  }

  /** Have the server delete what it keeps of the conversation. */
  async #forget() {
    if (this.running) return;
    let said = say("deleted");
    try {
      await ask("/groundup/forget", { conversation: this.conversation.id });
      this.#fresh();
    } catch (error) {
      said = this.#problem(error);
    }
    this.thread.append(node("p", { class: "hint" }, said));
    this.thread.focus({ preventScroll: true }); // its button is gone
    announce(said);
  }

  /** What can be done with a conversation that has begun. */
  #offer() {
    const hasBegun = this.conversation.exchanges.length > 0;
    get("assistant-save").hidden = !hasBegun;
    get("assistant-forget").hidden = !hasBegun || !this.firm.deletable;
  }

  /** Show a conversation as it was left, and ask again what had no reply yet: the server does nothing twice. */
  #resume(conversation) {
    this.conversation = conversation;
    refill(this.thread, node("p", { class: "greeting" }, this.firm.greeting));
    const asks = this.firm.questions.map((question) => button(question, () => this.#ask(question), { class: "idea" }));
    const acts = this.firm.actions.map(({ title }) => button(title, () => this.#ask(title), { class: "idea action" }));
    refill(this.ideas, acts, asks);
    this.ideas.hidden = !this.ideas.childElementCount || conversation.exchanges.length > 0;
    conversation.exchanges.forEach((exchange, place, all) => this.#shown(exchange, place === all.length - 1));
    this.thread.lastElementChild.scrollIntoView({ block: "nearest" });
    this.#offer();
    if (conversation.asked) this.#ask(conversation.asked);
  }

  /** An exchange of before, as it was. */
  #shown({ question, parts: said }, isLast) {
    const reply = new DocumentAnswer(question, "", true);
    this.thread.append(reply.element);
    said.forEach((part) => reply.add(part));
    reply.end();
    this.#complete(reply, question, isLast);
  }

  /** What a reply has besides its text. */
  #complete(reply, question, isOpen) {
    reply.element.classList.add(`is-${reply.kind}`);
    if (reply.kind === "person" && reply.summary.length) reply.actions.append(button(say("copy_asked"), () => copyText(reply.summary.join("\n")), { class: "plain" }));
    const waits = reply.action && (reply.action.asked || reply.action.yes_no || reply.action.choices.length); // a question is no answer yet
    if (reply.number && !waits) reply.actions.after(rating(reply.number));
    if (!reply.action) return;
    markTaken(reply.heading, question, reply.action);
    refill(reply.left, actionPanel(reply.action, reply.text, (text) => this.#ask(text), isOpen));
  }

  async #ask(question) {
    if (!question || this.running || !this.firm) return;
    this.question.value = "";
    const usedButton = [this.ideas, this.thread].some((each) => each.contains(document.activeElement));
    if (usedButton) this.thread.focus({ preventScroll: true }); // a button that goes away loses the focus
    this.ideas.hidden = true;
    this.thread.querySelectorAll(".ways, .understood").forEach((each) => each.remove());
    const reply = new DocumentAnswer(question, "", true);
    this.thread.append(reply.element);
    reply.element.scrollIntoView({ block: "start" });
    const [running, { id, exchanges }] = [this.#run(new AbortController()), this.conversation];
    const history = exchanges.flatMap(({ question: asked, parts: said }) => [{ role: "user", content: asked }, { role: "assistant", content: said.at(-1).answer }]);
    this.#keep(question);
    try {
      const request = { assistant: this.firm.name, conversation: id, question, history: history.slice(-HISTORY) };
      const said = [];
      for await (const part of parts(request, running.signal)) {
        reply.add(part);
        said.push(part);
      }
      reply.end();
      if (reply.isEnded) {
        exchanges.push({ question, parts: said });
        this.#complete(reply, question, true);
      }
      if (usedButton) reply.left.querySelector("button, input")?.focus({ preventScroll: true });
    } catch (error) {
      const isStopped = error.name === "AbortError";
      reply.fail(isStopped ? say("stopped") : this.#problem(error, question), !isStopped);
      if (!isStopped) this.question.value ||= question; // to be sent again
    }
    if (this.running === running) this.#run(null);
    if (this.conversation.id === id) this.#keep();
    reply.element.scrollIntoView({ block: "nearest" });
    this.#offer();
    announce(reply.text);
  }

  /** What went wrong. */
  #problem(error, question = "") {
    return tooLong(question, this.firm.max_characters) ?? (BUSY.includes(error.status) ? say("busy") : error.message);
  }

  /** Keep the conversation for this tab; `asked`: what has no reply yet. */
  #keep(asked = "") {
    this.conversation.asked = asked;
    keepConversation(this.firm.name, this.conversation);
  }

  #run(running) {
    this.running = running;
    get("assistant-send").textContent = say(running ? "stop" : "send");
    return running;
  }

  #transcript() {
    const lines = this.conversation.exchanges.flatMap(({ question, parts: said }) => [`${say("you")}: ${question}`, `${this.firm.organisation}: ${said.at(-1).answer}`]);
    return `${this.firm.organisation}, ${say("automatic")}, ${new Date().toISOString()}\n\n${lines.join("\n\n")}\n`;
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
