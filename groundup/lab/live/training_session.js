// Training in a worker: it takes messages (begin, change, run, pause, step, watch, weights), trains
// between them, and posts what the page draws. Without a worker the page calls it itself.
"use strict";

const POSTED_MS = 300; // between two reports, or ten times what one takes
const SAMPLED_MS = 4000; // between two samples, or thirty times
const SLICE_MS = 40; // of work between two looks at the messages
const WARM_STEPS = 20; // the learning rate rises over these
const SAMPLE_TOKENS = 90;
const MAPPED_TOKENS = 45; // most frequent ones of the text
const REPEATED_TEXTS = 4; // of random tokens, each twice
const MAX_HALF = 24;
const UNSEEN_SHARE = 0.1; // of the text, at its end
const SAMPLING = { temperature: 0.8, top_k: 0, top_p: 1 };

/** @typedef {{rate: number, batch: number, context: number}} TrainingSettings */
/** @typedef {{name: string, index: number}} Watched   one weight */

class TrainingSession {
  /** @param {(message: Object) => void} post */
  constructor(post) {
    this.post = post;
    this.running = false;
    /** @type {Watched|null} */
    this.watched = null;
  }

  /** @param {Object} message */
  receive(message) {
    this[message.kind](message);
  }

  /** @param {{config: LiveConfig, weights: Weights|null, shapes: Shapes, text: Int32Array, seed: number, settings: TrainingSettings, watched: Watched}} given */
  begin({ config, weights, shapes, text, seed, settings, watched }) {
    this.running = false;
    this.random = new RandomKeys(seed);
    this.model = new TrainedModel(config, weights ?? firstWeights(config, shapes, seed), shapes);
    this.weightsByName = Object.fromEntries(Object.entries(this.model.parameters).map(([name, { values }]) => [name, values]));
    this.writer = null; // its cache is made when it is needed
    Object.assign(this, { config, settings, watched, seed });
    const unseen = Math.floor(text.length * UNSEEN_SHARE), enough = unseen > settings.context + 1;
    [this.text, this.unseen] = enough ? [text.subarray(0, text.length - unseen), text.subarray(text.length - unseen)] : [text, null];
    this.known = [...new Set(text)];
    this.mapped = mostFrequent(text, MAPPED_TOKENS);
    this.axes = null;
    this.losses = [];
    this.worked = { tokens: 0, ms: 0 };
    this.intervals = { posted: POSTED_MS, sampled: SAMPLED_MS };
    this.report(true);
  }

  change({ settings }) {
    this.settings = settings;
  }

  run() {
    if (this.running) return;
    this.running = true;
    this.posted = performance.now();
    this.tick();
  }

  pause() {
    if (!this.running) return;
    this.running = false;
    this.report(true);
  }

  /** One step, with the watched weight before and after it. */
  step() {
    this.running = false;
    const batch = this.batch(), { name, index } = this.watched, { values, gradient } = this.model.parameters[name];
    const before = values[index], measured = this.model.finiteDifference(name, index, batch);
    this.advance(batch);
    this.report(true, { before, after: values[index], gradient: gradient[index], measured });
  }

  /** @param {{watched: Watched}} message */
  watch({ watched }) {
    this.watched = watched;
    this.report(false);
  }

  /** A copy of the weights. */
  weights() {
    this.post({ kind: "weights", step: this.model.step, weights: Object.fromEntries(Object.entries(this.weightsByName).map(([name, values]) => [name, values.slice()])) });
  }

  /** Steps for a while, then a look at what was said meanwhile. */
  tick() {
    if (!this.running) return;
    const began = performance.now();
    do this.advance(this.batch()); while (this.running && performance.now() - began < SLICE_MS);
    if (performance.now() - this.posted > this.intervals.posted) this.report(false);
    setTimeout(() => this.tick(), 0);
  }

  batch() {
    const { batch, context } = this.settings;
    return drawBatch(this.text, batch, context, this.random);
  }

  /** @param {Batch} batch */
  advance(batch) {
    const began = performance.now(), loss = this.model.lossAndGradients(batch), norm = this.model.gradientNorm();
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      this.running = false;
      this.post({ kind: "diverged", step: this.model.step });
      return;
    }
    this.model.update(this.settings.rate * Math.min(1, (this.model.step + 1) / WARM_STEPS));
    this.worked.ms += performance.now() - began;
    this.worked.tokens += batch.ids.length;
    this.norm = norm;
    this.losses.push([this.model.step, loss]);
  }

  /** @param {boolean} whole with a sample, and the loss on the text that is not trained on @param {Object|null} stepped */
  report(whole, stepped = null) {
    const began = performance.now(), { ms, tokens } = this.worked, due = whole || began - this.sampled > this.intervals.sampled;
    const { name, index } = this.watched, { values, gradient } = this.model.parameters[name];
    const message = {
      kind: "progress",
      step: this.model.step,
      losses: this.losses,
      norm: this.norm,
      tokensPerSecond: ms ? tokens / (ms / 1000) : 0,
      map: this.map(),
      induction: inductionScores(this.model, this.known, this.settings.context, this.seed),
      weight: { name, index, value: values[index], gradient: gradient[index] },
      stepped,
    };
    this.posted = performance.now();
    this.intervals.posted = Math.max(POSTED_MS, 10 * (this.posted - began));
    if (due) {
      Object.assign(message, { sample: this.sample(), unseen: this.unseenLoss() });
      this.sampled = performance.now();
      this.intervals.sampled = Math.max(SAMPLED_MS, 30 * (this.sampled - this.posted));
    }
    this.losses = [];
    this.post(message);
  }

  /** Of the same pieces of the text's end each time; null: it is too short. */
  unseenLoss() {
    const { context } = this.settings;
    if (!this.unseen || this.unseen.length <= context + 1) return null;
    return this.model.loss(drawBatch(this.unseen, 8, context, new RandomKeys(0)));
  }

  /** The first tokens of the text, and what the model writes after them. */
  sample() {
    this.writer ??= new LiveModel(this.config, this.weightsByName);
    const prompt = Array.from(this.text.subarray(0, 8)), most = Math.min(this.settings.context, prompt.length + SAMPLE_TOKENS);
    const ids = prompt.slice(0, most - 1), keys = new RandomKeys(this.model.step);
    let logits = new Float32Array(), place = 0;
    while (ids.length < most) {
      while (place < ids.length) logits = this.writer.step(ids[place], place++);
      ids.push(chooseToken(logits, SAMPLING, keys.key(ids.length)));
    }
    return { ids, prompt: Math.min(prompt.length, most - 1) };
  }

  /** The mapped tokens' rows of the embedding along the two directions in which they differ most. */
  map() {
    const { columns, values } = this.model.parameters["embedding.weight"];
    const rows = this.mapped.map((id) => values.subarray(id * columns, (id + 1) * columns));
    const { axes, points } = twoComponents(rows, this.axes);
    this.axes = axes;
    return { ids: this.mapped, points };
  }
}

/** Ids by how often they occur. @param {Int32Array} text @param {number} count */
function mostFrequent(text, count) {
  const counts = new Map();
  for (const id of text) counts.set(id, (counts.get(id) ?? 0) + 1);
  return [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one)).slice(0, count);
}

/** The first two principal components of rows (power iteration, from the axes before), and each row's place along them. @param {Float32Array[]} rows @param {Float64Array[]|null} before */
function twoComponents(rows, before) {
  const width = rows[0].length, mean = new Float64Array(width);
  for (const row of rows) for (let c = 0; c < width; c++) mean[c] += row[c] / rows.length;
  const centred = rows.map((row) => Float64Array.from(row, (value, c) => value - mean[c])), axes = [];
  const along = (row, axis) => row.reduce((sum, value, c) => sum + value * axis[c], 0);
  for (let number = 0; number < 2; number++) {
    let axis = before?.[number] ?? Float64Array.from({ length: width }, (_, c) => Math.cos((number + 1) * (c + 1)));
    for (let round = 0; round < (before ? 4 : 60); round++) {
      const next = new Float64Array(width);
      for (const row of centred) {
        const share = along(row, axis);
        for (let c = 0; c < width; c++) next[c] += share * row[c];
      }
      for (const other of axes) {
        const share = along(next, other);
        for (let c = 0; c < width; c++) next[c] -= share * other[c];
      }
      const length = Math.sqrt(along(next, next)) || 1;
      axis = next.map((value) => value / length);
    }
    axes.push(axis);
  }
  return { axes, points: centred.map((row) => axes.map((axis) => along(row, axis))) };
}

/**
 * Of each block and head: the attention that tokens of a repeated random text give to the token after their first occurrence, as
 * groundup/lab/head_patterns.py scores it (Olsson et al. 2022).
 * @param {TrainedModel} model @param {number[]} tokens that are drawn from @param {number} context @param {number} seed @returns {number[][]}
 */
function inductionScores(model, tokens, context, seed) {
  const random = new RandomKeys(seed), known = tokens.slice(), half = Math.min(MAX_HALF, context >> 1, known.length), length = 2 * half;
  const ids = new Int32Array(REPEATED_TEXTS * length);
  for (let start = 0; start < ids.length; start += length) {
    for (let at = 0; at < half; at++) {
      const other = at + (random.next() % (known.length - at));
      [known[at], known[other]] = [known[other], known[at]];
    }
    ids.set([...known.slice(0, half), ...known.slice(0, half)], start);
  }
  model.logits(ids, length);
  const heads = model.config.num_heads;
  const scores = model.attentionWeights.map((weights) => Array.from({ length: heads }, (_, head) => {
    let sum = 0;
    for (let each = 0; each < REPEATED_TEXTS; each++) for (let query = half; query < length; query++) sum += weights[((each * heads + head) * length + query) * length + query - half + 1];
    return sum / (REPEATED_TEXTS * half);
  }));
  model.tape.clear();
  return scores;
}
