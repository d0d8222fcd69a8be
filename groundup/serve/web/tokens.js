// The tokens of an answer: where each stands in its text, how probable it was, and what else could have stood there.

export const BUCKETS = 5;

/** Finds the places of tokens as they come. A token of half a character shares the place of the one that ends it. */
export class Places {
  #decoder = new TextDecoder();
  #end = 0;

  /** Tokens {text: bytes, p, others} -> {from, to, p, others}; those without a place of their own are left out. */
  add(tokens) {
    const placed = [];
    for (const { text, p, others } of tokens) {
      const from = this.#end;
      this.#end += this.#decoder.decode(text, { stream: true }).length;
      if (this.#end > from) placed.push({ from, to: this.#end, p: rounded(p), others: others.map(([other, q]) => [other, rounded(q)]) });
    }
    return placed;
  }
}

/** Tokens that reach into `from` .. `to`, which are in order: [first, behind the last]. */
export function reaching(tokens, from, to) {
  let low = 0;
  for (let high = tokens.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (tokens[middle].to <= from) low = middle + 1;
    else high = middle;
  }
  let end = low;
  while (end < tokens.length && tokens[end].from < to) end += 1;
  return [low, end];
}

/** 0: nearly sure ... 4: a guess among many. */
export function bucket(p) {
  return [0.9, 0.6, 0.3, 0.1].filter((bound) => p < bound).length;
}

/** "> 99.9 %", "99.2 %", "93 %", "0.41 %", "< 0.01 %" */
export function percent(p) {
  if (p > 0 && p < 1e-4) return "< 0.01 %";
  if (p > 0.9995 && p < 1) return "> 99.9 %";
  const digits = p > 0.985 && p < 1 ? 1 : p >= 0.0995 ? 0 : p >= 0.00995 ? 1 : 2;
  return `${(100 * p).toFixed(digits)} %`;
}

/** A token's text as it can be seen. */
export function visible(text) {
  return text === "" ? "(nothing)" : text.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
}

const rounded = (p) => Number(p.toPrecision(4));
