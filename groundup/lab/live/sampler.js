// The next token, as groundup/engine/next_token.py chooses it: the same filters in the same order,
// and the same random numbers, so that a seed gives here the text that it gives there.
"use strict";

/** @typedef {{temperature: number, top_k: number, top_p: number, seed: number}} Sampling */

/** The first of the largest. @param {ArrayLike<number>} values */
function argmax(values) {
  let best = 0;
  for (let index = 1; index < values.length; index++) if (values[index] > values[best]) best = index;
  return best;
}

/** All but the k largest at -Infinity; exactly k stay. 0 keeps all. @param {Float32Array} logits @param {number} k */
function keepTopK(logits, k) {
  if (k === 0 || k >= logits.length) return logits;
  const least = logits.slice().sort()[logits.length - k], kept = [], equal = [];
  logits.forEach((value, id) => {
    if (value > least) kept.push(id);
    if (value === least) equal.push(id);
  });
  return keepOnly(logits, [...kept, ...equal.slice(0, k - kept.length)]);
}

/** The smallest set of most probable tokens whose probability reaches p. 1 keeps all. @param {Float32Array} logits @param {number} p */
function keepTopP(logits, p) {
  if (p >= 1) return logits;
  const shares = softmax(logits), least = (1 - p) / kept(logits).length;
  const order = Array.from(shares.keys()).filter((id) => shares[id] >= least);
  order.sort((one, other) => shares[other] - shares[one]);
  let before = 0;
  return keepOnly(logits, order.filter((id) => {
    const stays = before < p;
    before += shares[id];
    return stays;
  }));
}

/** @param {Float32Array} logits @param {number[]} ids */
function keepOnly(logits, ids) {
  const filtered = new Float32Array(logits.length).fill(-Infinity);
  for (const id of ids) filtered[id] = logits[id];
  return filtered;
}

/** The ids that can be drawn. @param {ArrayLike<number>} logits */
function kept(logits) {
  const ids = [];
  for (let id = 0; id < logits.length; id++) if (logits[id] > -Infinity) ids.push(id);
  return ids;
}

/**
 * The scores of each step, in the engine's order: the model's own, top-k, top-p, temperature. The
 * probabilities after a step are the softmax of its scores.
 * @param {Float32Array} logits @param {Sampling} sampling
 */
function samplingSteps(logits, sampling) {
  const topK = keepTopK(logits, sampling.top_k);
  const topP = keepTopP(topK, sampling.top_p);
  const best = argmax(topP), most = topP[best];
  const scores = Float64Array.from(topP, (value, id) => {
    if (sampling.temperature === 0) return id === best ? 0 : -Infinity;
    return Math.fround(value - most) / sampling.temperature;
  });
  return [
    { name: "model", scores: logits },
    { name: "top-k", scores: topK },
    { name: "top-p", scores: topP },
    { name: "temperature", scores },
  ];
}

/**
 * The id with the largest score + Gumbel noise, which is a draw from softmax(scores); temperature 0
 * takes the most probable. `key`: of the answer's n-th token the n-th number of `RandomKeys`.
 * @param {Float32Array} logits @param {Sampling} sampling @param {bigint} key
 */
function chooseToken(logits, sampling, key) {
  if (sampling.temperature === 0) return argmax(logits);
  const scores = samplingSteps(logits, sampling)[3].scores;
  const noise = new GumbelNoise(key);
  let best = -1, most = -Infinity;
  for (const id of kept(scores)) {
    const sum = scores[id] + noise.of(id);
    if (sum > most) [best, most] = [id, sum];
  }
  return best;
}

/** Standard Gumbel noise for each id, from the number at its place of SplitMix64's stream (Steele et al. 2014). 64 bits are two halves of 32. */
class GumbelNoise {
  /** @param {bigint} key */
  constructor(key) {
    this.keyHigh = Number(key >> 32n);
    this.keyLow = Number(key & 0xffffffffn);
    this.high = 0;
    this.low = 0;
  }

  /** @param {number} id */
  of(id) {
    [this.high, this.low] = [0, id + 1];
    this.times(0x9e3779b9, 0x7f4a7c15);
    this.plusKey();
    this.mixDown(30);
    this.times(0xbf58476d, 0x1ce4e5b9);
    this.mixDown(27);
    this.times(0x94d049bb, 0x133111eb);
    this.mixDown(31);
    const whole = (this.high >>> 12) * 2 ** 32 + (((this.high << 20) | (this.low >>> 12)) >>> 0);
    const uniform = (whole + 0.5) * 2 ** -52; // in (0, 1): neither end is reached
    return -Math.log(-Math.log(uniform));
  }

  plusKey() {
    const low = this.low + this.keyLow;
    this.high = (this.high + this.keyHigh + (low > 0xffffffff ? 1 : 0)) >>> 0;
    this.low = low >>> 0;
  }

  /** z ^= z >> bits, for bits below 32. @param {number} bits */
  mixDown(bits) {
    const low = ((this.low >>> bits) | (this.high << (32 - bits))) >>> 0;
    this.low = (this.low ^ low) >>> 0;
    this.high = (this.high ^ (this.high >>> bits)) >>> 0;
  }

  /** z *= high * 2^32 + low, modulo 2^64: the low halves in pieces of 16 bits. @param {number} high @param {number} low */
  times(high, low) {
    const [a, b] = [this.low >>> 16, this.low & 0xffff], [c, d] = [low >>> 16, low & 0xffff];
    const first = b * d, second = a * d + (first >>> 16), third = b * c + (second & 0xffff);
    const carried = a * c + Math.floor(second / 65536) + Math.floor(third / 65536);
    this.high = (carried + Math.imul(this.low, high) + Math.imul(this.high, low)) >>> 0;
    this.low = (((third & 0xffff) << 16) | (first & 0xffff)) >>> 0;
  }
}

/** torch.randint(2**63 - 1, (1,)) of a CPU generator with a seed, again and again: the Mersenne Twister (Matsumoto & Nishimura 1998). */
class RandomKeys {
  /** @param {number} seed 0 or more */
  constructor(seed) {
    this.state = new Uint32Array(624);
    this.state[0] = Number(BigInt(seed) & 0xffffffffn);
    for (let index = 1; index < 624; index++) {
      const before = this.state[index - 1];
      this.state[index] = Math.imul(1812433253, before ^ (before >>> 30)) + index;
    }
    this.place = 624;
    /** @type {bigint[]} */
    this.keys = [];
  }

  /** The n-th key, counted from 0. @param {number} n */
  key(n) {
    while (this.keys.length <= n) {
      const high = BigInt(this.next()), low = BigInt(this.next());
      this.keys.push(((high << 32n) | low) % (2n ** 63n - 1n));
    }
    return this.keys[n];
  }

  next() {
    if (this.place === 624) this.twist();
    let y = this.state[this.place++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  twist() {
    const s = this.state;
    for (let index = 0; index < 624; index++) {
      const y = (s[index] & 0x80000000) | (s[(index + 1) % 624] & 0x7fffffff);
      s[index] = s[(index + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.place = 0;
  }
}
