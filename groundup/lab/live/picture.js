// The picture of the whole model: zoom and pan by wheel, fingers, keys and buttons; a part that is chosen
// opens its step of the explanation.
"use strict";

const ZOOM_MS = 260; // of a movement that a button begins
const REDRAW_MS = 150; // between two drawings while tokens are read
const STEADY_PIXELS = 6; // a pointer that moves less has chosen something
const WHEEL = 0.0022; // zoom of a pixel of the wheel

class Picture {
  /** @param {Explanation} explanation */
  constructor(explanation) {
    this.explanation = explanation;
    this.values = new PictureValues(explanation.live);
    this.view = { zoom: 0, left: 0, top: 0 };
    /** The part that the keys have reached. @type {{row: number, column: number}|null} */
    this.cursor = null;
    /** Fingers and mouse that are down: where. @type {Map<number, {x: number, y: number}>} */
    this.pointers = new Map();
    /** Where the mouse came to the picture, and whether it has moved there: a page that is scrolled moves under a mouse at rest. */
    this.entered = { clientX: 0, clientY: 0, moved: false };
    [this.room, this.canvas, this.said] = ["picture-room", "picture-canvas", "picture-said"].map(byId);
    this.listen();
    new ResizeObserver(() => this.measure()).observe(this.room);
    new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      if (this.seen) this.update();
    }, { rootMargin: "300px" }).observe(this.room);
  }

  listen() {
    const { room } = this;
    room.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    room.addEventListener("pointerdown", (event) => this.press(event));
    room.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) room.addEventListener(name, ({ pointerId }) => this.pointers.delete(pointerId));
    room.addEventListener("click", (event) => this.choose(event));
    room.addEventListener("keydown", (event) => this.key(event));
    room.addEventListener("blur", () => this.place(null));
    room.addEventListener("pointerenter", ({ clientX, clientY }) => (this.entered = { clientX, clientY, moved: false }));
    byId("picture-bar").addEventListener("click", ({ target }) => {
      const { zoom, by } = target.closest("button")?.dataset ?? {};
      if (zoom) this.goTo(this.whole({ ...this.centre, zoom: Number(zoom) }));
      if (by) this.goTo({ ...this.centre, zoom: this.view.zoom + Number(by) });
    });
    byId("inside").addEventListener("click", ({ target }) => target.dataset.show && this.showStep(target.dataset.show));
    byId("picture-words").closest("details").addEventListener("toggle", () => this.tell());
  }

  /** The room has another size: what stands in its middle stays there. */
  measure() {
    const gutter = this.room.clientWidth < 560 ? 92 : 104, width = this.room.clientWidth - gutter - ROOM_RIGHT, height = this.room.clientHeight;
    if (width < 50 || (this.size?.width === width && this.size.height === height)) return;
    this.size = { gutter, width, height };
    if (this.look) this.layOut();
  }

  /** The text, the place or the choice of block and head has changed. */
  update() {
    const { look, live } = this.explanation;
    if (!look || !this.seen || !this.size) return;
    const sampling = live.sampling();
    this.look = look;
    this.values.follow();
    this.drawn = null;
    if (live.cached === live.ids.length && live.ids.length < live.config.context_tokens) {
      const logits = live.ids.length === look.position + 1 ? look.trace.get("logits") : this.values.trace(live.ids.length - 1)?.get("logits");
      if (logits) this.drawn = chooseToken(logits, sampling, new RandomKeys(sampling.seed).key(live.ids.length - live.promptLength));
    }
    this.layOut();
    this.readOn();
  }

  layOut() {
    const columns = Math.max(1, Math.min(MOST_COLUMNS, this.values.ids.length)), place = this.layout && this.centre, before = this.layout?.columns;
    this.origin = Math.max(0, Math.min(this.look.position + 1 - columns / 2, this.values.ids.length - columns) | 0);
    this.layout = new PictureLayout(this.look, columns, this.size.width, this.size.height);
    if (place && before !== columns) place.column = Math.min(place.column, columns);
    this.view = place ? this.layout.viewOf(this.view.zoom, place) : this.layout.bounded(this.view);
    this.cursor &&= { row: Math.min(this.cursor.row, this.layout.rows.length - 1), column: Math.min(this.cursor.column, columns - 1) };
    this.canvas.setAttribute("viewBox", `${-this.size.gutter} 0 ${this.size.width + this.size.gutter + ROOM_RIGHT} ${this.size.height}`);
    byId("picture-cut").hidden = columns === this.values.ids.length;
    this.draw();
  }

  /** Reads tokens between frames, those in sight first. */
  async readOn() {
    const task = (this.task = {}), { columns } = this.layout, order = Array.from({ length: columns }, (_, column) => column);
    const { column } = this.centre, unread = order.filter((each) => !this.values.summaries[this.origin + each]).sort((a, b) => Math.abs(a - column) - Math.abs(b - column));
    let drawn = performance.now();
    if (unread.length) this.room.setAttribute("aria-busy", "true");
    for (const each of unread) {
      if (task !== this.task || !this.values.read(this.origin + each)) return;
      if (performance.now() - drawn < REDRAW_MS) continue;
      this.draw();
      await frame();
      drawn = performance.now();
    }
    this.room.removeAttribute("aria-busy");
    this.draw();
    if (!this.cursor) this.said.textContent = this.drawing.describe({ row: this.layout.rowOf("next"), column: this.drawing.chosen });
    this.tell();
  }

  draw() {
    this.waiting = false;
    if (!this.look || !this.layout) return;
    const began = performance.now(), level = pictureLevel(this.view.zoom);
    this.drawing = new PictureDrawing(this.look, this.layout, this.values, this.origin, this.drawn);
    this.canvas.innerHTML = this.drawing.draw(this.view, this.cursor);
    if (this.room.dataset.level !== level) {
      this.room.dataset.level = level;
      for (const button of byId("picture-bar").querySelectorAll("[data-zoom]")) button.setAttribute("aria-pressed", String(button.dataset.level === level));
    }
    this.room.classList.toggle("whole", this.view.zoom === 0);
    this.drawMs = performance.now() - began;
  }

  /** Draws before the next frame, once. */
  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => this.draw());
  }

  /** The place in the middle of the room. */
  get centre() {
    return { ...this.layout.find(this.view, this.layout.width / 2, this.layout.height / 2), zoom: this.view.zoom };
  }

  /** To a place and a zoom, in a short movement where the reader wants any. @param {{column: number, row: number, zoom: number}} goal */
  goTo(goal) {
    const zoom = Math.max(0, Math.min(MOST_ZOOM, goal.zoom)), from = this.centre, began = performance.now(), moving = (this.moving = {});
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const step = () => {
      if (this.moving !== moving) return;
      const part = still ? 1 : Math.min(1, (performance.now() - began) / ZOOM_MS), eased = part * (2 - part), at = (name, to) => from[name] + (to - from[name]) * eased;
      this.view = this.layout.viewOf(at("zoom", zoom), { column: at("column", goal.column), row: at("row", goal.row) });
      this.draw();
      if (part < 1) requestAnimationFrame(step);
    };
    step();
  }

  /** A place whose column is in sight as a whole, or from its beginning. */
  whole(place) {
    const { pitch } = this.layout.places(place.zoom), half = this.layout.width / 2 / pitch;
    return { ...place, column: Math.floor(Math.min(place.column, this.layout.columns - 1)) + Math.min(0.5, half) };
  }

  /** Where a pointer is, from the corner of the room. @param {MouseEvent} event */
  at(event) {
    const { left, top } = this.room.getBoundingClientRect();
    return { x: event.clientX - left - this.size.gutter - 1, y: event.clientY - top - 1 };
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    const scrolls = !this.entered.moved || (this.view.zoom === 0 && event.deltaY > 0);
    if (!this.layout || (scrolls && !event.ctrlKey && !event.metaKey)) return; // the page goes on past the picture
    event.preventDefault();
    this.moving = null;
    const { x, y } = this.at(event), pixels = event.deltaY * (event.deltaMode ? 24 : 1);
    this.view = this.layout.zoomed(this.view, this.view.zoom - pixels * WHEEL * (event.ctrlKey ? 4 : 1), x, y);
    this.soon();
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (event.button) return;
    this.moving = null;
    this.pointers.set(event.pointerId, this.at(event));
    if (this.pointers.size === 1) this.pressed = { ...this.at(event), steady: true };
    else this.pressed.steady = false;
    this.room.focus({ preventScroll: true });
  }

  /** @param {PointerEvent} event */
  move(event) {
    const before = this.pointers.get(event.pointerId), now = this.at(event);
    if (!this.layout) return;
    this.entered.moved ||= Math.hypot(event.clientX - this.entered.clientX, event.clientY - this.entered.clientY) >= STEADY_PIXELS;
    if (!before) return this.hover(now);
    if (this.pressed.steady && Math.hypot(now.x - this.pressed.x, now.y - this.pressed.y) < STEADY_PIXELS) return;
    if (this.pressed.steady) this.room.setPointerCapture(event.pointerId);
    this.pressed.steady = false;
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    if (other) this.pinch(before, now, other);
    else this.view = this.layout.bounded({ ...this.view, left: this.view.left - now.x + before.x, top: this.view.top - now.y + before.y });
    this.soon();
  }

  /** Two fingers: as much nearer as they part. */
  pinch(before, now, other) {
    const parted = Math.hypot(now.x - other.x, now.y - other.y) / Math.max(20, Math.hypot(before.x - other.x, before.y - other.y));
    this.view = this.layout.zoomed(this.view, this.view.zoom + Math.log(parted), (now.x + other.x) / 2, (now.y + other.y) / 2);
  }

  /** Not before all of a finger's events have come: the page is scrolled away under it. @param {MouseEvent} event */
  choose(event) {
    const at = this.at(event);
    if (this.pressed?.steady && this.layout) this.open(this.partAt(at), at.y);
  }

  partAt({ x, y }) {
    const { column, row } = this.layout.find(this.view, x, y), within = (value, count) => Math.max(0, Math.min(count - 1, Math.floor(value)));
    return { column: x < 0 ? this.drawing.chosen : within(column, this.layout.columns), row: within(row, this.layout.rows.length) };
  }

  hover(at) {
    const part = this.partAt(at), said = this.drawing.describe(part);
    if (this.said.textContent !== said) this.said.textContent = said;
  }

  /** A part is marked and told. @param {{row: number, column: number}|null} cursor @param {number} zoom */
  place(cursor, zoom = this.view.zoom) {
    if (!cursor && !this.cursor) return;
    this.cursor = cursor;
    if (cursor) this.said.textContent = this.drawing.describe(cursor, pictureLevel(zoom));
    this.soon();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (!this.layout || event.altKey || event.ctrlKey || event.metaKey) return;
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key], zoom = { "+": 0.5, "=": 0.5, "-": -0.5, _: -0.5 }[event.key];
    if (!by && !zoom && event.key !== "Home" && event.key !== "Enter") return;
    event.preventDefault();
    const from = this.cursor ?? this.partAt({ x: this.layout.width / 2, y: this.layout.height / 2 });
    if (event.key === "Home") return this.goTo({ ...this.centre, zoom: 0 });
    if (event.key === "Enter") return this.open(from);
    if (zoom) return this.goTo({ ...this.middleOf(from), zoom: this.view.zoom + zoom });
    const [down, right] = this.cursor ? by : [0, 0], column = Math.max(0, Math.min(this.layout.columns - 1, from.column + right));
    this.place({ column, row: this.nextRow(from.row, down) });
    this.keepInSight(this.cursor);
  }

  /** From far away a block's heads are one part. @param {number} row @param {number} by */
  nextRow(row, by) {
    const { rows } = this.layout, shown = ({ kind, head, lists }) => {
      if (pictureLevel(this.view.zoom) === "numbers") return lists.length > 0 || kind === "text" || kind === "next";
      return !["norm", "attention", "final"].includes(kind) && (pictureLevel(this.view.zoom) === "heads" || (head <= 0 && kind !== "logits"));
    };
    let next = Math.max(0, Math.min(rows.length - 1, row + by));
    while (next > 0 && next < rows.length - 1 && !shown(rows[next])) next += by || -1;
    return next;
  }

  middleOf({ row, column }) {
    return { row: row + 0.5, column: column + 0.5 };
  }

  keepInSight({ row, column }) {
    const { pitch, tops } = this.layout.places(this.view.zoom), within = (value, from, to, room) => (to - from > room || from < value ? from - 30 : to > value + room ? to - room + 10 : value);
    const left = within(this.view.left, column * pitch, (column + 1) * pitch, this.layout.width), top = within(this.view.top, tops[row], tops[row + 1], this.layout.height);
    this.view = this.layout.bounded({ zoom: this.view.zoom, left, top });
    this.soon();
  }

  /** Opens the step of a part, for its block, head and token. @param {{row: number, column: number}} part @param {number} [y] of the pointer */
  open({ row, column }, y) {
    const part = this.layout.rows[row], { tops } = this.layout.places(this.view.zoom), level = pictureLevel(this.view.zoom);
    const share = y === undefined ? 0 : (y + this.view.top - tops[row]) / (tops[row + 1] - tops[row]);
    const list = level === "numbers" && this.layout.listPlaces(row).find(({ from, to }) => from <= share && share < to)?.list;
    const step = list ? list.step : level === "words" && part.kind === "head" ? "heads" : part.step;
    this.explanation.openStep(step, { token: this.origin + column, layer: part.layer, head: level === "words" ? -1 : part.head });
  }

  /** The part of a step, at the block, head and token that are chosen. @param {string} step */
  showStep(step) {
    const { layer, head, live } = this.explanation, of = (kind, zoom = 2, layerOf = -1, headOf = -1) => ({ row: this.layout.rowOf(kind, layerOf, headOf), zoom });
    byId("picture-bar").scrollIntoView({ block: "start" });
    this.room.focus({ preventScroll: true });
    if (!this.layout) return;
    const turned = live.config.positions === "rope", inHead = step === "positions" && turned;
    const place = { tokens: () => of("text", 1), layers: () => of("head", 0, layer, 0), choice: () => of("next", 1), logits: () => of("logits"), mask: () => of("head", 1, layer, head), embedding: () => of("embedding"), norm: () => of("norm", 2, layer), heads: () => of("attention", 2, layer), added: () => of("attention", 2, layer), feedforward: () => of("feedforward", 2, layer), positions: () => (inHead ? of("head", 2, layer, head) : of("embedding")) }[step]?.() ?? of("head", 2, layer, head);
    const list = place.zoom === 2 && this.layout.listPlaces(place.row).find((each) => each.list.step === step);
    this.place({ row: place.row, column: this.drawing.chosen }, place.zoom);
    this.goTo(this.whole({ column: this.drawing.chosen, row: place.row + (list ? (list.from + list.to) / 2 : 0.5), zoom: place.zoom }));
  }

  /** The picture in words, where they are open. */
  tell() {
    const list = byId("picture-words"), { config } = this.explanation.live;
    if (!list.closest("details").open || !this.drawing) return;
    const share = (habits) => (habits ? habits.map((each) => `${percent(each.share)} ${HABITS[each.name]}`).join(", ") : "the text has too few tokens to tell");
    const blocks = Array.from({ length: config.num_layers }, (_, layer) => element("li", {}, `Block ${layer + 1}: attention takes from earlier tokens, then the feed-forward network works on each token alone. Where its heads look, on average over the text:`,
      element("ul", {}, ...Array.from({ length: config.num_heads }, (_, head) => element("li", { textContent: `head ${head + 1}: ${share(this.values.habits(layer, head))}` })))));
    const place = (kind) => ({ row: this.layout.rowOf(kind), column: this.drawing.chosen });
    list.replaceChildren(element("li", { textContent: `${this.layout.columns} tokens. ${this.drawing.describe(place("text"))} ${this.drawing.describe(place("embedding"))}` }), ...blocks, element("li", { textContent: this.drawing.describe(place("next")) }));
  }
}
