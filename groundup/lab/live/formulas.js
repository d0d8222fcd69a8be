// Of each number on the page: how it came about, as words, as a formula and with the numbers in it,
// and from which lists. Draws nothing.
"use strict";

/**
 * One number of the model: place `index` of the list `name`. `token`: of another token than the one traced.
 * @typedef {{name: string, index: number, layer?: number, head?: number, token?: number}} NumberRef
 *
 * @typedef {Object} Explained
 * @property {string} title     which number this is
 * @property {string} words     how it came about
 * @property {string} symbols   the formula
 * @property {string} numbers   the same with numbers
 * @property {number} value     what the formula gives
 * @property {{label: string, ref: NumberRef}[]} from
 */

const MINUS = "\u2212";

/** Three digits that tell something. @param {number} value */
function figure(value) {
  const size = Math.abs(value);
  if (size === Infinity) return `${value < 0 ? MINUS : ""}∞`;
  let digits = 3;
  if (size >= 0.01) digits = size < 10 ? 2 : 1;
  if (size >= 1000) digits = 0;
  if (size < 0.0005) digits = size ? 4 : 0;
  const text = size > 0 && size < 0.00005 ? size.toExponential(0).replace("-", MINUS) : size.toFixed(digits);
  return value < 0 && Number(size.toFixed(6)) !== 0 ? MINUS + text : text;
}

/** A probability. @param {number} share */
const percent = (share) => {
  if (share > 0 && share < 0.0005) return "<0.1 %";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
};

/** A figure after an operator. @param {number} value */
const inside = (value) => (value < 0 ? `(${figure(value)})` : figure(value));

/** The sum of products, the largest ones in full. @param {ArrayLike<number>} one @param {ArrayLike<number>} other @returns {{sum: number, text: string, largest: number}} */
function dotProduct(one, other) {
  const order = Array.from({ length: one.length }, (_, index) => index);
  order.sort((a, b) => Math.abs(one[b] * other[b]) - Math.abs(one[a] * other[a]));
  const shown = order.slice(0, 3).sort((a, b) => a - b);
  let sum = 0, rest = 0;
  for (let index = 0; index < one.length; index++) {
    sum += one[index] * other[index];
    if (!shown.includes(index)) rest += one[index] * other[index];
  }
  const products = shown.map((index) => `${inside(one[index])} × ${inside(other[index])}`);
  const others = one.length - shown.length;
  if (others) products.push(`${inside(rest)} [${others} smaller products]`);
  return { sum, text: products.join(" + "), largest: order[0] };
}

const SUBJECT = {
  stream: "residual stream", embedding: "embedding", position_embedding: "list of the place", attention_norm: "evened-out list",
  query: "query", query_norm: "query, evened out", query_rotated: "query, turned", key: "key", key_norm: "key, evened out",
  key_rotated: "key, turned", value: "value", scores: "score", weights: "share of attention", heads: "what the heads found",
  attention: "result of attention", attention_output_norm: "result of attention, evened out", between: "stream after attention",
  feedforward_norm: "evened-out list", gate: "gate of the neuron", up: "input of the neuron", inner: "answer of the neuron",
  feedforward: "result of the feed-forward network", feedforward_output_norm: "result of the feed-forward network, evened out",
  final_norm: "last list, evened out", logits: "logit",
};

/** What is known of one token's prediction: the trace, and what is computed from it where it is asked for. */
class Inside {
  /**
   * The tokens before `position` must have been run.
   * @param {LiveModel} model @param {ByteLevelTokenizer} tokenizer @param {number[]} ids @param {number} position @param {Sampling} sampling
   */
  constructor(model, tokenizer, ids, position, sampling) {
    Object.assign(this, { model, tokenizer, ids: ids.slice(), position, sampling, layer: 0, head: 0 });
    this.config = model.config;
    this.trace = new TokenTrace(model, ids[position], position);
  }

  /** What is looked at. @param {number} layer @param {number} head */
  lookAt(layer, head) {
    this.layer = layer;
    this.head = head;
    return this;
  }

  /** The probabilities after each step of sampling. */
  get steps() {
    this.sampled ??= samplingSteps(this.trace.get("logits"), this.sampling).map((step) => softmax(step.scores));
    return this.sampled;
  }

  /** @param {number} token its place */
  show(token) {
    return this.tokenizer.show(this.ids[token]);
  }

  /** The list of a ref, or null where this model has none. @param {{name: string, layer?: number, head?: number, token?: number}} ref */
  list(ref) {
    const { layer = -1, head = -1 } = ref;
    if (ref.name === "key_stored" || ref.name === "value_stored") return this.stored(ref.name === "key_stored" ? "keys" : "values", layer, ref.token);
    return this.trace.has(ref.name, layer, head) ? this.trace.get(ref.name, layer, head) : null;
  }

  /** The keys or values of all heads that a token left behind. @param {"keys"|"values"} kind @param {number} layer @param {number} token */
  stored(kind, layer, token) {
    const width = this.config.num_kv_heads * this.config.head_width;
    return this.model[kind][layer].subarray(token * width, (token + 1) * width);
  }

  /** The first token that a block's heads see. @param {number} layer */
  first(layer) {
    const window = this.config.windows[layer];
    return window ? Math.max(0, this.position + 1 - window) : 0;
  }

  /** The key/value head that a head reads. @param {number} head */
  shared(head) {
    return Math.floor(head / (this.config.num_heads / this.config.num_kv_heads));
  }

  /** What the last step of query or key is called here. @param {"query"|"key"} part @param {number} layer */
  lastName(part, layer) {
    return [`${part}_rotated`, `${part}_norm`, part].find((name) => this.trace.has(name, layer));
  }

  /** The list that attention or the feed-forward network of a block reads. @param {"attention"|"feedforward"} part @param {number} layer */
  inputOf(part, layer) {
    if (part === "attention") return { name: this.trace.has("attention_norm", layer) ? "attention_norm" : "stream", layer };
    if (this.config.block === "parallel") return { name: "attention_norm", layer };
    return { name: this.trace.has("feedforward_norm", layer) ? "feedforward_norm" : "between", layer };
  }

  /** What is added to the stream by a part. @param {"attention"|"feedforward"} part @param {number} layer */
  addedBy(part, layer) {
    const normed = ["output", "sandwich"].includes(this.config.block);
    return { name: normed ? `${part}_output_norm` : part, layer };
  }

  /** Rows of a matrix of the model. @param {string} name @param {number} row @param {number} columns */
  row(name, row, columns) {
    return rowOf(this.model.weights[`${name}.weight`], row, columns);
  }

  get outputHead() {
    return this.config.tied_head ? "embedding" : "head";
  }

  /** Probabilities if the model ended after `layer` blocks (the logit lens). @param {number} layer */
  guess(layer) {
    this.guesses ??= [];
    this.guesses[layer] ??= softmax(this.model.unembed([this.model.finish(Float32Array.from(this.trace.get("stream", layer)))])[0]);
    return this.guesses[layer];
  }

  /** Which number this is. @param {NumberRef} ref */
  titleOf(ref) {
    const { name, index, layer = -1, token } = ref, { head_width } = this.config;
    const of = `of “${this.show(token ?? this.position)}”`;
    if (name === "scores" || name === "weights") {
      return `${capital(SUBJECT[name])} ${of} for “${this.show(this.first(layer) + index)}”, block ${layer + 1}, head ${ref.head + 1}`;
    }
    if (name === "logits") return `Logit of “${this.tokenizer.show(index)}” after “${this.show(this.position)}”`;
    const where = layer >= 0 && !(name === "stream" && layer === this.config.num_layers) ? `, block ${layer + 1}` : "";
    const base = name.replace("_stored", "");
    if (!PER_HEAD.includes(base)) return `${capital(SUBJECT[base])} ${of}${where}: number ${index + 1}`;
    const head = Math.floor(index / head_width), shared = base.startsWith("key") || base === "value";
    const which = shared && this.config.num_kv_heads < this.config.num_heads ? `key/value head ${head + 1}` : `head ${head + 1}`;
    return `${capital(SUBJECT[base])} ${of}${where}, ${which}: number ${(index % head_width) + 1}`;
  }

  /** @param {NumberRef} ref @returns {Explained} */
  explain(ref) {
    const found = FORMULAS[ref.name](this, ref, ref.layer ?? -1);
    const from = found.from.map((source) => ({ label: this.sourceLabel(source), ref: { index: 0, ...source } }));
    return { ...found, title: found.title ?? this.titleOf(ref), from };
  }

  /** @param {NumberRef} ref */
  sourceLabel(ref) {
    if (ref.label) return ref.label;
    const subject = SUBJECT[ref.name.replace("_stored", "")];
    return ref.token === undefined ? subject : `${subject} of “${this.show(ref.token)}”`;
  }
}

const PER_HEAD = ["query", "query_norm", "query_rotated", "key", "key_norm", "key_rotated", "value", "heads"];

/** @param {string} text */
const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** A list times a row of a table. @param {Inside} inside @param {string} table @param {{name: string}} input @param {number} index @param {string} symbol */
function linearFormula(look, table, input, index, symbol) {
  const x = look.list(input), bias = look.model.weights[`${table}.bias`];
  const { sum, text, largest } = dotProduct(look.row(table, index, x.length), x);
  const value = sum + (bias ? bias[index] : 0);
  return {
    value,
    words: `Each number of the ${SUBJECT[input.name]} is multiplied by a weight of the model, and all products are added up.`,
    symbols: `${symbol} = Σ_i W_i x_i${bias ? " + b" : ""}`,
    numbers: `${text}${bias ? ` + ${inside(bias[index])} [bias]` : ""} = ${figure(value)}`,
    from: [{ ...input, index: largest }],
  };
}

/** @param {Inside} look @param {ArrayLike<number>} x @param {string} table @param {number} index @param {{name: string}[]} from @param {number} place of its weight */
function normFormula(look, x, table, index, from, place = index) {
  const { norm_eps } = look.config, weight = look.model.weights[`${table}.weight`][place], bias = look.model.weights[`${table}.bias`];
  const mean = bias ? Array.from(x).reduce((sum, value) => sum + value, 0) / x.length : 0;
  const square = Array.from(x).reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  const root = Math.sqrt(square + norm_eps), value = ((x[index] - mean) / root) * weight + (bias ? bias[place] : 0);
  return {
    value,
    words: "The number is divided by the usual size of the numbers in its list, then multiplied by a weight of the model.",
    symbols: bias ? "n_i = (x_i − mean(x)) / √(var(x) + ε) · w_i + b_i" : "n_i = x_i / √(mean(x²) + ε) · w_i",
    numbers: bias
      ? `(${figure(x[index])} − ${inside(mean)}) / ${figure(root)} × ${inside(weight)} + ${inside(bias[place])} = ${figure(value)}`
      : `${figure(x[index])} / ${figure(root)} × ${inside(weight)} = ${figure(value)}`,
    from: from.map((source) => ({ index, ...source })),
  };
}

/** @param {Inside} look @param {{name: string}} one @param {{name: string}} other @param {number} index */
function sumFormula(look, one, other, index) {
  const [a, b] = [look.list(one)[index], look.list(other)[index]];
  return {
    value: a + b,
    words: `The ${SUBJECT[one.name]} and the ${SUBJECT[other.name]} are added.`,
    symbols: "y_i = x_i + a_i",
    numbers: `${figure(a)} + ${inside(b)} = ${figure(a + b)}`,
    from: [{ ...one, index }, { ...other, index }],
  };
}

/** Norm of a query or key: of its head, or of all heads. @param {Inside} look @param {"query"|"key"} part @param {NumberRef} ref @param {number} layer */
function queryNormFormula(look, part, { index }, layer) {
  const all = look.trace.get(part, layer), width = look.config.head_width, from = [{ name: part, layer, index }];
  const table = `blocks.${layer}.attention.${part}_norm`;
  if (look.config.qk_norm === "projection") return normFormula(look, all, table, index, from);
  const start = Math.floor(index / width) * width;
  return normFormula(look, all.subarray(start, start + width), table, index - start, from);
}

/** @param {Inside} look @param {"query"|"key"} part @param {NumberRef} ref @param {number} layer */
function rotationFormula(look, part, { index }, layer) {
  const width = look.config.head_width, half = width / 2, place = index % width, pair = place % half, start = index - place;
  const before = { name: look.trace.has(`${part}_norm`, layer) ? `${part}_norm` : part, layer }, all = look.list(before);
  const { angle, cosine, sine } = turnOf(look, layer, pair), [a, b] = [all[start + pair], all[start + pair + half]];
  const first = place < half, value = first ? a * cosine - b * sine : b * cosine + a * sine;
  return {
    value,
    words: `The numbers ${pair + 1} and ${pair + half + 1} are drawn as an arrow, which is turned by the place of the token. This is its ${first ? "first" : "second"} number after the turn.`,
    symbols: first ? "a′ = a cos(p θ) − b sin(p θ)" : "b′ = b cos(p θ) + a sin(p θ)",
    numbers: first
      ? `${figure(a)} × ${inside(cosine)} − ${inside(b)} × ${inside(sine)} = ${figure(value)}    [turn: ${degrees(angle)}]`
      : `${figure(b)} × ${inside(cosine)} + ${inside(a)} × ${inside(sine)} = ${figure(value)}    [turn: ${degrees(angle)}]`,
    from: [{ ...before, index: start + pair }, { name: "angle", layer, index: pair, label: "the turn" }],
  };
}

/** How far a pair is turned at the place of the token. @param {Inside} look @param {number} layer @param {number} pair */
function turnOf(look, layer, pair) {
  const { frequencies, factor } = look.config.rotations[layer];
  const angle = Math.fround(look.position * frequencies[pair]);
  return { angle, frequency: frequencies[pair], cosine: Math.cos(angle) * factor, sine: Math.sin(angle) * factor };
}

/** An angle within one turn. @param {number} angle */
function degrees(angle) {
  const turned = ((angle * 180) / Math.PI) % 360;
  return `${turned < 10 ? turned.toFixed(1) : Math.round(turned)}°`;
}

/** What a token left in the cache. @param {Inside} look @param {"key"|"value"} part @param {NumberRef} ref @param {number} layer */
function storedFormula(look, part, { index, token }, layer) {
  const value = look.stored(part === "key" ? "keys" : "values", layer, token)[index];
  const name = part === "key" ? look.lastName("key", layer) : "value";
  return {
    value,
    words: `Made when the model read “${look.show(token)}”, by the same steps as here, and kept. Choose that token to see them.`,
    symbols: `${part === "key" ? "k" : "v"}_s, kept for the place s = ${token}`,
    numbers: `${figure(value)} [read before]`,
    from: [{ name, layer, index, token }],
  };
}

/** By the name of a list: (inside, ref, layer) -> Explained without a title. */
const FORMULAS = {
  embedding(look, { index }) {
    const { width, scaled_embedding } = look.config, raw = look.row("embedding", look.trace.id, width)[index];
    const factor = scaled_embedding ? Math.sqrt(width) : 1;
    return {
      value: raw * factor,
      words: `Read from the model's table: the row of “${look.show(look.position)}”. Training has found this number.`,
      symbols: scaled_embedding ? "e_i = √C · E_{id, i}" : "e_i = E_{id, i}",
      numbers: `${scaled_embedding ? `√${width} × ` : ""}row ${look.trace.id}, column ${index + 1}: ${figure(raw * factor)}`,
      from: [{ name: "tokens", label: "the token" }],
    };
  },
  position_embedding(look, { index }) {
    const value = look.trace.get("position_embedding")[index], { positions, sinusoids } = look.config;
    const wave = positions === "sinusoidal" ? `${index % 2 ? "cos" : "sin"}(${look.position} × ${figure(sinusoids[index >> 1])}) = ` : "";
    return {
      value,
      words: wave ? "A wave, at the place of the token." : "Read from the model's second table: the row of this place.",
      symbols: wave ? "sin(p θ_i) or cos(p θ_i)" : "P_{p, i}",
      numbers: `${wave || `row ${look.position}, column ${index + 1}: `}${figure(value)}`,
      from: [{ name: "tokens", label: "the place of the token" }],
    };
  },
  stream(look, { index }, layer) {
    if (layer > 0) return leaving(look, index, layer - 1);
    const embedding = { name: "embedding" }, added = look.list({ name: "position_embedding" });
    if (look.config.embedding_norm) {
      const x = look.list(embedding).map((value, place) => value + (added ? added[place] : 0));
      return normFormula(look, x, "embedding_norm", index, [embedding, ...(added ? [{ name: "position_embedding" }] : [])]);
    }
    if (added) return sumFormula(look, embedding, { name: "position_embedding" }, index);
    const value = look.list(embedding)[index];
    return { value, words: "The embedding of the token.", symbols: "x_i = e_i", numbers: figure(value), from: [{ ...embedding, index }] };
  },
  attention_norm: (look, { index }, layer) => normFormula(look, look.trace.get("stream", layer), `blocks.${layer}.attention_norm`, index, [{ name: "stream", layer }]),
  query: (look, { index }, layer) => linearFormula(look, `blocks.${layer}.attention.query`, look.inputOf("attention", layer), index, "q"),
  key: (look, { index }, layer) => linearFormula(look, `blocks.${layer}.attention.key`, look.inputOf("attention", layer), index, "k"),
  value: (look, { index }, layer) => linearFormula(look, `blocks.${layer}.attention.value`, look.inputOf("attention", layer), index, "v"),
  query_norm: (look, ref, layer) => queryNormFormula(look, "query", ref, layer),
  key_norm: (look, ref, layer) => queryNormFormula(look, "key", ref, layer),
  query_rotated: (look, ref, layer) => rotationFormula(look, "query", ref, layer),
  key_rotated: (look, ref, layer) => rotationFormula(look, "key", ref, layer),
  key_stored: (look, ref, layer) => storedFormula(look, "key", ref, layer),
  value_stored: (look, ref, layer) => storedFormula(look, "value", ref, layer),
  angle(look, { index }, layer) {
    const { angle, frequency } = turnOf(look, layer, index);
    const turned = (angle * 180) / Math.PI, left = turned >= 360 ? ` = ${Math.floor(turned / 360)} whole turns and ${degrees(angle)}` : "";
    return {
      title: `Turn of pair ${index + 1} at “${look.show(look.position)}”, block ${layer + 1}`,
      value: angle,
      words: "The place of the token, counted from 0, times the speed of this pair.",
      symbols: "angle = p θ_i",
      numbers: `${look.position} × ${figure((frequency * 180) / Math.PI)}° = ${figure(turned)}°${left}`,
      from: [{ name: "tokens", label: "the place of the token" }],
    };
  },
  scores(look, { index, head }, layer) {
    const { head_width: width, score_width, score_softcap, slopes } = look.config, token = look.first(layer) + index;
    const queries = look.trace.compared("query", layer), start = look.shared(head) * width;
    const key = look.stored("keys", layer, token).subarray(start, start + width);
    const { sum, text } = dotProduct(queries.subarray(head * width, (head + 1) * width), key);
    const scaled = sum / Math.sqrt(score_width), bias = slopes.length ? slopes[head] * (look.position - token) : 0;
    const value = softcap(scaled, score_softcap) - bias;
    const cap = score_softcap ? `, softly held within ±${score_softcap}` : "", less = slopes.length ? ` − ${figure(bias)} [distance ${look.position - token}]` : "";
    return {
      value,
      words: `The query of “${look.show(look.position)}” times the key of “${look.show(token)}”, number by number, all added up and divided by √${score_width}.`,
      symbols: `score(p, s) = q_p · k_s / √${score_width}${slopes.length ? " − m (p − s)" : ""}`,
      numbers: `(${text}) / ${figure(Math.sqrt(score_width))}${cap}${less} = ${figure(value)}`,
      from: [{ name: look.lastName("query", layer), layer, index: head * width }, { name: "key_stored", layer, index: start, token }],
    };
  },
  weights(look, { index, head }, layer) {
    const scores = look.trace.get("scores", layer, head), value = softmax(scores)[index];
    const most = Math.max(...scores), sum = scores.reduce((total, score) => total + Math.exp(score - most), 0);
    return {
      value,
      words: `e to the power of the score, as a share of the sum for all ${scores.length} tokens that may be looked at.`,
      symbols: "a_s = e^{score(p, s)} / Σ_j e^{score(p, j)}",
      numbers: `e^{${figure(scores[index])}} / ${figure(sum * Math.exp(most))} = ${percent(value)}`,
      from: [{ name: "scores", layer, head, index }],
    };
  },
  heads(look, { index }, layer) {
    const width = look.config.head_width, head = Math.floor(index / width), place = look.shared(head) * width + (index % width);
    const weights = look.trace.get("weights", layer, head), first = look.first(layer);
    const values = Array.from(weights, (_, token) => look.stored("values", layer, first + token)[place]);
    const { sum, text } = dotProduct(weights, values);
    return {
      value: sum,
      words: "The same number of each token's value, times its share of attention, all added up.",
      symbols: "o_i = Σ_s a_s v_{s, i}",
      numbers: `${text} = ${figure(sum)}`,
      from: [{ name: "weights", layer, head }, { name: "value_stored", layer, index: place, token: first + argmax(weights) }],
    };
  },
  attention: (look, { index }, layer) => linearFormula(look, `blocks.${layer}.attention.output`, { name: "heads", layer }, index, "a"),
  attention_output_norm: (look, { index }, layer) => outputNorm(look, "attention", { name: "stream", layer }, index, layer),
  between(look, { index }, layer) {
    if (look.config.block === "post") return FORMULAS.attention_output_norm(look, { index }, layer);
    return sumFormula(look, { name: "stream", layer }, look.addedBy("attention", layer), index);
  },
  feedforward_norm: (look, { index }, layer) => normFormula(look, look.trace.get("between", layer), `blocks.${layer}.feedforward_norm`, index, [{ name: "between", layer }]),
  gate: (look, { index }, layer) => linearFormula(look, `blocks.${layer}.feedforward.gate`, look.inputOf("feedforward", layer), index, "g"),
  up: (look, { index }, layer) => linearFormula(look, `blocks.${layer}.feedforward.up`, look.inputOf("feedforward", layer), index, "u"),
  inner(look, { index }, layer) {
    const { activation, gated } = FEEDFORWARDS[look.config.feedforward], up = look.trace.get("up", layer)[index];
    const name = activation === silu ? "SiLU" : "GELU", given = gated ? look.trace.get("gate", layer)[index] : up;
    const opened = activation(given), value = gated ? opened * up : opened;
    return {
      value,
      words: gated ? "The gate, which lets little below zero pass, times the input of the neuron." : "The input of the neuron, of which little below zero passes.",
      symbols: gated ? `h = ${name}(g) · u` : `h = ${name}(u)`,
      numbers: gated ? `${name}(${figure(given)}) × ${inside(up)} = ${figure(opened)} × ${inside(up)} = ${figure(value)}` : `${name}(${figure(up)}) = ${figure(value)}`,
      from: [...(gated ? [{ name: "gate", layer, index }] : []), { name: "up", layer, index }],
    };
  },
  feedforward: (look, { index }, layer) => linearFormula(look, `blocks.${layer}.feedforward.down`, { name: "inner", layer }, index, "f"),
  feedforward_output_norm: (look, { index }, layer) => outputNorm(look, "feedforward", { name: "between", layer }, index, layer),
  final_norm(look, { index }) {
    const stream = { name: "stream", layer: look.config.num_layers };
    if (look.config.block !== "post") return normFormula(look, look.list(stream), "final_norm", index, [stream]);
    const value = look.list(stream)[index];
    return { value, words: "What leaves the last block.", symbols: "x_i", numbers: figure(value), from: [{ ...stream, index }] };
  },
  logits(look, { index }) {
    const x = look.trace.get("final_norm"), cap = look.config.logit_softcap, { sum, text } = dotProduct(look.row(look.outputHead, index, x.length), x);
    const value = softcap(sum, cap);
    return {
      value,
      words: `The last list times the row of “${look.tokenizer.show(index)}” in the output head, number by number, all added up.`,
      symbols: cap ? `z = ${cap} · tanh(U_{id} · n / ${cap})` : "z = U_{id} · n = Σ_i U_{id, i} n_i",
      numbers: `${text} = ${figure(sum)}${cap ? `, softly held within ±${cap}: ${figure(value)}` : ""}`,
      from: [{ name: "final_norm" }],
    };
  },
  head_row(look, { index, token: id }) {
    const value = look.row(look.outputHead, id, look.config.width)[index], tied = look.config.tied_head;
    return {
      title: `Row of “${look.tokenizer.show(id)}” in the output head: number ${index + 1}`,
      value,
      words: `Read from the model's table${tied ? ", which is the embedding" : ""}. Training has found this number.`,
      symbols: "U_{id, i}",
      numbers: `row ${id}, column ${index + 1}: ${figure(value)}`,
      from: [],
    };
  },
  similarity(look, { index }) {
    const { width } = look.config, [one, other] = [look.row("embedding", look.trace.id, width), look.row("embedding", index, width)];
    const { sum } = dotProduct(one, other), [a, b] = [lengthOf(one), lengthOf(other)];
    return {
      title: `Likeness of the embeddings of “${look.show(look.position)}” and “${look.tokenizer.show(index)}”`,
      value: sum / (a * b),
      words: `How alike the directions of the lists of “${look.show(look.position)}” and “${look.tokenizer.show(index)}” are.`,
      symbols: "cos(a, b) = a · b / (|a| |b|)",
      numbers: `${figure(sum)} / (${figure(a)} × ${figure(b)}) = ${figure(sum / (a * b))}`,
      from: [{ name: "embedding" }],
    };
  },
  length(look, { of, layer: at }) {
    const list = look.list({ name: of, layer: at }), value = lengthOf(list);
    return {
      title: `Length of the ${SUBJECT[of]} of “${look.show(look.position)}”, block ${Math.min(at, look.config.num_layers - 1) + 1}`,
      value,
      words: `How long the list is as an arrow: the root of the sum of its ${list.length} squares.`,
      symbols: "|x| = √(x_1² + x_2² + …)",
      numbers: `√${figure(value ** 2)} = ${figure(value)}`,
      from: [{ name: of, layer: at }],
    };
  },
  guess(look, { index }, layer) {
    const value = look.guess(layer)[index];
    return {
      title: `Probability of “${look.tokenizer.show(index)}” after block ${layer}`,
      value,
      words: layer < look.config.num_layers ? "The output head, used on the stream at this place instead of at the end." : "The model's own probability.",
      symbols: "softmax(U norm(x_l))",
      numbers: percent(value),
      from: [{ name: "stream", layer }],
    };
  },
  share(look, { index, step }) {
    const shares = look.steps[step], value = shares[index], logit = look.trace.get("logits")[index], heat = step === 3 ? look.sampling.temperature : 1;
    const kept = shares.reduce((count, share) => count + (share > 0 ? 1 : 0), 0);
    if (heat === 0) return greedyShare(look, index, value, logit);
    return {
      title: `Probability of “${look.tokenizer.show(index)}” after “${look.show(look.position)}”`,
      value,
      words: value ? "The token's share of the sum of e to the power of all logits that are left." : "Left out by the step before: it can't be drawn.",
      symbols: heat === 1 ? "P(i) = e^{z_i} / Σ_j e^{z_j}" : "P(i) = e^{z_i / t} / Σ_j e^{z_j / t}",
      numbers: value ? `e^{${figure(logit)}${heat === 1 ? "" : ` / ${heat}`}} over the sum of ${kept.toLocaleString("en")} tokens = ${percent(value)}` : percent(value),
      from: [{ name: "logits", index }],
    };
  },
};

/** Temperature 0: no chance. @param {Inside} look */
const greedyShare = (look, index, value, logit) => ({
  title: `Probability of “${look.tokenizer.show(index)}” after “${look.show(look.position)}”`,
  value,
  words: value ? "At temperature 0 the token with the largest logit is taken." : "At temperature 0 only the token with the largest logit is taken.",
  symbols: "argmax_i z_i",
  numbers: `${figure(logit)} is ${value ? "" : "not "}the largest: ${percent(value)}`,
  from: [{ name: "logits", index }],
});

/** @param {ArrayLike<number>} list */
const lengthOf = (list) => Math.sqrt(Array.from(list).reduce((sum, value) => sum + value * value, 0));

/** The stream after a block. @param {Inside} look @param {number} index @param {number} layer */
function leaving(look, index, layer) {
  if (look.config.block === "post") return FORMULAS.feedforward_output_norm(look, { index }, layer);
  return sumFormula(look, { name: "between", layer }, look.addedBy("feedforward", layer), index);
}

/** The norm of a part's output, or of its sum with the stream. @param {Inside} look @param {"attention"|"feedforward"} part @param {{name: string}} stream */
function outputNorm(look, part, stream, index, layer) {
  const result = look.list({ name: part, layer }), from = [{ name: part, layer }], table = `blocks.${layer}.${part}_output_norm`;
  if (look.config.block !== "post") return normFormula(look, result, table, index, from);
  const before = look.list(stream);
  return normFormula(look, result.map((value, place) => value + before[place]), table, index, [stream, ...from]);
}
