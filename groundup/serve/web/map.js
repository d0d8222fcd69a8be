// An attention map: a row for each query, a column for each key, both labelled; a square under the pointer shows its weight.

import { get, node, refill, shape } from "./dom.js";
import { percent } from "./tokens.js";

const MAP_PX = 620;
const AROUND_PX = 40; // beside the map on a phone
const [SMALLEST_CELL_PX, LARGEST_CELL_PX] = [14, 28];
const LABEL_LETTERS = 10;
const LETTER_PX = 7.4; // of the labels' monospaced type at its largest
const SEEN = 0.004; // shares below it are left white
const SCALE = [0.01, 0.05, 0.2, 0.5, 1];

/** How dark a share is: its root, or all but the largest would be white. */
const darkness = (share) => Math.sqrt(share).toFixed(3);

export class AttentionMap {
  /** `labels` of the tokens; `choose(index)` is called when a row is clicked. */
  constructor(labels, choose) {
    this.labels = labels;
    this.choose = choose;
    this.margin = Math.ceil(LETTER_PX * Math.max(...labels.map((label) => cut(label).length))) + 8;
    const room = Math.min(MAP_PX, innerWidth - this.margin - AROUND_PX);
    this.cell = Math.max(SMALLEST_CELL_PX, Math.min(LARGEST_CELL_PX, room / labels.length));
    this.element = node("div", { class: "map", role: "region", tabindex: 0, "aria-label": "Attention map" });
    this.element.addEventListener("pointermove", (event) => this.#point(event));
    this.element.addEventListener("pointerdown", (event) => this.#point(event));
    this.element.addEventListener("pointerleave", ({ pointerType }) => pointerType !== "touch" && (get("readout").hidden = true)); // a finger leaves the screen after a tap
    this.element.addEventListener("click", (event) => {
      const place = this.#place(event);
      if (place) this.choose(place.query);
    });
  }

  /** All weights, and a frame around the row of the chosen token. */
  draw(weights, chosen) {
    this.weights = weights;
    const { cell, margin } = this;
    const squares = weights.flatMap((row, query) =>
      row.slice(0, query + 1).map((share, key) =>
        share < SEEN ? null : shape("rect", { x: margin + key * cell, y: margin + query * cell, width: cell - 1, height: cell - 1, "fill-opacity": darkness(share) }),
      ),
    );
    const frame = shape("rect", { class: "frame", x: margin - 1, y: margin + chosen * cell - 1, width: (chosen + 1) * cell + 1, height: cell + 1 });
    const side = margin + weights.length * cell + 2;
    const label = `Attention of ${weights.length} tokens, a row for each query; no token attends to later ones.`;
    refill(this.element, shape("svg", { width: side, height: side, role: "img", "aria-label": label }, this.#axes(chosen), squares, frame));
  }

  #axes(chosen) {
    const { cell, margin } = this;
    const middle = (index) => margin + (index + 0.5) * cell;
    return this.labels.flatMap((text, index) => {
      const attributes = { class: index === chosen ? "label chosen" : "label", "dominant-baseline": "central" };
      return [
        shape("text", { ...attributes, "text-anchor": "end", x: margin - 5, y: middle(index) }, cut(text)),
        shape("text", { ...attributes, transform: `translate(${middle(index)} ${margin - 5}) rotate(-90)` }, cut(text)),
      ];
    });
  }

  /** Which square the pointer is on: {query, key}, or null. */
  #place({ clientX, clientY }) {
    const box = this.element.querySelector("svg").getBoundingClientRect();
    const [key, query] = [clientX - box.left, clientY - box.top].map((px) => Math.floor((px - this.margin) / this.cell));
    return key >= 0 && query >= key && query < this.labels.length ? { query, key } : null;
  }

  #point(event) {
    const place = this.#place(event);
    const readout = get("readout");
    readout.hidden = !place;
    if (!place) return;
    const { query, key } = place;
    const share = this.weights[query][key];
    const quoted = (index) => node("code", {}, this.labels[index]);
    refill(readout, node("p", {}, quoted(query), " gives ", quoted(key), " ", node("b", {}, share ? percent(share) : "0 %"), " of its attention"), node("meter", { min: 0, max: 1, value: share, "aria-hidden": "true" }));
    readout.style.left = `${Math.max(8, Math.min(event.clientX + 14, innerWidth - readout.offsetWidth - 8))}px`;
    const below = event.clientY + 18 + readout.offsetHeight < innerHeight;
    readout.style.top = `${below ? event.clientY + 18 : event.clientY - readout.offsetHeight - 12}px`;
  }
}

/** What the colours mean. */
export function scale() {
  const steps = SCALE.map((share) => {
    const square = shape("svg", { width: 18, height: 18, "aria-hidden": "true" }, shape("rect", { width: 18, height: 18, "fill-opacity": darkness(share) }));
    return node("span", {}, square, `${100 * share} %`);
  });
  return node("p", { class: "scale" }, node("span", {}, "Share of the token\u2019s attention:"), steps);
}

const cut = (text) => ([...text].length > LABEL_LETTERS ? `${[...text].slice(0, LABEL_LETTERS - 1).join("")}\u2026` : text);
