// The parts of the pictures: lists of numbers as colours, figures, bars, arrows on a circle. Each
// number remembers its `NumberRef`, by which it is explained.
"use strict";

const byId = (id) => document.getElementById(id);

/** @param {string} tag @param {Object} properties @param {...(Node|string)} children */
function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** The ref of a figure, and of the first number of a strip. @type {WeakMap<Element, NumberRef>} */
const REFS = new WeakMap();
const MOST_CELLS = 512; // of a list, until all are asked for
const TILES = 8; // numbers of a list in figures

/** By which a list is found again. @param {{name: string, layer?: number, token?: number}} ref */
const listKey = (ref) => [ref.name, ref.layer ?? "", ref.token ?? ""].join(" ");

/** A token's text. @param {string} text */
const word = (text) => element("bdi", { className: "word", textContent: text });

/** A number that can be asked where it came from. @param {number} value @param {NumberRef} ref @param {string} text */
function figureButton(value, ref, text = figure(value)) {
  const button = element("button", { type: "button", className: "figure", textContent: text });
  REFS.set(button, ref);
  return button;
}

/** Of several buttons one is reached by the tab key, the others by arrow keys. @param {HTMLElement} group */
function roving(group) {
  group.dataset.roving = "";
  group.querySelectorAll("button").forEach((button, index) => (button.tabIndex = index ? -1 : 0));
  return group;
}

/**
 * A list of numbers: a square for each, and the first ones in figures.
 * @param {ArrayLike<number>} values @param {NumberRef} ref of the first @param {{label: string, note?: string, tiles?: boolean, scale?: number, open?: boolean}} options
 */
function listPicture(values, ref, { label, note = "", tiles = true, scale = 0, open = false }) {
  const shown = open ? values.length : Math.min(values.length, MOST_CELLS), strip = stripOf(values, ref, label, shown, scale);
  const head = element("div", { className: "list-head" }, element("b", { textContent: label }), element("span", { textContent: note || `${values.length.toLocaleString("en")} numbers` }));
  const list = element("div", { className: "list" }, head, strip);
  list.dataset.list = listKey(ref);
  if (shown < values.length) {
    const more = element("button", { type: "button", className: "more", textContent: `The first ${shown} are shown. Show all ${values.length.toLocaleString("en")}` });
    more.dataset.open = listKey(ref);
    list.append(more);
  }
  if (!tiles) return list;
  const figures = Array.from({ length: Math.min(TILES, values.length) }, (_, index) => figureButton(values[index], { ...ref, index: ref.index + index }));
  const rest = values.length - figures.length;
  const row = roving(element("div", { className: "tiles numbers" }, ...figures));
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", `${label}: the first ${figures.length} numbers`);
  if (rest > 0) row.append(element("span", { className: "quiet", textContent: `and ${rest.toLocaleString("en")} more` }));
  list.append(row);
  return list;
}

/** The squares: a slider, whose place is the number that is explained. */
function stripOf(values, ref, label, shown, scale) {
  let most = scale;
  if (!most) for (const value of values) most = Math.max(most, Math.abs(value));
  const strip = squares(element("div", { className: "strip", tabIndex: 0 }), values, shown, most);
  strip.setAttribute("role", "slider");
  strip.setAttribute("aria-label", `${label}, number`);
  strip.setAttribute("aria-valuemin", "1");
  strip.setAttribute("aria-valuemax", String(shown));
  strip.style.setProperty("--columns", String(columnsOf(shown)));
  strip.values = values;
  REFS.set(strip, ref);
  placeStrip(strip, 0);
  return strip;
}

/** Puts a square for each number into a strip. @param {HTMLElement} strip @param {ArrayLike<number>} values @param {number} count @param {number} most */
function squares(strip, values, count, most) {
  strip.innerHTML = "<i></i>".repeat(count);
  for (let index = 0, square = strip.firstElementChild; square; index++, square = square.nextElementSibling) {
    square.style.setProperty("--s", (most ? Math.abs(values[index]) / most : 0).toFixed(2));
    if (values[index] < 0) square.className = "low";
  }
  return strip;
}

/** Squares in a row, so that the rows are whole. @param {number} count */
function columnsOf(count) {
  if (count <= 32) return count;
  for (let columns = 32; columns >= 20; columns--) if (count % columns === 0) return columns;
  return 32;
}

/** @param {HTMLElement} strip @param {number} index */
function placeStrip(strip, index) {
  strip.setAttribute("aria-valuenow", String(index + 1));
  strip.setAttribute("aria-valuetext", `number ${index + 1}: ${figure(strip.values[index])}`);
}

/** The ref of a strip's number. @param {HTMLElement} strip @param {number} index */
const refInStrip = (strip, index) => ({ ...REFS.get(strip), index: REFS.get(strip).index + index });

/** A bar from the middle: to the right above zero. @param {number} value @param {number} most */
function middleBar(value, most) {
  const drawnBar = element("span", { className: value < 0 ? "bar low" : "bar" });
  drawnBar.style.width = `${most ? (50 * Math.abs(value)) / most : 0}%`;
  return element("span", { className: "track middle", ariaHidden: "true" }, drawnBar);
}

/** @param {number} share 0 to 1 @param {string} kind a class */
function shareBar(share, kind = "") {
  const drawnBar = element("span", { className: `bar ${kind}` });
  drawnBar.style.width = `${100 * Math.min(1, share)}%`;
  return element("span", { className: "track", ariaHidden: "true" }, drawnBar);
}

/** A row of a list of bars. @param {(Node|string)[]} cells @param {boolean} chosen */
function row(cells, chosen = false) {
  const made = element("div", { className: chosen ? "row chosen" : "row" }, ...cells);
  return made;
}

/** A sign between two lists. @param {string} sign */
const operator = (sign) => element("p", { className: "operator", textContent: sign, ariaHidden: "true" });

/**
 * A pair of numbers as an arrow, before and after its turn.
 * @param {[number, number]} before @param {number} angle @param {{angle: number}[]} trail the turns of the places before
 */
function dial([a, b], angle, trail) {
  const start = Math.atan2(b, a), turned = angle % (2 * Math.PI), end = start + angle, radius = 42;
  const at = (direction, length) => [(length * Math.cos(direction)).toFixed(2), (-length * Math.sin(direction)).toFixed(2)];
  const [x0, y0] = at(start, radius), [x1, y1] = at(end, radius), [u0, v0] = at(start, 22), [u1, v1] = at(end, 22);
  const dots = trail.map((each) => at(start + each, radius)).map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="1.6" class="trail"/>`);
  const arc = `M ${u0} ${v0} A 22 22 0 ${turned > Math.PI ? 1 : 0} 0 ${u1} ${v1}`;
  return element("span", { className: "dial", ariaHidden: "true", innerHTML: `<svg viewBox="-50 -50 100 100"><circle r="${radius}" class="rim"/>${dots.join("")}<path d="${arc}" class="arc"/>
    <line x2="${x0}" y2="${y0}" class="before"/><line x2="${x1}" y2="${y1}" class="after"/><circle cx="${x0}" cy="${y0}" r="3" class="before"/><circle cx="${x1}" cy="${y1}" r="4" class="after"/></svg>` });
}

// A sign with what it raises or lowers, a letter that stands alone, or what is between them.
const ALONE = "(?<![\\p{L}\\d])[A-Za-zθε](?![\\p{L}\\d])";
const TYPESET = new RegExp(`([_^])(?:\\{([^}]*)\\}|(\\S))|(${ALONE}′?)|([^_^]+?(?=[_^]|${ALONE}|$))`, "gu");

/** Letters with `_` and `^` as HTML: letters that stand alone in italics. @param {string} text */
function typeset(text) {
  const made = document.createDocumentFragment();
  for (const [, sign, braced, letter, single, other] of text.matchAll(TYPESET)) {
    if (sign) made.append(element(sign === "_" ? "sub" : "sup", {}, braced === undefined ? typeset(letter) : typeset(braced)));
    else if (single) made.append(element("var", { textContent: single }));
    else made.append(other);
  }
  return made;
}
