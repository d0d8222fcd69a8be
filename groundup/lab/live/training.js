// A model that learns: the loss of a batch and its gradients, AdamW, first weights, batches of a
// text. groundup/train/ has the same in torch.
"use strict";

const PROBED_MS = 30; // of the speed of this device
const PRODUCTS = 16; // in a group: some 3 ms, as browsers' clocks may have steps of 1 ms

// Of groundup/train: AdamW's decays and weight decay, and the gradients' largest norm.
const ADAMW = { beta1: 0.9, beta2: 0.99, weightDecay: 0.1, epsilon: 1e-8 };
const CLIP_NORM = 1;

/** @typedef {Object<string, number[]>} Shapes   of each weight: rows and columns, or its length */
/** @typedef {{ids: Int32Array, targets: Int32Array, length: number}} Batch   texts of `length` tokens one after another, and the token after each */

class TrainedModel {
  /** @param {LiveConfig} config @param {Weights} weights which are changed in place @param {Shapes} shapes */
  constructor(config, weights, shapes) {
    this.config = config;
    this.tape = new Tape();
    this.step = 0;
    /** Attention weights of the last forward pass, of each block. @type {Float32Array[]} */
    this.attentionWeights = [];
    /** @type {Object<string, Matrix & {mean: Float32Array, square: Float32Array, decays: boolean}>} */
    this.parameters = {};
    for (const [name, shape] of Object.entries(shapes)) {
      const length = weights[name].length, [rows, columns] = shape.length > 1 ? shape : [1, shape[0]];
      const matrix = new Matrix(rows, columns, weights[name], new Float32Array(length));
      // matrices decay, vectors and tables do not
      const decays = shape.length > 1 && !name.endsWith("embedding.weight");
      this.parameters[name] = Object.assign(matrix, { mean: new Float32Array(length), square: new Float32Array(length), decays });
    }
  }

  // Forward.

  /** The logits of all texts. @param {Int32Array} ids @param {number} length of each text */
  logits(ids, length) {
    this.attentionWeights = [];
    let x = this.embed(ids, length);
    for (let layer = 0; layer < this.config.num_layers; layer++) x = this.block(layer, x, length);
    if (this.config.block !== "post") x = this.norm("final_norm", x);
    return linearLayer(this.tape, x, this.parameters[this.config.tied_head ? "embedding.weight" : "head.weight"], undefined);
  }

  /** @param {Int32Array} ids @param {number} length */
  embed(ids, length) {
    const { width, positions, sinusoids, scaled_embedding, embedding_norm } = this.config, { tape, parameters } = this;
    let x = tableRows(tape, parameters["embedding.weight"], ids, scaled_embedding ? Math.sqrt(width) : 1);
    const places = Array.from(ids, (_, at) => at % length);
    if (positions === "learned") x = sumOf(tape, x, tableRows(tape, parameters["position_embedding.weight"], places));
    if (positions === "sinusoidal") {
      const waves = tape.matrix(ids.length, width);
      places.forEach((place, row) => waves.values.set(sinusoidRow(place, width, sinusoids), row * width));
      x = sumOf(tape, x, waves);
    }
    return embedding_norm ? this.norm("embedding_norm", x) : x;
  }

  /** @param {number} layer @param {Matrix} x @param {number} length */
  block(layer, x, length) {
    const add = (one, other) => sumOf(this.tape, one, other);
    const attention = (input) => this.attention(layer, input, length);
    const feedforward = (input) => this.feedforward(layer, input);
    const norm = (part) => (input) => this.norm(`blocks.${layer}.${part}`, input);
    if (this.config.block === "parallel") {
      const input = norm("attention_norm")(x);
      return add(add(x, attention(input)), feedforward(input));
    }
    const wire = WIRINGS[this.config.block];
    const between = wire(x, attention, norm("attention_norm"), norm("attention_output_norm"), add);
    return wire(between, feedforward, norm("feedforward_norm"), norm("feedforward_output_norm"), add);
  }

  /** @param {string} name @param {Matrix} x */
  norm(name, x) {
    const bias = this.config.norm === "layer" ? this.parameters[`${name}.bias`] : undefined;
    return normLayer(this.tape, x, this.parameters[`${name}.weight`], bias, this.config.norm_eps);
  }

  /** @param {string} name @param {Matrix} x */
  linear(name, x) {
    return linearLayer(this.tape, x, this.parameters[`${name}.weight`], this.parameters[`${name}.bias`]);
  }

  /** @param {number} layer @param {Matrix} x */
  feedforward(layer, x) {
    const kind = FEEDFORWARDS[this.config.feedforward], name = `blocks.${layer}.feedforward.`;
    const gate = kind.gated ? this.linear(`${name}gate`, x) : null;
    return this.linear(`${name}down`, activationLayer(this.tape, this.linear(`${name}up`, x), gate, kind));
  }

  /** @param {number} layer @param {Matrix} x @param {number} length */
  attention(layer, x, length) {
    const name = `blocks.${layer}.attention.`;
    const [query, key] = ["query", "key"].map((part) => this.projected(layer, part, x, length));
    const { mixed, weights } = attentionLayer(this.tape, query, key, this.linear(`${name}value`, x), length, this.config, layer);
    this.attentionWeights[layer] = weights;
    return this.linear(`${name}output`, mixed);
  }

  /** Queries or keys of all heads: projected, normalised and rotated. @param {number} layer @param {string} part @param {Matrix} x @param {number} length */
  projected(layer, part, x, length) {
    const { head_width, qk_norm, norm_eps, rotations } = this.config, name = `blocks.${layer}.attention.${part}`;
    let y = this.linear(name, x);
    const weight = this.parameters[`${name}_norm.weight`], { columns } = y;
    if (qk_norm === "projection") y = normLayer(this.tape, y, weight, undefined, norm_eps);
    if (qk_norm === "head") y = normLayer(this.tape, y.inRowsOf(head_width), weight, undefined, norm_eps).inRowsOf(columns);
    return rotations[layer] ? rotationLayer(this.tape, y, length, head_width, rotations[layer]) : y;
  }

  // Loss, gradients and a step.

  /** In nats a token; nothing is kept of the pass. @param {Batch} batch */
  loss({ ids, targets, length }) {
    const loss = crossEntropy(this.logits(ids, length), targets, this.config.logit_softcap);
    this.tape.clear();
    return loss;
  }

  /** The loss; afterwards each parameter has its gradient. @param {Batch} batch */
  lossAndGradients({ ids, targets, length }) {
    for (const { gradient } of Object.values(this.parameters)) gradient.fill(0);
    const loss = crossEntropy(this.logits(ids, length), targets, this.config.logit_softcap);
    this.tape.backward();
    this.tape.clear();
    return loss;
  }

  /** The length of all gradients as one vector. */
  gradientNorm() {
    let squares = 0;
    for (const { gradient } of Object.values(this.parameters)) for (let at = 0; at < gradient.length; at++) squares += gradient[at] * gradient[at];
    return Math.sqrt(squares);
  }

  /** AdamW (Loshchilov & Hutter 2019) along the gradients, which are shortened to CLIP_NORM where they are longer. @param {number} rate */
  update(rate) {
    const { beta1, beta2, weightDecay, epsilon } = ADAMW, step = ++this.step, shortened = Math.min(1, CLIP_NORM / this.gradientNorm());
    const [bias1, bias2] = [1 - beta1 ** step, Math.sqrt(1 - beta2 ** step)];
    for (const { values, gradient, mean, square, decays } of Object.values(this.parameters)) {
      const kept = decays ? 1 - rate * weightDecay : 1;
      for (let at = 0; at < values.length; at++) {
        const slope = gradient[at] * shortened;
        mean[at] += (1 - beta1) * (slope - mean[at]);
        square[at] += (1 - beta2) * (slope * slope - square[at]);
        values[at] = values[at] * kept - ((rate / bias1) * mean[at]) / (Math.sqrt(square[at]) / bias2 + epsilon);
      }
    }
  }

  /** How the loss changes with one weight, measured: (loss(w + h) - loss(w - h)) / 2h. @param {string} name @param {number} index @param {Batch} batch */
  finiteDifference(name, index, batch, h = 0.01) {
    const { values } = this.parameters[name], value = values[index];
    const [more, less] = [value + h, value - h].map((moved) => {
      values[index] = moved;
      return { at: values[index], loss: this.loss(batch) };
    });
    values[index] = value;
    return (more.loss - less.loss) / (more.at - less.at);
  }
}

/** First weights as groundup/model/heads.py draws them: normal, 1/2 over the root of the width; smaller where they write into the stream; norms 1, biases 0. @param {LiveConfig} config @param {Shapes} shapes @param {number} seed @returns {Weights} */
function firstWeights(config, shapes, seed) {
  const random = new RandomKeys(seed), deviation = 0.5 / Math.sqrt(config.width);
  const uniform = () => (random.next() + 0.5) / 2 ** 32;
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => {
    const weight = new Float32Array(shape.reduce((product, size) => product * size, 1));
    if (shape.length === 1) return [name, weight.fill(name.endsWith(".bias") ? 0 : 1)];
    const writes = /(attention\.output|feedforward\.down)\.weight$/.test(name);
    return [name, weight.map(() => normal() * deviation / (writes ? Math.sqrt(2 * config.num_layers) : 1))];
  }));
}

/** Pieces of a text, drawn at random. @param {Int32Array} text @param {number} count @param {number} length @param {RandomKeys} random @returns {Batch} */
function drawBatch(text, count, length, random) {
  const starts = Array.from({ length: count }, () => Math.floor((random.next() / 2 ** 32) * (text.length - length)));
  return batchAt(text, starts, length);
}

/** @param {Int32Array} text @param {number[]} starts @param {number} length @returns {Batch} */
function batchAt(text, starts, length) {
  const [ids, targets] = [0, 1].map((shift) => {
    const tokens = new Int32Array(starts.length * length);
    starts.forEach((start, row) => tokens.set(text.subarray(start + shift, start + shift + length), row * length));
    return tokens;
  });
  return { ids, targets, length };
}

/** Floating-point operations of a step, as groundup/model/sizes.py counts them, windows apart: 6 for each weight of a matrix and token (2 forward, 4 backward), and those of scores and weighted values. @param {LiveConfig} config @param {Shapes} shapes @param {{batch: number, context: number}} settings */
function stepOperations(config, shapes, { batch, context }) {
  const lookedUp = ["position_embedding.weight", ...(config.tied_head ? [] : ["embedding.weight"])];
  const matrices = Object.entries(shapes).filter(([name, shape]) => shape.length === 2 && !lookedUp.includes(name));
  const weights = matrices.reduce((sum, [, [rows, columns]]) => sum + rows * columns, 0);
  const attention = config.num_layers * config.num_heads * config.score_width * ((context + 1) / 2);
  return batch * context * (6 * weights + 12 * attention);
}

/** Seconds of an operation on this device: the quickest of the groups of matrix products that PROBED_MS have room for, as other programs slow down some. */
function operationSeconds() {
  const size = 64, [A, B, C] = [0, 0, 0].map(() => new Float32Array(size * size).fill(0.5));
  const product = () => addProduct(A, B, C, size, size, size);
  const group = () => {
    const began = performance.now();
    for (let n = 0; n < PRODUCTS; n++) product();
    return performance.now() - began;
  };
  let quickest = group(); // which compiles it
  for (const began = performance.now(); performance.now() - began < PROBED_MS; ) quickest = Math.min(quickest, group());
  return quickest / 1000 / (PRODUCTS * 2 * size ** 3);
}
