// What each stage of the explanation shows: (inside, explanation) -> nodes. All numbers are of the trace.
"use strict";

const MOST_TOKENS = 12; // rows of a picture over tokens

/** A part of a list: of one head. @param {Inside} look @param {string} name @param {number} head */
function ofHead(look, name, head) {
  const width = look.config.head_width, ref = { name, layer: look.layer, index: head * width };
  return { values: look.list(ref).subarray(ref.index, ref.index + width), ref };
}

/** A whole list of this token. @param {Inside} look @param {string} name @param {number} layer @param {string} label */
function whole(look, page, name, layer, label, options = {}) {
  const ref = { name, index: 0, ...(layer >= 0 ? { layer } : {}) };
  return listPicture(look.list(ref), ref, { label, open: page.open.has(listKey(ref)), ...options });
}

/** Places among the tokens that a head sees: those with the largest shares, this token, in the order of the text. @param {ArrayLike<number>} weights */
function shownTokens(weights) {
  const order = Array.from({ length: weights.length }, (_, index) => index), last = weights.length - 1;
  const most = order.slice(0, last).sort((a, b) => weights[b] - weights[a]).slice(0, MOST_TOKENS - 1);
  return [...most, last].sort((a, b) => a - b);
}

/** @param {number} count */
const moreTokens = (count) => `${count} more token${count === 1 ? "" : "s"}`;

/** A button with a token, which does something. @param {string} text @param {string} said @param {() => void} action @param {string} key by which it is found again after drawing */
function tokenButton(text, said, action, key) {
  const button = element("button", { type: "button", className: "pick" }, word(text));
  if (said) button.setAttribute("aria-label", said);
  button.dataset.key = key;
  button.addEventListener("click", action);
  return button;
}

/** Two lists held against each other, place by place, and the sum of the products. */
function matching(one, other, result) {
  const products = one.values.map((value, index) => value * other.values[index]);
  const strip = (list, label, note = "") => listPicture(list.values, list.ref, { label, tiles: false, note });
  const most = Math.max(...products.map(Math.abs)) || 1;
  const cells = squares(element("div", { className: "strip products", ariaHidden: "true" }), products, products.length, most);
  cells.style.setProperty("--columns", String(columnsOf(products.length)));
  const head = element("div", { className: "list-head" }, element("b", { textContent: "their products" }), element("span", { textContent: "same sign blue, different signs orange" }));
  return element("div", { className: "matching" }, strip(one, one.label), operator("×"), strip(other, other.label), operator("="), element("div", { className: "list" }, head, cells), result);
}

const STAGES = {
  tokens(look, page) {
    const first = Math.max(0, look.position - 15), last = Math.min(look.ids.length, look.position + 9);
    const chips = look.ids.slice(first, last).map((id, index) => {
      const place = first + index, chip = tokenButton(look.tokenizer.show(id), "", () => page.goToToken(place), `token ${place}`);
      chip.append(element("small", { className: "numbers", textContent: String(id) }));
      if (place === look.position) chip.setAttribute("aria-current", "true");
      if (place > look.position) chip.classList.add("later");
      return chip;
    });
    const more = (count, side) => (count > 0 ? [element("span", { className: "quiet", textContent: `${count} ${side}` })] : []);
    return [roving(element("div", { className: "chips" }, ...more(first, "before …"), ...chips, ...more(look.ids.length - last, "more …")))];
  },

  embedding(look, page) {
    const near = page.neighbours(look.trace.id), heading = element("p", { className: "caption", textContent: "The tokens whose lists are most like this one" });
    const rows = near.map(({ id, likeness }) => row([
      word(look.tokenizer.show(id)), shareBar(Math.max(0, likeness)), element("span", { className: "numbers" }, figureButton(likeness, { name: "similarity", index: id })),
    ]));
    return [whole(look, page, "embedding", -1, `embedding of “${look.show(look.position)}”`), heading, element("div", { className: "rows" }, ...rows)];
  },

  positions(look, page) {
    const { config, layer } = look, result = [];
    if (look.trace.has("position_embedding")) {
      result.push(whole(look, page, "embedding", -1, "embedding"), operator("+"), whole(look, page, "position_embedding", -1, `list of place ${look.position + 1}`), operator("="));
      result.push(whole(look, page, "stream", 0, "what enters the first block"));
    }
    if (config.positions !== "rope") return result;
    const rotation = config.rotations[layer];
    if (!rotation) return [element("p", { className: "quiet", textContent: `Block ${layer + 1} turns nothing; choose another block below to see turns.` })];
    return [element("div", { className: "dials" }, ...dialPairs(config.head_width / 2).map((pair) => pairPicture(look, pair)))];
  },

  norm(look, page) {
    if (!look.trace.has("attention_norm", look.layer) || ["post", "output"].includes(look.config.block)) return [];
    const stream = whole(look, page, "stream", look.layer, `the stream, as it enters block ${look.layer + 1}`);
    return [stream, operator("↓"), whole(look, page, "attention_norm", look.layer, "evened out")];
  },

  qkv(look) {
    const { layer, head } = look, shared = look.shared(head);
    const card = (part, place, words) => {
      const names = [part, `${part}_norm`, `${part}_rotated`].filter((name) => look.trace.has(name, layer));
      const lists = names.map((name) => {
        const { values, ref } = ofHead(look, name, place), label = name === part ? part : SUBJECT[name];
        return listPicture(values, ref, { label, tiles: name === names.at(-1) });
      });
      return element("div", { className: "card" }, element("p", { className: "caption", textContent: words }), ...lists);
    };
    return [element("div", { className: "cards three" }, card("query", head, "What do I look for?"), card("key", shared, "What do I offer?"), card("value", shared, "What do I hand over?"))];
  },

  scores(look, page) {
    const { layer, head } = look, scores = look.trace.get("scores", layer, head), weights = look.trace.get("weights", layer, head);
    const first = look.first(layer), shown = shownTokens(weights), width = look.config.head_width;
    const chosen = shown.includes(page.against - first) ? page.against - first : shown.reduce((best, index) => (scores[index] > scores[best] ? index : best), shown[0]);
    const most = Math.max(...shown.map((index) => Math.abs(scores[index])));
    const rows = shown.map((index) => row([
      tokenButton(look.show(first + index), `compare with ${look.show(first + index)}`, () => page.compare(first + index), `against ${index}`),
      middleBar(scores[index], most),
      element("span", { className: "numbers" }, figureButton(scores[index], { name: "scores", layer, head, index })),
    ], index === chosen));
    const query = { ...ofHead(look, look.lastName("query", layer), head), label: `query of “${look.show(look.position)}”` };
    const token = first + chosen, start = look.shared(head) * width;
    const key = { values: look.stored("keys", layer, token).subarray(start, start + width), ref: { name: "key_stored", layer, token, index: start }, label: `key of “${look.show(token)}”` };
    const left = scores.length - shown.length, rest = left ? [element("p", { className: "quiet", textContent: `${moreTokens(left)} with smaller shares not shown` })] : [];
    const result = element("p", { className: "result numbers" }, `score of “${look.show(token)}”`, " ", element("span", {}, figureButton(scores[chosen], { name: "scores", layer, head, index: chosen })));
    return [element("div", { className: "rows" }, ...rows), ...rest, matching(query, key, result)];
  },

  mask(look, page) {
    const { layer, head } = look, weights = look.trace.get("weights", layer, head), first = look.first(layer);
    const shown = shownTokens(weights), most = Math.max(...weights);
    const rows = shown.map((index) => row([
      word(look.show(first + index)), shareBar(weights[index] / most, "two"),
      element("span", {}, figureButton(weights[index], { name: "weights", layer, head, index }, percent(weights[index]))),
    ]));
    const map = element("div", { className: "map", role: "img", ariaLabel: `shares of attention among the last tokens; those of ${look.show(look.position)} stand below` });
    page.drawMap(map, look);
    const caption = element("p", { className: "caption", textContent: `Where “${look.show(look.position)}” looks` });
    return [element("p", { className: "caption", textContent: "Each row is a token that looks, each column one that is looked at" }), map, caption, element("div", { className: "rows" }, ...rows)];
  },

  mix(look) {
    const { layer, head } = look, weights = look.trace.get("weights", layer, head), first = look.first(layer), width = look.config.head_width;
    const start = look.shared(head) * width, shown = shownTokens(weights).sort((a, b) => weights[b] - weights[a]).slice(0, 5).sort((a, b) => a - b);
    const valueOf = (index) => look.stored("values", layer, first + index).subarray(start, start + width);
    let scale = 0;
    for (const index of shown) for (const value of valueOf(index)) scale = Math.max(scale, Math.abs(value));
    const lists = shown.map((index) => {
      const ref = { name: "value_stored", layer, token: first + index, index: start };
      const list = listPicture(valueOf(index), ref, { label: `value of “${look.show(first + index)}”`, note: " ", tiles: false, scale });
      list.querySelector(".strip").style.setProperty("--strength", (0.15 + 0.85 * Math.min(1, weights[index] / Math.max(...weights))).toFixed(2));
      list.querySelector(".list-head span").replaceChildren("× ", figureButton(weights[index], { name: "weights", layer, head, index }, percent(weights[index])));
      return list;
    });
    const left = weights.length - shown.length, rest = left ? [element("p", { className: "quiet", textContent: `and ${moreTokens(left)} with smaller shares` })] : [];
    const { values, ref } = ofHead(look, "heads", head);
    return [...lists, ...rest, operator("="), listPicture(values, ref, { label: `what head ${head + 1} has found` })];
  },

  heads(look, page) {
    const { layer, config } = look, cards = Array.from({ length: config.num_heads }, (_, head) => headCard(look, page, head));
    const joined = whole(look, page, "heads", layer, "all heads, side by side", { note: `${config.num_heads} heads of ${config.head_width} numbers` });
    return [roving(element("div", { className: "heads" }, ...cards)), joined, operator("↓"), whole(look, page, "attention", layer, "mixed: the result of attention")];
  },

  added(look, page) {
    const { layer } = look, added = look.addedBy("attention", layer), list = (name, label) => whole(look, page, name, layer, label);
    return [list("stream", "the stream before"), operator("+"), list(look.config.block === "post" ? "attention" : added.name, "what attention has found"), operator("="), list("between", "the stream after")];
  },

  feedforward(look, page) {
    const { layer, config } = look, inner = look.trace.get("inner", layer), label = (ref) => SUBJECT[ref.name];
    const order = Array.from(inner.keys()).sort((a, b) => Math.abs(inner[b]) - Math.abs(inner[a])).slice(0, 5), most = Math.abs(inner[order[0]]);
    const rows = order.map((index) => row([
      element("span", { textContent: `neuron ${index + 1}` }), middleBar(inner[index], most), element("span", { className: "numbers" }, figureButton(inner[index], { name: "inner", layer, index })),
    ]));
    const input = look.inputOf("feedforward", layer), deeper = element("div", { className: "numbers" });
    for (const [name, words] of [["gate", "gate of each neuron"], ["up", "input of each neuron"]]) {
      if (look.trace.has(name, layer)) deeper.append(whole(look, page, name, layer, words));
    }
    const added = look.addedBy("feedforward", layer), before = config.block === "parallel" ? "the stream after attention" : label({ name: "between" });
    return [
      whole(look, page, input.name, layer, `what it reads: the ${label(input)}`), operator("↓"), deeper, whole(look, page, "inner", layer, "answers of the neurons"),
      element("p", { className: "caption", textContent: "The neurons that answer most strongly" }), element("div", { className: "rows" }, ...rows), operator("↓"),
      whole(look, page, config.block === "post" ? "feedforward" : added.name, layer, "mixed: the result"), operator("+"), whole(look, page, "between", layer, before), operator("="),
      whole(look, page, "stream", layer + 1, layer + 1 < config.num_layers ? `the stream, as it enters block ${layer + 2}` : "the stream, as it leaves the last block"),
    ];
  },

  layers(look, page) {
    const { config } = look, lengths = [];
    for (let layer = 0; layer < config.num_layers; layer++) lengths.push(...["attention", "feedforward"].map((part) => lengthOf(look.list(look.addedBy(part, layer)))));
    const most = Math.max(...lengths);
    const blocks = Array.from({ length: config.num_layers + 1 }, (_, layer) => {
      const shares = look.guess(layer), best = argmax(shares), guess = element("span", { className: "guess" }, word(look.tokenizer.show(best)), " ", figureButton(shares[best], { name: "guess", layer, index: best }, percent(shares[best])));
      if (layer === 0) return element("li", { className: "floor" }, element("span", { className: "floor-name", textContent: "embedding" }), element("span", { className: "sizes" }), guess);
      const button = element("button", { type: "button", className: "pick", textContent: `block ${layer}` });
      button.dataset.key = `block ${layer}`;
      button.addEventListener("click", () => page.goToBlock(layer - 1));
      if (layer - 1 === look.layer) button.setAttribute("aria-current", "true");
      const sizes = ["attention", "feedforward"].map((part, place) => {
        const ref = { name: "length", index: 0, layer: layer - 1, of: look.addedBy(part, layer - 1).name }, length = lengths[2 * (layer - 1) + place];
        return element("span", { className: "size" }, shareBar(length / most, place ? "two" : ""), element("span", { className: "numbers" }, figureButton(length, ref)));
      });
      return element("li", { className: "floor" }, button, element("span", { className: "sizes" }, ...sizes), guess);
    });
    const key = element("p", { className: "caption" }, element("i", { className: "swatch" }), "added by attention ", element("i", { className: "swatch two" }), "added by the feed-forward network. At the right: what the model would guess if it ended there.");
    return [key, element("ol", { className: "tower" }, ...blocks)];
  },

  logits(look, page) {
    const logits = look.trace.get("logits"), best = mostProbable(logits).slice(0, 8), most = Math.max(...best.map((id) => Math.abs(logits[id])));
    const chosen = best.includes(page.candidate) ? page.candidate : best[0], width = look.config.width;
    const rows = best.map((id) => row([
      tokenButton(look.tokenizer.show(id), `compare with ${look.tokenizer.show(id)}`, () => page.compareCandidate(id), `candidate ${id}`),
      middleBar(logits[id], most), element("span", { className: "numbers" }, figureButton(logits[id], { name: "logits", index: id })),
    ], id === chosen));
    const last = { values: look.trace.get("final_norm"), ref: { name: "final_norm", index: 0 }, label: "the last list, evened out" };
    const weights = { values: look.row(look.outputHead, chosen, width), ref: { name: "head_row", index: 0, token: chosen }, label: `row of “${look.tokenizer.show(chosen)}”` };
    const result = element("p", { className: "result numbers" }, `logit of “${look.tokenizer.show(chosen)}”`, " ", element("span", {}, figureButton(logits[chosen], { name: "logits", index: chosen })));
    return [element("div", { className: "rows" }, ...rows), matching(last, weights, result)];
  },

  choice(look, page) {
    const shares = look.steps;
    const best = mostProbable(shares[0]).slice(0, 6), most = Math.max(...best.flatMap((id) => [shares[0][id], shares[3][id]]));
    const rows = best.map((id) => row([
      word(look.tokenizer.show(id)),
      element("span", { className: "two-bars" }, shareBar(shares[0][id] / most), shareBar(shares[3][id] / most, "two")),
      element("span", {}, figureButton(shares[0][id], { name: "share", index: id, step: 0 }, percent(shares[0][id])), " → ", figureButton(shares[3][id], { name: "share", index: id, step: 3 }, percent(shares[3][id]))),
    ]));
    const key = element("p", { className: "caption" }, element("i", { className: "swatch" }), "the model ", element("i", { className: "swatch two" }), "after top-k, top-p and temperature, as set above");
    const next = element("button", { type: "button", className: "action", textContent: "Draw the next token, and follow it" });
    next.dataset.key = "draw";
    next.addEventListener("click", () => page.drawNext());
    return [key, element("div", { className: "rows wide" }, ...rows), next];
  },
};

/** Pairs from the fastest to the slowest. @param {number} count */
const dialPairs = (count) => [...new Set([0, 1 / 6, 2 / 6, 1 / 2].map((share) => Math.floor(share * count)))];

/** @param {Inside} look @param {number} pair */
function pairPicture(look, pair) {
  const { layer, head, config } = look, half = config.head_width / 2, name = look.trace.has("query_norm", layer) ? "query_norm" : "query";
  const before = ofHead(look, name, head), { angle, frequency } = turnOf(look, layer, pair), turn = (2 * Math.PI) / frequency;
  const trail = Array.from({ length: Math.min(look.position, 24) }, (_, index) => (look.position - 1 - index) * frequency);
  const after = ofHead(look, "query_rotated", head), both = [pair, pair + half];
  const figures = (list) => both.flatMap((place, index) => [index ? ", " : "", figureButton(list.values[place], { ...list.ref, index: list.ref.index + place })]);
  const speed = turn < 10_000 ? `one turn in ${turn < 10 ? turn.toFixed(1) : Math.round(turn).toLocaleString("en")} tokens` : "turns hardly at all";
  return element(
    "figure", { className: "pair" }, dial(both.map((place) => before.values[place]), angle, trail),
    element("figcaption", {}, element("b", { textContent: `pair ${pair + 1}` }), element("span", { className: "quiet", textContent: speed }),
      element("span", { className: "numbers" }, "(", ...figures(before), ")"), element("span", { className: "numbers" }, "turned by ", figureButton(angle, { name: "angle", layer, index: pair }, degrees(angle))), element("span", { className: "numbers" }, "(", ...figures(after), ")")),
  );
}

/** A head, small: where it looks. @param {Inside} look @param {number} head */
function headCard(look, page, head) {
  const weights = look.trace.get("weights", look.layer, head), first = look.first(look.layer), best = argmax(weights), most = weights[best];
  const bars = element("span", { className: "spark", ariaHidden: "true" });
  for (const index of Array.from(weights.keys()).slice(-24)) {
    const bar = document.createElement("i");
    bar.style.height = `${Math.max(2, (100 * weights[index]) / most)}%`;
    bars.append(bar);
  }
  const button = element("button", { type: "button", className: "head-card" }, element("b", { textContent: `head ${head + 1}` }), bars, element("span", {}, "most at ", word(look.show(first + best)), ` ${percent(most).replace(" ", "\u00a0")}`));
  button.dataset.key = `head ${head}`;
  if (head === look.head) button.setAttribute("aria-current", "true");
  button.addEventListener("click", () => page.goToHead(head));
  return button;
}
