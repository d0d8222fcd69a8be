// Matrices in 8 bits with a scale for each row, and their product with vectors: by int8.wasm, four at
// a time, where the browser has its SIMD, else by `productOf`, which is the same, readable, and its test.
"use strict";

/**
 * out[r] = scales[r] * (sum over c of numbers[r * columns + c] * x[c]).
 * @param {Int8Array} numbers @param {Float32Array} scales @param {Float32Array} x [columns] @param {Float32Array} out
 */
function productOf(numbers, scales, x, out) {
  const columns = x.length;
  for (let row = 0, start = 0; row < out.length; row++, start += columns) {
    let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (let c = 0, w = start; c < columns; c += 4, w += 4) {
      s0 += numbers[w] * x[c];
      s1 += numbers[w + 1] * x[c + 1];
      s2 += numbers[w + 2] * x[c + 2];
      s3 += numbers[w + 3] * x[c + 3];
    }
    out[row] = scales[row] * (s0 + s1 + s2 + s3);
  }
}

/** Vectors that the kernel multiplies by a matrix while it reads it once. */
const TOGETHER = 4;

/** How a large model's weights lie in its bytes: `int8` with `columns` padded to `stride`, or float32. @typedef {{start: number, rows: number, columns: number, stride: number, scales: number}|{start: number, length: number}} Placed */

/** The bytes of a model, with room for the vectors of a product behind them. */
class Int8Memory {
  /**
   * @param {number} bytes of the weights @param {Placed[]} placed @param {WebAssembly.Module|null} program null: without SIMD
   * Throws RangeError where the browser gives no such memory.
   */
  constructor(bytes, placed, program) {
    const matrices = placed.filter((each) => "rows" in each), most = (field) => Math.max(16, ...matrices.map((each) => each[field]));
    this.x = Math.ceil(bytes / 16) * 16;
    this.out = this.x + 4 * TOGETHER * most("stride");
    const pages = Math.ceil((this.out + 4 * TOGETHER * most("rows")) / 65536);
    this.buffer = new ArrayBuffer(0);
    if (program) {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
      /** Of one vector, and of TOGETHER. */
      this.kernels = new WebAssembly.Instance(program, { page: { memory } }).exports;
      this.buffer = memory.buffer;
    } else {
      this.buffer = new ArrayBuffer(pages * 65536);
    }
    this.weights = new Uint8Array(this.buffer, 0, bytes);
  }

  /** @param {Placed} placed @returns {Float32Array|Int8Matrix} */
  weight(placed) {
    if ("rows" in placed) return new Int8Matrix(this, placed);
    return new Float32Array(this.buffer, placed.start, placed.length);
  }
}

class Int8Matrix {
  together = TOGETHER;

  /** @param {Int8Memory} memory @param {{start: number, rows: number, columns: number, stride: number, scales: number}} placed */
  constructor(memory, placed) {
    Object.assign(this, { memory, placed });
    const { start, rows, columns, stride, scales } = placed;
    this.length = rows * columns;
    this.numbers = new Int8Array(memory.buffer, start, rows * stride);
    this.scales = new Float32Array(memory.buffer, scales, rows);
    this.x = new Float32Array(memory.buffer, memory.x, TOGETHER * stride);
    this.out = new Float32Array(memory.buffer, memory.out, TOGETHER * rows);
  }

  /** W x (+ b) of each x. @param {Float32Array[]} xs @param {Float32Array} [b] @returns {Float32Array[]} */
  products(xs, b) {
    const found = [];
    for (let first = 0, count; first < xs.length; first += count) {
      count = xs.length - first < TOGETHER ? 1 : TOGETHER;
      found.push(...this.productsOf(xs.slice(first, first + count)));
    }
    if (b) for (const out of found) out.forEach((value, row) => (out[row] = value + b[row]));
    return found;
  }

  /** @param {Float32Array[]} xs one, or TOGETHER */
  productsOf(xs) {
    const { memory } = this, { start, scales, rows, stride } = this.placed;
    xs.forEach((x, n) => {
      this.x.set(x, n * stride);
      this.x.fill(0, n * stride + x.length, (n + 1) * stride);
    });
    if (memory.kernels) memory.kernels[xs.length === 1 ? "product" : "products"](start, scales, memory.x, memory.out, rows, stride);
    else xs.forEach((_, n) => productOf(this.numbers, this.scales, this.x.subarray(n * stride, (n + 1) * stride), this.out.subarray(n * rows, (n + 1) * rows)));
    return xs.map((_, n) => this.out.slice(n * rows, (n + 1) * rows));
  }

  /** One row as numbers. @param {number} row */
  row(row) {
    const { columns, stride } = this.placed, scale = this.scales[row], start = row * stride;
    const values = new Float32Array(columns);
    for (let c = 0; c < columns; c++) values[c] = scale * this.numbers[start + c];
    return values;
  }
}
