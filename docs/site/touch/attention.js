"use strict";
// Attention, in the order of the path: embeddings, positions, query key and value, scores.

PICTURES.embeddings = {
  words: { cat: [4, 3], dog: [3, 4], bus: [-4, 3], car: [-3, 4] },
  controls: [
    { name: "first", label: "First word", options: ["cat", "dog", "bus", "car"], value: 0 },
    { name: "second", label: "Second word", min: 1, max: 4, value: 2, names: ["cat", "dog", "bus", "car"] },
  ],
  play: "second",
  chosen(state) {
    const names = Object.keys(this.words);
    return [names[state.first], names[state.second - 1]];
  },
  compute(state) {
    const [a, b] = this.chosen(state).map((name) => this.words[name]);
    const lengths = [a, b].map((list) => Math.sqrt(dot(list, list)));
    return { product: dot(a, b), lengths, cosine: dot(a, b) / (lengths[0] * lengths[1]) };
  },
  draw(state) {
    const chosen = this.chosen(state), x = (number) => 180 + 30 * number, y = (number) => 200 - 34 * number;
    const axes = line(20, 200, 340, 200) + line(180, 20, 180, 214)
      + words(340, 194, "animal →", { "text-anchor": "end", class: "soft" }) + words(20, 194, "← vehicle", { class: "soft" })
      + words(186, 26, "seen in a street ↑", { class: "soft" });
    const arrows = Object.entries(this.words).map(([name, [a, b]]) => {
      const place = chosen.indexOf(name), side = a < 0 ? "end" : "start";
      const mark = place < 0 ? tag("circle", { cx: x(a), cy: y(b), r: 4, class: "soft" }) : arrow(180, 200, x(a), y(b), place ? "two" : "one");
      const named = words(x(a) + (a < 0 ? -8 : 8), y(b) - 4, name, { "text-anchor": side, class: place < 0 ? "soft" : "strong" });
      return mark + named + words(x(a) + (a < 0 ? -8 : 8), y(b) + 12, `(${show(a)}, ${show(b)})`, { "text-anchor": side, class: "soft" });
    });
    return [222, axes + arrows.join("")];
  },
  say(state, { product, lengths, cosine }) {
    const [a, b] = this.chosen(state), [left, right] = [a, b].map((name) => this.words[name].map((number) => show(number)));
    return `“${a}” and “${b}”: ${left[0]} × ${right[0]} + ${left[1]} × ${right[1]} = ${show(product)}, `
      + `divided by the lengths ${show(lengths[0])} × ${show(lengths[1])}: alike by ${show(cosine)}.`;
  },
};

PICTURES.positions = {
  degrees: [30, 5],
  controls: [
    { name: "query", label: "Place of the query", min: 0, max: 11, value: 3 },
    { name: "key", label: "Place of the key", min: 0, max: 11, value: 1 },
    { name: "both", label: "Both moved on by", min: 0, max: 12, value: 0 },
  ],
  play: "both",
  compute(state) {
    const places = [state.query + state.both, state.key + state.both];
    const angles = this.degrees.map((degrees) => places.map((place) => place * degrees));
    return { places, angles, products: angles.map(([a, b]) => Math.cos(((a - b) * Math.PI) / 180)) };
  },
  draw(state, { angles, products }) {
    const clock = (middleX, name, [query, key], product) => {
      const end = (degrees, length) => [middleX + length * Math.cos((degrees * Math.PI) / 180), 112 - length * Math.sin((degrees * Math.PI) / 180)];
      return words(middleX, 20, name, { ...middle, class: "strong" }) + tag("circle", { cx: middleX, cy: 112, r: 72, class: "track" })
        + arrow(middleX, 112, ...end(key, 70), "two") + arrow(middleX, 112, ...end(query, 70), "one")
        + words(middleX, 204, `query ${show(query % 360)}°, key ${show(key % 360)}°`, middle)
        + words(middleX, 222, `product ${show(product)}`, { ...middle, class: "strong" });
    };
    return [230, clock(90, `${this.degrees[0]}° a place`, angles[0], products[0]) + clock(270, `${this.degrees[1]}° a place`, angles[1], products[1])];
  },
  say(state, { places, products }) {
    return `Places ${places[0]} and ${places[1]}: ${show(Math.abs(state.query - state.key))} apart. The score is `
      + `${products.map((product) => show(product)).join(" + ")} = ${show(sum(products))}, wherever the two stand.`;
  },
};

PICTURES.qkv = {
  names: ["the", "cat", "sat"],
  lists: [[1, 0], [0, 1], [1, -1]],
  tables: { query: [[0, -1], [1, 0]], key: [[0, 2], [1, 0]], value: [[1, 0], [0, 3]] },
  controls: [
    { name: "step", label: "Step", min: 1, max: 6, value: 6 },
    { name: "asks", label: "Word that asks", options: ["the", "cat", "sat"], value: 2 },
  ],
  play: "step",
  compute(state) {
    const made = Object.fromEntries(Object.entries(this.tables).map(([name, table]) =>
      [name, this.lists.map((list) => table.map((row) => dot(row, list)))]));
    const seen = range(state.asks + 1);
    const scores = seen.map((place) => dot(made.query[state.asks], made.key[place]) / Math.SQRT2);
    const shares = softmax(scores);
    return { ...made, scores, shares, found: range(2).map((part) => sum(seen.map((place) => shares[place] * made.value[place][part]))) };
  },
  draw(state, made) {
    const rows = [["list", this.lists], ["query", made.query], ["key", made.key], ["value", made.value]];
    const column = (place) => 66 + place * 98, parts = [];
    this.names.forEach((name, place) => parts.push(words(column(place) + 43, 18, name, { ...middle, class: place === state.asks ? "strong" : "soft" })));
    rows.slice(0, state.step < 2 ? 1 : 4).forEach(([name, lists], row) => {
      const y = 28 + row * 34, used = row === 0 || (row === 1 ? (place) => place === state.asks : (place) => place <= state.asks);
      parts.push(words(4, y + 18, name));
      lists.forEach((list, place) => parts.push(tag("g", { opacity: used === true || used(place) ? 1 : 0.5 }, cells(column(place), y, 44, list, 3))));
    });
    const under = (y, name, values, from, drawn) => {
      if (state.step < from) return;
      parts.push(words(4, y + 18, name));
      values.forEach((value, place) => parts.push(drawn(column(place), y, value)));
    };
    under(172, "score", made.scores, 3, (x, y, value) => cell(x, y, 86, value));
    under(206, "share", made.shares, 4, (x, y, value) => bar(x, y + 5, 40, value) + words(x + 46, y + 18, show(value)));
    if (state.step >= 5) parts.push(words(4, 258, "found"), cells(column(state.asks), 240, 44, made.found, 3));
    if (state.step >= 6) parts.push(words(4, 288, `“${this.names[state.asks]}” takes this list along into the next step.`, { class: "soft" }));
    return [300, parts.join("")];
  },
  say(state, made) {
    const asks = this.names[state.asks], best = this.names[made.shares.indexOf(Math.max(...made.shares))];
    return [
      "1. Each word comes with a list of numbers.",
      "2. Three tables turn each list into a query, a key and a value.",
      `3. The query of “${asks}” times each key so far, divided by √2 = 1.41: the scores.`,
      "4. Softmax turns scores into shares that add up to 1.",
      `5. The values, each as strongly as its share, are added: (${made.found.map((number) => show(number)).join(", ")}).`,
      `6. “${asks}” has taken most from “${best}”, whose share is ${show(Math.max(...made.shares))}.`,
    ][state.step - 1];
  },
};

PICTURES.score = {
  names: ["the", "cat", "sat"],
  keys: [[1, 0, 0, 0], [0, 2, 0, 1], [0, 0, 2, 1]],
  controls: range(4).map((place) => ({ name: `q${place + 1}`, label: `Query, number ${place + 1}`, min: -2, max: 2, value: [0, 2, 1, 0][place] })),
  play: "q2",
  compute(state) {
    const query = [state.q1, state.q2, state.q3, state.q4];
    const products = this.keys.map((key) => dot(query, key)), scores = products.map((product) => product / 2);
    return { query, products, scores, shares: softmax(scores) };
  },
  draw(state, { query, scores, shares }) {
    const head = words(4, 16, "the query of “sat”", { class: "strong" }) + cells(46, 24, 40, query)
      + words(4, 76, "the keys", { class: "strong" }) + words(214, 76, "score", { class: "soft" }) + words(262, 76, "share", { class: "soft" });
    const rows = this.names.map((name, place) => {
      const y = 86 + place * 36;
      return words(4, y + 18, name) + cells(46, y, 40, this.keys[place]) + words(232, y + 18, show(scores[place]), middle)
        + bar(262, y + 5, 58, shares[place]) + words(326, y + 18, show(shares[place]));
    });
    return [196, head + rows.join("")];
  },
  say(state, { query, products, scores, shares }) {
    const best = shares.indexOf(Math.max(...shares)), key = this.keys[best];
    const terms = query.map((number, place) => `${show(number)} × ${show(key[place])}`).join(" + ");
    return `“${this.names[best]}”: ${terms} = ${show(products[best])}, divided by √4 = 2: the score ${show(scores[best])}, a share of ${show(shares[best])}.`;
  },
};
