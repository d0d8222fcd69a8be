// A page that contains its model: the weights out of the page, and the start.
"use strict";

/** The weights from the base64 of the page. Throws an Error whose message is for the reader. @param {Packed & {checksum: number}} contents @returns {Weights} */
function readWeights(contents) {
  const text = byId("weights").textContent, letters = 4 * 1024 * 1024, damaged = "This file is damaged: the weights in it are not those that were written. Make it again with groundup lab --live.";
  const bytes = new Uint8Array(packedBytes(contents));
  let place = 0;
  try {
    for (let start = 0; start < text.length; start += letters) {
      const part = atob(text.slice(start, start + letters));
      for (let index = 0; index < part.length; index++) bytes[place++] = part.charCodeAt(index);
    }
  } catch {
    throw new Error(damaged);
  }
  if (place !== bytes.length || crc32(bytes) !== contents.checksum) throw new Error(damaged);
  return unpacked(contents, bytes);
}

/** @param {Uint8Array} bytes */
function crc32(bytes) {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
    return byte;
  });
  let sum = 0xffffffff;
  for (let index = 0; index < bytes.length; index++) sum = table[(sum ^ bytes[index]) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

const contents = JSON.parse(byId("contents").textContent);
showAlone(new URLSearchParams(location.search).get("alone") ?? (parent === self ? null : self.name));
try {
  globalThis.livePage = new LivePage(contents, readWeights(contents));
} catch (error) {
  byId("controls").hidden = true;
  byId("failure").hidden = false;
  byId("failure").textContent = error instanceof Error ? error.message : String(error);
}
