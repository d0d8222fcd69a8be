// The picture of the whole model: where its parts stand. A row for each step from the text down to the
// next token, a column for each token; widths and heights change with the zoom, each in its own way, so
// that at any zoom the room is filled. Draws nothing.
"use strict";

/**
 * A list of numbers in a row: `count` numbers of `name` from `start` on; of scores and shares (`tokens`) one for each token.
 * @typedef {{name: string, layer: number, head: number, start: number, count: number, label: string, step: string, tokens: boolean}} PictureList
 * @typedef {{kind: string, layer: number, head: number, step: string, lists: PictureList[], heights: number[]}} PictureRow
 * What is in sight: zoom 0 (the whole model), 1 (heads), 2 (numbers) to MOST_ZOOM, and the pixels left of it and above.
 * @typedef {{zoom: number, left: number, top: number}} PictureView
 */

const MOST_ZOOM = 3;
const CELL = { height: 18, label: 20, gap: 8, stream: 46 }; // in pixels at zoom 2; stream: of a column, left of its lists
const COLUMN = { heads: 112, numbers: 404, least: 380 }; // widths at zoom 1 and 2, where there is room; least: for figures in the cells
const SLANTED = 54; // words of narrower columns are slanted

/** Numbers of a list in a row of cells. @param {PictureList} list */
const cellColumns = ({ count, tokens }) => (tokens ? 3 : count > 128 ? 16 : 8);
/** @param {PictureList} list */
const listHeight = (list) => CELL.label + CELL.gap + CELL.height * Math.ceil(list.count / cellColumns(list));

/** @param {Inside} look @param {number} tokens columns of the picture @param {number} room pixels from top to bottom at zoom 0 @param {number} words pixels of a row of words there @returns {PictureRow[]} */
function pictureRows(look, tokens, room, words) {
  const { config, trace } = look, rows = [];
  const list = (name, layer, step, options = {}) => {
    const head = options.head ?? -1, whole = { name, layer, head, step, start: 0, label: SUBJECT[name], tokens: false };
    return trace.has(name, layer, head) ? [{ ...whole, count: trace.get(name, layer, head).length, ...options }] : [];
  };
  const add = (kind, step, fit, heads, lists, layer = -1, head = -1) => {
    const numbers = Math.max(heads, 14 + lists.reduce((sum, each) => sum + listHeight(each), 0));
    rows.push({ kind, layer, head, step, lists, heights: [fit, heads, numbers, 1.5 * numbers] });
  };
  const ofBlock = Math.max(26, (room - 2 * words - 30) / config.num_layers), attention = 0.62 * ofBlock;
  const added = trace.has("position_embedding") || config.embedding_norm ? list("stream", 0, "positions", { label: "enters block 1" }) : [];
  add("text", "tokens", words, 52, []);
  add("embedding", "embedding", 24, 44, [...list("embedding", -1, "embedding"), ...list("position_embedding", -1, "positions"), ...added]);
  for (let layer = 0; layer < config.num_layers; layer++) {
    const normed = config.block !== "post", leaves = layer + 1 < config.num_layers ? `enters block ${layer + 2}` : "leaves the last block";
    add("norm", "norm", 0.5, 8, list("attention_norm", layer, "norm"), layer);
    for (let head = 0; head < config.num_heads; head++) add("head", "mask", attention / config.num_heads, 54, headLists(look, list, tokens, layer, head), layer, head);
    add("attention", "heads", 0.5, 24, [...list("attention", layer, "heads"), ...(normed ? list("attention_output_norm", layer, "added") : []), ...list("between", layer, "added")], layer);
    const last = normed ? list("feedforward_output_norm", layer, "feedforward") : [];
    add("feedforward", "feedforward", ofBlock - attention - 1, 76, [...list("feedforward_norm", layer, "feedforward"), ...list("inner", layer, "feedforward"), ...list("feedforward", layer, "feedforward"), ...last, ...list("stream", layer + 1, "layers", { label: `residual stream, ${leaves}` })], layer);
  }
  add("final", "logits", 0.5, 8, list("final_norm", -1, "logits"));
  add("logits", "logits", 4, 104, list("logits", -1, "logits", { count: PICTURE_GUESSES, tokens: true }));
  add("next", "choice", words, 52, []);
  return rows;
}

const PICTURE_GUESSES = 10; // tokens whose logits are shown

/** What a head makes of a token: query, key, value, scores, shares, what it has found. */
function headLists(look, list, tokens, layer, head) {
  const { head_width: count } = look.config, shared = look.shared(head) * count;
  const part = (name, start) => ["", "_norm", "_rotated"].flatMap((step) => list(name + step, layer, "qkv", { start, count }));
  const each = { head, count: tokens, tokens: true };
  return [
    ...part("query", head * count), ...part("key", shared), ...list("value", layer, "qkv", { start: shared, count }),
    ...list("scores", layer, "scores", { ...each, label: "scores" }), ...list("weights", layer, "mask", { ...each, label: "shares of attention" }),
    ...list("heads", layer, "mix", { start: head * count, count, label: "what the head has found" }),
  ];
}

class PictureLayout {
  /** @param {Inside} look @param {number} columns @param {number} width @param {number} height of the room in pixels */
  constructor(look, columns, width, height) {
    const fit = width / columns, heads = Math.max(fit, Math.min(COLUMN.heads, width / 2.5)), numbers = Math.max(heads, COLUMN.least, Math.min(COLUMN.numbers, width));
    Object.assign(this, { columns, width, height, rows: pictureRows(look, columns, height, fit < SLANTED ? 62 : 36) });
    this.widths = [fit, heads, numbers, 2 * numbers];
  }

  /** Of a list of values at zoom 0, 1, 2 and 3 the one at a zoom between. @param {number[]} stops @param {number} zoom */
  static at(stops, zoom) {
    const from = Math.min(MOST_ZOOM - 1, Math.floor(zoom));
    return stops[from] * (stops[from + 1] / stops[from]) ** (zoom - from);
  }

  /** The width of a column, and where each row begins and the last one ends. @param {number} zoom */
  places(zoom) {
    if (this.kept?.zoom === zoom) return this.kept;
    const tops = [0];
    for (const { heights } of this.rows) tops.push(tops.at(-1) + PictureLayout.at(heights, zoom));
    return (this.kept = { zoom, pitch: PictureLayout.at(this.widths, zoom), tops });
  }

  /** The view within its bounds; what is smaller than the room stands in its middle. @param {PictureView} view @returns {PictureView} */
  bounded({ zoom, left, top }) {
    const { pitch, tops } = this.places(zoom), within = (value, size, room) => (size <= room ? (size - room) / 2 : Math.max(0, Math.min(size - room, value)));
    return { zoom, left: within(left, pitch * this.columns, this.width), top: within(top, tops.at(-1), this.height) };
  }

  /** Column and row, with fractions, at pixels from the corner of the room. @param {PictureView} view @param {number} x @param {number} y */
  find({ zoom, left, top }, x, y) {
    const { pitch, tops } = this.places(zoom), below = y + top;
    let row = 0;
    while (row + 1 < this.rows.length && tops[row + 1] <= below) row++;
    return { column: (x + left) / pitch, row: row + (below - tops[row]) / (tops[row + 1] - tops[row]) };
  }

  /** The view at a zoom in which a place of the model stands at these pixels. @param {number} zoom @param {{column: number, row: number}} place @param {number} x @param {number} y */
  viewOf(zoom, { column, row }, x = this.width / 2, y = this.height / 2) {
    const { pitch, tops } = this.places(zoom), whole = Math.max(0, Math.min(this.rows.length - 1, Math.floor(row)));
    return this.bounded({ zoom, left: column * pitch - x, top: tops[whole] + (row - whole) * (tops[whole + 1] - tops[whole]) - y });
  }

  /** Zoomed, with what stands at the pixels staying there. @param {PictureView} view @param {number} zoom @param {number} x @param {number} y */
  zoomed(view, zoom, x, y) {
    return this.viewOf(Math.max(0, Math.min(MOST_ZOOM, zoom)), this.find(view, x, y), x, y);
  }

  /** Where the row of a part is. @param {string} kind @param {number} layer @param {number} head */
  rowOf(kind, layer = -1, head = -1) {
    return this.rows.findIndex((row) => row.kind === kind && (row.layer < 0 || row.layer === layer) && (row.head < 0 || row.head === head));
  }

  /** The list at a place of a row that shows numbers, as it stands from top to bottom: from and to in shares of the row's height. @param {number} row */
  listPlaces(row) {
    const { lists, heights } = this.rows[row];
    let from = 10;
    return lists.map((list) => {
      const place = { list, from: from / heights[2], to: (from + listHeight(list)) / heights[2] };
      from += listHeight(list);
      return place;
    });
  }
}

/** What a zoom shows. @param {number} zoom */
const pictureLevel = (zoom) => (zoom < 0.5 ? "words" : zoom < 1.5 ? "heads" : "numbers");
