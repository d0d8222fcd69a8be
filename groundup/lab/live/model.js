// The forward pass of one token or several that follow one another, with a key/value cache: ids and
// the first one's position -> logits. Weights are float32, sums are float64. Each kernel is the plain
// formula; groundup/model/ has the same in torch.
"use strict";

/**
 * groundup's ModelConfig, and what Python computes from it.
 * @typedef {Object} LiveConfig
 * @property {number} vocab_size
 * @property {number} context_tokens
 * @property {number} width
 * @property {number} num_layers
 * @property {number} num_heads
 * @property {number} num_kv_heads
 * @property {number} head_width
 * @property {number} feedforward_width
 * @property {"rms"|"layer"} norm
 * @property {"pre"|"post"|"output"|"sandwich"|"parallel"} block
 * @property {string} positions
 * @property {string} feedforward
 * @property {"none"|"head"|"projection"} qk_norm
 * @property {number} norm_eps
 * @property {number} score_width
 * @property {number} score_softcap
 * @property {number} logit_softcap
 * @property {boolean} scaled_embedding
 * @property {boolean} embedding_norm
 * @property {boolean} tied_head
 * @property {number[]} windows             of each block, in tokens; 0: none
 * @property {(Rotation|null)[]} rotations  of each block
 * @property {number[]} slopes              ALiBi's, of each head; empty: none
 * @property {number[]} sinusoids           frequencies of sinusoidal positions; empty: none
 *
 * @typedef {{frequencies: number[], factor: number}} Rotation
 * @typedef {Object<string, Float32Array|Int8Matrix>} Weights   by groundup's own names; of 8 bits are matrices of a large model (int8.js)
 *
 * What a probe is called with, one token at a time, in the order of the computation. Of a token: `embedding` (its row),
 * `position_embedding` (what is added to it, if anything), `stream` (the input of block `layer`; of
 * layer L the output of the last block), `final_norm`, `logits`. Of a block: `attention_norm`,
 * `query`, `query_norm`, `query_rotated` and the same of `key` (all heads; the last two where the
 * model has them), `value`; of each head `scores` and `weights` (of the tokens it sees, the last
 * one's at the end); `heads` (their outputs, joined), `attention`, `attention_output_norm`,
 * `between` (the stream after attention), `feedforward_norm`, `gate`, `up`, `inner`, `feedforward`,
 * `feedforward_output_norm`. Norms are called for where the block has them.
 * @callback Probe
 * @param {string} name
 * @param {Float32Array|Float64Array} values  to be copied by who keeps them; what is written into them changes the computation
 * @param {number} layer   -1: of no block
 * @param {number} head    -1: of no single head
 */

/** W x (+ b) of each x. @param {Float32Array|Int8Matrix} W @param {Float32Array[]} xs @param {Float32Array} [b] @returns {Float32Array[]} */
const products = (W, xs, b) => (ArrayBuffer.isView(W) ? xs.map((x) => matvec(W, x, b, new Float32Array(W.length / x.length))) : W.products(xs, b));

/** out = W x (+ b): each row of W [rows, x.length] times x. @param {Float32Array} W @param {Float32Array} x @param {Float32Array|undefined} b @param {Float32Array} out */
function matvec(W, x, b, out) {
  for (let row = 0; row < out.length; row++) out[row] = dotAt(W, row * x.length, x) + (b ? b[row] : 0);
  return out;
}

/** The product of x with the numbers of W from `start` on. @param {Float32Array} W @param {number} start @param {Float32Array} x */
function dotAt(W, start, x) {
  const columns = x.length, whole = columns - (columns % 4);
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (let c = 0, w = start; c < whole; c += 4, w += 4) {
    s0 += W[w] * x[c];
    s1 += W[w + 1] * x[c + 1];
    s2 += W[w + 2] * x[c + 2];
    s3 += W[w + 3] * x[c + 3];
  }
  for (let c = whole; c < columns; c++) s0 += W[start + c] * x[c];
  return s0 + s1 + s2 + s3;
}

/**
 * out = the sum of rows of W, each times its weight: four columns at a time, which is twice as fast as row by row.
 * @param {Float32Array} W @param {number} start of the first row @param {number} stride from row to row @param {Float64Array} weights @param {Float32Array} out
 */
function addRows(W, start, stride, weights, out) {
  for (let c = 0; c < out.length; c += 4) {
    let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (let row = 0, w = start + c; row < weights.length; row++, w += stride) {
      s0 += weights[row] * W[w];
      s1 += weights[row] * W[w + 1];
      s2 += weights[row] * W[w + 2];
      s3 += weights[row] * W[w + 3];
    }
    out[c] = s0;
    out[c + 1] = s1; // beyond the last column nothing is stored
    out[c + 2] = s2;
    out[c + 3] = s3;
  }
}

/** One row of a matrix. @param {Float32Array|Int8Matrix} W @param {number} row @param {number} columns @returns {Float32Array} */
const rowOf = (W, row, columns) => (ArrayBuffer.isView(W) ? W.subarray(row * columns, (row + 1) * columns) : W.row(row));

/** The mean of all rows, computed once. @param {Float32Array|Int8Matrix} W @param {number} columns @returns {Float64Array} */
function meanRow(W, columns) {
  if (!MEAN_ROWS.has(W)) {
    const mean = new Float64Array(columns), rows = W.length / columns;
    for (let row = 0; row < rows; row++) {
      const values = rowOf(W, row, columns);
      for (let c = 0; c < columns; c++) mean[c] += values[c] / rows;
    }
    MEAN_ROWS.set(W, mean);
  }
  return MEAN_ROWS.get(W);
}
/** @type {WeakMap<Float32Array|Int8Matrix, Float64Array>} */
const MEAN_ROWS = new WeakMap();

/** x / rms(x) * weight. @param {Float32Array} x @param {Float32Array} weight @param {number} eps */
function rmsNorm(x, weight, eps) {
  let squares = 0;
  for (const value of x) squares += value * value;
  const factor = 1 / Math.sqrt(squares / x.length + eps);
  return x.map((value, index) => value * factor * weight[index]);
}

/** (x - mean) / std * weight + bias. @param {Float32Array} x @param {Float32Array} weight @param {Float32Array} bias @param {number} eps */
function layerNorm(x, weight, bias, eps) {
  let sum = 0, squares = 0;
  for (const value of x) sum += value;
  const mean = sum / x.length;
  for (const value of x) squares += (value - mean) ** 2;
  const factor = 1 / Math.sqrt(squares / x.length + eps);
  return x.map((value, index) => (value - mean) * factor * weight[index] + bias[index]);
}

/** exp(s_j) / sum_k exp(s_k); -Infinity gives 0. @param {ArrayLike<number>} scores @returns {Float64Array} */
function softmax(scores) {
  let best = -Infinity, sum = 0;
  for (let index = 0; index < scores.length; index++) if (scores[index] > best) best = scores[index];
  const shares = new Float64Array(scores.length);
  for (let index = 0; index < scores.length; index++) sum += shares[index] = Math.exp(scores[index] - best);
  for (let index = 0; index < scores.length; index++) shares[index] /= sum;
  return shares;
}

/** -cap .. cap; 0: no cap. @param {number} value @param {number} cap */
const softcap = (value, cap) => (cap ? cap * Math.tanh(value / cap) : value);

const silu = (/** @type {number} */ x) => x / (1 + Math.exp(-x));
const siluSlope = (/** @type {number} */ x) => (1 + x * (1 - 1 / (1 + Math.exp(-x)))) / (1 + Math.exp(-x));
const gelu = (/** @type {number} */ x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const geluSlope = (/** @type {number} */ x) => {
  const root = Math.sqrt(2 / Math.PI), tanh = Math.tanh(root * (x + 0.044715 * x ** 3));
  return 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * root * (1 + 3 * 0.044715 * x * x);
};

/** By its name in groundup: the activation, its derivative, and whether a gate is activated and multiplies. */
const FEEDFORWARDS = {
  swiglu: { activation: silu, slope: siluSlope, gated: true },
  geglu: { activation: gelu, slope: geluSlope, gated: true },
  gelu: { activation: gelu, slope: geluSlope, gated: false },
};

/** Where the norms are, as in groundup/model/block.py: x the streams of the tokens, f the part, n and m the norms of its input and output, add the sum. */
const WIRINGS = {
  pre: (x, f, n, m, add) => add(x, f(n(x))),
  post: (x, f, n, m, add) => m(add(x, f(x))),
  output: (x, f, n, m, add) => add(x, m(f(x))),
  sandwich: (x, f, n, m, add) => add(x, m(f(n(x)))),
};

/** @param {Float32Array} one @param {Float32Array} other */
const plus = (one, other) => one.map((value, index) => value + other[index]);
/** The sum of each pair. @param {Float32Array[]} ones @param {Float32Array[]} others */
const plusEach = (ones, others) => ones.map((one, n) => plus(one, others[n]));

/** Turns each pair (i, i + D/2) by its angle, in place. @param {Float32Array} head @param {number} position @param {Rotation} rotation */
function rotate(head, position, rotation) {
  const half = head.length / 2;
  for (let pair = 0; pair < half; pair++) {
    const angle = Math.fround(position * rotation.frequencies[pair]); // in float32, as in training
    const cosine = Math.cos(angle) * rotation.factor, sine = Math.sin(angle) * rotation.factor;
    const [a, b] = [head[pair], head[pair + half]];
    head[pair] = a * cosine - b * sine;
    head[pair + half] = b * cosine + a * sine;
  }
}

/** A sine and a cosine of each frequency. @param {number} position @param {number} width @param {number[]} frequencies */
function sinusoidRow(position, width, frequencies) {
  const row = new Float32Array(width);
  frequencies.forEach((frequency, pair) => {
    const angle = Math.fround(position * frequency);
    row[2 * pair] = Math.sin(angle);
    row[2 * pair + 1] = Math.cos(angle);
  });
  return row;
}

const FIRST_ROOM_TOKENS = 64;

class LiveModel {
  /** @param {LiveConfig} config @param {Weights} weights */
  constructor(config, weights) {
    this.config = config;
    this.weights = weights;
    [this.keys, this.values] = ["key", "value"].map(() => Array.from({ length: config.num_layers }, () => new Float32Array()));
    /** Sees, and may change, each value on its way. @type {Probe|null} */
    this.probe = null;
  }

  /** The values, after the probe has seen them. @template {Float32Array|Float64Array} T @param {string} name @param {T} values @returns {T} */
  at(name, values, layer = -1, head = -1) {
    if (this.probe) this.probe(name, values, layer, head);
    return values;
  }

  /** The same of each token. @param {string} name @param {Float32Array[]} each */
  atEach(name, each, layer = -1) {
    for (const values of each) this.at(name, values, layer);
    return each;
  }

  /** Tokens of a text that are read at once. */
  get together() {
    return this.weights["embedding.weight"].together ?? 1;
  }

  /**
   * The logits [V] after the token `id` at `position`, whose key and value are stored: all tokens
   * before it must have been. A token that is run again gives the same.
   * @param {number} id @param {number} position @returns {Float32Array}
   */
  step(id, position) {
    return this.steps([id], position)[0];
  }

  /** The same of several tokens: a matrix of 8 bits is read once for some of them. @param {number[]} ids @param {number} position of the first @returns {Float32Array[]} */
  steps(ids, position) {
    return this.predict(this.run(ids, position));
  }

  /** What leaves the last block; from a later block on, `streams` are what enters that. @param {number[]} ids @param {number} position @param {number} first @param {Float32Array[]} [streams] */
  run(ids, position, first = 0, streams = undefined) {
    this.makeRoom(position + ids.length - 1);
    let xs = this.atEach("stream", streams ?? ids.map((id, n) => this.embed(id, position + n)), first);
    for (let layer = first; layer < this.config.num_layers; layer++) xs = this.atEach("stream", this.block(layer, xs, position), layer + 1);
    return xs;
  }

  /** The logits [V] of what leaves the last block. @param {Float32Array[]} xs */
  predict(xs) {
    return this.atEach("logits", this.unembed(this.atEach("final_norm", xs.map((x) => this.finish(x)))));
  }

  /** Keys and values have room for twice as many tokens as often as it is needed. @param {number} position */
  makeRoom(position) {
    const { num_kv_heads, head_width, context_tokens } = this.config, stored = num_kv_heads * head_width;
    if (position * stored < this.keys[0].length) return;
    const tokens = Math.min(context_tokens, Math.max(FIRST_ROOM_TOKENS, 2 * position));
    for (const rows of [this.keys, this.values]) {
      rows.forEach((held, layer) => (rows[layer] = new Float32Array(tokens * stored)).set(held));
    }
  }

  /** The output of the last block, normalised where the blocks don't do so at their end. @param {Float32Array} x */
  finish(x) {
    return this.config.block === "post" ? x : this.norm("final_norm", x);
  }

  /** The logits [V] of what `finish` gives: its product with each token's row. @param {Float32Array[]} xs */
  unembed(xs) {
    const { tied_head, logit_softcap } = this.config, logits = products(this.weights[tied_head ? "embedding.weight" : "head.weight"], xs);
    return logit_softcap ? logits.map((each) => each.map((value) => softcap(value, logit_softcap))) : logits;
  }

  /** The row of the embedding, and of the positions where they are added. @param {number} id @param {number} position */
  embed(id, position) {
    const { width } = this.config;
    let x = rowOf(this.weights["embedding.weight"], id, width).slice();
    if (this.config.scaled_embedding) x = x.map((value) => value * Math.sqrt(width));
    this.at("embedding", x);
    const added = this.positionRow(position);
    if (added) x = plus(x, this.at("position_embedding", added));
    return this.config.embedding_norm ? this.norm("embedding_norm", x) : x;
  }

  /** What is added to the embedding at a position; null: nothing. @param {number} position */
  positionRow(position) {
    const { width, positions, sinusoids } = this.config;
    if (positions === "learned") return this.weights["position_embedding.weight"].slice(position * width, (position + 1) * width);
    if (positions !== "sinusoidal") return null;
    return sinusoidRow(position, width, sinusoids);
  }

  /** @param {number} layer @param {Float32Array[]} xs @param {number} position of the first */
  block(layer, xs, position) {
    const attention = (inputs) => this.attention(layer, inputs, position);
    const feedforward = (inputs) => this.feedforward(layer, inputs);
    const norm = (part) => (inputs) => this.atEach(part, inputs.map((x) => this.norm(`blocks.${layer}.${part}`, x)), layer);
    if (this.config.block === "parallel") {
      const inputs = norm("attention_norm")(xs);
      return plusEach(this.atEach("between", plusEach(xs, attention(inputs)), layer), feedforward(inputs));
    }
    const wire = WIRINGS[this.config.block];
    const between = this.atEach("between", wire(xs, attention, norm("attention_norm"), norm("attention_output_norm"), plusEach), layer);
    return wire(between, feedforward, norm("feedforward_norm"), norm("feedforward_output_norm"), plusEach);
  }

  /** @param {string} name @param {Float32Array} x */
  norm(name, x) {
    const weight = this.weights[`${name}.weight`];
    if (this.config.norm === "rms") return rmsNorm(x, weight, this.config.norm_eps);
    return layerNorm(x, weight, this.weights[`${name}.bias`], this.config.norm_eps);
  }

  /** @param {string} name of a layer with a weight, and for some a bias @param {Float32Array[]} xs */
  linear(name, xs) {
    return products(this.weights[`${name}.weight`], xs, this.weights[`${name}.bias`]);
  }

  /** @param {number} layer @param {Float32Array[]} xs */
  feedforward(layer, xs) {
    const { activation, gated } = FEEDFORWARDS[this.config.feedforward], name = `blocks.${layer}.feedforward.`;
    const ups = this.atEach("up", this.linear(`${name}up`, xs), layer);
    const inner = gated
      ? this.atEach("gate", this.linear(`${name}gate`, xs), layer).map((gate, n) => gate.map((value, index) => activation(value) * ups[n][index]))
      : ups.map((up) => up.map(activation));
    return this.atEach("feedforward", this.linear(`${name}down`, this.atEach("inner", inner, layer)), layer);
  }

  /** softmax(Q K^T / sqrt(D)) V for each new token. @param {number} layer @param {Float32Array[]} xs @param {number} position of the first */
  attention(layer, xs, position) {
    const name = `blocks.${layer}.attention.`, stored = this.config.num_kv_heads * this.config.head_width;
    const [queries, keys] = ["query", "key"].map((part) => this.linear(name + part, xs).map((all, n) => this.positioned(layer, part, all, position + n)));
    const values = this.atEach("value", this.linear(`${name}value`, xs), layer);
    const mixed = xs.map((_, n) => {
      this.keys[layer].set(keys[n], (position + n) * stored);
      this.values[layer].set(values[n], (position + n) * stored);
      return this.mixHeads(layer, queries[n], position + n);
    });
    return this.atEach("attention", this.linear(`${name}output`, this.atEach("heads", mixed, layer)), layer);
  }

  /** What all heads of a token give, joined. @param {number} layer @param {Float32Array} queries @param {number} position */
  mixHeads(layer, queries, position) {
    const { num_heads, num_kv_heads, head_width } = this.config, mixed = new Float32Array(num_heads * head_width);
    for (let head = 0; head < num_heads; head++) {
      const shared = Math.floor(head / (num_heads / num_kv_heads)) * head_width;
      const query = queries.subarray(head * head_width, (head + 1) * head_width);
      this.mix(layer, head, query, shared, position, mixed.subarray(head * head_width, (head + 1) * head_width));
    }
    return mixed;
  }

  /** Queries or keys of all heads of a token: normalised and rotated. @param {number} layer @param {"query"|"key"} part @param {Float32Array} all @param {number} position */
  positioned(layer, part, all, position) {
    const { head_width, qk_norm, norm_eps } = this.config, weight = this.weights[`blocks.${layer}.attention.${part}_norm.weight`];
    this.at(part, all, layer);
    const heads = () => Array.from({ length: all.length / head_width }, (_, head) => all.subarray(head * head_width, (head + 1) * head_width));
    if (qk_norm === "projection") all = rmsNorm(all, weight, norm_eps);
    if (qk_norm === "head") for (const head of heads()) head.set(rmsNorm(head, weight, norm_eps));
    if (qk_norm !== "none") this.at(`${part}_norm`, all, layer);
    const rotation = this.config.rotations[layer];
    if (!rotation) return all;
    for (const head of heads()) rotate(head, position, rotation);
    return this.at(`${part}_rotated`, all, layer);
  }

  /** One head: scores of the stored tokens, their softmax, the weighted sum of their values. `shared`: where its key and value begin in a token's row. */
  mix(layer, head, query, shared, position, out) {
    const { num_kv_heads, head_width, score_width, score_softcap, windows, slopes } = this.config;
    const [keys, values] = [this.keys[layer], this.values[layer]], stored = num_kv_heads * head_width;
    const first = windows[layer] ? Math.max(0, position + 1 - windows[layer]) : 0;
    const scores = new Float64Array(position + 1 - first), factor = 1 / Math.sqrt(score_width);
    for (let token = first; token <= position; token++) {
      const start = token * stored + shared;
      const bias = slopes.length ? -slopes[head] * (position - token) : 0;
      scores[token - first] = softcap(dotAt(keys, start, query) * factor, score_softcap) + bias;
    }
    const weights = this.at("weights", softmax(this.at("scores", scores, layer, head)), layer, head);
    addRows(values, first * stored + shared, stored, weights, out);
  }
}
