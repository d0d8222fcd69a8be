// SHA-256 (FIPS 180-4): browsers have one of their own on https alone, and a server of one's own
// network mostly has none.
"use strict";

const SHA256_PRIMES = Array.from({ length: 312 }, (_, n) => n).filter((n) => n > 1 && !Array.from({ length: n }, (_, d) => d).some((d) => d > 1 && n % d === 0));
/** The first 32 bits behind the point. @param {number} value */
const fractionBits = (value) => ((value - Math.floor(value)) * 2 ** 32) | 0;
const SHA256_ROUNDS = Int32Array.from(SHA256_PRIMES, (prime) => fractionBits(Math.cbrt(prime)));
const SHA256_START = Int32Array.from(SHA256_PRIMES.slice(0, 8), (prime) => fractionBits(Math.sqrt(prime)));

/** @param {Uint8Array} bytes @returns {string} in hexadecimal digits */
function sha256(bytes) {
  const state = SHA256_START.slice(), whole = bytes.length - (bytes.length % 64), rest = new Uint8Array(bytes.length % 64 < 56 ? 64 : 128);
  rest.set(bytes.subarray(whole));
  rest[bytes.length - whole] = 128;
  new DataView(rest.buffer).setBigUint64(rest.length - 8, BigInt(bytes.length) * 8n);
  sha256Blocks(state, bytes, whole);
  sha256Blocks(state, rest, rest.length);
  return Array.from(state, (value) => (value >>> 0).toString(16).padStart(8, "0")).join("");
}

/** @param {Int32Array} state @param {Uint8Array} bytes @param {number} end a multiple of 64 */
function sha256Blocks(state, bytes, end) {
  const words = new Int32Array(64), view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 0; start < end; start += 64) {
    for (let n = 0; n < 16; n++) words[n] = view.getInt32(start + 4 * n);
    for (let n = 16; n < 64; n++) {
      const x = words[n - 15], y = words[n - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3), s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      words[n] = (words[n - 16] + s0 + words[n - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let n = 0; n < 64; n++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const first = (h + s1 + ((e & f) ^ (~e & g)) + SHA256_ROUNDS[n] + words[n]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const second = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + first) | 0;
      d = c;
      c = b;
      b = a;
      a = (first + second) | 0;
    }
    const added = [a, b, c, d, e, f, g, h];
    for (let n = 0; n < 8; n++) state[n] += added[n];
  }
}
