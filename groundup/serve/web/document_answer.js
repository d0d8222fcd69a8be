// An answer from documents: quotations, checked sentences and fixed texts, each with the number of its source. A number opens the passage in its document.

import { button, node, refill } from "./dom.js";
import { number, say } from "./language.js";
import { copyText } from "./leaving.js";
import { openPassage } from "./passage.js";
import { besideAnother, markedText, nearestPassage, quotation, quoted, readable, showRow } from "./quotation.js";

const SNIPPET_CHARACTERS = 280;
const LONG_QUESTION = 400; // characters
const NEAREST = "Passages that come nearest"; // what the sources of a refusal are
const MISSING = 8; // words that are named

/** A question with its answer, and the sources beside it. */
export class DocumentAnswer {
  /** `who` writes besides the quotations; of an assistant's reply fixed texts are its own words, and it stands below a heading of level 1. */
  constructor(question, who, isReply = false) {
    this.text = "";
    this.sources = [];
    this.omitted = [];
    this.isEnded = false;
    this.said = node("div", { class: "answer cited" });
    this.waiting = node("p", { class: "waiting", role: "status" }, say("searching"));
    this.left = node("div");
    this.note = node("p", { class: "note" });
    this.list = node("ol", { class: "sources" });
    this.beside = node("aside", { "aria-label": say("sources"), hidden: true }, node("h4", { "aria-level": isReply ? 3 : null }, say("sources")), this.list);
    this.actions = node("div", { class: "actions", hidden: true }, button(say("copy"), () => copyText(this.#copied()), { class: "plain", "aria-label": say("copy_answer") }));
    const main = node("div", { class: "found" }, this.said, this.waiting, this.left, this.note);
    const below = node("div", {}, this.actions); // of the sources, too, on a phone
    const isLong = question.length > LONG_QUESTION; // then its box is scrolled
    const name = isLong ? `${question.slice(0, LONG_QUESTION)} …` : question;
    this.heading = node("h3", { class: "question", "aria-level": isReply ? 2 : null, tabindex: isLong ? 0 : null }, question);
    this.element = node("article", { class: "asked", "aria-label": name, "aria-busy": "true" }, this.heading, node("div", { class: "beside" }, main, this.beside, below));
    this.model = who;
    this.isReply = isReply;
  }

  /** A part of the stream. */
  add(part) {
    if (part.sources) this.#show(part.sources);
    if (part.quote) this.#quote(part.quote);
    if (part.note) this.said.append(node("p", { class: this.isReply ? "fixed" : "hint answer-note" }, part.note.text));
    if (part.sentence) this.#say(node("p", {}, part.sentence.text, " ", this.#cite(part.sentence)));
    if (part.omitted) this.omitted.push(part.omitted);
    if (part.done) this.#whole(part);
  }

  #show(sources) {
    this.sources = sources;
    refill(this.list, sources.map((source) => this.#source(source)));
    this.beside.hidden = !sources.length;
    this.waiting.textContent = this.model ? say("model_reading", { model: this.model }) : say("reading");
  }

  #source(source) {
    const { number, document, title, start, end } = source;
    const open = button(title, () => openPassage(source.url), { class: "source", "aria-label": say("source", { number, document: title }) });
    const words = readable(markedText(source, start, end)).replace(/[^\S\n]+/g, " ").replace(/\s*\n\s*/g, "\n").trim();
    const snippet = words.length > SNIPPET_CHARACTERS ? `${words.slice(0, SNIPPET_CHARACTERS)} …` : words;
    return node("li", { value: number, "data-source": number }, open, title === document ? null : node("p", { class: "hint" }, document), node("p", { class: "snippet" }, snippet));
  }

  #sourceOf(part) {
    return this.sources.find(({ number }) => number === part.source);
  }

  #cite(part) {
    const source = this.#sourceOf(part);
    return button(`${part.source}`, () => openPassage(source.url, part), { class: "cite", "aria-label": say("source", { number: part.source, document: source.title }) });
  }

  #quote(quote) {
    const element = quotation(quote, this.#cite(quote));
    const file = this.#sourceOf(quote).document;
    const name = quote.dated ? `${file}, ${quote.dated}` : file;
    if (quote.role === "differs") besideAnother(this.said, element, { name, nameBefore: this.answeredBy });
    else this.#say(element);
    if (quote.role === "answers") this.answeredBy = name;
    showRow(element);
    this.#writing();
  }

  #say(element) {
    this.said.append(element);
    this.#writing();
  }

  #writing() {
    this.waiting.textContent = say("model_writing", { model: this.model });
    this.waiting.hidden = !this.model;
  }

  #whole(part) {
    const { found, answer, cited, outdated, nearest, missing, promise, promised } = part;
    const { operating_point, kind, summary = [], action = null, reply, related = [] } = part;
    [this.kind, this.summary, this.action, this.number] = [kind, summary, action, reply];
    this.isEnded = true;
    const isToldRate = !this.isReply || operating_point === "promised"; // a customer reads where it is not covered
    this.promise = found && promise && (isToldRate || !promised) ? promiseNote(promise, promised) : "";
    if (!found && operating_point === "promised") this.promise = say("only_promised");
    this.changed = outdated ? counted("outdated", outdated) : "";
    this.text = answer;
    if (this.isReply) {
      this.beside.hidden = !cited.length;
      if (related.length) this.said.append(this.#related(related, found));
    } else if (!found) {
      this.beside.setAttribute("aria-label", NEAREST);
      this.beside.querySelector("h4").textContent = NEAREST;
      refill(this.said, node("p", { class: "not-found" }, answer), this.#nearest(nearest, missing));
    }
    for (const item of this.list.children) item.classList.toggle("uncited", !cited.includes(Number(item.dataset.source)));
  }

  /** Sections that may hold what the answer lacks, each opened by its button. */
  #related(numbers, found) {
    const sources = this.sources.filter(({ number }) => numbers.includes(number));
    const opened = sources.map(({ number, title, url }) => {
      const name = say("source", { number, document: title });
      return [" ", button(title, () => openPassage(url), { class: "source", "aria-label": name })];
    });
    return node("p", { class: "related" }, say(found ? "see_also" : "comes_nearest"), opened);
  }

  #nearest(nearest, missing) {
    const others = missing.length > MISSING ? ` and ${missing.length - MISSING} more` : "";
    const why = missing.length ? `The passages that come nearest have no word like: ${missing.slice(0, MISSING).join(", ")}${others}.` : "The passages beside come nearest; none has enough of what the question is about.";
    const hint = node("p", { class: "hint" }, why);
    if (!nearest) return this.sources.length ? hint : null;
    const source = this.#sourceOf(nearest);
    const open = button(source.title === source.document ? source.document : `${source.document}, ${source.title}`, () => openPassage(source.url, nearest), { class: "source", "aria-label": `Nearest passage: ${source.document}. Open the passage.` });
    return [hint, nearestPassage(nearest, source, open)];
  }

  /** The stream has ended. */
  end() {
    if (!this.isEnded) return this.fail(say("incomplete"), true);
    if (this.omitted.length) {
      const rows = this.omitted.map(({ text, reason }) => node("li", {}, text ? quoted(text) : null, node("span", { class: "quiet" }, ` ${reason}`)));
      refill(this.left, node("details", { class: "omitted" }, node("summary", {}, counted("omitted", this.omitted.length)), node("ul", {}, rows)));
    }
    this.#over(this.changed);
  }

  /** It was stopped, or it failed. */
  fail(note, isFailure) {
    this.note.classList.toggle("failed", isFailure);
    this.#over(note);
  }

  #over(note) {
    this.waiting.hidden = true;
    this.note.textContent = note;
    if (this.promise) this.note.before(node("p", { class: "hint" }, this.promise));
    this.actions.hidden = !this.text;
    this.element.removeAttribute("aria-busy");
  }

  #copied() {
    const cited = this.sources.filter(({ number }) => this.text.includes(`[${number}]`));
    return [this.text, ...cited.map(({ number, document, title }) => `[${number}] ${document}${title === document ? "" : `, ${title}`}`)].join("\n");
  }
}

/** A message about one or several. */
/** What is said of a question of more than `most` characters; null of a shorter one. */
export function tooLong(question, most) {
  const count = [...question].length;
  return count > most ? say("too_long", { most: number(most), count: number(count) }) : null;
}

const counted = (key, count) => say(count === 1 ? `${key}_one` : key, { count: number(count) });

/** The promised error rate, and whether it covers an answer; a bound is rounded up. */
function promiseNote({ error, confidence, questions }, isCovered) {
  if (!isCovered) return say("no_promise");
  const most = Math.ceil(Math.round(error * 1e9) / 1e6) / 10;
  return say("promise", { error: number(most), confidence: Math.round(100 * confidence), questions: number(questions) });
}
