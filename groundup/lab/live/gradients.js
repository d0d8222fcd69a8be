// Forward and backward: each function computes a matrix and notes on the tape how its gradient
// flows to the matrices that it was computed from (reverse-mode automatic differentiation). Values
// are float32, sums float64.
"use strict";

/** Rows of numbers, and the derivative of the loss by each. */
class Matrix {
  /** @param {number} rows @param {number} columns @param {Float32Array} values @param {Float32Array} gradient */
  constructor(rows, columns, values, gradient) {
    Object.assign(this, { rows, columns, values, gradient });
  }

  /** The same numbers in rows of another length. @param {number} columns */
  inRowsOf(columns) {
    return new Matrix((this.rows * this.columns) / columns, columns, this.values, this.gradient);
  }
}

/** What was computed, in order; its memory is used again for the next step. */
class Tape {
  constructor() {
    /** @type {(() => void)[]} */
    this.steps = [];
    /** Arrays that are not in use, by length. @type {Map<number, Float32Array[]>} */
    this.free = new Map();
    /** @type {Float32Array[]} */
    this.used = [];
  }

  /** Zeros, until the tape is cleared. @param {number} length */
  array(length) {
    const array = this.free.get(length)?.pop()?.fill(0) ?? new Float32Array(length);
    this.used.push(array);
    return array;
  }

  /** @param {number} rows @param {number} columns @param {() => void} backward */
  matrix(rows, columns) {
    return new Matrix(rows, columns, this.array(rows * columns), this.array(rows * columns));
  }

  /** @param {() => void} step which adds to the gradients of its inputs */
  note(step) {
    this.steps.push(step);
  }

  /** The chain rule, from the last step to the first. */
  backward() {
    for (let index = this.steps.length - 1; index >= 0; index--) this.steps[index]();
  }

  clear() {
    this.steps.length = 0;
    for (const array of this.used) {
      if (!this.free.has(array.length)) this.free.set(array.length, []);
      this.free.get(array.length).push(array);
    }
    this.used.length = 0;
  }
}

const PANEL = 32; // rows of B that stay near the processor while all rows of A pass

/** C[i, j] += sum_p A[i, p] B[j, p], for i < n, j < m, p < k: two rows by four at a time. */
function addProduct(A, B, C, n, m, k) {
  for (let panel = 0; panel < m; panel += PANEL) {
    const end = Math.min(m, panel + PANEL);
    for (let i = 0; i < n; i += 2) {
      const a0 = i * k, a1 = i + 1 < n ? a0 + k : a0, c0 = i * m, c1 = c0 + m;
      let j = panel;
      for (; j + 4 <= end; j += 4) {
        const b0 = j * k, b1 = b0 + k, b2 = b1 + k, b3 = b2 + k;
        let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
        for (let p = 0; p < k; p++) {
          const x = A[a0 + p], y = A[a1 + p], v0 = B[b0 + p], v1 = B[b1 + p], v2 = B[b2 + p], v3 = B[b3 + p];
          s00 += x * v0;
          s01 += x * v1;
          s02 += x * v2;
          s03 += x * v3;
          s10 += y * v0;
          s11 += y * v1;
          s12 += y * v2;
          s13 += y * v3;
        }
        C[c0 + j] += s00;
        C[c0 + j + 1] += s01;
        C[c0 + j + 2] += s02;
        C[c0 + j + 3] += s03;
        if (a1 === a0) continue;
        C[c1 + j] += s10;
        C[c1 + j + 1] += s11;
        C[c1 + j + 2] += s12;
        C[c1 + j + 3] += s13;
      }
      for (; j < end; j++) {
        let s0 = 0, s1 = 0;
        for (let p = 0, b = j * k; p < k; p++, b++) {
          s0 += A[a0 + p] * B[b];
          s1 += A[a1 + p] * B[b];
        }
        C[c0 + j] += s0;
        if (a1 !== a0) C[c1 + j] += s1;
      }
    }
  }
}

/** A [rows, columns] -> [columns, rows]. @param {Tape} tape @param {Float32Array} A */
function transposed(tape, A, rows, columns) {
  const turned = tape.array(A.length);
  for (let row = 0, from = 0; row < rows; row++) for (let column = 0, to = row; column < columns; column++, to += rows) turned[to] = A[from++];
  return turned;
}

/** y = x W^T + b. dx = dy W, dW = dy^T x, db = the sum of dy's rows. @param {Tape} tape @param {Matrix} x @param {Matrix} weight @param {Matrix|undefined} bias */
function linearLayer(tape, x, weight, bias) {
  const { rows: n, columns: inner } = x, outer = weight.rows, y = tape.matrix(n, outer);
  if (bias) for (let row = 0; row < n; row++) y.values.set(bias.values, row * outer);
  addProduct(x.values, weight.values, y.values, n, outer, inner);
  tape.note(() => {
    addProduct(y.gradient, transposed(tape, weight.values, outer, inner), x.gradient, n, inner, outer);
    addProduct(transposed(tape, y.gradient, n, outer), transposed(tape, x.values, n, inner), weight.gradient, outer, inner, n);
    if (bias) for (let at = 0; at < y.gradient.length; at++) bias.gradient[at % outer] += y.gradient[at];
  });
  return y;
}

/** The rows of a table. @param {Tape} tape @param {Matrix} table @param {ArrayLike<number>} ids @param {number} factor */
function tableRows(tape, table, ids, factor = 1) {
  const { columns } = table, y = tape.matrix(ids.length, columns);
  const each = (act) => { for (let row = 0; row < ids.length; row++) for (let c = 0; c < columns; c++) act(row * columns + c, ids[row] * columns + c); };
  each((to, from) => { y.values[to] = factor * table.values[from]; });
  tape.note(() => each((to, from) => { table.gradient[from] += factor * y.gradient[to]; }));
  return y;
}

/** @param {Tape} tape @param {Matrix} one @param {Matrix} other */
function sumOf(tape, one, other) {
  const y = tape.matrix(one.rows, one.columns);
  for (let at = 0; at < y.values.length; at++) y.values[at] = one.values[at] + other.values[at];
  tape.note(() => {
    for (let at = 0; at < y.gradient.length; at++) {
      one.gradient[at] += y.gradient[at];
      other.gradient[at] += y.gradient[at];
    }
  });
  return y;
}

/** Each row x: (x - mean) r weight + bias, with r = 1 / sqrt(mean square + eps); without a bias no mean is subtracted (RMSNorm). @param {Tape} tape @param {Matrix} x @param {Matrix} weight @param {Matrix|undefined} bias @param {number} eps */
function normLayer(tape, x, weight, bias, eps) {
  const { rows, columns } = x, y = tape.matrix(rows, columns), g = weight.values, scaled = tape.array(rows * columns), factors = tape.array(rows);
  for (let row = 0; row < rows; row++) {
    const start = row * columns, end = start + columns;
    let mean = 0, squares = 0;
    if (bias) for (let at = start; at < end; at++) mean += x.values[at] / columns;
    for (let at = start; at < end; at++) squares += (x.values[at] - mean) ** 2;
    const factor = (factors[row] = 1 / Math.sqrt(squares / columns + eps));
    for (let at = start; at < end; at++) {
      scaled[at] = (x.values[at] - mean) * factor;
      y.values[at] = scaled[at] * g[at - start] + (bias ? bias.values[at - start] : 0);
    }
  }
  tape.note(() => {
    for (let row = 0; row < rows; row++) {
      const start = row * columns, end = start + columns;
      let along = 0, mean = 0; // of the gradient: along x, and its mean
      for (let at = start; at < end; at++) {
        const c = at - start, slope = y.gradient[at];
        weight.gradient[c] += slope * scaled[at];
        if (bias) bias.gradient[c] += slope;
        along += (slope * g[c] * scaled[at]) / columns;
        if (bias) mean += (slope * g[c]) / columns;
      }
      for (let at = start; at < end; at++) x.gradient[at] += factors[row] * (y.gradient[at] * g[at - start] - mean - scaled[at] * along);
    }
  });
  return y;
}

/** activation(gate) * up; without a gate activation(up). @param {Tape} tape @param {Matrix} up @param {Matrix|null} gate @param {{activation: (x: number) => number, slope: (x: number) => number}} kind */
function activationLayer(tape, up, gate, { activation, slope }) {
  const y = tape.matrix(up.rows, up.columns), through = gate ?? up;
  for (let at = 0; at < y.values.length; at++) y.values[at] = activation(through.values[at]) * (gate ? up.values[at] : 1);
  tape.note(() => {
    for (let at = 0; at < y.values.length; at++) {
      const x = through.values[at];
      through.gradient[at] += y.gradient[at] * slope(x) * (gate ? up.values[at] : 1);
      if (gate) up.gradient[at] += y.gradient[at] * activation(x);
    }
  });
  return y;
}

/** Each head of each token turned by its place in the text, in place; the gradient is turned back. @param {Tape} tape @param {Matrix} x @param {number} length of a text @param {number} width of a head @param {Rotation} rotation */
function rotationLayer(tape, x, length, width, rotation) {
  const half = width / 2, angles = tape.array(length * width);
  for (let place = 0; place < length; place++) {
    for (let pair = 0; pair < half; pair++) {
      const angle = Math.fround(place * rotation.frequencies[pair]); // in float32, as in training
      angles[place * width + pair] = Math.cos(angle) * rotation.factor;
      angles[place * width + half + pair] = Math.sin(angle) * rotation.factor;
    }
  }
  const turn = (from, to, sign) => {
    for (let start = 0; start < from.length; start += width) {
      const at = (Math.floor(start / x.columns) % length) * width;
      for (let pair = 0; pair < half; pair++) {
        const a = from[start + pair], b = from[start + pair + half], cosine = angles[at + pair], sine = sign * angles[at + half + pair];
        to[start + pair] += a * cosine - b * sine;
        to[start + pair + half] += b * cosine + a * sine;
      }
    }
  };
  const y = tape.matrix(x.rows, x.columns);
  turn(x.values, y.values, 1);
  tape.note(() => turn(y.gradient, x.gradient, -1));
  return y;
}

/**
 * softmax(Q K^T / sqrt(D)) V of each text and head. Returns the heads' outputs, joined, and the weights [texts, H, T, T].
 * @param {Tape} tape @param {Matrix} query @param {Matrix} key @param {Matrix} value @param {number} length of a text @param {LiveConfig} config @param {number} layer
 */
function attentionLayer(tape, query, key, value, length, config, layer) {
  const { num_heads: heads, num_kv_heads, head_width: width, score_width, score_softcap: cap, windows, slopes } = config;
  const texts = query.rows / length, factor = 1 / Math.sqrt(score_width), shared = heads / num_kv_heads;
  const y = tape.matrix(query.rows, query.columns), weights = tape.array(texts * heads * length * length), capped = cap ? tape.array(weights.length) : weights;
  /** For each query of each head: its row, where its weights begin, and the first key that it sees. */
  const each = (act) => {
    for (let text = 0; text < texts; text++) for (let head = 0; head < heads; head++) for (let place = 0; place < length; place++) {
      const first = windows[layer] ? Math.max(0, place + 1 - windows[layer]) : 0, row = text * length;
      act((row + place) * query.columns + head * width, ((text * heads + head) * length + place) * length, first, place, row * key.columns + Math.floor(head / shared) * width, head);
    }
  };
  each((q, w, first, place, keys, head) => {
    let best = -Infinity, sum = 0;
    for (let token = first; token <= place; token++) {
      const start = keys + token * key.columns;
      let score = 0;
      for (let d = 0; d < width; d++) score += query.values[q + d] * key.values[start + d];
      score = softcap(score * factor, cap);
      if (cap) capped[w + token] = score;
      weights[w + token] = score -= slopes.length ? slopes[head] * (place - token) : 0;
      if (score > best) best = score;
    }
    for (let token = first; token <= place; token++) sum += weights[w + token] = Math.exp(weights[w + token] - best);
    for (let token = first; token <= place; token++) {
      const start = keys + token * key.columns, weight = (weights[w + token] /= sum);
      for (let d = 0; d < width; d++) y.values[q + d] += weight * value.values[start + d];
    }
  });
  tape.note(() => {
    const slopesOf = new Float64Array(length);
    each((q, w, first, place, keys) => {
      let mean = 0;
      for (let token = first; token <= place; token++) {
        const start = keys + token * key.columns, weight = weights[w + token];
        let slope = 0;
        for (let d = 0; d < width; d++) {
          slope += y.gradient[q + d] * value.values[start + d];
          value.gradient[start + d] += weight * y.gradient[q + d];
        }
        slopesOf[token] = slope;
        mean += weight * slope;
      }
      for (let token = first; token <= place; token++) {
        const start = keys + token * key.columns, bent = cap ? 1 - (capped[w + token] / cap) ** 2 : 1;
        const slope = weights[w + token] * (slopesOf[token] - mean) * bent * factor;
        for (let d = 0; d < width; d++) {
          query.gradient[q + d] += slope * key.values[start + d];
          key.gradient[start + d] += slope * query.values[q + d];
        }
      }
    });
  });
  return { mixed: y, weights };
}

/** The mean of -ln softmax(logits)[target], in nats; the logits' gradient is softmax minus one at the target. @param {Matrix} logits @param {ArrayLike<number>} targets @param {number} cap of the logits; 0: none */
function crossEntropy(logits, targets, cap) {
  const { rows, columns, values, gradient } = logits;
  let loss = 0;
  for (let row = 0; row < rows; row++) {
    const start = row * columns, end = start + columns;
    let best = -Infinity, sum = 0;
    if (cap) for (let at = start; at < end; at++) values[at] = softcap(values[at], cap);
    for (let at = start; at < end; at++) if (values[at] > best) best = values[at];
    for (let at = start; at < end; at++) sum += gradient[at] = Math.exp(values[at] - best);
    loss -= values[start + targets[row]] - best - Math.log(sum);
    for (let at = start; at < end; at++) {
      const share = gradient[at] / sum - (at - start === targets[row] ? 1 : 0);
      gradient[at] = (share / rows) * (cap ? 1 - (values[at] / cap) ** 2 : 1);
    }
  }
  return loss / rows;
}
