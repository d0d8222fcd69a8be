// What one forward pass computes for one token, kept by name: the numbers that the page shows and explains.
"use strict";

/** @param {string} name @param {number} layer @param {number} head */
const traceKey = (name, layer, head) => `${name} ${layer} ${head}`;

/** The values of `Probe`'s names for one token. They are copies: generating goes on without changing them. */
class TokenTrace {
  /**
   * Runs the token again; the tokens before it must have been run. A probe that is there goes first: what it changes is traced.
   * @param {LiveModel} model @param {number} id @param {number} position
   */
  constructor(model, id, position) {
    this.id = id;
    this.position = position;
    /** @type {Map<string, Float32Array|Float64Array>} */
    this.values = new Map();
    const before = model.probe;
    model.probe = (name, values, layer, head) => {
      if (before) before(name, values, layer, head);
      this.values.set(traceKey(name, layer, head), values.slice());
    };
    try {
      model.step(id, position);
    } finally {
      model.probe = before;
    }
  }

  /** Whether this model has the value. */
  has(name, layer = -1, head = -1) {
    return this.values.has(traceKey(name, layer, head));
  }

  /** @param {string} name @returns {Float32Array|Float64Array} */
  get(name, layer = -1, head = -1) {
    const found = this.values.get(traceKey(name, layer, head));
    if (!found) throw new Error(`The trace has no ${name} of block ${layer}, head ${head}.`);
    return found;
  }

  /**
   * The head with which the pictures begin: of the first block that has one which gives an earlier token twice an
   * even share, the one that gives most. The first token does not count: heads look at it that find nothing.
   * @param {LiveConfig} config @returns {{layer: number, head: number}}
   */
  clearestHead({ num_layers, num_heads }) {
    let best = { layer: 0, head: 0 }, most = 0;
    for (let layer = 0; layer < num_layers && most < 2; layer++) {
      for (let head = 0; head < num_heads; head++) {
        const weights = this.get("weights", layer, head), share = weights.length * Math.max(...weights.subarray(1, -1));
        if (share > most) [best, most] = [{ layer, head }, share];
      }
    }
    return best;
  }

  /** Queries or keys of a layer as they are compared: after norm and rotation. @param {"query"|"key"} part @param {number} layer */
  compared(part, layer) {
    for (const name of [`${part}_rotated`, `${part}_norm`]) if (this.has(name, layer)) return this.get(name, layer);
    return this.get(part, layer);
  }
}
