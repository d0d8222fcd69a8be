"use strict";
// A whole model: its layers, what is made of it, and what emerges in training.

PICTURES.layers = {
  controls: [
    { name: "stage", label: "Follow the list of a word", min: 0, max: 7, value: 3 },
    { name: "heads", label: "Heads of a block", options: ["1", "2", "4"], value: 1 },
    { name: "blocks", label: "Blocks", min: 1, max: 6, value: 3 },
  ],
  play: "stage",
  vocabulary: 100,
  width: 8,
  inner: 16,
  stages: [
    "The token's row of the table, 8 numbers, enters the first block.",
    "A copy is brought to one size (norm); the stream itself stays.",
    "HEADS of PART numbers each look back, each with an attention of its own.",
    "What the heads found is put side by side: 8 numbers again.",
    "One more table mixes them, and the result is added to the stream.",
    "The feed-forward network: 8 numbers to 16, to 8, added to the stream.",
    "The next block does the same with tables of its own: BLOCKS in all.",
    "The last list times the table of all tokens: 100 scores, one a token.",
  ],
  compute({ heads, blocks }) {
    const block = 4 * this.width ** 2 + 3 * this.width * this.inner + 2 * this.width, embedding = this.vocabulary * this.width;
    return { heads: [1, 2, 4][heads], part: this.width / [1, 2, 4][heads], block, embedding, all: embedding + blocks * block + this.width };
  },
  draw({ stage, blocks }, { heads, part }) {
    const parts = [], high = Math.min(34, 204 / blocks), top = 34, bottom = top + high * blocks;
    const floor = (y, height, text, now) => parts.push(box(8, y, 112, height, { class: now ? "one" : "plain", "fill-opacity": now ? 0.2 : 1 }) + words(64, y + height / 2 + 5, text, middle));
    floor(4, 26, "output", stage === 7);
    range(blocks).forEach((block) => floor(top + (blocks - 1 - block) * high, high - 4, `block ${block + 1}`, (stage > 0 && stage < 6 && block === 0) || (stage === 6 && block > 0)));
    floor(bottom, 26, "embedding", stage === 0);
    const inside = (y, now, text) => { parts.push(words(146, y, text, { class: now ? "strong" : "soft" })); };
    const shades = [0.15, 0.5, 0.3, 0.65], squares = (y, colour) => range(8).forEach((place) => parts.push(box(146 + place * 25, y, 23, 16, colour(Math.floor(place / part)))));
    inside(16, stage === 5, "5. feed-forward, added");
    parts.push(box(146, 22, 198, 18, { class: stage === 5 ? "one" : "plain", "fill-opacity": 0.2 }));
    inside(62, stage === 4, "4. mixed by a table, added");
    squares(68, () => ({ class: stage === 4 ? "one" : "plain", "fill-opacity": 0.2 }));
    inside(106, stage === 3, "3. put side by side");
    squares(112, (head) => ({ class: "one", "fill-opacity": stage >= 3 ? shades[head] : 0.05 }));
    inside(150, stage === 2, `2. ${heads} head${heads > 1 ? "s" : ""} of ${part} numbers`);
    range(heads).forEach((head) => parts.push(box(146 + head * part * 25, 156, part * 25 - 6, 26, { class: "one", "fill-opacity": stage >= 2 ? shades[head] : 0.05 })
      + words(146 + head * part * 25 + (part * 25 - 6) / 2, 174, heads > 2 ? head + 1 : `head ${head + 1}`, middle)));
    inside(208, stage === 1, "1. norm");
    squares(214, () => ({ class: stage === 1 ? "one" : "plain", "fill-opacity": 0.2 }));
    parts.push(words(146, 256, "↑ the stream, 8 numbers", { class: stage === 0 ? "strong" : "soft" }));
    return [Math.max(270, bottom + 34), parts.join("")];
  },
  say({ stage, blocks }, { heads, part, all }) {
    const seen = this.stages[stage].replace("HEADS", heads === 1 ? "1 head" : `${heads} heads`).replace("PART", part).replace("BLOCKS", blocks);
    return `${seen} This model has ${all.toLocaleString("en")} parameters.`;
  },
};

PICTURES.uses = {
  hidden: [2, 1],
  rows: { spam: [1, 0], ham: [0, 1] },
  chat: ["user:", "two", "and", "two?", "assistant:", "four", "<end>"],
  answer: 5,
  controls: [
    { name: "use", label: "Made into", min: 0, max: 2, value: 1, names: ["base model", "classifier", "chatbot"] },
    { name: "first", label: "Its list, number 1", min: -2, max: 3, step: 0.5, value: 2 },
    { name: "second", label: "Its list, number 2", min: -2, max: 3, step: 0.5, value: 1 },
  ],
  play: "use",
  compute({ first, second }) {
    const hidden = [first, second], scores = Object.values(this.rows).map((row) => dot(row, hidden));
    return { hidden, scores, shares: softmax(scores), learned: this.chat.length - this.answer, all: this.chat.length - 1 };
  },
  draw({ use }, { hidden, scores, shares }) {
    const parts = [box(8, 88, 344, 34, { class: "one", "fill-opacity": 0.15 }), words(180, 110, "the same pretrained blocks", { ...middle, class: "strong" })];
    const row = (list, colour) => list.reduce((x, word) => {
      const wide = 14 + word.length * 7;
      parts.push(token(x, 134, wide, word, ...colour(word)));
      return x + wide + 4;
    }, 8);
    if (use === 1) {
      row(["you", "won", "a", "free", "prize"], (word) => [word === "prize" ? "two" : "plain", { "fill-opacity": 0.2 }]);
      parts.push(words(8, 186, "The last token has read the whole text; its list is", { class: "soft" }), words(8, 204, "all that the new head, one row a label, is given.", { class: "soft" }));
      parts.push(words(8, 34, "list"), cells(40, 16, 42, hidden, 3, 1));
      ["spam", "ham"].forEach((label, place) => parts.push(words(138, 28 + place * 32, label) + words(182, 28 + place * 32, `score ${show(scores[place])}`) + bar(246, 15 + place * 32, 66, shares[place]) + words(318, 28 + place * 32, show(shares[place]))));
    } else if (use === 2) {
      const list = this.chat;
      let x = 8;
      list.forEach((word, place) => {
        const wide = 12 + word.length * 6.4;
        parts.push(token(x, 134, wide, word, place >= this.answer ? "good" : "plain", { "fill-opacity": 0.2, words: { style: "font-size: 12px" } }));
        x += wide + 3;
      });
      parts.push(words(8, 186, "Training counts the loss of the answer only (green).", { class: "soft" }), words(8, 204, "The question is read, not learned by heart.", { class: "soft" }));
      parts.push(words(8, 34, "the next-token head, as before"), words(8, 58, "after “assistant:”  →  four  →  <end>", { class: "good strong" }));
    } else {
      row(["once", "upon", "a", "time"], () => ["plain", { "fill-opacity": 0.2 }]);
      parts.push(words(8, 186, "Each token is a label, in any text.", { class: "soft" }), words(8, 204, "It continues; it does not answer.", { class: "soft" }));
      parts.push(words(8, 34, "the next-token head: a score for each token"), words(8, 58, "after “once upon a time”  →  there  →  was", { class: "strong" }));
    }
    return [214, parts.join("")];
  },
  say({ use }, { scores, shares, learned, all }) {
    return [
      "The base model: predicts the next token of any text.",
      `The classifier: scores ${show(scores[0])} and ${show(scores[1])}, so ${show(shares[0])} spam and ${show(shares[1])} ham.`,
      `The chatbot: ${learned} of ${all} predictions count in the loss, those of the answer and its end.`,
    ][use];
  },
};

PICTURES.emergence = {
  controls: [{ name: "at", label: "Steps of training", min: 0, max: RECORDED.emergence.steps.length - 1, value: RECORDED.emergence.steps.length - 1, names: RECORDED.emergence.steps.map(({ step }) => step) }],
  play: "at",
  compute: ({ at }) => RECORDED.emergence.steps[at],
  draw({ at }, { map }) {
    const { ids, steps } = RECORDED.emergence, size = 13, half = ids.length / 2, low = 42 + size * ids.length, parts = [words(4, 16, "who looks at whom", { class: "strong" })];
    ids.forEach((id, place) => {
      const letter = "abcdefgh"[place % half];
      parts.push(words(18 + (place + 0.5) * size, 36, letter, { ...middle, class: "soft" }), words(8, 52 + place * size, letter, { ...middle, class: "soft" }));
    });
    map.forEach((row, asks) => row.slice(0, asks + 1).forEach((share, seen) => {
      const after = asks >= half && seen === asks - half + 1;
      parts.push(box(18 + seen * size, 42 + asks * size, size - 2, size - 2, { rx: 1, class: after ? "two" : "one", "fill-opacity": Math.max(share, 0.05).toFixed(2), "stroke-opacity": after ? 1 : 0.25 }));
    }));
    const x = (step) => 262 + (92 * step) / steps.at(-1).step, y = (loss) => low - (170 * loss) / 4;
    parts.push(words(240, 16, "loss by step", { class: "strong" }));
    [0, 1, 2, 3].forEach((loss) => parts.push(line(258, y(loss), 356, y(loss), { "stroke-opacity": 0.3 }), words(252, y(loss) + 5, loss, { "text-anchor": "end", class: "soft" })));
    for (const [name, colour] of [["first", "one"], ["second", "two"]]) {
      parts.push(path(steps.map((each) => [x(each.step), y(each[name])]), { class: `${colour} stroke` }), tag("circle", { cx: x(steps[at].step), cy: y(steps[at][name]), r: 5, class: colour }));
    }
    parts.push(words(262, 68, "first time", { class: "one" }), words(262, low - 52, "second time", { class: "two" }));
    parts.push(words(4, low + 22, "Orange frames: what followed the letter the first time.", { class: "soft" }));
    return [low + 32, parts.join("")];
  },
  say(state, { step, first, second, score }) {
    return `Step ${step}: the head gives ${show(100 * score, 0)} % of its attention to what came next the last time. Loss ${show(first)} the first time, ${show(second)} the second.`;
  },
};
