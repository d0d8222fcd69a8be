// The part of the page that trains a model: the text and the settings, the worker, and what is drawn
// of its reports.
"use strict";

const MOST_CHARACTERS = 200_000;
const KEPT_SAMPLES = 4;
const CURVE_POINTS = 240; // of the loss: more are averaged
const INDUCTION_POINTS = 120;
const SYLLABLES = "ba de fa ge hi ju ki lo mu na po ri su ta ve zo".split(" ");
const THINGS = "ball cup book lamp shoe drum kite bell".split(" ");
const LOOKS = "red blue green old new small".split(" ");
const STORIES = 300;
const LETTERS = [..."abcdefghijklmnopqrstuvwxyz"];
const ROWS = 2000;
const BESIDE_PRODUCTS = 1.6; // a step's time, by that of its matrix products

/** Little stories whose names are made up in each: only what stood before tells them. @returns {string} */
function madeUpText() {
  const random = new RandomKeys(5), one = (list) => list[random.next() % list.length];
  const name = () => {
    const written = Array.from({ length: 2 + (random.next() % 2) }, () => one(SYLLABLES)).join("");
    return written[0].toUpperCase() + written.slice(1);
  };
  return Array.from({ length: STORIES }, () => {
    const [a, b, thing, look] = [name(), name(), one(THINGS), one(LOOKS)];
    return one([
      `${a} has a ${look} ${thing}. ${b} wants the ${thing}. ${a} gives ${b} the ${look} ${thing}.\n`,
      `${a} and ${b} see a ${look} ${thing}. ${a} takes it. ${b} says: ${a}, give me the ${thing}!\n`,
      `${a} asks ${b}: where is my ${look} ${thing}? ${b} says: ${a}, the ${thing} is here.\n`,
    ]);
  }).join("");
}

/** Rows of 8 to 20 letters in random order, each given twice: who copies knows the second half. @returns {string} */
function lettersTwice() {
  const random = new RandomKeys(7);
  return Array.from({ length: ROWS }, () => {
    const left = LETTERS.slice(), letters = Array.from({ length: 8 + (random.next() % 13) }, () => left.splice(random.next() % left.length, 1)[0]);
    return `${letters.join("").repeat(2)}\n`;
  }).join("");
}

class TrainPage {
  /** @param {LivePage} live @param {{own: Trainable, small: Trainable[], bytes: TokenizerTable}} choices */
  constructor(live, choices) {
    this.live = live;
    this.choices = choices;
    this.bytes = new ByteLevelTokenizer(choices.bytes);
    this.settings = { rate: 0.003, batch: 8, context: 64 };
    byId("train-text").value = madeUpText();
    this.listen();
    this.reset();
  }

  listen() {
    byId("train-run").addEventListener("click", () => this.toggle());
    byId("train-step").addEventListener("click", () => this.stepOnce());
    byId("train-again").addEventListener("click", () => this.reset("The model is as it was at first."));
    byId("train-letters").addEventListener("click", () => this.takeLetters());
    byId("train-save").addEventListener("click", () => this.send({ kind: "weights" }));
    for (const id of ["train-shape", "train-text", "train-seed"]) byId(id).addEventListener("input", () => this.reset(this.begun ? "Another text or model: training begins again." : ""));
    for (const id of ["train-rate", "train-batch", "train-context"]) byId(id).addEventListener("input", () => this.changeSettings());
    for (const id of ["train-weight", "train-row", "train-column"]) byId(id).addEventListener("input", () => this.watch());
    for (const input of byId("train").querySelectorAll("[name=train-level]")) input.addEventListener("input", () => (byId("train").dataset.level = input.value));
  }

  /** The text, model and batch with which an induction head forms. */
  takeLetters() {
    byId("train-text").value = this.letters = lettersTwice();
    byId("train-shape").value = "1";
    this.shown = null; // its own settings again
    this.reset();
    byId("train-batch").value = "16";
    this.changeSettings();
    this.say("The text is rows of letters in random order, each given twice: press Train, and see the second half of a row become known.");
    byId("train-run").scrollIntoView({ block: "center" });
    byId("train-run").focus({ preventScroll: true });
  }

  say(message) {
    byId("train-status").textContent = message;
  }

  // The model and the text that are chosen.

  /** Which model: the page's own with its weights, its shape with random ones, or one of the choices. */
  chosen() {
    const value = byId("train-shape").value, { live } = this;
    if (value === "own" || value === "fresh") return { ...this.choices.own, weights: value === "own" ? live.model.weights : null, tokenizer: live.tokenizer };
    return { ...this.choices.small[Number(value)], weights: null, tokenizer: this.bytes };
  }

  /** The settings as they are valid, and a sentence where one is not. */
  readSettings() {
    const most = this.chosen().config.context_tokens, settings = { ...this.settings };
    let wrong = "";
    for (const [key, words, least, highest] of [["rate", "The learning rate", 0, 1], ["batch", "The batch", 1, 64], ["context", "The context", 2, most]]) {
      const input = byId(`train-${key}`), value = input.value.trim() === "" ? NaN : Number(input.value);
      const valid = value >= least && value <= highest && (key === "rate" ? value > 0 : Number.isInteger(value));
      input.setAttribute("aria-invalid", String(!valid));
      if (valid) settings[key] = value;
      else wrong ||= `${words} must be a number from ${least || "above 0"} to ${highest}.`;
    }
    return { settings, wrong };
  }

  changeSettings() {
    const { settings, wrong } = this.readSettings();
    this.settings = settings;
    this.say(wrong);
    if (this.begun && !wrong) this.send({ kind: "change", settings });
    this.showSize();
  }

  /** Everything as before the first step. */
  reset(message = "") {
    this.worker?.terminate();
    this.worker = null;
    this.begun = this.running = false;
    Object.assign(this, { losses: [], unseen: [], induction: [], samples: [], last: null });
    const { config, shapes } = this.chosen();
    if (this.shown !== byId("train-shape").value) {
      this.shown = byId("train-shape").value;
      byId("train-context").value = String(Math.min(64, config.context_tokens));
      byId("train-batch").value = String(config.vocab_size > 1000 ? 4 : 8);
      byId("train-rate").value = this.shown === "own" ? "0.0005" : "0.003";
      byId("train-weight").replaceChildren(...Object.keys(shapes).map((name) => element("option", { value: name, textContent: spokenName(name) })));
      byId("train-weight").value = "blocks.0.attention.query.weight";
    }
    this.changeSettings();
    this.say(message);
    this.showWeightBounds();
    this.showButtons();
    this.drawAll();
  }

  showSize() {
    const { config, shapes, tokenizer } = this.chosen(), { batch, context } = this.settings;
    const parameters = Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((product, size) => product * size, 1), 0);
    const reads = tokenizer === this.live.tokenizer ? "the model's own tokens" : "bytes: each plain letter is a token";
    const [what, steps] = byId("train-text").value === this.letters ? ["An induction head forms", 1200] : ["Words appear", 200];
    const soon = tokenizer === this.bytes ? ` ${what} after some ${steps} steps: ${spokenSeconds(steps * this.stepSeconds(config, shapes))} here.` : "";
    byId("train-size").textContent = `${parameters.toLocaleString("en")} parameters; it reads ${reads}. A step reads ${(batch * context).toLocaleString("en")} tokens and takes about ${spokenSeconds(this.stepSeconds(config, shapes))} on this device.${soon}`;
  }

  /** As it was measured in training, else as the speed of matrix products lets expect. */
  stepSeconds(config, shapes) {
    const { batch, context } = this.settings;
    if (this.last?.tokensPerSecond) return (batch * context) / this.last.tokensPerSecond;
    this.secondsAnOperation ??= operationSeconds();
    return BESIDE_PRODUCTS * this.secondsAnOperation * stepOperations(config, shapes, this.settings);
  }

  /** Begins a session with what is chosen; false: it can't, and the page says why. */
  begin() {
    const text = byId("train-text").value, { config, shapes, weights, tokenizer } = this.chosen(), { settings, wrong } = this.readSettings();
    const seed = Number(byId("train-seed").value), valid = Number.isInteger(seed) && seed >= 0;
    if (wrong || !valid) return this.refuse(wrong || "The seed must be a whole number, 0 or more.");
    if (text.length > MOST_CHARACTERS) return this.refuse(`The text has ${text.length.toLocaleString("en")} characters; the page takes ${MOST_CHARACTERS.toLocaleString("en")}. Remove some.`);
    const ids = Int32Array.from(tokenizer.encode(text)), needed = settings.context + 2;
    if (ids.length < needed) return this.refuse(`The text has ${ids.length} tokens; a context of ${settings.context} needs ${needed}. Paste more text, or choose a shorter context.`);
    this.tokenizer = tokenizer;
    this.settings = settings;
    this.begun = true;
    this.guessing = Math.log(new Set(ids).size);
    this.connect({ kind: "begin", config, shapes, weights: weights && copyOf(weights), text: ids, seed, settings, watched: this.watched() });
    return true;
  }

  refuse(message) {
    this.say(message);
    return false;
  }

  /** Begins in a worker of the page's own program, so that the page stays alive; where the browser allows none, the same between frames. @param {Object} begin */
  connect(begin) {
    const beside = () => {
      const session = new TrainingSession((message) => this.receive(message));
      this.worker = { postMessage: (message) => session.receive(message), terminate: () => { session.running = false; } };
      this.send(begin);
      if (this.running) this.send({ kind: "run" });
    };
    let worker;
    try {
      const program = `${byId("engine").textContent}\nconst session = new TrainingSession((message) => postMessage(message));\nonmessage = ({ data }) => session.receive(data);`;
      worker = new Worker(URL.createObjectURL(new Blob([program], { type: "text/javascript" })));
    } catch {
      return beside();
    }
    worker.onmessage = ({ data }) => this.worker === worker && this.receive(data);
    worker.onerror = (event) => {
      event.preventDefault();
      if (this.worker !== worker) return;
      if (!this.last) beside();
      else this.reset(`Training stopped: ${event.message || "the browser ended it"}.`);
    };
    this.worker = worker;
    this.send(begin);
  }

  send(message) {
    this.worker?.postMessage(message);
  }

  // Running.

  toggle() {
    if (!this.begun && !this.begin()) return;
    this.running = !this.running;
    this.send({ kind: this.running ? "run" : "pause" });
    this.say(this.running ? "Training." : "Paused.");
    this.showButtons();
  }

  stepOnce() {
    if (!this.begun && !this.begin()) return;
    this.running = false;
    this.send({ kind: "step" });
    this.say("");
    this.showButtons();
  }

  showButtons() {
    byId("train-run").textContent = this.running ? "Pause" : this.last ? "Train on" : "Train";
    byId("train-save").disabled = !this.last;
    byId("train-again").disabled = !this.begun;
  }

  /** What the session posts. */
  receive(message) {
    if (message.kind === "weights") return this.save(message);
    if (message.kind === "diverged") {
      this.running = false;
      this.showButtons();
      return this.say(`After step ${message.step} the loss is no number any more: the learning rate is too high. Start again with a lower one.`);
    }
    this.last = message;
    if (message.stepped) this.say(`Step ${message.step} is taken: what it did to one weight stands below.`);
    this.losses.push(...message.losses);
    if (message.unseen != null) this.unseen.push([message.step, message.unseen]);
    this.induction.push([message.step, message.induction]);
    if (this.induction.length > INDUCTION_POINTS) this.induction = this.induction.filter((_, at) => at % 2 === 0 || at === this.induction.length - 1);
    if (message.sample) this.samples = [{ ...message.sample, step: message.step }, ...this.samples.filter(({ step }) => step !== message.step)].slice(0, KEPT_SAMPLES);
    this.showSize();
    this.showButtons();
    this.drawAll();
  }

  // Drawing.

  drawAll() {
    this.drawNumbers();
    this.drawLoss();
    this.drawSamples();
    this.drawWeight();
    this.drawMap();
    this.drawInduction();
  }

  drawNumbers() {
    const { last, losses } = this, recent = losses.slice(-20).map(([, loss]) => loss), rounded = (value) => Math.round(value).toLocaleString("en");
    if (!last) return byId("train-numbers").replaceChildren();
    const mean = recent.reduce((sum, loss) => sum + loss, 0) / recent.length, pace = last.tokensPerSecond / (this.settings.batch * this.settings.context);
    const parts = [["step", rounded(last.step)]];
    if (recent.length) parts.push(["loss, nats a token", mean.toFixed(3)], ["as unsure as among", `${Math.exp(mean).toFixed(1)} tokens`]);
    if (this.unseen.length) parts.push(["loss on unseen text", this.unseen.at(-1)[1].toFixed(3)]);
    if (last.tokensPerSecond) parts.push(["tokens a second", rounded(last.tokensPerSecond)], ["steps a second", pace >= 10 ? rounded(pace) : pace.toFixed(1)]);
    byId("train-numbers").replaceChildren(...parts.map(([name, value]) => element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value }))));
  }

  drawLoss() {
    const series = [{ points: averaged(this.losses, CURVE_POINTS), name: "one" }, { points: this.unseen, name: "two" }];
    const said = this.losses.length ? `Loss by step: ${this.losses[0][1].toFixed(2)} at the first, ${this.losses.at(-1)[1].toFixed(2)} at step ${this.last.step}.` : "No step has been taken yet.";
    drawLines(byId("train-loss"), series, { most: Math.max(this.guessing ?? 5, ...this.losses.slice(0, 20).map(([, loss]) => loss)), level: this.guessing, said });
  }

  drawSamples() {
    byId("train-samples").replaceChildren(...this.samples.map(({ ids, prompt, step }) => {
      const text = (some) => this.tokenizer.decode(some);
      return element("div", {}, element("dt", { textContent: `after step ${step.toLocaleString("en")}` }), element("dd", { dir: "auto" }, element("span", { className: "quiet", textContent: text(ids.slice(0, prompt)) }), text(ids.slice(prompt))));
    }));
  }

  drawMap() {
    const { last } = this, place = byId("train-map");
    if (!last) return place.replaceChildren();
    const { ids, points } = last.map, most = Math.max(1e-9, ...points.flat().map(Math.abs));
    const at = (value, size) => (size / 2 + (value / most) * (size / 2 - 16)).toFixed(1);
    place.setAttribute("viewBox", "0 0 360 260");
    place.setAttribute("aria-label", `The ${ids.length} most frequent tokens by their embedding, after step ${last.step}.`);
    place.replaceChildren(...ids.map((id, index) => {
      const text = svgElement("text", { x: at(points[index][0], 360), y: at(points[index][1], 260), class: "mapped" });
      text.textContent = this.tokenizer.show(id);
      return text;
    }));
  }

  drawInduction() {
    const { induction, last } = this, series = [];
    if (last) last.induction.forEach((heads, layer) => heads.forEach((_, head) => series.push({ points: induction.map(([step, scores]) => [step, scores[layer][head]]), name: `series-${1 + (layer % 8)}`, layer, head })));
    const best = series.reduce((most, each) => (!most || each.points.at(-1)[1] > most.points.at(-1)[1] ? each : most), null);
    const words = best ? `Head ${best.head + 1} of block ${best.layer + 1} gives most: ${Math.round(100 * best.points.at(-1)[1])} %.` : "Train first.";
    drawLines(byId("train-induction"), series, { most: 1, said: words });
    byId("induction-said").textContent = words;
    byId("induction-key").replaceChildren(...(last?.induction ?? []).map((_, layer) => element("span", { className: `key series-${1 + (layer % 8)}`, textContent: `block ${layer + 1}` })));
  }

  // One weight.

  /** @returns {Watched} */
  watched() {
    const name = byId("train-weight").value, shape = this.chosen().shapes[name], columns = shape.at(-1);
    const [row, column] = ["train-row", "train-column"].map((id) => Number(byId(id).value) - 1);
    return { name, index: (shape.length > 1 ? row * columns : 0) + column };
  }

  showWeightBounds() {
    const shape = this.chosen().shapes[byId("train-weight").value], [rows, columns] = shape.length > 1 ? shape : [1, shape[0]];
    for (const [id, most] of [["train-row", rows], ["train-column", columns]]) {
      const input = byId(id), value = Math.round(Number(input.value));
      input.max = String(most);
      input.value = String(Math.min(most, Math.max(1, value || 1)));
    }
  }

  watch() {
    this.showWeightBounds();
    if (this.begun) this.send({ kind: "watch", watched: this.watched() });
  }

  drawWeight() {
    const { last } = this, stepped = last?.stepped, place = byId("train-weight-said");
    if (!last) return place.replaceChildren("Choose a weight and take one step.");
    const rows = [];
    if (stepped) {
      const moved = stepped.after - stepped.before;
      rows.push(["it was", signed(stepped.before)], ["gradient, by the chain rule", signed(stepped.gradient)], ["the same, measured", signed(stepped.measured)], ["the step moved it by", signed(moved)], ["it is", signed(stepped.after)]);
    } else rows.push(["it is", signed(last.weight.value)], ["gradient in the last step", last.step ? signed(last.weight.gradient) : "–"]);
    const list = element("dl", { className: "train-list" }, ...rows.map(([name, value]) => element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value }))));
    const words = stepped ? agreement(stepped) : "Take one step to see its gradient measured.";
    place.replaceChildren(list, element("p", { className: "quiet", textContent: words }));
  }

  // Saving.

  save({ step, weights }) {
    const file = modelFile(this.chosen(), weights);
    const link = element("a", { href: URL.createObjectURL(new Blob([file], { type: "application/octet-stream" })), download: "trained.safetensors" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    this.say(`trained.safetensors: the model after step ${step}. Open it with: groundup generate trained.safetensors "Once"`);
  }
}

/** @param {Weights} weights */
const copyOf = (weights) => Object.fromEntries(Object.entries(weights).map(([name, values]) => [name, values.slice()]));

/** @param {number} seconds */
const spokenSeconds = (seconds) => seconds >= 90 ? `${Math.round(seconds / 60)} minutes` : seconds < 0.95 ? `${Number((1000 * seconds).toPrecision(2))} ms` : `${Number(seconds.toPrecision(2))} s`;

/** "blocks.0.attention.query.weight" -> "block 1, attention, query". @param {string} name */
function spokenName(name) {
  const [first, ...rest] = name.replace(/\.weight$/, "").replace(/_/g, " ").split(".");
  return first === "blocks" ? [`block ${Number(rest[0]) + 1}`, ...rest.slice(1)].join(", ") : [first, ...rest].join(", ");
}

/** @param {number} value */
const signed = (value) => value.toPrecision(4).replace("-", MINUS);

/** @param {{gradient: number, measured: number}} stepped */
function agreement({ gradient, measured }) {
  const apart = Math.abs(gradient - measured), most = Math.max(Math.abs(gradient), Math.abs(measured));
  if (most < 1e-5) return "Both are nearly 0: this batch says nothing of this weight.";
  if (apart / most < 0.02 || apart < 1e-5) return "Measured: the weight a little more, a little less, and by how much the loss differs. Both agree.";
  return `They differ by ${apart.toExponential(1)}: the loss is computed to some seven figures, and it is curved.`;
}

/** Means of so many neighbours that at most `most` points are left. @param {[number, number][]} points @param {number} most */
function averaged(points, most) {
  const size = Math.ceil(points.length / most);
  if (size <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, group) => {
    const some = points.slice(group * size, (group + 1) * size);
    return [0, 1].map((at) => some.reduce((sum, point) => sum + point[at], 0) / some.length);
  });
}

/** @param {string} tag @param {Object<string, string>} attributes */
function svgElement(tag, attributes) {
  const made = document.createElementNS(byId("train-loss").namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Lines over the steps, from 0 to `most`; `level`: a line across. @param {Element} place an svg @param {{points: [number, number][], name: string}[]} series */
function drawLines(place, series, { most, level = 0, said }) {
  const width = Math.min(460, place.clientWidth || 460), [height, left, bottom, top] = [220, 50, 24, 10];
  const last = Math.max(1, ...series.flatMap(({ points }) => points.slice(-1).map(([step]) => step)));
  const x = (step) => left + (step / last) * (width - left - 12), y = (value) => height - bottom - (Math.min(value, most * 1.05) / (most * 1.05)) * (height - bottom - top);
  const unit = most > 2 ? Math.ceil(most / 5) : most / 4, drawn = [];
  for (let value = 0; value <= most * 1.02; value += unit) {
    drawn.push(svgElement("line", { x1: left, x2: width - 12, y1: y(value), y2: y(value), class: "rule" }));
    drawn.push(Object.assign(svgElement("text", { x: left - 8, y: y(value) + 4, class: "tick end" }), { textContent: most > 1 ? String(value) : `${Math.round(100 * value)} %` }));
  }
  if (level) drawn.push(svgElement("line", { x1: left, x2: width - 12, y1: y(level), y2: y(level), class: "level" }));
  for (const { points, name } of series) drawn.push(svgElement("polyline", { points: points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" "), class: `curve ${name}` }));
  drawn.push(Object.assign(svgElement("text", { x: left, y: height - 6, class: "tick" }), { textContent: "step 0" }));
  if (last > 1) drawn.push(Object.assign(svgElement("text", { x: width - 12, y: height - 6, class: "tick end" }), { textContent: last.toLocaleString("en") }));
  place.setAttribute("viewBox", `0 0 ${width} ${height}`);
  place.setAttribute("aria-label", said);
  place.replaceChildren(...drawn);
}
