// The picture of the whole model as SVG: what is in sight at the present zoom, and nothing else.
"use strict";

const MOST_ARCS = 900; // at once; of each token and head those with the largest shares
const ROOM_RIGHT = 26; // pixels for slanted words
const LETTER = 0.56; // the width of a letter, in shares of its size

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);
/** @param {string} name @param {Object<string, string|number>} attributes */
const tag = (name, attributes, inner = "") => `<${name}${Object.entries(attributes).map(([key, value]) => ` ${key}="${typeof value === "number" ? Math.round(100 * value) / 100 : value}"`).join("")}>${inner}</${name}>`;
/** As much of a text as has room. @param {string} text @param {number} room pixels @param {number} size of its letters */
function fitting(text, room, size = 13) {
  const most = Math.floor(room / (LETTER * size)), letters = [...text];
  if (letters.length <= most) return text;
  return most < 2 ? "" : `${letters.slice(0, most - 1).join("")}…`;
}
/** A number in a narrow cell. @param {number} value */
const brief = (value) => value.toFixed(Math.abs(value) < 100 ? 2 : 0).replace("-", MINUS);
/** @param {number} x @param {number} y @param {string} text @param {string} className */
const label = (x, y, text, className, more = {}) => (text ? tag("text", { x, y, class: className, ...more }, escaped(text)) : "");
const box = (x, y, width, height, className, more = {}) => tag("rect", { x, y, width: Math.max(0, width), height: Math.max(0, height), class: className, ...more });

class PictureDrawing {
  /**
   * @param {Inside} look the token, block and head that are chosen @param {PictureLayout} layout @param {PictureValues} values
   * @param {number} origin the place of the first column's token @param {number|null} drawn the id that sampling gives after the last token
   */
  constructor(look, layout, values, origin, drawn) {
    Object.assign(this, { look, layout, values, origin, drawn, most: values.most });
    this.chosen = look.position - origin;
  }

  /** The picture's inner SVG. @param {PictureView} view @param {{column: number, row: number}|null} cursor */
  draw(view, cursor) {
    const { pitch, tops } = this.layout.places(view.zoom), { width, height, columns, rows } = this.layout;
    Object.assign(this, { view, pitch, tops, level: pictureLevel(view.zoom) });
    this.first = Math.max(0, Math.floor(view.left / pitch));
    this.last = Math.min(columns - 1, Math.ceil((view.left + width + ROOM_RIGHT) / pitch) - 1);
    this.seen = Array.from(rows.keys()).filter((row) => this.y(row + 1) > 0 && this.y(row) < height);
    return [this.bands(), this.arcs(), this.streams(), ...this.seen.map((row) => this.row(row)), this.cursor(cursor), this.names()].join("");
  }

  x(column) {
    return column * this.pitch - this.view.left;
  }

  y(row) {
    return this.tops[row] - this.view.top;
  }

  rowHeight(row) {
    return this.tops[row + 1] - this.tops[row];
  }

  /** Where the residual stream of a column is: in its middle, and nearer left of what it carries. */
  line(column) {
    const { zoom } = this.view, places = [this.pitch / 2, this.pitch / 4, Math.min(22, this.pitch / 4)];
    const from = Math.min(1, Math.floor(zoom)), part = Math.min(1, zoom - from);
    return this.x(column) + (1 - part) * places[from] + part * places[from + 1];
  }

  get visibleColumns() {
    return Array.from({ length: this.last - this.first + 1 }, (_, index) => this.first + index);
  }

  show(column) {
    return this.look.tokenizer.show(this.values.ids[this.origin + column]);
  }

  summary(column) {
    return this.values.summaries[this.origin + column];
  }

  /** Behind all: each block, and the column that is chosen. */
  bands() {
    const { config } = this.look, { width, height } = this.layout, parts = [];
    const left = Math.max(-20, this.x(0) + 1), right = Math.min(width + ROOM_RIGHT + 20, this.x(this.layout.columns) - 1);
    for (let layer = 0; layer < config.num_layers; layer++) {
      const from = this.y(this.layout.rowOf("norm", layer)), to = this.y(this.layout.rowOf("feedforward", layer) + 1);
      if (to > 0 && from < height) parts.push(box(left, Math.max(-20, from + 2), right - left, Math.min(height + 20, to - 2) - Math.max(-20, from + 2), "band", { rx: 10 }));
    }
    parts.push(box(this.x(this.chosen), -2, this.pitch, height + 4, "chosen-column"));
    return parts.join("");
  }

  /** From each token that is looked at to the one that looks: as wide as the share. */
  arcs() {
    const rows = this.layout.rows, heads = this.seen.filter((row) => rows[row].kind === "head"), parts = [];
    if (this.level === "words") return this.blockArcs();
    const looking = this.visibleColumns.length, each = Math.max(1, Math.min(12, Math.floor(MOST_ARCS / Math.max(1, heads.length * looking))));
    for (const row of heads) {
      const { layer, head } = rows[row], from = this.y(row) + 3, to = this.y(row + 1) - 3;
      for (const column of this.visibleColumns.sort((a, b) => (a === this.chosen) - (b === this.chosen))) {
        const own = column === this.chosen, weights = this.summary(column)?.weights[layer][head];
        if (weights) parts.push(this.arcsTo(column, weights, from, to, own ? 12 : each, own ? "arc own" : "arc"));
      }
    }
    return parts.join("");
  }

  /** Of the chosen token, the mean of the heads of each block. */
  blockArcs() {
    const found = this.summary(this.chosen);
    if (!found) return "";
    return found.means.map((weights, layer) => {
      const from = this.y(this.layout.rowOf("norm", layer)) + 4, to = this.y(this.layout.rowOf("attention", layer));
      return this.arcsTo(this.chosen, weights, from, to, 24, "arc own");
    }).join("");
  }

  arcsTo(column, weights, from, to, most, className) {
    const widest = Math.min(14, 0.45 * (to - from), column === this.chosen ? 14 : 0.6 * this.pitch), end = this.line(column), middle = (from + to) / 2;
    return mostLookedAt(weights, this.origin + column, most).filter(({ share, token }) => share > 0.02 && token >= this.origin).map(({ token, share }) => {
      const start = this.line(token - this.origin);
      return `<path class="${className}" stroke-width="${(share * widest).toFixed(2)}" d="M${start.toFixed(1)} ${from.toFixed(1)}C${start.toFixed(1)} ${middle.toFixed(1)} ${end.toFixed(1)} ${middle.toFixed(1)} ${end.toFixed(1)} ${to.toFixed(1)}"/>`;
    }).join("");
  }

  /** The residual stream of each column, as thick as it is long as a vector. */
  streams() {
    const { num_layers } = this.look.config, { layout } = this, parts = [];
    const begins = layout.rowOf("embedding"), ends = layout.rowOf("final"), widest = Math.max(0.8, Math.min(24, 0.4 * this.pitch));
    const heights = [this.y(begins)];
    for (let layer = 0; layer < num_layers; layer++) heights.push(this.y(layout.rowOf("norm", layer)), this.y(layout.rowOf("attention", layer) + 1), this.y(layout.rowOf("feedforward", layer) + 1));
    for (const column of this.visibleColumns) {
      const found = this.summary(column), x = this.line(column), low = this.y(ends + 1);
      if (!found) {
        parts.push(tag("path", { class: "unread", d: `M${x} ${heights[0]}V${low}` }));
        continue;
      }
      const lengths = [found.lengths[0], ...Array.from({ length: num_layers }, (_, layer) => [0, 1, 2].map((step) => found.lengths[2 * layer + step])).flat()];
      const half = lengths.map((length) => Math.max(0.4, (0.5 * widest * length) / this.most).toFixed(1)), points = heights.map((y) => y.toFixed(1));
      const right = half.map((size, index) => `${(x + Number(size)).toFixed(1)} ${points[index]}`), left = half.map((size, index) => `${(x - Number(size)).toFixed(1)} ${points[index]}`).reverse();
      const tail = half.at(-1), bottom = low.toFixed(1);
      parts.push(`<path class="flow${column === this.chosen ? " own" : ""}" d="M${right.join("L")}L${(x + Number(tail)).toFixed(1)} ${bottom}L${(x - Number(tail)).toFixed(1)} ${bottom}L${left.join("L")}Z"/>`);
    }
    return parts.join("");
  }

  /** A row, as a group with what it shows said. @param {number} row */
  row(row) {
    const { kind } = this.layout.rows[row];
    let inner = { text: () => this.words(row, (column) => this.show(column), true), next: () => this.guesses(row) }[kind]?.();
    if (inner === undefined && this.level === "words") inner = this.said(row);
    if (inner === undefined && this.level === "heads") inner = this.small(row);
    if (inner === undefined) inner = this.lists(row);
    return inner ? tag("g", { role: "group", "aria-label": escaped(this.describe({ row, column: this.chosen })), "data-row": row }, inner) : "";
  }

  /** One word for each column: slanted where there is little room, and left out where there is none. */
  words(row, textOf, above) {
    const slanted = this.pitch < SLANTED, step = Math.max(1, Math.ceil(15 / this.pitch)), base = above ? this.y(row + 1) - 8 : this.y(row) + 18, parts = [];
    for (const column of this.visibleColumns) {
      const shown = column === this.chosen || (column % step === 0 && Math.abs(column - this.chosen) >= step);
      const found = shown && textOf(column);
      if (!found) continue;
      const text = typeof found === "string" ? { text: found, className: "" } : found, x = this.line(column), own = column === this.chosen ? " own" : "";
      const near = this.level !== "words", turned = slanted ? { transform: `rotate(${above ? -55 : 55} ${x.toFixed(1)} ${base.toFixed(1)})` } : { "text-anchor": near ? "start" : "middle" };
      const begin = near && !slanted ? x - 10 : x, room = slanted ? 56 : this.x(column + 1) - 4 - (near ? begin : this.x(column)), shownText = fitting(text.text, room, 15);
      if (text.className === "drawn" && !slanted) parts.push(this.frame(begin, base, shownText, near));
      parts.push(label(begin, base, shownText, `token-word${own} ${text.className}`, turned));
      if (above && near && !slanted) parts.push(label(begin, base - 19, `id ${this.values.ids[this.origin + column]}`, "small"));
    }
    return parts.join("");
  }

  /** Around a word. */
  frame(x, base, text, starts) {
    const wide = [...text].length * LETTER * 15 + 14;
    return box(starts ? x - 7 : x - wide / 2, base - 17, wide, 24, "drawn-frame", { rx: 6 });
  }

  /** What each column guesses; of the last one, what was drawn. */
  guesses(row) {
    const last = this.values.ids.length - 1 - this.origin;
    return this.words(row, (column) => {
      if (column === last && this.drawn !== null) return { text: this.look.tokenizer.show(this.drawn), className: "drawn" };
      const found = this.summary(column), next = this.values.ids[this.origin + column + 1];
      return found ? { text: this.look.tokenizer.show(found.guesses[0].id), className: found.guesses[0].id === next ? "right" : "guess" } : "";
    }, false);
  }

  /** From far away: words across the block. @param {number} row */
  said(row) {
    const { kind, layer } = this.layout.rows[row], { width } = this.layout, middle = width / 2, room = Math.min(width, this.pitch * this.layout.columns) - 16;
    const line = (y, text, size = 14) => label(middle, y, fitting(text, room, size), "said", { "text-anchor": "middle" });
    if (kind === "feedforward" && this.rowHeight(row) > 16) return line(this.y(row) + this.rowHeight(row) / 2 + 5, wording(room, "feed-forward: works on each token alone", "feed-forward: each alone"));
    if (kind !== "head" || this.layout.rows[row].head > 0) return "";
    const from = this.y(row), to = this.y(this.layout.rowOf("attention", layer)), high = to - from, habit = this.values.clearestHabit(layer);
    if (high > 44) return line((from + to) / 2 - 4, wording(room, "attention: mixes earlier tokens into each one", "attention mixes tokens")) + line((from + to) / 2 + 15, wording(room, habit.long, habit.short));
    return line((from + to) / 2 + 5, wording(room, `attention mixes earlier tokens: ${habit.long}`, "attention mixes tokens"));
  }

  /** Nearer: a few numbers of each part as colours and bars. @param {number} row */
  small(row) {
    const { kind, layer, head } = this.layout.rows[row], top = this.y(row), high = this.rowHeight(row);
    const columns = this.visibleColumns.filter((column) => this.summary(column));
    if (kind === "embedding" && high > 20) return columns.map((column) => this.colours(column, top + high / 2 - 8, this.summary(column).start)).join("");
    if (kind === "feedforward" && high > 30) return columns.map((column) => this.neurons(column, top, high, this.summary(column).neurons[layer])).join("");
    if (kind === "logits" && high > 30) return columns.map((column) => this.bars(column, top, high)).join("");
    if (kind !== "head") return "";
    const weights = this.summary(this.chosen)?.weights[layer][head];
    if (!weights || high < 26) return "";
    const labelled = [], edge = this.layout.width + ROOM_RIGHT;
    return mostLookedAt(weights, this.look.position, 3).filter(({ token, share }) => share >= 0.05 && token >= this.origin).map(({ token, share }) => {
      const line = this.line(token - this.origin), x = line + 46 > edge ? line - 42 : line + 8;
      if (labelled.some((other) => Math.abs(other - x) < 44)) return "";
      labelled.push(x);
      return label(x, top + 16, percent(share), "share");
    }).join("");
  }

  colours(column, top, numbers) {
    const most = Math.max(...numbers.map(Math.abs)), across = 8, side = Math.min(9, (0.75 * this.pitch - 20) / across), left = this.line(column) + Math.min(14, this.pitch / 6);
    return Array.from(numbers, (value, index) => box(left + (index % across) * side, top + Math.floor(index / across) * side, side - 1, side - 1, value < 0 ? "low" : "high", { "fill-opacity": (Math.abs(value) / most).toFixed(2) })).join("");
  }

  /** The neurons that answer most strongly, up for above zero. */
  neurons(column, top, high, neurons) {
    const most = Math.abs(neurons[0].value) || 1, side = Math.min(9, (this.pitch - 14) / NEURONS), middle = top + high / 2 - 6, room = high / 2 - 14;
    const left = this.line(column) + Math.min(14, this.pitch / 6);
    const drawn = neurons.filter((_, index) => left + (index + 1) * side < this.x(column + 1) - 2).map(({ value }, index) => {
      const size = Math.max(1, (room * Math.abs(value)) / most);
      return box(left + index * side, value < 0 ? middle : middle - size, side - 1.5, size, value < 0 ? "low" : "high");
    });
    return drawn.join("") + (this.pitch > 84 ? label(left, top + high - 6, `neuron ${neurons[0].index + 1}`, "small") : "");
  }

  /** What it guesses, with probabilities. */
  bars(column, top, high) {
    const { guesses } = this.summary(column), step = Math.min(20, (high - 8) / guesses.length), room = this.pitch - 12, left = this.x(column) + 6;
    return guesses.map(({ id, share }, index) => {
      const y = top + 6 + index * step;
      return box(left, y, Math.max(1, room * share), step - 3, "bar-share") + (step > 13 ? label(left + 4, y + step - 7, fitting(`${this.look.tokenizer.show(id)} ${percent(share)}`, room, 12), "on-bar") : "");
    }).join("");
  }

  /** Nearest: the numbers themselves. @param {number} row */
  lists(row) {
    const top = this.y(row), high = this.rowHeight(row), parts = [];
    for (const { list, from, to } of this.layout.listPlaces(row)) {
      const y = top + from * high, bottom = top + to * high;
      if (bottom < 0 || y > this.layout.height) continue;
      for (const column of this.visibleColumns) parts.push(this.list(list, column, y, (bottom - y) / listHeight(list)));
    }
    return parts.join("");
  }

  /** Cells of a list in a column, from y on. @param {PictureList} list @param {number} scale of the heights at zoom 2 */
  list(list, column, y, scale) {
    const trace = this.values.trace(this.origin + column), across = cellColumns(list), left = this.x(column) + CELL.stream * Math.min(1, this.pitch / COLUMN.numbers);
    if (!trace) return "";
    const cells = this.cellsOf(list, trace, column), wide = (this.x(column + 1) - 10 - left) / across, high = CELL.height * scale, begin = y + CELL.label * scale, parts = [];
    const most = Math.max(1e-9, ...cells.map(({ size }) => Math.abs(size)));
    parts.push(box(left, begin, wide * Math.min(across, cells.length), high * Math.ceil(cells.length / across), "cells"));
    parts.push(label(left, y + CELL.label * scale - 5, scale > 0.6 ? fitting(list.label, wide * across, 12) : "", "list-name"));
    for (const [index, { text, size, full, at }] of cells.entries()) {
      const x = left + (index % across) * wide, top = begin + Math.floor(index / across) * high;
      if (top + high < 0 || top > this.layout.height || x + wide < 0 || x > this.layout.width + ROOM_RIGHT) continue;
      parts.push(box(x, top, wide - 1, high - 1, size < 0 ? "cell low" : "cell high", { "fill-opacity": ((0.42 * Math.abs(size)) / most).toFixed(2), "data-index": at ?? list.start + index }));
      if (high > 12 && wide > (full ? 70 : 36)) parts.push(label(x + wide - 4, top + high / 2 + 4, !full && text.length > 5 && wide < 50 ? brief(size) : text, "number", { "text-anchor": "end" }) + (full ? label(x + 4, top + high / 2 + 4, fitting(full, wide - 52, 12), "cell-word") : ""));
    }
    return tag("g", { "data-list": `${list.name} ${list.layer} ${list.head}`, "data-start": list.start, "data-token": this.origin + column }, parts.join(""));
  }

  /** What stands in the cells, and by which size they are coloured. */
  cellsOf({ name, layer, head, start, count }, trace, column) {
    const values = trace.get(name, layer, head);
    if (name === "logits") return mostProbable(values).slice(0, PICTURE_GUESSES).map((id) => ({ text: figure(values[id]), size: values[id], at: id, full: this.look.tokenizer.show(id) }));
    if (head < 0) return Array.from(values.subarray(start, start + count), (value) => ({ text: figure(value), size: value }));
    const begins = this.origin + column + 1 - values.length;
    return Array.from(values, (value, index) => ({ text: name === "weights" ? percent(value) : figure(value), size: value, full: this.look.tokenizer.show(this.values.ids[begins + index]) }));
  }

  /** Names of rows at the left, and of tokens at the top, that stay in sight. */
  names() {
    const { height } = this.layout, parts = [];
    const strip = this.y(this.layout.rowOf("embedding")) < 20 && this.level !== "words";
    if (strip) {
      parts.push(box(-1, -1, this.layout.width + ROOM_RIGHT + 2, 26, "strip-back"));
      const step = Math.ceil(44 / this.pitch);
      for (const column of this.visibleColumns.filter((each) => (this.chosen - each) % step === 0)) parts.push(label(this.line(column) - 10, 18, fitting(this.show(column), this.x(column + step) - this.line(column), 15), `token-word${column === this.chosen ? " own" : ""}`));
    }
    parts.push(box(-200, -2, 200, height + 4, "gutter"));
    for (const { from, to, text, className, wanted, least } of this.rowNames()) {
      const y = Math.max((strip ? 26 : 0) + least, Math.min(wanted, to - 4));
      if (y > from && y <= to && y < height + 12) parts.push(label(-10, y, text, `row-name ${className}`, { "text-anchor": "end" }));
    }
    return parts.join("");
  }

  /** What is written left of the picture: wanted at a height, but as long as its part is in sight not above `least`. */
  rowNames() {
    const { layout } = this, far = this.level === "words", named = [], { layer: ownLayer, head: ownHead } = this.look;
    const name = (row, last, text, { wanted = (Math.max(0, this.y(row)) + Math.min(layout.height, this.y(last))) / 2 + 4, className = "", least = 14, from = this.y(row) } = {}) => named.push({ from, to: this.y(last), text, wanted, className, least });
    layout.rows.forEach(({ kind, layer, head }, row) => {
      const inner = { least: 36, from: Math.max(this.y(row), layer < 0 ? 0 : this.y(layout.rowOf("norm", layer)) + 31), className: kind === "head" && layer === ownLayer && head === ownHead ? "own" : "" };
      if (kind === "text") name(row, row + 1, "text", { wanted: this.y(row + 1) - 8 });
      if (kind === "embedding") name(row, row + 1, "embedding");
      if (kind === "norm" && far) name(row, layout.rowOf("feedforward", layer) + 1, `block ${layer + 1}`, { className: "block" });
      if (kind === "norm" && !far) name(row, layout.rowOf("feedforward", layer) + 1, `block ${layer + 1}`, { className: "block", wanted: this.y(row) + 17 });
      if (kind === "logits" && !far) name(row, row + 1, "guesses");
      if (kind === "next") name(row, row + 1, "next token", { wanted: this.y(row) + 18 });
      if (far || this.rowHeight(row) < 24) return;
      if (kind === "head") name(row, row + 1, `head ${head + 1}`, inner);
      if (kind === "feedforward") name(row, row + 1, "feed-forward", inner);
    });
    return named;
  }

  cursor(cursor) {
    if (!cursor) return "";
    const whole = this.level === "words" && this.layout.rows[cursor.row].kind === "head", last = whole ? this.layout.rowOf("attention", this.layout.rows[cursor.row].layer) : cursor.row + 1;
    return box(this.x(cursor.column) + 1, this.y(cursor.row) + 1, this.pitch - 2, this.y(last) - this.y(cursor.row) - 2, "cursor", { rx: 5 });
  }

  /** A part in words and numbers. @param {{row: number, column: number}} place @param {string} level at which it is shown */
  describe({ row, column }, level = this.level) {
    const { kind, layer, head } = this.layout.rows[row], found = this.summary(column), token = this.origin + column, name = `“${this.show(column)}”`;
    const where = layer < 0 ? "" : `Block ${layer + 1}, `, size = (index) => `the size of its stream is ${figure(found.lengths[index])}`;
    if (!found) return `Token ${token + 1}, ${name}: not read yet.`;
    const { tokenizer } = this.look, told = {
      text: () => `Token ${token + 1}, ${name}: id ${found.id} of the vocabulary.`,
      embedding: () => `Embedding of ${name}: ${this.look.config.width} numbers; ${size(0)}.`,
      norm: () => `${where}${name}: its list is evened out; ${size(2 * layer)}.`,
      head: () => `${where}head ${head + 1}: ${name} looks ${this.looksAt(found.weights[layer][head], token)}.`,
      attention: () => `${where}${name}: what the heads found is added; ${size(2 * layer + 1)}.`,
      feedforward: () => `${where}feed-forward at ${name}: neuron ${found.neurons[layer][0].index + 1} answers most (${figure(found.neurons[layer][0].value)}); then ${size(2 * layer + 2)}.`,
    };
    if (kind === "head" && level === "words") return `${where}attention: ${name} looks ${this.looksAt(found.means[layer], token)}, on average of its heads.`;
    if (told[kind]) return told[kind]();
    const guesses = found.guesses.slice(0, 3).map(({ id, share }) => `“${tokenizer.show(id)}” ${percent(share)}`).join(", "), drawn = kind === "next" && token === this.values.ids.length - 1 && this.drawn !== null;
    return `After ${name} the model expects ${guesses}.${drawn ? ` Drawn with these settings: “${tokenizer.show(this.drawn)}”.` : ""}`;
  }

  looksAt(weights, token) {
    return mostLookedAt(weights, token, 3).filter(({ share }, index) => !index || share >= 0.05).map(({ token: other, share }) => `at “${this.look.show(other)}” ${percent(share)}`).join(", ");
  }
}

/** The ref of a cell of the picture. @param {Element} cell @returns {NumberRef & {token: number}} */
function refOfCell(cell) {
  const { list, token } = cell.parentElement.dataset, [name, layer, head] = list.split(" ");
  return { name, index: Number(cell.dataset.index), token: Number(token), ...(layer < 0 ? {} : { layer: Number(layer) }), ...(head < 0 ? {} : { head: Number(head) }) };
}

/** The longer wording where it has room. @param {number} room pixels @param {string} long @param {string} short */
const wording = (room, long, short) => (long.length * LETTER * 14 <= room ? long : short);
