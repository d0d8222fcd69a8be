// What the picture of the whole model keeps of each token: the size of its residual stream, its shares of
// attention, its guess; and in words what a head looks at. All of a trace of the token.
"use strict";

const MOST_COLUMNS = 128; // tokens of the picture: the last ones of a longer text
const WHOLE_TRACES = 24; // of so many tokens all values are kept, of the others what the far pictures need
const NEURONS = 8; // of a network, those that answer most strongly

/**
 * @typedef {Object} TokenSummary
 * @property {number} id
 * @property {Float64Array} lengths            of the stream: as it enters each block, between attention and network, as it leaves the last one
 * @property {Float32Array[][]} weights        of each block and head
 * @property {Float64Array[]} means            of each block: the mean of its heads' weights
 * @property {{index: number, value: number}[][]} neurons  of each block
 * @property {Float32Array} start              the first numbers of its embedding
 * @property {{id: number, share: number}[]} guesses
 */

/** @param {TokenTrace} trace @param {LiveConfig} config @returns {TokenSummary} */
function summaryOf(trace, { num_layers, num_heads }) {
  const blocks = Array.from({ length: num_layers }, (_, layer) => layer), shares = softmax(trace.get("logits"));
  const weights = blocks.map((layer) => Array.from({ length: num_heads }, (_, head) => Float32Array.from(trace.get("weights", layer, head))));
  return {
    id: trace.id,
    lengths: Float64Array.from([...blocks.flatMap((layer) => [trace.get("stream", layer), trace.get("between", layer)]), trace.get("stream", num_layers)], lengthOf),
    weights,
    means: weights.map((heads) => Float64Array.from(heads[0], (_, index) => heads.reduce((sum, each) => sum + each[index], 0) / heads.length)),
    neurons: blocks.map((layer) => strongest(trace.get("inner", layer))),
    start: trace.get("embedding").slice(0, 16),
    guesses: mostProbable(shares).slice(0, 5).map((id) => ({ id, share: shares[id] })),
  };
}

/** @param {Float32Array} values */
function strongest(values) {
  const order = Array.from(values.keys()).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]));
  return order.slice(0, NEURONS).map((index) => ({ index, value: values[index] }));
}

class PictureValues {
  /** @param {LivePage} live */
  constructor(live) {
    this.live = live;
    /** The text that the values are of. @type {number[]} */
    this.ids = [];
    /** @type {TokenSummary[]} */
    this.summaries = [];
    /** The last ones asked for. @type {Map<number, TokenTrace>} */
    this.traces = new Map();
    /** What `clearestHabit` found, of the tokens that are read. @type {Object[]} */
    this.clearest = [];
  }

  /** Forgets what is not of the text as it is now. */
  follow() {
    const same = commonLength(this.live.ids, this.ids);
    this.ids = this.live.ids.slice();
    this.summaries.length = Math.min(this.summaries.length, same);
    this.clearest = [];
    for (const token of this.traces.keys()) if (token >= same) this.traces.delete(token);
  }

  /** All values of a token; null where the model has not read it yet. @param {number} token @returns {TokenTrace|null} */
  trace(token) {
    const { ids, cached, model } = this.live;
    if (commonLength(ids, this.ids) <= token || cached <= token) return null;
    const found = this.traces.get(token) ?? new TokenTrace(model, ids[token], token);
    this.traces.delete(token); // to the end of the order
    this.traces.set(token, found);
    if (this.traces.size > WHOLE_TRACES) this.traces.delete(this.traces.keys().next().value);
    return found;
  }

  /** @param {number} token @returns {boolean} whether it is known now */
  read(token) {
    const trace = this.summaries[token] ? null : this.trace(token);
    if (trace) {
      this.summaries[token] = summaryOf(trace, this.live.config);
      this.clearest = [];
    }
    return Boolean(this.summaries[token]);
  }

  /** The length of the longest stream. */
  get most() {
    let most = 1e-9;
    this.summaries.forEach((each) => (most = Math.max(most, ...each.lengths))); // of those that are read
    return most;
  }

  /** In words: the head of a block that most clearly does one thing. @param {number} layer */
  clearestHabit(layer) {
    return (this.clearest[layer] ??= this.findClearest(layer));
  }

  findClearest(layer) {
    let found = { share: 0.4, long: "its heads look at several tokens", short: "heads look at several tokens" };
    for (let head = 0; head < this.live.config.num_heads; head++) {
      const best = this.habits(layer, head)?.find(({ name }) => name !== "others") ?? { share: 0 }, where = HABITS[best.name];
      if (best.share > found.share) found = { share: best.share, long: `head ${head + 1} looks mostly ${where}`, short: `head ${head + 1}: ${where}` };
    }
    return found;
  }

  /** Which share a head gives to the token itself, to the one before, to the first one and to others: the mean over the tokens from the third on. @param {number} layer @param {number} head */
  habits(layer, head) {
    const shares = { self: 0, before: 0, first: 0, others: 0 };
    let count = 0;
    this.summaries.forEach((each, token) => {
      if (token < 2) return;
      const weights = each.weights[layer][head], last = weights.length - 1, first = last === token ? weights[0] : 0;
      const found = { self: weights[last], before: weights[last - 1] ?? 0, first };
      for (const [name, share] of Object.entries(found)) shares[name] += share;
      shares.others += 1 - found.self - found.before - found.first;
      count++;
    });
    return count ? Object.entries(shares).map(([name, share]) => ({ name, share: share / count })).sort((a, b) => b.share - a.share) : null;
  }
}

const HABITS = { self: "at the token itself", before: "at the token before", first: "at the first token", others: "at tokens farther back" };

/** The tokens that a token looks at most. @param {ArrayLike<number>} weights @param {number} token its place @param {number} count @returns {{token: number, share: number}[]} */
function mostLookedAt(weights, token, count) {
  const begins = token + 1 - weights.length, found = [];
  for (let index = 0; index < weights.length; index++) {
    if (found.length === count && weights[index] <= weights[found[count - 1]]) continue;
    let at = found.length;
    while (at > 0 && weights[index] > weights[found[at - 1]]) at--;
    found.splice(at, 0, index);
    found.length = Math.min(found.length, count);
  }
  return found.map((index) => ({ token: begins + index, share: weights[index] }));
}
