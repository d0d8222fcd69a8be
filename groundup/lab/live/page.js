// The page: the text as tokens, what follows it, and what was drawn. The state is `ids` and a place
// among them; the model's cache holds the tokens before that place. It makes no requests.
"use strict";

const SHOWN_TOKENS = 10; // rows of the table of probabilities
const PAUSE_MS = 60; // of work between two frames

/** A question in a prompt, by the model's chat template: ids, text encoded with the question, ids. @typedef {{before: number[], start: string, end: string, after: number[], strips: boolean}} ChatPrompt */

class LivePage {
  /** @param {{config: LiveConfig, tokenizer: TokenizerTable, training?: Object, chat?: ChatPrompt|null}} contents `training`: where the page trains, too @param {Weights} weights */
  constructor(contents, weights) {
    this.config = contents.config;
    this.chat = contents.chat;
    this.model = new LiveModel(contents.config, weights);
    this.tokenizer = new ByteLevelTokenizer(contents.tokenizer);
    /** Prompt and answer. @type {number[]} */
    this.ids = [];
    /** The probability of each, after those before it; of the first there is none. @type {(number|null)[]} */
    this.shares = [];
    this.promptLength = 0;
    this.cached = 0; // tokens in the model's cache
    this.place = 0; // the token whose distribution is shown; ids.length: the next one
    this.task = 0; // raised to stop what is running
    this.explanation = new Explanation(this);
    this.changing = new ChangePage(this);
    if (contents.training) this.training = new TrainPage(this, contents.training);
    this.listen();
    this.readText();
  }

  listen() {
    const text = byId("text"), choice = byId("choose-text");
    text.addEventListener("input", () => {
      if (choice) choice.value = "";
      this.readText();
    });
    choice?.addEventListener("change", () => {
      text.value = choice.value;
      if (!choice.value) text.focus();
      this.readText();
    });
    if (this.chat) byId("as-question").addEventListener("change", () => this.readText());
    byId("next").addEventListener("click", () => this.write(1));
    byId("write").addEventListener("click", () => this.write(Number(byId("tokens-to-write").value) || 20));
    byId("stop").addEventListener("click", () => this.stop("Stopped."));
    byId("again").addEventListener("click", () => this.readText());
    byId("sampling").addEventListener("input", () => this.showDistribution());
    byId("tokens").addEventListener("keydown", (event) => this.moveFocus(event));
  }

  /** @returns {Sampling} */
  sampling() {
    const number = (name, least, most, other) => {
      const input = byId(name), value = input.value.trim() === "" ? NaN : Number(input.value);
      const valid = value >= least && value <= most;
      input.setAttribute("aria-invalid", String(!valid));
      return valid ? value : other;
    };
    return {
      temperature: number("temperature", 0, 100, 1),
      top_k: Math.floor(number("top-k", 0, 1e9, 0)),
      top_p: number("top-p", 1e-9, 1, 1),
      seed: Math.floor(number("seed", 0, Number.MAX_SAFE_INTEGER, 0)),
    };
  }

  stop(message) {
    this.task++;
    byId("stop").disabled = true;
    if (message) this.say(message);
  }

  say(message) {
    byId("status").textContent = message;
  }

  async readText() {
    this.stop("");
    const ids = this.encode(byId("text").value), most = this.config.context_tokens - 1;
    const same = commonLength(ids, this.ids);
    this.ids = ids.slice(0, most);
    this.cached = Math.min(this.cached, Math.max(0, same - 1)); // the last one again, for the share of what follows
    this.shares.length = Math.min(this.shares.length, same);
    this.promptLength = this.place = this.ids.length;
    const cut = ids.length > most ? ` The model reads ${most} tokens at most: the text's first ${most} are read.` : "";
    await this.catchUp(`${this.ids.length} tokens.${cut}`);
  }

  get asksQuestion() {
    return Boolean(this.chat) && byId("as-question").checked;
  }

  /** The ids of a text, or of a prompt with it as its question. @param {string} text */
  encode(text) {
    if (!this.asksQuestion) return this.tokenizer.encode(text);
    if (!text.trim()) return [];
    const { before, start, end, after, strips } = this.chat;
    return [...before, ...this.tokenizer.encodeInside(start + (strips ? text.trim() : text) + end), ...after];
  }

  /** What the box of another text holds for these ids of the page: of a prompt its question. @param {number[]} ids */
  textOf(ids) {
    return this.asksQuestion ? byId("text").value : this.tokenizer.decode(ids);
  }

  /** Another text as far as `ids` go: another question has the same answer after it. @param {string} text @param {number[]} ids */
  encodeOther(text, ids) {
    const other = this.encode(text);
    if (!this.asksQuestion || !other.length) return other;
    return ids.length < this.promptLength ? other.slice(0, ids.length) : [...other, ...ids.slice(this.promptLength)];
  }

  /** Reads on, and shows the text. @param {string} message */
  async catchUp(message) {
    if (!(await this.readOn())) return;
    this.say(message);
    this.show();
  }

  /** Runs the tokens that the cache lacks, in pieces between frames. Returns whether all are read: not where something else began meanwhile. */
  async readOn() {
    const task = ++this.task;
    let paused = performance.now();
    while (this.cached < this.ids.length && task === this.task) {
      this.runSome(this.model.together);
      if (performance.now() - paused > PAUSE_MS) {
        this.say(`Reading: ${this.cached} of ${this.ids.length} tokens.`);
        await frame();
        paused = performance.now();
      }
    }
    return task === this.task;
  }

  /** Runs the first tokens that are not in the cache, and notes the share of the one after each. @param {number} most */
  runSome(most) {
    const first = this.cached, some = this.model.steps(this.ids.slice(first, first + most), first);
    if (first === 0) this.shares[0] = null;
    for (const logits of some) {
      const next = ++this.cached;
      this.logits = logits;
      if (next < this.ids.length) this.shares[next] = softmax(logits)[this.ids[next]];
    }
  }

  /** The logits before the token at a place. @param {number} place */
  logitsAt(place) {
    const began = performance.now(), logits = this.model.step(this.ids[place - 1], place - 1);
    this.stepSeconds = (performance.now() - began) / 1000;
    return logits;
  }

  /** Writes tokens from the place shown on: what stood there is replaced. @param {number} count */
  async write(count) {
    if (!this.ids.length) return this.say("Type a text first: the model continues it.");
    if (this.place >= this.config.context_tokens) return this.say(this.whyEnded().trim());
    this.cutAt(this.place);
    byId("stop").disabled = false;
    if (!(await this.readOn())) return;
    const sampling = this.sampling(), keys = new RandomKeys(sampling.seed), { task } = this, began = performance.now();
    let paused = began, pause = PAUSE_MS, written = 0, why = "";
    this.logits = this.logitsAt(this.ids.length);
    while (written < count && task === this.task && !why) {
      const id = chooseToken(this.logits, sampling, keys.key(this.ids.length - this.promptLength));
      this.append(id);
      written++;
      why = this.whyEnded();
      if (performance.now() - paused > pause) {
        const shown = performance.now();
        this.showTokens();
        await frame();
        paused = performance.now();
        pause = Math.max(PAUSE_MS, 4 * (paused - shown)); // on a slow device the drawing takes a fifth of the time
      }
    }
    if (task !== this.task) return this.show();
    byId("stop").disabled = true;
    const speed = written / ((performance.now() - began) / 1000);
    this.show();
    const pace = written >= 10 ? ` (${Math.round(speed)} a second)` : "";
    this.say(`${written === 1 ? "1 token" : `${written} tokens`} written${pace}.${why}`);
  }

  /** @param {number} id */
  append(id) {
    this.shares[this.ids.length] = softmax(this.logits)[id];
    this.ids.push(id);
    this.place = this.ids.length;
    if (this.ids.length < this.config.context_tokens) this.runSome(1);
  }

  whyEnded() {
    if (this.tokenizer.table.stop_ids.includes(this.ids.at(-1))) return " The model ended its text here.";
    if (this.ids.length >= this.config.context_tokens) return ` The model's context of ${this.config.context_tokens} tokens is full.`;
    return "";
  }

  /** Removes the tokens from a place on. @param {number} place */
  cutAt(place) {
    this.ids.length = Math.min(this.ids.length, place);
    this.shares.length = Math.min(this.shares.length, place);
    this.cached = Math.min(this.cached, place);
    this.promptLength = Math.min(this.promptLength, place);
  }

  /** Shows what could stand at a place. @param {number} place */
  goTo(place) {
    this.stop("");
    this.place = Math.min(place, this.ids.length);
    if (this.cached < this.ids.length) return this.catchUp("");
    this.say("");
    this.show();
  }

  /** Puts another token at the place shown; what followed is removed. @param {number} id */
  async choose(id) {
    this.stop("");
    this.choosing = true;
    const place = this.place;
    this.cutAt(place);
    if (!(await this.readOn())) return;
    this.logits = this.logitsAt(place);
    this.append(id);
    this.show();
    this.say(`“${this.tokenizer.show(id)}” chosen as token ${place + 1}. Write on from here.`);
  }

  show() {
    this.showTokens();
    this.showDistribution();
    this.explanation.update();
    this.changing.update();
  }

  showTokens() {
    const place = this.place, buttons = this.ids.map((id, index) => this.tokenButton(id, index));
    const next = element("button", { type: "button", className: "token next", textContent: "next" });
    next.setAttribute("aria-label", `the next token, number ${this.ids.length + 1}`);
    next.addEventListener("click", () => this.goTo(this.ids.length));
    if (this.ids.length) buttons.push(next);
    buttons.forEach((button, index) => {
      button.tabIndex = index === place ? 0 : -1;
      if (index === place) button.setAttribute("aria-current", "true");
    });
    const isWritten = this.ids.length > this.promptLength, text = (some) => this.tokenizer.decode(some);
    byId("written-text").hidden = !isWritten;
    if (isWritten) {
      const written = this.ids.slice(this.promptLength), given = element("span", { className: "quiet", textContent: text(this.ids.slice(0, this.promptLength)) });
      if (this.asksQuestion) byId("written-text").replaceChildren(text(written.filter((id) => !this.tokenizer.table.stop_ids.includes(id))));
      else byId("written-text").replaceChildren(given, text(written));
    }
    const focused = byId("tokens").contains(document.activeElement);
    byId("tokens").replaceChildren(...buttons);
    if (focused) buttons[place]?.focus();
  }

  tokenButton(id, index) {
    const share = this.shares[index], said = share == null ? "" : percent(share);
    const name = element("bdi", { textContent: this.tokenizer.show(id) });
    const button = element("button", { type: "button", className: "token" }, name, element("small", { textContent: said || "first" }));
    if (index >= this.promptLength) button.classList.add("written");
    button.style.setProperty("--share", String(Math.sqrt(share ?? 0)));
    button.setAttribute("aria-label", `token ${index + 1}, ${this.tokenizer.show(id)}${said && `, probability ${said}`}`);
    button.addEventListener("click", () => this.goTo(index));
    return button;
  }

  /** Arrow keys, Home and End move among the tokens. @param {KeyboardEvent} event */
  moveFocus(event) {
    const buttons = [...byId("tokens").children], at = buttons.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    buttons[Math.max(0, Math.min(to, buttons.length - 1))].focus();
  }

  showDistribution() {
    const body = byId("distribution"), place = this.place;
    if (this.cached < Math.min(place, this.ids.length)) return; // still reading
    const sampling = this.sampling(), isUsed = [true, sampling.top_k > 0, sampling.top_p < 1, true];
    byId("heads").replaceChildren(element("th", { scope: "col", textContent: "token" }), ...[
      "the model", `top-k ${sampling.top_k}`, `top-p ${sampling.top_p}`, `tempera\u00adture ${sampling.temperature}`,
    ].filter((_, step) => isUsed[step]).map((textContent) => element("th", { scope: "col", textContent })));
    body.replaceChildren();
    if (place === 0 || place > this.config.context_tokens) {
      const why = this.ids.length ? "Nothing stands before this token: the model has no prediction for it." : "Type a text above.";
      byId("question").textContent = why;
      return;
    }
    const shares = samplingSteps(this.logitsAt(place), sampling).filter((_, step) => isUsed[step]).map((step) => softmax(step.scores));
    byId("question").textContent = place < this.ids.length ? `What could stand in place of token ${place + 1}` : "What could come next";
    const rows = mostProbable(shares[0], this.ids[place]), shown = new Set(rows), focused = this.choosing;
    body.replaceChildren(...rows.map((id) => this.distributionRow(id, shares)), this.restRow(shares, shown));
    if (focused) body.querySelector(".choice:not([disabled])")?.focus(); // its row is a new one
    this.choosing = false;
  }

  distributionRow(id, shares) {
    const name = this.tokenizer.show(id), here = id === this.ids[this.place];
    const button = element("button", { type: "button", className: "choice" }, element("bdi", { textContent: name }));
    button.setAttribute("aria-label", here ? `${name}, the token that stands here` : `choose ${name}`);
    button.disabled = here;
    button.addEventListener("click", () => this.choose(id));
    const row = element("tr", {}, element("th", { scope: "row" }, button), ...shares.map((step) => bar(step[id])));
    if (here) row.className = "here";
    return row;
  }

  restRow(shares, shown) {
    const rest = shares.map((step) => step.reduce((sum, share, id) => (shown.has(id) ? sum : sum + share), 0));
    const count = this.config.vocab_size - shown.size;
    return element("tr", { className: "rest" }, element("th", { scope: "row", textContent: `${count.toLocaleString("en")} others` }), ...rest.map(bar));
  }
}

/** A cell with a share as a bar and in figures. @param {number} share */
function bar(share) {
  const drawn = element("span", { className: "bar" });
  drawn.style.width = `${100 * Math.min(1, share)}%`;
  return element("td", { className: share ? "" : "out" }, element("span", { className: "track", ariaHidden: "true" }, drawn), element("span", { textContent: share ? percent(share) : "–" }));
}

/** The most probable ids, and one more that is to be seen. @param {Float64Array} shares @param {number|undefined} also */
function mostProbable(shares, also) {
  const ids = [];
  for (let id = 0; id < shares.length; id++) {
    if (ids.length === SHOWN_TOKENS && !(shares[id] > shares[ids.at(-1)])) continue;
    const at = ids.findIndex((other) => shares[id] > shares[other]);
    ids.splice(at < 0 ? ids.length : at, 0, id);
    ids.length = Math.min(ids.length, SHOWN_TOKENS);
  }
  if (also !== undefined && !ids.includes(also)) ids.push(also);
  return ids;
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} minutes`;
}

const frame = () => new Promise((resolve) => setTimeout(resolve, 0));
