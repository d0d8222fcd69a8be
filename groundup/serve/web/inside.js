// A text as the model reads it: tokens with their surprise, and where each looks, in one block at a time.

import { ask } from "./api.js";
import { models, offer } from "./catalog.js";
import { get, node, refill, shape } from "./dom.js";
import { percent, visible } from "./tokens.js";

const CELL = 10;
const LARGEST_CELL_PX = 26;
const LARGEST_MAP_PX = 352;
const MEAN = "mean";

export class Inside {
  constructor() {
    this.model = get("inside-model");
    this.text = get("inside-text");
    get("inside-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#look(1);
    });
  }

  /** A text to look at as soon as the view is shown. */
  take(text, model) {
    this.text.value = text;
    this.wanted = model;
  }

  /** Ask for the models again; keeps the choice. Throws Refusal. */
  async refresh() {
    const isAny = offer(this.model, await models(), "completion", this.wanted ?? this.model.value);
    if (this.wanted && isAny) this.#look(1);
    this.wanted = null;
  }

  async #look(block) {
    const note = get("inside-note");
    note.textContent = this.text.value.trim() ? "Reading …" : "There is no text yet.";
    if (!this.text.value.trim()) return;
    try {
      this.found = await ask("/groundup/inside", { model: this.model.value, text: this.text.value, block });
      this.block = block;
      note.textContent = this.#summary();
      this.#draw();
    } catch (error) {
      note.textContent = error.message;
      refill(get("inside-found"));
    }
  }

  #summary() {
    const { tokens, shown, bits_per_token: bits } = this.found;
    const part = shown < [...this.text.value].length ? "The beginning of the text" : "The text";
    return `${part}, read by itself without a conversation before it: ${tokens.length} tokens of ${(shown / tokens.length).toFixed(1)} letters, ${bits.toFixed(1)} bits of surprise each.`;
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
    this.map = node("div", { class: "map", role: "region", tabindex: 0, "aria-label": "Attention map" });
    const block = this.#select("Block", [...Array(blocks).keys()].map((index) => [index + 1, index + 1]), this.block, (value) => this.#look(Number(value)));
    const head = this.#select("Head", [[MEAN, "mean of all"], ...heads.map((_, index) => [index, index + 1])], this.head, (value) => {
      this.head = value;
      this.#attend();
    });
    const how = "Choose a token: the darker another one, the more of its attention this token gives to it. A line below a token is as long as it was surprising.";
    const left = node("div", {}, node("div", { class: "controls" }, block, head), node("p", { class: "hint" }, how), strip, this.told);
    refill(get("inside-found"), left, this.map);
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
    const caption = node("p", { class: "hint" }, "The whole block: a row for each token that looks, a column for each that is looked at.");
    refill(this.map, grid(weights, this.token), caption);
  }

  #sentence(row) {
    const { pieces, tokens } = this.found;
    const most = [...row.keys()].sort((one, other) => row[other] - row[one]).slice(0, 3).filter((index) => row[index] > 0.005);
    const looked = most.map((index) => `${quoted(pieces[index])} ${percent(row[index])}`).join(", ");
    const told = tokens[this.token - this.first];
    const expected = told ? ` It cost ${told.bits.toFixed(1)} bits; the model expected ${told.expected.map((each) => `${quoted(each)} ${percent(each.probability)}`).join(", ")}.` : "";
    return `Token ${this.token + 1}, ${quoted(pieces[this.token])}, id ${pieces[this.token].id}, looks at ${looked}.${expected}`;
  }
}

const quoted = ({ text }) => `“${visible(text)}”`;

/** All weights at once: a row for each token that looks, a column for each that is looked at. */
function grid(weights, chosen) {
  const side = weights.length * CELL;
  const cells = weights.flatMap((row, query) =>
    row.slice(0, query + 1).map((share, key) =>
      share < 0.004 ? null : shape("rect", { x: key * CELL, y: query * CELL, width: CELL - 1, height: CELL - 1, "fill-opacity": Math.sqrt(share).toFixed(3) }),
    ),
  );
  const frame = shape("rect", { class: "frame", x: -0.5, y: chosen * CELL - 0.5, width: (chosen + 1) * CELL, height: CELL });
  const label = `Attention of ${weights.length} tokens, a row for each; no token sees later ones.`;
  return shape("svg", { viewBox: `-2 -2 ${side + 4} ${side + 4}`, width: Math.min(LARGEST_MAP_PX, weights.length * LARGEST_CELL_PX), role: "img", "aria-label": label }, cells, frame);
}
