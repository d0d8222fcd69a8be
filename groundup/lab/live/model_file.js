// The weights in the page's bytes; a trained model as one safetensors file, with config and tokenizer
// in the metadata, which groundup/weights/one_file.py reads.
"use strict";

/** @typedef {{config: LiveConfig, shapes: Shapes, files: Object<string, any>}} Trainable   `files`: those of a model's folder by name, tokenizer.json without its vocabulary */

/** @typedef {{tensors: Object<string, number>, rounded: string[]}} Packed   numbers of each tensor, in their order, and those that are int8 with a scale for each 32 */
const SCALE_BYTES = 4, GROUP_BYTES = 36;

/** @param {Packed} packed */
function packedBytes({ tensors, rounded }) {
  return Object.entries(tensors).reduce((sum, [name, length]) => sum + (rounded.includes(name) ? (length / 32) * GROUP_BYTES : 4 * length), 0);
}

/** groundup/lab/live/contents.py writes them. @param {Packed} packed @param {Uint8Array} bytes @returns {Weights} */
function unpacked({ tensors, rounded }, bytes) {
  const view = new DataView(bytes.buffer), weights = {};
  let place = 0;
  for (const [name, length] of Object.entries(tensors)) {
    if (!rounded.includes(name)) {
      weights[name] = new Float32Array(bytes.buffer, place, length);
      place += 4 * length;
      continue;
    }
    const numbers = (weights[name] = new Float32Array(length));
    for (let index = 0; index < length; place += GROUP_BYTES) {
      const scale = view.getFloat32(place, true);
      for (let byte = SCALE_BYTES; byte < GROUP_BYTES; byte++) numbers[index++] = scale * view.getInt8(place + byte);
    }
  }
  return weights;
}

/**
 * Eight bytes with the length of the header, the header as JSON, and the tensors' bytes (little-endian).
 * @param {Trainable & {tokenizer: ByteLevelTokenizer}} chosen @param {Weights} weights @returns {Uint8Array}
 */
function modelFile({ shapes, files, tokenizer }, weights) {
  const metadata = { format: "pt" }, header = { __metadata__: metadata }, names = Object.keys(shapes);
  for (const [name, content] of Object.entries(files)) metadata[name] = JSON.stringify(name === "tokenizer.json" ? withVocabulary(content, tokenizer.table) : content);
  let place = 0;
  for (const name of names) {
    const end = place + 4 * weights[name].length;
    header[name === "head.weight" ? name : `transformer.${name}`] = { dtype: "F32", shape: shapes[name], data_offsets: [place, end] };
    place = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(header)), padded = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + padded + place), view = new DataView(file.buffer);
  view.setBigUint64(0, BigInt(padded), true);
  file.fill(32, 8, 8 + padded); // spaces
  file.set(text, 8);
  place = 8 + padded;
  for (const name of names) for (const value of weights[name]) view.setFloat32((place += 4) - 4, value, true);
  return file;
}

/** A tokenizer.json with the tokens and merges of the page's table. @param {any} frame whose vocabulary has added tokens alone @param {TokenizerTable} table */
function withVocabulary(frame, { tokens, merges }) {
  const added = new Set(frame.added_tokens.map(({ id }) => id)), vocab = { ...frame.model.vocab };
  tokens.forEach((token, id) => { if (!added.has(id)) vocab[token] = id; });
  return { ...frame, model: { ...frame.model, vocab, merges: merges.map(([left, right]) => [tokens[left], tokens[right]]) } };
}
