// One chart: lines over a common axis, drawn as SVG in real pixels, read by pointer or arrow keys.

import { node, refill, shape } from "./dom.js";
import { say } from "./say.js";
import { count, duration, figure, short } from "./words.js";
import { logTicks, nearest, range, ticks } from "./series.js";

const MARGIN = { left: 54, right: 12, top: 12, bottom: 30 };
const KEY_STEP = 0.02; // of the width, an arrow key's press

/** What stands at the axis: its values as words, and the unit in which its ticks are round. */
export const AXES = {
  step: { name: say("step"), say: (x) => say("step {step}", { step: count(x) }), unit: () => [1, ""] },
  tokens: { name: say("tokens"), say: (x) => say("{count} tokens", { count: count(x) }), unit: () => [1, ""] },
  elapsed_s: { name: say("time"), say: duration, unit: (high) => (high > 10800 ? [3600, " h"] : high > 180 ? [60, " min"] : [1, " s"]) },
};

export class Chart {
  /** `onCursor(x)` is called when a reader points at an x (null: no more). */
  constructor(title, about, onCursor) {
    this.onCursor = onCursor;
    this.lines = [];
    this.cursor = null;
    this.canvas = node("div", { class: "canvas" });
    this.readout = node("div", { class: "readout", role: "status", hidden: "" });
    this.heading = node("h3", {}, title);
    this.tools = node("div", { class: "tools" });
    this.about = node("p", { class: "quiet" }, about);
    const top = node("figcaption", {}, node("div", { class: "caption" }, this.heading, this.tools), this.about);
    this.words = node("ul", { class: "quiet" });
    this.element = node("figure", { class: "chart" }, top, this.canvas, this.words, this.readout);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.#listen();
  }

  /** Lines {name, colour, dashed, points, marked, raw, events, band, words} over `axis`. */
  show(lines, axis, log) {
    Object.assign(this, { lines: lines.filter((line) => line.points.length > 0), axis: AXES[axis], log });
    this.element.hidden = this.lines.length === 0;
    const said = this.lines.filter((line) => line.words);
    refill(this.words, said.map((line) => node("li", {}, said.length > 1 ? node("b", { class: `run-${line.colour}` }, node("bdi", {}, line.run), ": ") : null, line.words)));
    this.draw();
  }

  draw() {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const heights = range(this.lines, this.log);
    if (width < 80 || heights === null) return refill(this.canvas);
    this.#scale(width, height, heights);
    this.cursorLine = shape("line", { class: "cursor", y1: this.top, y2: this.bottom, visibility: "hidden" });
    this.dots = shape("g", {});
    const clip = `clip-${this.heading.textContent.replaceAll(/\W/g, "-")}`;
    const box = { x: this.left, y: this.top, width: this.right - this.left, height: this.bottom - this.top };
    const picture = shape(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, width, height, role: "application", "aria-roledescription": say("chart"), tabindex: 0, "aria-label": this.#summary() },
      shape("clipPath", { id: clip }, shape("rect", box)),
      this.#axes(heights),
      shape("g", { "clip-path": `url(#${clip})` }, this.lines.map((line) => this.#line(line))),
      this.cursorLine,
      this.dots,
    );
    refill(this.canvas, picture);
    this.point(this.cursor);
  }

  #scale(width, height, [low, high]) {
    Object.assign(this, { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom });
    const xs = this.lines.flatMap((line) => [line.points[0].x, line.points.at(-1).x]);
    this.from = Math.min(0, ...xs);
    this.to = Math.max(...xs);
    const over = this.to - this.from || 1;
    this.x = (value) => this.left + ((value - this.from) / over) * (this.right - this.left);
    const bend = this.log ? Math.log10 : (value) => value;
    const rise = bend(high) - bend(low);
    this.y = (value) => this.bottom - ((bend(value) - bend(low)) / rise) * (this.bottom - this.top);
    this.draws = (value) => Number.isFinite(value) && (!this.log || value > 0);
  }

  #axes([low, high]) {
    const [unit, ending] = this.axis.unit(this.to);
    const group = shape("g", { class: "axes", "aria-hidden": "true" });
    for (const value of this.log ? logTicks(low, high) : ticks(low, high, 5)) {
      const y = this.y(value);
      group.append(shape("line", { class: "grid", x1: this.left, x2: this.right, y1: y, y2: y }));
      group.append(shape("text", { class: "end", x: this.left - 8, y: y + 4 }, Math.abs(value) >= 1e4 ? short(value) : figure(value)));
    }
    for (const value of ticks(this.from / unit, this.to / unit, (this.right - this.left) / 90)) {
      const x = this.x(value * unit);
      group.append(shape("line", { class: "tick", x1: x, x2: x, y1: this.bottom, y2: this.bottom + 4 }));
      const said = (Math.abs(value) >= 1e4 ? short(value) : count(value)) + ending;
      group.append(shape("text", { class: x > this.right - 24 ? "end" : "middle", x: Math.min(x, this.right), y: this.bottom + 19 }, said));
    }
    group.append(shape("line", { class: "base", x1: this.left, x2: this.right, y1: this.bottom, y2: this.bottom }));
    return group;
  }

  #line(line) {
    const group = shape("g", { class: `line run-${line.colour}${line.dashed ? " dashed" : ""}` });
    const path = (values) => values.filter(([, y]) => this.draws(y)).map(([x, y]) => `${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`).join(" ");
    if (line.band?.length > 1) {
      const edges = [...line.band.map(({ x, high }) => [x, high]), ...line.band.toReversed().map(({ x, low }) => [x, low])];
      group.append(shape("polygon", { class: "band", points: path(edges) }));
    }
    if (line.raw) {
      const raw = line.points.flatMap((point) => [[point.x, point.low], [point.x, point.high]]);
      group.append(shape("polyline", { class: "raw", points: path(raw) }));
    }
    group.append(shape("polyline", { class: line.marked ? "thin" : "curve", points: path(line.points.map((point) => [point.x, point.y])) }));
    const dots = line.marked || line.points.length === 1 ? line.points : [];
    for (const { x, y } of dots.filter((point) => this.draws(point.y))) {
      group.append(shape("circle", { cx: this.x(x), cy: this.y(y), r: dots.length > 40 ? 2 : 3.2 }));
    }
    for (const event of line.events ?? []) {
      const x = this.x(event.x);
      group.append(shape("path", { class: "event", d: `M${x},${this.bottom - 9}l5,9h-10z` }, shape("title", {}, event.words)));
    }
    return group;
  }

  #summary() {
    const said = this.lines.slice(0, 8).map((line) => say("{name} from {first} to {last}", { name: line.name, first: figure(line.points[0].y), last: figure(line.points.at(-1).y) }));
    return say("{title} over {axis}: {lines}. Arrow keys read values.", { title: this.heading.textContent, axis: this.axis.name, lines: said.join("; ") });
  }

  // --- reading values

  #listen() {
    const follow = (event) => {
      const place = event.clientX - this.canvas.getBoundingClientRect().left;
      this.#read(this.from + ((place - this.left) / (this.right - this.left)) * (this.to - this.from));
    };
    this.canvas.addEventListener("pointermove", follow);
    this.canvas.addEventListener("pointerdown", follow);
    this.canvas.addEventListener("pointerleave", (event) => event.pointerType === "touch" || this.#leave()); // after a tap the values stay
    this.canvas.addEventListener("focusout", () => this.#leave());
    this.canvas.addEventListener("keydown", (event) => this.#press(event));
  }

  #press(event) {
    const step = KEY_STEP * (this.to - this.from);
    const now = this.cursor ?? this.to;
    const places = { ArrowLeft: now - step, ArrowRight: now + step, Home: this.from, End: this.to };
    if (event.key === "Escape") return this.#leave();
    if (!(event.key in places)) return undefined;
    event.preventDefault();
    return this.#read(places[event.key]);
  }

  #read(x) {
    if (this.lines.length === 0) return;
    const inside = Math.min(this.to, Math.max(this.from, x));
    this.onCursor(inside);
    this.#say(inside);
  }

  #leave() {
    this.readout.hidden = true;
    this.onCursor(null);
  }

  /** Show the cursor line and a dot on each line at `x`, or take them away (null). */
  point(x) {
    this.cursor = x;
    if (!this.cursorLine) return;
    const shown = x !== null && this.lines.length > 0 && x <= this.to;
    this.cursorLine.setAttribute("visibility", shown ? "visible" : "hidden");
    refill(this.dots);
    if (!shown) return;
    this.cursorLine.setAttribute("x1", this.x(x));
    this.cursorLine.setAttribute("x2", this.x(x));
    for (const { line, point } of this.#at(x)) {
      this.dots.append(shape("circle", { class: `dot run-${line.colour}`, cx: this.x(point.x), cy: this.y(point.y), r: 4 }));
    }
  }

  #at(x) {
    return this.lines
      .map((line) => ({ line, point: nearest(line.points, x) }))
      .filter(({ line, point }) => this.draws(point.y) && x <= line.points.at(-1).x + 0.02 * (this.to - this.from));
  }

  #say(x) {
    const rows = this.#at(x).map(({ line, point }) =>
      node("li", { class: `run-${line.colour}` }, node("span", {}, line.name), node("b", {}, figure(point.y))),
    );
    refill(this.readout, node("p", {}, this.axis.say(Math.round(x))), node("ul", {}, rows));
    this.readout.hidden = false;
    const right = this.x(x) > (this.left + this.right) / 2;
    this.readout.style.left = right ? "auto" : `${this.x(x) + 14}px`;
    this.readout.style.right = right ? `${this.canvas.clientWidth - this.x(x) + 14}px` : "auto";
  }
}
