// A text as the model reads it: tokens with their surprise, and what each attends to, one block at a time.

import { ask } from "./api.js";
import { livePage, models, offer } from "./catalog.js";
import { button, get, node, refill } from "./dom.js";
import { AttentionMap, scale } from "./map.js";
import { percent, visible } from "./tokens.js";

const MEAN = "mean";

export class Inside {
  constructor() {
    this.model = get("inside-model");
    this.text = get("inside-text");
    get("inside-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#look(1);
    });
    this.model.addEventListener("change", () => {
      refill(get("inside-heads"));
      this.#offerPage();
    });
  }

  /** A text to look at as soon as the view is shown. */
  take(text, model) {
    this.text.value = text;
    this.wanted = model;
  }

  /** Ask for the models again; keeps the choice. Throws Refusal. */
  async refresh() {
    this.models = await models();
    const isAny = offer(this.model, this.models, "completion", this.wanted ?? this.model.value);
    this.#offerPage();
    if (this.wanted && isAny) this.#look(1);
    this.wanted = null;
  }

  /** The page that runs the chosen model in the browser, or else the one of a build. */
  #offerPage() {
    const chosen = this.models.find(({ name }) => name === this.model.value), whole = this.models.find(({ live }) => live) ?? chosen, page = whole && livePage(whole);
    get("inside-live").hidden = !page;
    if (!page) return;
    const what = whole.live ? ", the model that was trained here from random numbers, also stands in a page of its own: it runs there" : " also has a page of its own, where it runs in your browser (it says first how much is fetched)";
    refill(get("inside-live"), `${whole.name}${what}, every number from your text to the next token is explained, and parts of it can be changed. `, node("a", { href: page }, "Open the model's page"));
  }

  async #look(block) {
    const note = get("inside-note");
    note.textContent = this.text.value.trim() ? "Reading …" : "There is no text yet.";
    if (!this.text.value.trim()) return;
    try {
      const model = this.model.value;
      this.found = await ask("/groundup/inside", { model, text: this.text.value, block });
      this.block = block;
      if (this.looked !== model || !get("inside-heads").hasChildNodes()) this.#findHeads(model);
      note.textContent = this.#summary();
      this.#draw();
    } catch (error) {
      note.textContent = error.message;
      refill(get("inside-found"));
    }
  }

  /** Heads with a known pattern, each a button that shows it on the text. */
  async #findHeads(model) {
    this.looked = model;
    refill(get("inside-heads"), node("p", { class: "waiting", role: "status" }, "Searching all heads for known patterns"));
    try {
      const { heads, caption } = await ask("/groundup/heads", { model });
      if (this.looked === model) refill(get("inside-heads"), node("h3", {}, "Heads with a known pattern"), this.#headsTold(heads, caption));
    } catch (error) {
      refill(get("inside-heads"), node("p", { class: "quiet" }, error.message));
    }
  }

  #headsTold(heads, caption) {
    if (!heads.length) return node("p", { class: "quiet" }, "No head of this model has a known pattern: it is small, or was trained too little.");
    const kinds = [...new Set(heads.map(({ kind }) => kind))];
    const rows = kinds.map((kind) => {
      const own = heads.filter((head) => head.kind === kind);
      const shown = own.map(({ block, head, score }) => button(`block ${block}, head ${head}: ${percent(score)}`, () => this.#lookAt(block, head), { class: "idea" }));
      return node("li", {}, node("span", {}, node("b", {}, kind), `: they attend ${own[0].looks} (chance ${percent(own[0].chance)})`), node("div", { class: "ideas" }, shown));
    });
    return [node("ul", { class: "patterns" }, rows), node("p", { class: "hint" }, caption)];
  }

  async #lookAt(block, head) {
    this.head = head - 1;
    await this.#look(block);
    get("inside-found").scrollIntoView({ block: "start" });
  }

  #summary() {
    const { tokens, shown, bits_per_token: bits } = this.found;
    const part = shown < [...this.text.value].length ? "The beginning of the text" : "The text";
    return `${part}, without the conversation before it: ${tokens.length} tokens of ${(shown / tokens.length).toFixed(1)} characters, ${bits.toFixed(1)} bits of surprise per token.`;
  }

  #draw() {
    const { tokens, pieces, heads, blocks } = this.found;
    this.first = pieces.length - tokens.length; // 1 where the model has a token before every text
    this.token ??= pieces.length - 1;
    this.token = Math.min(this.token, pieces.length - 1);
    this.head ??= MEAN;
    const strip = node("div", { class: "strip", role: "radiogroup", "aria-label": "Tokens", keydown: (event) => this.#key(event) });
    this.marks = pieces.map((piece, index) => this.#mark(piece, index));
    strip.append(...this.marks);
    this.told = node("p", { class: "told", role: "status" });
    this.map = new AttentionMap(pieces.map(({ text }) => visible(text)), (index) => this.#choose(index));
    const block = this.#select("Block", [...Array(blocks).keys()].map((index) => [index + 1, index + 1]), this.block, (value) => this.#look(Number(value)));
    const head = this.#select("Head", [[MEAN, "mean of all"], ...heads.map((_, index) => [index, index + 1])], this.head, (value) => {
      this.head = value;
      this.#attend();
    });
    const how = "Choose a token: the stronger the colour of another token, the more attention the chosen one gives to it. The length of the line below a token is its surprise.";
    const caption = "All tokens: a row for each query, a column for each key; no token attends to later ones. Point at a square to read its weight.";
    refill(get("inside-found"), node("div", { class: "controls" }, block, head), node("p", { class: "hint" }, how), strip, this.told, this.map.element, scale(), node("p", { class: "hint" }, caption));
    this.#attend();
  }

  #select(label, options, chosen, act) {
    const select = node("select", { change: () => act(select.value) }, options.map(([value, text]) => node("option", { value }, `${text}`)));
    select.value = chosen;
    return node("label", {}, label, " ", select);
  }

  #mark(piece, index) {
    const told = this.found.tokens[index - this.first];
    const mark = node("button", { type: "button", class: "piece", role: "radio", click: () => this.#choose(index), pointerenter: () => this.#choose(index) }, visible(piece.text));
    mark.style.setProperty("--bits", Math.min(1, (told?.bits ?? 0) / 12).toFixed(3));
    return mark;
  }

  #key(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.#choose(Math.max(0, Math.min(this.marks.length - 1, this.token + step)));
    this.marks[this.token].focus();
  }

  #choose(index) {
    this.token = index;
    this.#attend();
  }

  /** Weights of the chosen head, or the mean over all heads of the block. */
  #weights() {
    const { heads } = this.found;
    if (this.head !== MEAN) return heads[this.head] ?? heads[0];
    return heads[0].map((row, query) => row.map((_, key) => heads.reduce((sum, head) => sum + head[query][key], 0) / heads.length));
  }

  #attend() {
    const weights = this.#weights();
    const row = weights[this.token];
    this.marks.forEach((mark, index) => {
      mark.style.setProperty("--share", Math.sqrt(row[index]).toFixed(3));
      mark.setAttribute("aria-checked", index === this.token);
      mark.tabIndex = index === this.token ? 0 : -1;
    });
    this.told.textContent = this.#sentence(row);
    this.map.draw(weights, this.token);
  }

  #sentence(row) {
    const { pieces, tokens } = this.found;
    const most = [...row.keys()].sort((one, other) => row[other] - row[one]).slice(0, 3).filter((index) => row[index] > 0.005);
    const looked = most.map((index) => `${quoted(pieces[index])} ${percent(row[index])}`).join(", ");
    const told = tokens[this.token - this.first];
    const expected = told ? ` Its surprise is ${told.bits.toFixed(1)} bits; the model expected ${told.expected.map((each) => `${quoted(each)} ${percent(each.probability)}`).join(", ")}.` : "";
    return `Token ${this.token + 1}, ${quoted(pieces[this.token])}, id ${pieces[this.token].id}, attends to ${looked}.${expected}`;
  }
}

const quoted = ({ text }) => `“${visible(text)}”`;
