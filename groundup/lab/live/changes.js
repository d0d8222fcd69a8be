// The model with changes: a head, a block or a rotation left out, an activation of another text put
// in, a direction added, an attention weight set by hand. groundup/lab/ has the same in torch:
// ablation.py, patching.py, steering.py.
"use strict";

/**
 * Layers, heads and places are indices. Of the stream, layer n is what enters block n, L the output of the last.
 * @typedef {{kind: "head", layer: number, head: number}
 *   | {kind: "block", layer: number}
 *   | {kind: "network", layer: number}
 *   | {kind: "rotation", layer: number}
 *   | {kind: "patch", layer: number, place: number, values: Float32Array}
 *   | {kind: "direction", layer: number, values: Float32Array}
 *   | {kind: "weight", layer: number, head: number, place: number, key: number, weight: number}} Change
 */

/** The first token that a change concerns. @param {Change} change */
const firstPlace = (change) => change.place ?? 0;

/** A model with the weights of another and a cache of its own, which runs with changes. */
class ChangedModel {
  /** @param {LiveModel} model */
  constructor(model) {
    this.model = new LiveModel(model.config, model.weights);
    /** @type {Change[]} */
    this.changes = [];
    /** Tokens that the cache holds. @type {number[]} */
    this.ids = [];
    this.place = 0;
    /** The attention of the token that was run last, by layer and head. @type {Map<string, Float64Array>} */
    this.weights = new Map();
    this.model.probe = (name, values, layer, head) => this.apply(name, values, layer, head);
  }

  /** Other changes: tokens that they concern are run again. @param {Change[]} changes */
  setChanges(changes) {
    const other = [...this.changes.filter((each) => !changes.includes(each)), ...changes.filter((each) => !this.changes.includes(each))];
    this.ids.length = Math.min(this.ids.length, ...other.map(firstPlace));
    this.changes = changes;
  }

  /** Keeps what is cached of these ids; the number of tokens that are yet to be run: the last one always is. @param {number[]} ids */
  begin(ids) {
    this.wanted = ids;
    this.ids.length = Math.min(commonLength(ids, this.ids), ids.length - 1);
    return ids.length - this.ids.length;
  }

  /** Runs one token more. @returns {Float32Array|null} the logits after the last one */
  runOne() {
    this.place = this.ids.length;
    this.ids.push(this.wanted[this.place]);
    const xs = this.model.run([this.ids[this.place]], this.place);
    return this.ids.length === this.wanted.length ? this.model.predict(xs)[0] : null;
  }

  /** Runs a token with one change alone, from its block on: the cache of the blocks below must be that without it. @param {Change} change @param {number} place @param {Float32Array} stream what enters the block */
  runFrom(change, place, stream) {
    [this.changes, this.place, this.ids] = [[change], place, []];
    return this.model.run([0], place, change.layer, [stream.slice()])[0];
  }

  /** The logits after a text. @param {number[]} ids */
  logits(ids) {
    let logits = new Float32Array();
    for (let left = this.begin(ids); left > 0; left--) logits = this.runOne();
    return logits;
  }

  /** Each value on its way, changed in place. @param {string} name @param {Float32Array|Float64Array} values @param {number} layer @param {number} head */
  apply(name, values, layer, head) {
    for (const change of this.changes) this.applyOne(change, name, values, layer, head);
    if (name === "stream") this.stream = values.slice();
    if (name.startsWith("query") || name.startsWith("key")) this.unrotated = values.slice();
    if (name === "weights") this.weights.set(`${layer} ${head}`, values.slice());
  }

  /** @param {Change} change */
  applyOne(change, name, values, layer, head) {
    const { kind } = change, here = change.place === undefined || change.place === this.place, width = this.model.config.head_width;
    if (name === "stream") {
      if (kind === "block" && layer === change.layer + 1) values.set(this.stream);
      if (kind === "patch" && here && layer === change.layer) values.set(change.values);
      if (kind === "direction" && layer === change.layer) values.set(plus(values, change.values));
    } else if (layer !== change.layer) return;
    else if (kind === "head" && name === "heads") values.fill(0, change.head * width, (change.head + 1) * width);
    else if (kind === "network" && name === "feedforward") values.fill(0);
    else if (kind === "rotation" && name.endsWith("_rotated")) values.set(this.unrotated);
    else if (kind === "weight" && name === "weights" && here && head === change.head) setWeight(values, change.key - (this.place + 1 - values.length), change.weight);
  }
}

/** One weight as given; the others are scaled so that all add up to 1. @param {Float64Array} weights @param {number} index @param {number} weight */
function setWeight(weights, index, weight) {
  if (index < 0 || weights.length < 2) return; // beyond the window, or the only token
  const left = weights.reduce((sum, value, other) => (other === index ? sum : sum + value), 0);
  weights.forEach((value, other) => (weights[other] = other === index ? weight : left > 0 ? (value * (1 - weight)) / left : (1 - weight) / (weights.length - 1)));
}

/** The residual stream of a text: of each token, that of each layer. @param {LiveModel} model whose cache is overwritten @param {number[]} ids @returns {Float32Array[][]} */
function streamsOf(model, ids) {
  return ids.map((id, place) => streamOf(model, id, place));
}

/** The same of one token, when those before it have been run. @param {LiveModel} model @param {number} id @param {number} place @returns {Float32Array[]} */
function streamOf(model, id, place) {
  const layers = [], before = model.probe;
  model.probe = (name, values, layer) => { if (name === "stream") layers[layer] = values.slice(); };
  model.step(id, place);
  model.probe = before;
  return layers;
}

/** The median length of a text's stream vectors at a layer, without the first token's. @param {Float32Array[][]} streams @param {number} layer */
function medianLength(streams, layer) {
  const some = streams.length > 1 ? streams.slice(1) : streams;
  const lengths = some.map((layers) => Math.sqrt(layers[layer].reduce((sum, value) => sum + value * value, 0)));
  return lengths.sort((one, other) => one - other)[(lengths.length - 1) >> 1];
}

/** The tokens of a word in running text: after a space, unless that takes more. @param {ByteLevelTokenizer} tokenizer @param {string} word */
function wordIds(tokenizer, word) {
  const begins = tokenizer.table.bos_id === null ? 0 : 1;
  const [spaced, plain] = [` ${word.trim()}`, word.trim()].map((text) => tokenizer.encode(text).slice(begins));
  return plain.length < spaced.length ? plain : spaced;
}

/** From the mean of the embedding table to the mean row of a word's tokens, with length 1. @param {LiveModel} model @param {number[]} ids */
function wordDirection(model, ids) {
  const { width } = model.config, table = model.weights["embedding.weight"], direction = meanRow(table, width).map((value) => -value);
  for (const id of ids) rowOf(table, id, width).forEach((value, c) => (direction[c] += value / ids.length));
  const length = Math.sqrt(direction.reduce((sum, value) => sum + value * value, 0));
  return Float32Array.from(direction, (value) => value / length);
}

/** How far a prediction is from another: the sum of p log2(p / q), in bits. @param {Float64Array} p @param {Float64Array} q */
function divergenceBits(p, q) {
  return p.reduce((sum, share, id) => (share > 0 ? sum + share * Math.log2(share / Math.max(q[id], 1e-300)) : sum), 0);
}

/** The token that speaks most for the first of two predictions: the largest term of the divergence. @param {Float64Array} p @param {Float64Array} q */
const tellingToken = (p, q) => argmax(p.map((share, id) => (share > 0 ? share * Math.log(share / Math.max(q[id], 1e-300)) : 0)));

/** @param {number[]} one @param {number[]} other */
function commonLength(one, other) {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  return length;
}
