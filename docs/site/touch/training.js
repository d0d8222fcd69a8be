"use strict";
// From a text to an update of the weights: labels, context and batches, loss and gradient, pretrained weights.

// A word in a frame.
const token = (x, y, width, text, name = "plain", attributes = {}) =>
  box(x, y, width, 26, { class: name, ...attributes }) + words(x + width / 2, y + 18, text, { ...middle, ...(attributes.words ?? {}) });

PICTURES.labels = {
  sentence: ["the", "cat", "sat", "on", "the", "mat"],
  controls: [{ name: "read", label: "Words that are read", min: 1, max: 5, value: 2 }],
  play: "read",
  compute(state) {
    return { input: this.sentence.slice(0, state.read), label: this.sentence[state.read], pairs: this.sentence.length - 1 };
  },
  draw(state, { label }) {
    const x = (place) => 6 + place * 58, parts = [words(6, 16, "the sentence", { class: "strong" })];
    this.sentence.forEach((word, place) => {
      const read = place < state.read, asked = place === state.read;
      parts.push(token(x(place), 26, 54, read || asked ? word : "· · ·", asked ? "two" : read ? "one" : "plain", { "fill-opacity": 0.25 }));
    });
    parts.push(words(6, 78, "input", { class: "strong" }), words(6, 180, "labels: the same words, one place further", { class: "strong" }));
    range(this.sentence.length - 1).forEach((place) => {
      const now = place === state.read - 1, seen = place < state.read;
      parts.push(token(x(place), 88, 54, this.sentence[place], seen ? "one" : "plain", { "fill-opacity": seen ? 0.25 : 0 }));
      parts.push(token(x(place), 136, 54, this.sentence[place + 1], now ? "two" : "plain", { "fill-opacity": now ? 0.25 : 0 }));
      if (now) parts.push(arrow(x(place) + 27, 115, x(place) + 27, 134, "two"));
    });
    return [190, parts.join("")];
  },
  say(state, { input, label }) {
    return `Question ${state.read} of 5: after “${input.join(" ")}”, what comes next? The sentence itself answers: “${label}”.`;
  },
};

PICTURES.batches = {
  text: ["to", "be", "or", "not", "to", "be", "that", "is", "the", "question", "whether", "tis", "nobler"],
  controls: [
    { name: "context", label: "Context: words in a row", min: 3, max: 6, value: 4 },
    { name: "size", label: "Batch: rows at once", min: 1, max: 3, value: 1 },
    { name: "step", label: "Step", min: 1, max: 12, value: 1 },
  ],
  play: "step",
  compute({ context, size: wanted, step }) {
    const rows = Math.floor((this.text.length - 1) / context), size = Math.min(wanted, rows), steps = Math.floor(rows / size), at = (step - 1) % steps;
    return { rows, size, steps, at, epoch: Math.floor((step - 1) / steps) + 1, batch: range(size).map((row) => at * size + row), labels: size * context };
  },
  draw({ context }, { rows, batch }) {
    const parts = [];
    for (const row of range(rows)) {
      const y = 6 + row * 34, now = batch.includes(row), width = Math.min(62, 348 / (context + 1));
      range(context + 1).forEach((place) => {
        const label = place === context, x = 4 + place * width;
        const shade = { "fill-opacity": now ? 0.25 : 0, words: { class: now ? "" : "soft", style: context > 5 ? "font-size: 12px" : "" } };
        parts.push(token(x, y, width - 3, this.text[row * context + place], now ? (label ? "two" : "one") : "plain", shade));
      });
    }
    parts.push(words(4, 156, "Orange: a row's last label, the next row's first word.", { class: "soft" }));
    return [164, parts.join("")];
  },
  say({ context, step }, { rows, size, steps, epoch, labels }) {
    return `Step ${step}, epoch ${epoch}: ${size} × ${context} = ${labels} predictions, from 1 to ${context} words long. `
      + `12 / ${context} gives ${rows} rows; ${steps} ${steps === 1 ? "step is" : "steps are"} one epoch.`;
  },
};

PICTURES.training = {
  // Of four times that a word followed: how often it was "morning". In the text to learn, and in the text held out.
  share: 0.75,
  held: 0.6,
  controls: [
    { name: "rate", label: "Learning rate", min: 0.5, max: 16, step: 0.5, value: 2 },
    { name: "step", label: "Step", min: 0, max: 12, value: 1 },
  ],
  play: "step",
  probability: (weight) => 1 / (1 + Math.exp(-weight)),
  loss(weight, share) {
    const p = this.probability(weight);
    return -share * Math.log(p) - (1 - share) * Math.log(1 - p);
  },
  compute({ rate, step }) {
    const path = [0];
    for (const _ of range(step)) path.push(path.at(-1) - rate * (this.probability(path.at(-1)) - this.share));
    const weight = path.at(-1), p = this.probability(weight);
    return { path, weight, p, gradient: p - this.share, loss: this.loss(weight, this.share), held: this.loss(weight, this.held) };
  },
  draw(state, { path: walked, loss, held, weight }) {
    const x = (w) => 186 + 52 * w, y = (nats) => 250 - 170 * (nats - 0.4), at = (w) => Math.max(-2.8, Math.min(2.8, w));
    const curve = (share, name) => path(range(57).map((place) => (place - 28) / 10).map((w) => [x(w), y(this.loss(w, share))]).filter(([, high]) => high > 24), { class: `${name} stroke` });
    const axes = line(30, 232, 350, 232) + words(350, 248, "weight →", { "text-anchor": "end", class: "soft" }) + words(30, 16, "loss ↑", { class: "soft" })
      + [-2, -1, 0, 1, 2].map((w) => line(x(w), 232, x(w), 236) + words(x(w), 248, show(w), { ...middle, class: "soft" })).slice(0, 4).join("");
    const track = walked.slice(0, -1).map((w) => tag("circle", { cx: x(at(w)), cy: y(this.loss(at(w), this.share)), r: 3.5, class: "one", "fill-opacity": 0.4 })).join("");
    const now = tag("circle", { cx: x(at(weight)), cy: Math.max(y(loss), 24), r: 7, class: "one" }) + tag("circle", { cx: x(at(weight)), cy: Math.max(y(held), 24), r: 5, class: "two" });
    const named = words(120, 34, "text to learn from", { class: "one" }) + words(120, 52, "text held out", { class: "two" });
    return [254, axes + curve(this.share, "one") + curve(this.held, "two") + track + now + named];
  },
  say(state, { weight, p, gradient, loss, held }) {
    return `Step ${state.step}: weight ${show(weight)}, “morning” gets ${show(p)}; gradient ${show(p)} − 0.75 = ${show(gradient)}. `
      + `Loss ${show(loss)}, on the text held out ${show(held)}.`;
  },
};

PICTURES.pretrained = {
  controls: [{ name: "at", label: "Steps on the new text", min: 0, max: RECORDED.pretrained.steps.length - 1, value: 0, names: RECORDED.pretrained.steps }],
  play: "at",
  compute({ at }) {
    const { random, pretrained, steps } = RECORDED.pretrained;
    return { step: steps[at], random: random[at], pretrained: pretrained[at] };
  },
  draw({ at }, { random, pretrained }) {
    const { steps, chance } = RECORDED.pretrained, x = (step) => 44 + (300 * step) / steps.at(-1), y = (loss) => 20 + 140 * (chance + 0.1 - loss) / (chance + 0.1 - 1.8);
    const ticks = [2, 3, 4].map((loss) => line(40, y(loss), 348, y(loss), { "stroke-opacity": 0.3 }) + words(34, y(loss) + 5, loss, { "text-anchor": "end", class: "soft" })).join("");
    const curve = (name, colour) => path(RECORDED.pretrained[name].map(({ loss }, place) => [x(steps[place]), y(loss)]), { class: `${colour} stroke` })
      + tag("circle", { cx: x(steps[at]), cy: y(RECORDED.pretrained[name][at].loss), r: 6, class: colour });
    const writes = (top, title, text, colour) => words(4, top, title, { class: `${colour} strong` }) + words(4, top + 19, `“${text}”`);
    return [272, words(4, 14, "loss on text held out", { class: "soft" }) + words(348, 178, "steps →", { "text-anchor": "end", class: "soft" }) + ticks
      + curve("random", "two") + curve("pretrained", "one")
      + writes(202, "from random weights, it writes", random.text, "two") + writes(244, "from pretrained weights, it writes", pretrained.text, "one")];
  },
  say(state, { step, random, pretrained }) {
    return `After ${step} steps: loss ${show(random.loss)} a letter from random weights, ${show(pretrained.loss)} from pretrained ones.`;
  },
};
