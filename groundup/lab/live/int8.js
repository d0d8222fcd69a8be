// Matrices in 8 bits with a scale for each row, and their product with a vector: by int8.wasm where
// the browser has its SIMD, else by `productOf`, which is the same, readable, and its test.
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
    this.out = this.x + 4 * most("stride");
    const pages = Math.ceil((this.out + 4 * most("rows")) / 65536);
    this.buffer = new ArrayBuffer(0);
    if (program) {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
      this.product = new WebAssembly.Instance(program, { page: { memory } }).exports.product;
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
  /** @param {Int8Memory} memory @param {{start: number, rows: number, columns: number, stride: number, scales: number}} placed */
  constructor(memory, placed) {
    Object.assign(this, { memory, placed });
    const { start, rows, columns, stride, scales } = placed;
    this.length = rows * columns;
    this.numbers = new Int8Array(memory.buffer, start, rows * stride);
    this.scales = new Float32Array(memory.buffer, scales, rows);
    this.x = new Float32Array(memory.buffer, memory.x, stride);
    this.out = new Float32Array(memory.buffer, memory.out, rows);
  }

  /** W x (+ b). @param {Float32Array} x @param {Float32Array|undefined} b @param {Float32Array} out */
  times(x, b, out) {
    const { memory, placed } = this;
    this.x.set(x);
    this.x.fill(0, x.length); // up to the stride
    if (memory.product) memory.product(placed.start, placed.scales, memory.x, memory.out, placed.rows, placed.stride);
    else productOf(this.numbers, this.scales, this.x, this.out);
    out.set(this.out);
    if (b) out.forEach((value, row) => (out[row] = value + b[row]));
    return out;
  }

  /** One row as numbers. @param {number} row */
  row(row) {
    const { columns, stride } = this.placed, scale = this.scales[row], start = row * stride;
    const values = new Float32Array(columns);
    for (let c = 0; c < columns; c++) values[c] = scale * this.numbers[start + c];
    return values;
  }
}
