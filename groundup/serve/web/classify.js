// Messages -> labels, and on demand the tokens that decided each.

import { ask } from "./api.js";
import { exampleQuestions, models, offer } from "./catalog.js";
import { button, get, node, refill } from "./dom.js";
import { percent } from "./tokens.js";

// To try a filter of spam with.
const MESSAGES = {
  spam: "WINNER! You have been chosen for a free prize of 900 pounds. Call 09061701461 now to claim it.",
  ham: "I'm on the bus, home at seven. Shall I bring some bread?",
};

export class Classify {
  constructor() {
    this.model = get("classify-model");
    this.model.addEventListener("change", () => this.#offerMessages());
    get("classify-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask(get("classify-text").value.split("\n").map((line) => line.trim()).filter(Boolean));
    });
  }

  /** Ask for the models again; keeps the choice. Throws Refusal. */
  async refresh() {
    [this.found, this.questions] = await Promise.all([models(), exampleQuestions()]);
    const isAny = offer(this.model, this.found, "classification");
    get("no-classifier").hidden = isAny;
    get("classify-form").hidden = !isAny;
    this.#offerMessages();
  }

  /** One message of each label where it filters spam; else what people ask the documents. */
  #offerMessages() {
    const labels = this.found.find(({ name }) => name === this.model.value)?.labels ?? [];
    const isFilter = Object.keys(MESSAGES).every((label) => labels.includes(label));
    const messages = isFilter ? Object.values(MESSAGES) : this.questions;
    const tried = (message) => () => {
      get("classify-text").value = message;
      this.#ask([message]);
    };
    refill(get("classify-ideas"), node("span", { class: "hint" }, "To try:"), messages.map((message) => button(message, tried(message), { class: "idea" })));
    get("classify-ideas").hidden = !messages.length;
  }

  async #ask(texts) {
    const note = get("classify-note");
    refill(get("verdicts"));
    note.textContent = texts.length ? "Reading …" : "There is no message yet.";
    if (!texts.length) return;
    const model = this.model.value;
    try {
      const { data } = await ask("/v1/classify", { model, input: texts });
      refill(get("verdicts"), data.map((verdict) => card(model, texts[verdict.index], verdict)));
      note.textContent = summary(data);
      get("verdicts").scrollIntoView({ block: "nearest" });
    } catch (error) {
      note.textContent = error.message;
    }
  }
}

function summary(data) {
  const counts = new Map();
  for (const label of data.flatMap(said)) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].map(([label, count]) => `${count} ${label}`).join(", ");
}

/** The labels of a verdict: one, or of a classifier of several labels those that reach their thresholds. */
function said({ label, labels }) {
  return labels ? (labels.length ? labels : ["no label"]) : [label];
}

function card(model, text, verdict) {
  const { probability, probabilities } = verdict;
  const words = node("p", { class: "said" }, text);
  const bars = Object.entries(probabilities).map(([name, p]) =>
    node("li", {}, node("span", {}, name), node("meter", { min: 0, max: 1, value: p, "aria-label": `${name} ${percent(p)}` }), node("span", {}, percent(p))),
  );
  const told = node("p", { class: "hint", role: "status" });
  const why = button("Which words?", async () => {
    why.disabled = true;
    told.textContent = "Reading it again without each of its tokens …";
    try {
      explain(words, told, await ask("/groundup/why", { model, text }), text);
      why.remove();
    } catch (error) {
      told.textContent = error.message;
      why.disabled = false;
    }
  });
  const sure = probability === undefined ? null : node("span", { class: "quiet" }, percent(probability));
  const head = node("h3", {}, said(verdict).join(", "), " ", sure);
  return node("li", { class: "card" }, head, words, node("ul", { class: "bars" }, bars), why, told);
}

/** Shade each token by what the verdict loses without it (by its contribution, where the text was too long to try). */
function explain(words, told, found, text) {
  const weights = found.pieces.map(({ without, contribution }) => without ?? contribution);
  const most = Math.max(...weights.map(Math.abs)) || 1;
  const pieces = found.pieces.map(({ text: piece }, index) => {
    const share = weights[index] / most;
    const span = node("span", { class: share < 0 ? "against" : "for", title: weights[index].toFixed(2) }, piece);
    span.style.setProperty("--share", Math.abs(share).toFixed(3));
    return span;
  });
  const rest = [...text].slice(found.shown).join("");
  refill(words, pieces, rest ? node("span", { class: "quiet" }, rest) : null);
  refill(
    told,
    [node("span", { class: "for" }, "Marked so"), `: raises the score of ${found.decision}; `, node("span", { class: "against" }, "so"), `: that of ${found.against}`],
    `. The stronger the colour, the more the score loses when the text is read without the token. ${strongest(found.pieces, weights)}`,
    rest ? "Only the beginning of the text was examined." : null,
  );
}

/** The tokens with the largest effect, as a sentence. */
function strongest(pieces, weights) {
  const spoken = [...pieces.keys()].filter((index) => weights[index] > 0 && /[\p{L}\p{N}]/u.test(pieces[index].text));
  const best = spoken.sort((one, other) => weights[other] - weights[one]).slice(0, 4);
  return best.length ? `Largest effect: ${best.map((index) => `“${pieces[index].text.trim()}”`).join(", ")}. ` : "";
}
