// Byte-level BPE: text -> ids and ids -> bytes, as groundup/tokenizer/bpe.py does it.
"use strict";

/**
 * What the page holds of a tokenizer.json.
 * @typedef {Object} TokenizerTable
 * @property {string[]} tokens          each id's token: one character of the byte alphabet a byte
 * @property {[number, number, number][]} merges   left, right, joined, in order of priority
 * @property {string} alphabet          the characters of the bytes 0 to 255
 * @property {string[]} splits          regular expressions, applied one after another
 * @property {boolean} nfc              whether the text is normalised to NFC first
 * @property {boolean} whole_pieces     whether a piece that is a token is taken without merging
 * @property {Object<string, string>} control   id -> text of each control token
 * @property {number|null} bos_id       put before every text; null: none
 * @property {number[]} stop_ids        ids that end a text
 */

class ByteLevelTokenizer {
  /** @param {TokenizerTable} table */
  constructor(table) {
    this.table = table;
    this.splits = table.splits.map((expression) => new RegExp(expression, "gu"));
    this.idOf = new Map();
    table.tokens.forEach((token, id) => {
      if (!(id in table.control)) this.idOf.set(token, id);
    });
    this.byteOf = new Map([...table.alphabet].map((character, byte) => [character, byte]));
    this.merges = new Map(table.merges.map(([left, right, joined], rank) => [pairKey(left, right), { rank, joined }]));
  }

  /**
   * The ids of a text, after the begin-of-text token where the model has one. Nothing in the text
   * becomes a control token.
   * @param {string} text
   * @returns {number[]}
   */
  encode(text) {
    return [...(this.table.bos_id === null ? [] : [this.table.bos_id]), ...this.encodeInside(text)];
  }

  /** The ids of a text that goes on after other ids. @param {string} text @returns {number[]} */
  encodeInside(text) {
    const ids = [];
    const whole = this.table.nfc ? text.toWellFormed().normalize("NFC") : text.toWellFormed();
    for (const piece of this.split(whole)) ids.push(...this.encodePiece(piece));
    return ids;
  }

  /** Merges never cross the edge of a piece. @param {string} text @returns {string[]} */
  split(text) {
    let pieces = text ? [text] : [];
    for (const expression of this.splits) pieces = pieces.flatMap((piece) => parts(expression, piece));
    return pieces;
  }

  /** Joins the pair of the lowest rank until none is left. @param {string} piece @returns {number[]} */
  encodePiece(piece) {
    const characters = Array.from(new TextEncoder().encode(piece), (byte) => this.alphabetOf(byte));
    const whole = this.idOf.get(characters.join(""));
    if (this.table.whole_pieces && whole !== undefined) return [whole];
    const ids = characters.map((character) => this.idOf.get(character)).filter((id) => id !== undefined);
    for (;;) {
      let place = -1, best = null;
      for (let index = 0; index + 1 < ids.length; index++) {
        const found = this.merges.get(pairKey(ids[index], ids[index + 1]));
        if (found && (best === null || found.rank < best.rank)) [place, best] = [index, found];
      }
      if (best === null) return ids;
      ids.splice(place, 2, best.joined);
    }
  }

  /** @param {number} byte */
  alphabetOf(byte) {
    this.letters ??= [...this.table.alphabet];
    return this.letters[byte];
  }

  /** The bytes of one token; of a control token its text. @param {number} id @returns {Uint8Array} */
  bytes(id) {
    if (id in this.table.control) return new TextEncoder().encode(this.table.control[id]);
    return Uint8Array.from([...(this.table.tokens[id] ?? "")], (character) => this.byteOf.get(character));
  }

  /** Bytes that are not UTF-8 become U+FFFD. @param {number[]} ids @returns {string} */
  decode(ids) {
    const bytes = ids.flatMap((id) => [...this.bytes(id)]);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
  }

  /** One token for the screen: spaces and line ends visible, bytes of half a character in hex. @param {number} id */
  show(id) {
    const bytes = this.bytes(id);
    if (bytes.length === 0) return `(no token ${id})`;
    try {
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      return text.replace(/ /g, "·").replace(/\n/g, "↵").replace(/\t/g, "→").replace(/\r/g, "␍");
    } catch {
      return Array.from(bytes, (byte) => `<${byte.toString(16).toUpperCase().padStart(2, "0")}>`).join("");
    }
  }
}

/** Ids are below 2^24. @param {number} left @param {number} right */
function pairKey(left, right) {
  return left * 16777216 + right;
}

/** Every match, and the text between the matches. @param {RegExp} expression @param {string} piece */
function parts(expression, piece) {
  const found = [];
  let end = 0;
  for (const match of piece.matchAll(expression)) {
    if (match.index > end) found.push(piece.slice(end, match.index));
    if (match[0]) found.push(match[0]);
    end = match.index + match[0].length;
  }
  if (end < piece.length) found.push(piece.slice(end));
  return found;
}
