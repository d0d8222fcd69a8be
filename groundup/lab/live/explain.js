// The explanation of one prediction: what is looked at (token, block, head), the stages drawn, and
// the panel that says where a number came from.
"use strict";

const WAIT_MS = 120; // after the last change, before the pictures are drawn again
const LINGER_MS = 900; // that the panel stays after the pointer has left a number

class Explanation {
  /** @param {LivePage} live */
  constructor(live) {
    this.live = live;
    this.root = byId("inside");
    this.layer = this.head = -1; // chosen for the first text
    this.against = -1; // the token whose key is compared
    this.candidate = -1; // the token whose row of the output head is compared
    /** Long lists that are shown whole. @type {Set<string>} */
    this.open = new Set();
    this.near = false;
    /** Stages near what is on the screen, and those that are yet to be drawn. @type {Set<string>} */
    this.visible = new Set();
    this.late = new Set();
    this.root.querySelectorAll(".formula").forEach((each) => each.replaceChildren(typeset(each.textContent)));
    this.picture = new Picture(this);
    this.listen();
    this.watch();
  }

  listen() {
    this.root.addEventListener("pointermove", (event) => event.pointerType === "mouse" && this.pointAt(event));
    this.root.addEventListener("click", (event) => this.click(event));
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("focusin", (event) => this.focus(event.target));
    this.root.querySelectorAll("[name=level]").forEach((input) => input.addEventListener("change", () => this.setLevel(input.value)));
    byId("choose-block").addEventListener("change", (event) => this.goToBlock(Number(event.target.value)));
    byId("choose-head").addEventListener("change", (event) => this.goToHead(Number(event.target.value)));
    byId("choose-token").addEventListener("change", (event) => this.goToToken(Number(event.target.value)));
    byId("inspector-close").addEventListener("click", () => this.closeInspector(true));
    byId("sampling").addEventListener("input", () => this.update());
  }

  /** Pictures are drawn where they can be seen soon: a page that only writes computes no trace. */
  watch() {
    const observer = new IntersectionObserver((entries) => {
      this.near = entries.at(-1).isIntersecting;
      if (this.near && this.stale) this.draw();
      if (!this.near) this.closeInspector(false);
    }, { rootMargin: "600px" });
    observer.observe(this.root);
    const stages = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) this.visible[isIntersecting ? "add" : "delete"](target.dataset.stage);
    }, { rootMargin: "600px" });
    for (const stage of this.root.querySelectorAll("[data-stage]")) stages.observe(stage);
    addEventListener("beforeprint", () => this.drawWhole());
  }

  /** What is printed was perhaps never on the screen. */
  drawWhole() {
    if (this.stale) this.draw();
    if (!this.look) return;
    this.picture.seen = true;
    this.picture.measure();
    this.picture.update();
    this.drawStages();
  }

  setLevel(level) {
    this.root.dataset.level = level;
    this.levelChosen = level;
    if (this.explained) this.showExplained();
  }

  /** Draws again soon: the text, the place or the sampling has changed. */
  update() {
    this.stale = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.near && this.draw(), WAIT_MS);
  }

  draw() {
    const { live } = this;
    this.stale = false;
    const position = Math.min(live.place, live.ids.length, live.config.context_tokens) - 1, ready = position >= 0 && live.cached > position;
    byId("stages").hidden = byId("picture").hidden = !ready;
    byId("inside-empty").hidden = ready;
    byId("inside-empty").textContent = live.ids.length ? "Nothing stands before the first token: choose another one." : "Type a text above.";
    if (ready) this.look = new Inside(live.model, live.tokenizer, live.ids, position, live.sampling());
    if (ready && this.layer < 0) Object.assign(this, this.look.trace.clearestHead(live.config));
    this.showChoices(position);
    if (!ready) return this.closeInspector(false);
    this.look.lookAt(this.layer, this.head);
    this.picture.update();
    this.drawAll();
  }

  /** What is on the screen at once, the rest between frames. */
  async drawAll() {
    const late = (this.late = new Set(Object.keys(STAGES)));
    this.drawStages([...this.visible]);
    this.root.setAttribute("aria-busy", "true");
    for (const stage of late) {
      await frame();
      if (this.late !== late) return;
      if (late.has(stage)) this.drawStages([stage]);
    }
    this.root.removeAttribute("aria-busy");
    if (!this.opened && location.hash.startsWith("#at-")) byId(location.hash.slice(1))?.scrollIntoView(); // now that the heights are known
    this.opened = true;
  }

  drawStages(only = [...this.late]) {
    const active = document.activeElement, key = this.root.contains(active) && (active.dataset.key || active.dataset.open);
    const list = active?.closest?.("[data-list]")?.dataset.list, place = active?.getAttribute?.("aria-valuenow");
    for (const stage of only) {
      const picture = this.root.querySelector(`[data-stage="${stage}"] .picture`);
      picture.replaceChildren(...STAGES[stage](this.look, this));
      this.late.delete(stage);
    }
    if (key) this.root.querySelector(`[data-key="${key}"]`)?.focus({ preventScroll: true });
    else if (list && place) this.focusNumber(list, Number(place) - 1);
    if (this.explained && this.look) this.explainAgain();
  }

  /** What is said in the panel, for the numbers as they are now. */
  explainAgain() {
    try {
      this.inspect(this.explained);
    } catch {
      this.closeInspector(false);
    }
  }

  showChoices(position) {
    const { live } = this, choose = byId("choose-token");
    choose.replaceChildren(...live.ids.map((id, place) => element("option", { value: String(place), textContent: `${live.tokenizer.show(id)}  (${place + 1})` })));
    choose.value = String(position);
    byId("choose-block").value = String(this.layer);
    byId("choose-head").value = String(this.head);
  }

  /** @param {number} position of the token that is followed: the prediction after it is explained */
  goToToken(position) {
    this.live.goTo(position + 1);
    this.draw();
  }

  goToBlock(layer) {
    this.layer = layer;
    this.lookAgain();
  }

  goToHead(head) {
    this.head = head;
    this.lookAgain();
  }

  lookAgain() {
    byId("choose-block").value = String(this.layer);
    byId("choose-head").value = String(this.head);
    this.look.lookAt(this.layer, this.head);
    this.picture.update();
    this.drawAll();
  }

  compare(token) {
    this.against = token;
    this.drawStages(["scores"]);
  }

  compareCandidate(id) {
    this.candidate = id;
    this.drawStages(["logits"]);
  }

  async drawNext() {
    await this.live.write(1);
    this.draw();
  }

  /** The tokens whose rows of the embedding are most like one's. @param {number} id */
  neighbours(id) {
    const { width, vocab_size } = this.live.config, table = this.live.model.weights["embedding.weight"];
    this.lengths ??= Float64Array.from({ length: vocab_size }, (_, row) => lengthOf(rowOf(table, row, width)) || 1);
    const row = rowOf(table, id, width).slice(), likeness = products(table, [row])[0].map((value, other) => value / (this.lengths[other] * this.lengths[id]));
    const shown = new Set(), near = [];
    for (const other of Array.from(likeness.keys()).sort((a, b) => likeness[b] - likeness[a])) {
      const text = this.live.tokenizer.show(other);
      if (other === id || shown.has(text)) continue;
      shown.add(text);
      if (near.push({ id: other, likeness: likeness[other] }) === 6) break;
    }
    return near;
  }

  /** The last tokens that look at one another; the rows above the last are computed between frames. @param {HTMLElement} map @param {Inside} look */
  async drawMap(map, look) {
    const last = look.position, first = Math.max(look.first(look.layer), last + 1 - MOST_TOKENS), count = last + 1 - first;
    map.style.setProperty("--columns", String(count));
    const rows = Array.from({ length: count }, (_, at) => mapRow(look, first, first + at, count));
    map.append(mapHeads(look, first, count), ...rows.map((each) => each.row));
    for (let at = count - 1; at >= 0; at--) {
      const token = first + at;
      if (token < last && !look.rows?.has(token)) await frame();
      if (!this.isCurrent(look, token) || (!map.isConnected && token < last - 1)) return;
      const weights = this.weightsOf(look, token);
      fillRow(rows[at], weights, token, first, { layer: look.layer, head: look.head }, token === last);
    }
  }

  /** Whether the model's cache is still that of the traced text up to a token: else running it would change another text's. @param {Inside} look @param {number} token */
  isCurrent(look, token) {
    const { ids, cached } = this.live;
    return this.look === look && cached > token && look.ids.slice(0, token + 1).every((id, place) => ids[place] === id);
  }

  /** The shares of attention of a token before the one that is traced. @param {Inside} look @param {number} token */
  weightsOf(look, token) {
    if (token === look.position) return look.trace.get("weights", look.layer, look.head);
    look.rows ??= new Map();
    if (!look.rows.has(token)) {
      const found = new TokenTrace(look.model, look.ids[token], token).values;
      look.rows.set(token, new Map([...found].filter(([key]) => key.startsWith("weights "))));
    }
    return look.rows.get(token).get(traceKey("weights", look.layer, look.head));
  }

  // From here on: the panel that explains one number.

  /** @param {PointerEvent} event */
  pointAt(event) {
    if (this.pinned || event.target === this.pointed) return;
    this.pointed = event.target;
    clearTimeout(this.leaving);
    const ref = this.refAt(event);
    if (ref) this.inspect(ref);
    else if (!event.target.closest("#inspector")) this.leaving = setTimeout(() => this.pinned || this.closeInspector(false), LINGER_MS);
  }

  /** The ref of the number under the pointer. @param {PointerEvent|MouseEvent} event */
  refAt({ target }) {
    const figured = target.closest(".figure");
    if (figured) return REFS.get(figured);
    const { token, ...ref } = target.dataset.index ? refOfCell(target) : { token: -1 };
    if (token === this.look?.position) return ref;
    const strip = target.closest(".strip[role=slider]");
    if (!strip || target.tagName !== "I") return null;
    return refInStrip(strip, Array.prototype.indexOf.call(strip.children, target));
  }

  click(event) {
    if (event.target.closest("#picture-room")) return; // opens a step
    const opener = event.target.closest("[data-open]"), step = event.target.closest("[data-step]");
    if (opener) {
      this.open.add(opener.dataset.open);
      this.drawAll();
      return this.focusNumber(opener.dataset.open, MOST_CELLS);
    }
    if (step) return this.stepToken(Number(step.dataset.by));
    const ref = this.refAt(event), strip = event.target.closest(".strip[role=slider]");
    if (!ref && !event.target.closest("button, a, input, select, label, #inspector")) this.closeInspector(false);
    if (!ref) return;
    if (strip) {
      strip.focus({ preventScroll: true });
      placeStrip(strip, ref.index - REFS.get(strip).index);
    }
    this.pinned = true;
    this.inspect(ref);
  }

  stepToken(by) {
    const position = this.look ? this.look.position + by : 0;
    if (position >= 0 && position < this.live.ids.length) this.goToToken(position);
  }

  focus(target) {
    const strip = target.closest(".strip[role=slider]"), figured = target.closest(".figure");
    if (!target.matches(":focus-visible")) return;
    if (strip) this.inspect(refInStrip(strip, Number(strip.getAttribute("aria-valuenow")) - 1));
    if (figured) this.inspect(REFS.get(figured));
    this.pinned = Boolean(strip || figured || (this.pinned && target.closest("#inspector")));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.key === "Escape") return this.closeInspector(true);
    const strip = event.target.closest(".strip[role=slider]"), group = event.target.closest("[data-roving]");
    if (strip) return this.moveInStrip(strip, event);
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!group || !by) return;
    const buttons = [...group.querySelectorAll("button")], next = buttons[buttons.indexOf(event.target) + by];
    if (!next) return;
    event.preventDefault();
    buttons.forEach((button) => (button.tabIndex = button === next ? 0 : -1));
    next.focus();
  }

  moveInStrip(strip, event) {
    const columns = getComputedStyle(strip).gridTemplateColumns.split(" ").length, last = Number(strip.getAttribute("aria-valuemax")) - 1;
    const at = Number(strip.getAttribute("aria-valuenow")) - 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    placeStrip(strip, Math.max(0, Math.min(last, to)));
    this.inspect(refInStrip(strip, Math.max(0, Math.min(last, to))));
  }

  /** @param {NumberRef} ref */
  inspect(ref) {
    this.explained = ref;
    this.result = this.look.explain(ref);
    this.showExplained();
    this.mark(ref, this.result.from);
  }

  showExplained() {
    const { title, words, symbols, numbers, from } = this.result, level = this.root.dataset.level;
    const parts = [element("b", { textContent: title }), element("p", { textContent: words })];
    if (level === "mathematics") parts.push(element("p", { className: "formula" }, typeset(symbols)));
    if (level !== "words") parts.push(element("p", { className: "with-numbers" }, typeset(numbers)));
    byId("inspector-said").replaceChildren(...parts);
    byId("inspector-from").replaceChildren("Comes from: ", ...from.map(({ label, ref }) => {
      const button = element("button", { type: "button", className: "source-link", textContent: label });
      button.addEventListener("click", () => this.goToSource(ref));
      return button;
    }));
    byId("inspector").hidden = false;
  }

  /** Shows on the page which number is explained, and the lists that it came from. */
  mark(ref, from) {
    for (const marked of this.root.querySelectorAll(".marked, .source")) marked.classList.remove("marked", "source");
    for (const source of from) for (const list of this.listsOf(source.ref)) list.classList.add("source");
    for (const strip of this.root.querySelectorAll(".strip[role=slider]")) {
      const own = REFS.get(strip), index = ref.index - own.index;
      if (listKey(own) === listKey(ref) && index >= 0 && index < strip.children.length) strip.children[index].classList.add("marked");
    }
  }

  /** @param {NumberRef} ref */
  listsOf(ref) {
    return this.root.querySelectorAll(`[data-list="${listKey(ref)}"]`);
  }

  closeInspector(refocus) {
    if (byId("inspector").hidden) return;
    byId("inspector").hidden = true;
    this.explained = this.pinned = null;
    for (const marked of this.root.querySelectorAll(".marked, .source")) marked.classList.remove("marked", "source");
    if (refocus && byId("inspector").contains(document.activeElement)) byId("choose-token").focus({ preventScroll: true });
  }

  /** To a number that another came from: its block, token or row is chosen where it is not shown. @param {NumberRef} ref */
  goToSource(ref) {
    this.pinned = true;
    if (ref.name === "tokens" || ref.name === "angle") return this.goToStage(ref.name === "tokens" ? "tokens" : "positions");
    if (ref.token !== undefined && !ref.name.endsWith("_stored") && ref.token !== this.look.position) this.goToToken(ref.token);
    const plain = { ...ref, ...(ref.name.endsWith("_stored") ? {} : { token: undefined }) };
    if (ref.layer !== undefined && ref.layer < this.live.config.num_layers && !this.listsOf(plain).length) this.goToBlock(ref.layer);
    this.drawStages(); // what is off the screen, too
    if (ref.name === "key_stored") this.compare(ref.token);
    const figured = [...this.root.querySelectorAll(".figure")].find((each) => sameNumber(REFS.get(each), plain));
    if (!this.listsOf(plain).length && figured) {
      figured.scrollIntoView({ block: "center" });
      return figured.focus({ preventScroll: true });
    }
    this.focusNumber(listKey(plain), plain.index, true);
  }

  /** Opens a step for a token and, where they are given, a block and a head. @param {string} step @param {{token: number, layer: number, head: number}} place */
  openStep(step, { token, layer, head }) {
    if (layer >= 0) this.layer = layer;
    if (head >= 0) this.head = head;
    if (token !== this.look.position) this.goToToken(token);
    else this.lookAgain();
    this.drawStages(); // the heights are known before the page is scrolled
    this.goToStage(step);
  }

  goToStage(stage) {
    const heading = byId(`at-${stage}`);
    heading.scrollIntoView({ block: "start" });
    heading.focus({ preventScroll: true });
  }

  /** Focuses a number of a list that is shown. @param {string} key @param {number} index */
  focusNumber(key, index, scroll = false) {
    const strips = [...this.root.querySelectorAll(`[data-list="${key}"] .strip`)];
    const strip = strips.find((each) => REFS.get(each).index <= index && index < REFS.get(each).index + each.children.length) ?? strips[0];
    if (!strip) return;
    placeStrip(strip, Math.max(0, Math.min(strip.children.length - 1, index - REFS.get(strip).index)));
    if (scroll) strip.scrollIntoView({ block: "center" });
    strip.focus({ preventScroll: true });
    this.inspect(refInStrip(strip, Number(strip.getAttribute("aria-valuenow")) - 1));
  }
}

/** @param {NumberRef|undefined} one @param {NumberRef} other */
const sameNumber = (one, other) => one && ["name", "index", "layer", "head", "token"].every((field) => one[field] === other[field]);

/** The tokens above the map. @param {Inside} look */
function mapHeads(look, first, count) {
  const heads = Array.from({ length: count }, (_, at) => element("span", { className: "map-head" }, word(look.show(first + at))));
  return element("div", { className: "map-row", ariaHidden: "true" }, element("span", { className: "map-name" }), ...heads);
}

/** A row of the map, yet without shares. @param {Inside} look */
function mapRow(look, first, token, count) {
  const cells = Array.from({ length: count }, (_, at) => element("i", { className: first + at > token ? "masked" : "" }));
  const name = element("span", { className: "map-name" }, word(look.show(token)));
  return { row: element("div", { className: token === look.position ? "map-row chosen" : "map-row" }, name, ...cells), cells };
}

/** @param {{cells: HTMLElement[]}} row @param {ArrayLike<number>} weights of the tokens that are seen, the last one's at the end */
function fillRow({ cells }, weights, token, first, { layer, head }, traced) {
  const begins = token + 1 - weights.length;
  cells.forEach((cell, at) => {
    const index = first + at - begins;
    if (first + at > token) return;
    if (index < 0) return cell.classList.add("masked");
    cell.style.setProperty("--s", Math.sqrt(weights[index]).toFixed(2));
    cell.title = percent(weights[index]);
    if (traced) {
      cell.classList.add("figure");
      REFS.set(cell, { name: "weights", layer, head, index });
    }
  });
}
