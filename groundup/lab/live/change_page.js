// The part of the page that changes the model: the controls, the prediction before and after, and
// what each activation of another text restores.
"use strict";

const COMPARED_TOKENS = 6; // most probable ones before, and after
const SHOWN_BARS = 9;
const GRID_TOKENS = 16; // last places of the grid
const WEIGHED_TOKENS = 12; // last keys whose weights are shown
const CONTINUED_TOKENS = 24;

class ChangePage {
  /** @param {LivePage} live */
  constructor(live) {
    this.live = live;
    this.root = byId("changes");
    this.changed = new ChangedModel(live.model);
    this.written = new ContributionCard(live);
    this.scratch = new LiveModel(live.config, live.model.weights); // for runs of other texts
    /** Parts left out, by their button's name. @type {Map<string, Change>} */
    this.removed = new Map();
    /** One of each, or null. @type {{patch: Change|null, direction: Change|null, weight: Change|null}} */
    this.single = { patch: null, direction: null, weight: null };
    this.task = 0;
    this.listen();
  }

  listen() {
    byId("switches").addEventListener("click", (event) => event.target.closest(".switch") && this.toggle(event.target.closest(".switch")));
    byId("other-text").addEventListener("input", () => this.readOther());
    byId("patch-grid").addEventListener("click", (event) => event.target.closest("button") && this.choosePatch(event.target.closest("button")));
    byId("patch-grid").addEventListener("keydown", (event) => this.moveInGrid(event));
    for (const id of ["steer-word", "steer-layer", "steer-strength"]) byId(id).addEventListener("input", () => this.steer());
    for (const id of ["weight-layer", "weight-head"]) byId(id).addEventListener("input", () => this.chooseHead());
    byId("weight-rows").addEventListener("input", (event) => this.setWeight(event.target));
    byId("change-list").addEventListener("click", (event) => event.target.dataset.undo && this.undo(event.target.dataset.undo));
    byId("change-write").addEventListener("click", () => this.writeOn());
    const observer = new IntersectionObserver((entries) => {
      this.near = entries.at(-1).isIntersecting;
      if (this.near && this.stale) this.read();
    }, { rootMargin: "400px" });
    observer.observe(this.root);
  }

  /** The text or the place has changed: drawn again soon, where it can be seen. */
  update() {
    this.stale = true;
    this.task++;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.near && this.read(), WAIT_MS);
  }

  /** The text as it is now: changes at places of it are undone. */
  read() {
    const { live } = this, ids = live.ids.slice(0, live.place), ready = ids.length > 0 && ids.length <= live.config.context_tokens && live.cached >= ids.length;
    this.stale = false;
    byId("change-columns").hidden = !ready;
    byId("changes-empty").hidden = ready;
    byId("changes-empty").textContent = live.ids.length ? "Nothing stands before the first token: choose another one." : "Type a text above.";
    if (!ready) return;
    const { layer, head } = live.explanation;
    if (!this.ids && layer >= 0) [byId("weight-layer").value, byId("weight-head").value] = [layer, head];
    if (String(ids) !== String(this.ids)) this.single.patch = this.single.weight = null;
    this.ids = ids;
    this.before = softmax(live.logitsAt(ids.length));
    this.written.show(ids, this.before);
    const other = byId("other-text"), text = live.textOf(ids);
    if (other.value === (this.text ?? "")) other.value = text; // not edited yet
    this.text = text;
    byId("change-question").replaceChildren("After ", word(live.tokenizer.show(ids.at(-1))), " comes");
    byId("change-written").replaceChildren();
    this.steer(false);
    this.readOther(false);
    this.run();
  }

  /** All changes, in the order in which they are listed. @returns {Change[]} */
  changes() {
    return [...this.removed.values(), ...Object.values(this.single).filter((each) => each !== null)];
  }

  /** Computes the prediction with the changes, between frames, and shows it. */
  async run() {
    if (!this.ids) return;
    const task = ++this.task;
    this.changed.setChanges(this.changes());
    let logits, paused = performance.now();
    for (let left = this.changed.begin(this.ids); left > 0; left--) {
      logits = this.changed.runOne();
      if (performance.now() - paused < PAUSE_MS) continue;
      await frame();
      if (task !== this.task) return;
      paused = performance.now();
    }
    this.after = softmax(logits);
    this.showChanges();
    this.showBars();
    this.showWeights();
    if (this.traced !== this.otherIds) this.trace(task);
  }

  toggle(button) {
    const { kind, layer, head } = button.dataset, key = [kind, layer, head ?? ""].join(" ");
    if (!this.removed.delete(key)) this.removed.set(key, { kind, layer: Number(layer), ...(head ? { head: Number(head) } : {}), key });
    button.setAttribute("aria-pressed", String(this.removed.has(key)));
    this.run();
  }

  // What the changes are, and what they do.

  showChanges() {
    const all = this.changes();
    const chips = all.map((change) => {
      const button = element("button", { type: "button", className: "chip", textContent: `${this.nameOf(change)} ×` });
      button.dataset.undo = change.key ?? change.kind;
      button.setAttribute("aria-label", `undo: ${this.nameOf(change)}`);
      return button;
    });
    if (all.length > 1) {
      const every = element("button", { type: "button", className: "chip all", textContent: "Undo all" });
      every.dataset.undo = "all";
      chips.push(every);
    }
    const focused = byId("change-list").contains(document.activeElement);
    byId("change-list").replaceChildren(...chips);
    if (focused) (chips[0] ?? byId("change-write")).focus({ preventScroll: true });
    const bits = divergenceBits(this.after, this.before);
    byId("change-said").textContent = all.length ? `The prediction has moved by ${bits < 0.005 ? "less than 0.01" : bits.toFixed(2)} bits.` : "Nothing is changed yet.";
  }

  /** @param {Change} change */
  nameOf(change) {
    const block = `block ${change.layer + 1}`, { tokenizer } = this.live;
    if (change.kind === "head") return `without head ${change.head + 1} of ${block}`;
    if (change.kind === "block") return `without ${block}`;
    if (change.kind === "rotation") return `${block} without rotation`;
    if (change.kind === "patch") return `“${change.text}” after layer ${change.layer}`;
    if (change.kind === "direction") return `${change.strength > 0 ? "+" : MINUS}${Math.abs(change.strength)} “${change.word}”`;
    return `${Math.round(100 * change.weight)} % for “${tokenizer.show(this.ids[change.key])}” in ${block}, head ${change.head + 1}`;
  }

  undo(key) {
    const wanted = (one) => key === "all" || key === one;
    for (const button of byId("switches").querySelectorAll(".switch")) {
      const { kind, layer, head } = button.dataset, own = [kind, layer, head ?? ""].join(" ");
      if (wanted(own) && this.removed.delete(own)) button.setAttribute("aria-pressed", "false");
    }
    if (wanted("direction")) [byId("steer-strength").value, byId("steer-said").textContent] = ["0", "0"];
    for (const kind of Object.keys(this.single)) if (wanted(kind)) this.single[kind] = null;
    this.pressGrid();
    this.run();
  }

  showBars() {
    const { before, after } = this, { tokenizer } = this.live;
    const best = (shares) => mostProbable(shares).slice(0, COMPARED_TOKENS);
    const ids = [...new Set([...best(before), ...best(after)])].sort((one, other) => Math.max(before[other], after[other]) - Math.max(before[one], after[one]));
    const most = Math.max(before[ids[0]], after[ids[0]]);
    byId("change-bars").replaceChildren(...ids.slice(0, SHOWN_BARS).map((id) => {
      const said = element("span", { className: "from-to" }, `${percent(before[id])} → `, element("b", { textContent: percent(after[id]) }));
      const bars = element("span", { className: "two-bars", ariaHidden: "true" }, shareBar(before[id] / most, "was"), shareBar(after[id] / most, "is"));
      return element("div", { className: "compared" }, word(tokenizer.show(id)), bars, said);
    }));
  }

  /** The most probable continuation of the text as it stands, without and with the changes. */
  async writeOn() {
    const { live } = this, task = ++this.task, plain = (this.plain ??= new ChangedModel(live.model));
    const lines = ["without", "with"].map((name) => element("p", {}, element("b", { textContent: `${name}: ` }), element("bdi", { className: "word" })));
    byId("change-written").replaceChildren(...lines);
    for (const [index, model] of [plain, this.changed].entries()) {
      const written = [];
      while (written.length < CONTINUED_TOKENS && this.ids.length + written.length < live.config.context_tokens) {
        const id = argmax(model.logits([...this.ids, ...written]));
        if (live.tokenizer.table.stop_ids.includes(id)) break;
        written.push(id);
        await frame();
        if (task !== this.task) return;
        lines[index].lastChild.textContent = live.tokenizer.decode(written);
      }
      if (!written.length) lines[index].lastChild.textContent = "(the model ends the text here)";
    }
  }

  // Another text's activations.

  readOther(run = true) {
    const { live } = this, text = byId("other-text").value, ids = text.trim() ? live.encodeOther(text, this.ids ?? []).slice(0, live.config.context_tokens - 1) : [];
    this.traced = null;
    this.single.patch = null;
    this.otherIds = ids.length && String(ids) !== String(this.ids) ? ids : null;
    byId("patch-grid").replaceChildren();
    byId("patch-said").textContent = ids.length && !this.otherIds ? "Both texts are the same: change a word in it." : "";
    if (run) this.run();
  }

  /** The grid of layers and tokens; what each square restores is computed between frames. @param {number} task */
  async trace(task) {
    const { otherIds, ids } = this;
    this.traced = otherIds;
    if (!otherIds) return;
    const layers = this.live.config.num_layers + 1, count = Math.min(ids.length, otherIds.length, GRID_TOKENS);
    let paused = performance.now();
    const pause = async () => {
      if (performance.now() - paused < PAUSE_MS) return;
      await frame();
      paused = performance.now();
    };
    const streams = [];
    for (const [place, id] of otherIds.entries()) {
      await pause();
      if (this.traced !== otherIds || this.ids !== ids) return;
      streams.push(streamOf(this.scratch, id, place));
    }
    this.streams = streams;
    const other = softmax(this.scratch.unembed([this.scratch.finish(this.streams.at(-1).at(-1))])[0]);
    const pair = { answer: tellingToken(other, this.before), wrong: tellingToken(this.before, other) };
    const least = this.differenceOf(this.before, pair), most = this.differenceOf(other, pair);
    this.grid = { count, cells: Array.from({ length: layers }, (_, layer) => this.gridRow(layer, count)) };
    this.drawGrid(pair);
    const model = (this.tracer ??= new ChangedModel(this.live.model)), same = ids.length === otherIds.length ? commonLength(ids, otherIds) - ids.length + count : 0;
    for (let at = count - 1; at >= Math.max(0, same); at--) { // what is the same in both restores nothing
      for (let layer = layers - 1; layer >= 0; layer--) {
        model.setChanges([this.patchAt(layer, at)]);
        const restored = (this.differenceOf(softmax(model.logits(ids)), pair) - least) / (most - least);
        this.shade(this.grid.cells[layer][at], restored);
        await pause();
        if (this.traced !== otherIds || this.ids !== ids) return;
      }
    }
  }

  /** ln of the two probabilities' ratio: the difference of their logits. */
  differenceOf(shares, { answer, wrong }) {
    return Math.log(Math.max(shares[answer], 1e-300) / Math.max(shares[wrong], 1e-300));
  }

  /** @param {number} layer @param {number} at from the first place of the grid @returns {Change} */
  patchAt(layer, at) {
    const back = this.grid.count - at, from = this.otherIds.length - back;
    return { kind: "patch", layer, place: this.ids.length - back, values: this.streams[from][layer], text: this.live.tokenizer.show(this.otherIds[from]) };
  }

  gridRow(layer, count) {
    return Array.from({ length: count }, (_, at) => {
      const cell = element("button", { type: "button" });
      Object.assign(cell.dataset, { layer: String(layer), at: String(at) });
      cell.setAttribute("aria-pressed", "false");
      cell.tabIndex = layer === 0 && at === 0 ? 0 : -1;
      this.shade(cell, 0);
      return cell;
    });
  }

  /** @param {HTMLElement} cell @param {number} restored */
  shade(cell, restored) {
    const { layer, at } = cell.dataset, share = Math.max(0, Math.min(1, restored));
    cell.style.setProperty("--share", share.toFixed(3));
    cell.title = `${Math.round(100 * restored)} % restored`;
    cell.setAttribute("aria-label", `layer ${layer}, ${this.live.tokenizer.show(this.ids[this.ids.length - this.grid?.count + Number(at)] ?? this.ids[0])}: ${cell.title}`);
  }

  /** Layers upwards, a column for each of the last tokens. */
  drawGrid({ answer, wrong }) {
    const { tokenizer } = this.live, { count, cells } = this.grid;
    const names = Array.from({ length: count }, (_, at) => {
      const [own, other] = [this.ids, this.otherIds].map((ids) => tokenizer.show(ids[ids.length - count + at]));
      const name = element("span", { className: "column-name" }, word(own));
      if (own !== other) name.append(element("small", {}, word(other)));
      return name;
    });
    const rows = cells.map((row, layer) => [element("span", { className: "row-name", textContent: String(layer) }), ...row]).reverse();
    const grid = element("div", { className: "grid" }, ...rows.flat(), element("span", {}), ...names);
    grid.style.setProperty("--columns", String(count));
    grid.setAttribute("role", "group");
    grid.setAttribute("aria-label", "What a vector of the other text restores, by layer and token");
    byId("patch-grid").replaceChildren(grid);
    byId("patch-grid").scrollLeft = grid.scrollWidth; // the last tokens matter most
    byId("patch-said").replaceChildren("Filled: with that vector the model prefers ", word(tokenizer.show(answer)), ", as after the other text, to ", word(tokenizer.show(wrong)), ". Rows: after how many blocks.");
  }

  choosePatch(button) {
    const pressed = button.getAttribute("aria-pressed") === "true";
    this.single.patch = pressed ? null : this.patchAt(Number(button.dataset.layer), Number(button.dataset.at));
    this.pressGrid(pressed ? null : button);
    this.run();
  }

  pressGrid(button = null) {
    if (!button && this.single.patch) return;
    for (const each of byId("patch-grid").querySelectorAll("button")) each.setAttribute("aria-pressed", String(each === button));
  }

  /** Arrow keys move in the grid. @param {KeyboardEvent} event */
  moveInGrid(event) {
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[event.key], from = event.target.dataset;
    const next = by && this.grid?.cells[Number(from.layer) + by[0]]?.[Number(from.at) + by[1]];
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  // A direction.

  steer(run = true) {
    const { live } = this, text = byId("steer-word").value.trim(), layer = Number(byId("steer-layer").value) + 1, strength = Number(byId("steer-strength").value);
    byId("steer-said").textContent = strength.toFixed(2).replace("-", MINUS);
    byId("steer-note").textContent = "";
    this.single.direction = null;
    if (text && this.ids) {
      const ids = wordIds(live.tokenizer, text);
      if (ids.length > 1) byId("steer-note").textContent = `Of ${ids.length} tokens: ${ids.map((id) => live.tokenizer.show(id)).join(" | ")}. Their mean is taken.`;
      if (strength) {
        const length = strength * medianLength(this.ownStreams(), layer);
        this.single.direction = { kind: "direction", layer, values: wordDirection(live.model, ids).map((value) => value * length), word: text, strength };
      }
    }
    if (run) this.run();
  }

  /** The stream of the text, without changes. */
  ownStreams() {
    if (this.streamsFor !== this.ids) [this.own, this.streamsFor] = [streamsOf(this.live.model, this.ids), this.ids]; // which its cache holds already
    return this.own;
  }

  // Attention weights.

  chooseHead() {
    this.single.weight = null;
    this.run();
  }

  /** What the last token takes from those before it; the sliders stay while one is moved. */
  showWeights() {
    const layer = Number(byId("weight-layer").value), head = Number(byId("weight-head").value), place = this.ids.length - 1;
    const weights = this.changed.weights.get(`${layer} ${head}`), first = place + 1 - weights.length;
    const keys = Array.from({ length: Math.min(weights.length, WEIGHED_TOKENS) }, (_, index) => Math.max(first, place + 1 - WEIGHED_TOKENS) + index);
    const rows = byId("weight-rows"), shown = [layer, head, this.ids].join(" ");
    if (rows.dataset.shown !== shown) rows.replaceChildren(...keys.map((key) => this.weightRow(key)));
    rows.dataset.shown = shown;
    keys.forEach((key, index) => {
      const share = weights[key - first], row = rows.children[index], input = row.querySelector("input");
      if (input !== document.activeElement) input.value = String(Math.round(1000 * share));
      input.setAttribute("aria-valuetext", percent(share));
      row.querySelector("output").textContent = percent(share);
      row.classList.toggle("edited", this.single.weight?.key === key);
    });
  }

  weightRow(key) {
    const input = element("input", { type: "range", min: "0", max: "1000" });
    input.dataset.key = String(key);
    input.disabled = this.ids.length < 2;
    return element("label", { className: "weight" }, word(this.live.tokenizer.show(this.ids[key])), input, element("output", {}));
  }

  setWeight(input) {
    const layer = Number(byId("weight-layer").value), head = Number(byId("weight-head").value);
    this.single.weight = { kind: "weight", layer, head, place: this.ids.length - 1, key: Number(input.dataset.key), weight: Number(input.value) / 1000 };
    this.run();
  }
}
