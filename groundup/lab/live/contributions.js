// What heads and feed-forward networks write into the logit of one token, minus the mean of all
// tokens, and what is lost without each. groundup/lab/circuits/contributions.py has the same in torch.
"use strict";

/** @typedef {{embedding: number, heads: number[][], networks: number[], score: number}} Contributions   of each block; score: the logit before a soft cap, minus the mean */

/** The direction in which what stands before a norm is read, from that behind it: its scale is held. @param {LiveModel} model @param {string} name @param {Float32Array} x that it reads @param {Float64Array} direction */
function beforeNorm(model, name, x, direction) {
  const weight = model.weights[`${name}.weight`], layer = model.config.norm === "layer";
  const meanOf = (values) => (layer ? values.reduce((sum, value) => sum + value, 0) / values.length : 0), mean = meanOf(x);
  const factor = 1 / Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length + model.config.norm_eps);
  const gained = direction.map((value, index) => value * weight[index]), middle = meanOf(gained);
  return gained.map((value) => (value - middle) * factor);
}

/** @param {ArrayLike<number>} one @param {ArrayLike<number>} other */
function dot(one, other) {
  let sum = 0;
  for (let index = 0; index < one.length; index++) sum += one[index] * other[index];
  return sum;
}

/** The row of the head that belongs to a token, minus the mean of all rows. @param {LiveModel} model @param {number} id */
function headDirection(model, id) {
  const { width, tied_head } = model.config, table = model.weights[tied_head ? "embedding.weight" : "head.weight"], mean = meanRow(table, width);
  return Float64Array.from(rowOf(table, id, width), (value, c) => value - mean[c]);
}

/** @param {LiveModel} model that has run the tokens before the last one @param {number[]} ids @param {number} id whose logit it is @returns {Contributions} */
function directContributions(model, ids, id) {
  const { num_layers, num_heads, head_width, block } = model.config, seen = {}, before = model.probe;
  model.probe = (name, values, layer) => { seen[`${name} ${layer}`] = values.slice(); };
  model.step(ids.at(-1), ids.length - 1);
  model.probe = before;
  const heads = [], networks = [];
  let direction = headDirection(model, id);
  const score = dot(seen["final_norm -1"], direction);
  if (block !== "post") direction = beforeNorm(model, "final_norm", seen[`stream ${num_layers}`], direction);
  /** The part's own direction; that of the stream before it becomes `direction`. */
  const pass = (layer, part, stream) => {
    const name = `blocks.${layer}.${part}_output_norm`, written = seen[`${part} ${layer}`];
    if (!model.weights[`${name}.weight`]) return direction;
    const below = beforeNorm(model, name, block === "post" ? plus(stream, written) : written, direction);
    if (block === "post") direction = below;
    return below;
  };
  for (let layer = num_layers - 1; layer >= 0; layer--) {
    networks[layer] = dot(seen[`feedforward ${layer}`], pass(layer, "feedforward", seen[`between ${layer}`]));
    const own = pass(layer, "attention", seen[`stream ${layer}`]), output = model.weights[`blocks.${layer}.attention.output.weight`], mixed = seen[`heads ${layer}`];
    heads[layer] = Array(num_heads).fill(0);
    for (let c = 0; c < own.length; c++) {
      const row = rowOf(output, c, mixed.length);
      for (let d = 0; d < mixed.length; d++) heads[layer][Math.floor(d / head_width)] += own[c] * row[d] * mixed[d];
    }
  }
  return { embedding: dot(seen["stream 0"], direction), heads, networks, score };
}

/** The parts that are left out one after another, blocks in order, heads before networks. @param {LiveConfig} config @returns {Change[]} */
const partsOf = (config) => Array.from({ length: config.num_layers }, (_, layer) => [...Array.from({ length: config.num_heads }, (__, head) => ({ kind: "head", layer, head })), { kind: "network", layer }]).flat();

/** A token's logit minus the mean of all. @param {ArrayLike<number>} logits @param {number} id */
const centred = (logits, id) => logits[id] - Array.prototype.reduce.call(logits, (sum, value) => sum + value, 0) / logits.length;
