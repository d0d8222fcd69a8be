// The tree of markdown.js -> elements, cut at the borders of tokens, or of places {from, to, mark} that are marked, where there are any.

import { coloured } from "./code.js";
import { button, node } from "./dom.js";
import { say } from "./language.js";
import { copyText } from "./leaving.js";
import { bucket, reaching } from "./tokens.js";

/** One block as an element. */
export function rendered(block, tokens) {
  if (block.tag === "pre") return program(block, tokens);
  if (block.tag === "table") return node("div", { class: "wide", tabindex: 0, role: "region", "aria-label": say("a_table") }, branch(block, tokens));
  return branch(block, tokens);
}

function branch(part, tokens) {
  if (part.tag === undefined) return words(part.text, part.at, tokens);
  const attributes = part.tag === "a" ? { href: part.href, target: "_blank", rel: "noopener noreferrer nofollow" } : { start: part.start };
  return node(part.tag, attributes, part.children.map((child) => (child.tag === undefined ? branch(child, tokens) : rendered(child, tokens))));
}

/** A text as text nodes and spans, one for each token in it. */
export function words(text, at, tokens, kind = null) {
  const [first, end] = reaching(tokens, at, at + text.length);
  const found = [];
  let done = at;
  for (let index = first; index < end; index += 1) {
    const token = tokens[index];
    const [from, to] = [Math.max(token.from, at), Math.min(token.to, at + text.length)];
    if (from > done) found.push(plain(text.slice(done - at, from - at), kind));
    found.push(cutOut(token, index, kind, text.slice(from - at, to - at)));
    done = to;
  }
  return done < at + text.length ? [...found, plain(text.slice(done - at), kind)] : found;
}

function cutOut({ mark, p }, index, kind, text) {
  if (mark) return node("mark", { class: mark }, plain(text, kind));
  return node("span", { class: `token sure-${bucket(p)}${kind ? ` code-${kind}` : ""}`, "data-token": index }, text);
}

const plain = (text, kind) => (kind ? node("span", { class: `code-${kind}` }, text) : text);

/** A program: coloured, with a button that copies it. */
function program(block, tokens) {
  const source = block.children.map((leaf) => leaf.text).join("");
  const code = node("code", {}, placed(coloured(source, block.language), block.children).map((piece) => words(piece.text, piece.at, tokens, piece.kind)));
  const head = node("div", { class: "program-head" }, node("span", {}, block.language || "text"), button(say("copy"), () => copyText(source), { class: "plain", "aria-label": say("copy_code") }));
  return node("div", { class: "program" }, head, node("pre", { tabindex: 0, "aria-label": say("code") }, code));
}

/** Coloured pieces, cut at the ends of the leaves, each with its place in the answer. */
function placed(pieces, leaves) {
  const found = [];
  let [leaf, used] = [0, 0];
  for (const [kind, whole] of pieces) {
    for (let rest = whole; rest; ) {
      const text = rest.slice(0, leaves[leaf].text.length - used);
      if (text) found.push({ kind, text, at: leaves[leaf].at + used });
      used += text.length;
      rest = rest.slice(text.length);
      if (used === leaves[leaf].text.length) [leaf, used] = [leaf + 1, 0];
    }
  }
  return found;
}
