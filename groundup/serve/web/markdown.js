// Markdown -> a tree of plain values. Nothing here makes an element, and HTML in the text is text.
//
//   parse("a *b*")  ->  [{tag: "p", from: 0, to: 5, children: [{text: "a ", at: 0}, {tag: "em", children: [{text: "b", at: 3}]}]}]
//
// A leaf {text, at} stands in the source, letter for letter, from `at` on: so a word on the page is found again among the tokens. The tags are those
// of TAGS and no others. Work grows with the length of the text, whatever stands in it: a search that failed once is not tried again, and nesting
// is read to DEPTH; what lies deeper stays as it was written. A part of CommonMark: no reference links, no setext headings, no HTML, no pictures.

export const TAGS = ["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "hr", "table", "tr", "th", "td", "code", "strong", "em", "del", "a"];

const DEPTH = 8;
const FENCE = /^ {0,3}(```+|~~~+)\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(?=\S)/;
const RULE = /^ {0,3}(?:(?:- *){3,}|(?:\* *){3,}|(?:_ *){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})(?:([-*+])|(\d{1,9})[.)])(?: +|$)/;
// Patterns whose work grows with the square of a line's length are tried on lines of at most this many letters.
const LONGEST_LINE = 400;
const DIVIDER = /^ {0,3}\|?(?: *:?-+:? *\|)+ *:?-*:? *$/;

/** The blocks of a text; each has `from` and `to`, its place in the text. */
export function parse(text) {
  const lines = [];
  let at = 0;
  for (const line of text.split("\n")) {
    lines.push({ text: line, at });
    at += line.length + 1;
  }
  return blocks(lines, 0);
}

function blocks(lines, depth) {
  const found = [];
  for (let index = 0; index < lines.length; ) {
    if (!lines[index].text.trim()) {
      index += 1;
      continue;
    }
    const read = depth < DEPTH ? [fence, heading, rule, quote, list, table] : [fence];
    const [block, next] = first(read, lines, index, depth) ?? paragraph(lines, index, depth);
    const last = lines[next - 1];
    found.push({ ...block, from: lines[index].at, to: last.at + last.text.length });
    index = next;
  }
  return found;
}

function first(readers, lines, index, depth) {
  for (const reader of readers) {
    const found = reader(lines, index, depth);
    if (found) return found;
  }
  return null;
}

/** A line without its first `count` characters. */
const cut = (line, count) => ({ text: line.text.slice(count), at: line.at + Math.min(count, line.text.length) });

function fence(lines, index) {
  const opened = opensFence(lines[index].text);
  if (!opened) return null;
  let end = index + 1;
  const closes = (line) => line.trim().length >= opened[1].length && line.trim() === opened[1][0].repeat(line.trim().length);
  while (end < lines.length && !closes(lines[end].text)) end += 1;
  const children = joined(lines.slice(index + 1, end));
  return [{ tag: "pre", language: opened[2].toLowerCase(), children }, Math.min(end + 1, lines.length)];
}

const opensFence = (text) => (text.length <= LONGEST_LINE ? FENCE.exec(text) : null);

/** Lines as leaves; the line break belongs to the line before it. */
function joined(lines) {
  return lines.map((line, index) => ({ text: line.text + (index < lines.length - 1 ? "\n" : ""), at: line.at }));
}

function heading(lines, index) {
  const found = HEADING.exec(lines[index].text);
  if (!found) return null;
  const line = cut(lines[index], found[0].length);
  return [{ tag: `h${found[1].length}`, children: inline([{ ...line, text: withoutHashes(line.text) }]) }, index + 1];
}

/** "Title ##" -> "Title". (A pattern for it would try again from every space of a long run.) */
function withoutHashes(text) {
  let end = text.trimEnd().length;
  while (text[end - 1] === "#") end -= 1;
  return end === 0 || text[end - 1] === " " ? text.slice(0, end).trimEnd() : text.trimEnd();
}

function rule(lines, index) {
  return RULE.test(lines[index].text) ? [{ tag: "hr", children: [] }, index + 1] : null;
}

function quote(lines, index, depth) {
  let end = index;
  while (end < lines.length && QUOTE.test(lines[end].text)) end += 1;
  if (end === index) return null;
  const inner = lines.slice(index, end).map((line) => cut(line, QUOTE.exec(line.text)[0].length));
  return [{ tag: "blockquote", children: blocks(inner, depth + 1) }, end];
}

function list(lines, index, depth) {
  const opened = ITEM.exec(lines[index].text);
  if (!opened || RULE.test(lines[index].text)) return null;
  const isSame = (found) => found && found[2] === opened[2] && Boolean(found[3]) === Boolean(opened[3]);
  const items = [];
  let next = index;
  while (next < lines.length && isSame(ITEM.exec(lines[next].text)) && !RULE.test(lines[next].text)) {
    const [children, end] = item(lines, next, depth);
    items.push({ tag: "li", children });
    next = end;
  }
  return [{ tag: opened[3] ? "ol" : "ul", start: opened[3] ? Number(opened[3]) : null, children: items }, next];
}

/** One item: its first line, and what follows it further in, or without a gap. */
function item(lines, index, depth) {
  const width = ITEM.exec(lines[index].text)[0].length;
  const inner = [cut(lines[index], width)];
  let next = index + 1;
  for (let gap = false; next < lines.length; next += 1) {
    const { text } = lines[next];
    const indent = text.length - text.trimStart().length;
    if (!text.trim()) gap = true;
    else if (indent >= Math.min(width, 2)) gap = false;
    else if (gap || ITEM.test(text) || begins(text)) break;
    inner.push(cut(lines[next], Math.min(indent, width)));
  }
  while (inner.length > 1 && !inner.at(-1).text.trim()) inner.pop();
  const children = blocks(inner, depth + 1);
  const isTight = children[0]?.tag === "p" && children.slice(1).every((block) => block.tag === "ul" || block.tag === "ol");
  return [isTight ? [...children[0].children, ...children.slice(1)] : children, next];
}

const begins = (text) => opensFence(text) || HEADING.test(text) || RULE.test(text) || QUOTE.test(text);

function table(lines, index) {
  const below = lines[index + 1]?.text ?? "";
  if (!lines[index].text.includes("|") || below.length > LONGEST_LINE || !DIVIDER.test(below)) return null;
  const rows = [row(lines[index], "th")];
  let end = index + 2;
  while (end < lines.length && lines[end].text.includes("|")) rows.push(row(lines[end++], "td"));
  return [{ tag: "table", children: rows }, end];
}

function row(line, tag) {
  const spaces = line.text.length - line.text.trimStart().length;
  let at = spaces + (line.text[spaces] === "|" ? 1 : 0);
  const whole = line.text.slice(at).trimEnd();
  const cells = [];
  for (const cell of (whole.endsWith("|") ? whole.slice(0, -1) : whole).split("|")) {
    const text = cell.trimStart();
    cells.push({ tag, children: inline([{ text: text.trimEnd(), at: line.at + at + cell.length - text.length }]) });
    at += cell.length + 1;
  }
  return { tag: "tr", children: cells };
}

function paragraph(lines, index, depth) {
  let end = index + 1;
  const goesOn = ({ text }) => text.trim() && (depth >= DEPTH || !(begins(text) || ITEM.test(text)));
  while (end < lines.length && goesOn(lines[end])) end += 1;
  const stripped = lines.slice(index, end).map((line) => cut(line, line.text.length - line.text.trimStart().length));
  return [{ tag: "p", children: inline(joined(stripped)) }, end];
}

// ---- within a paragraph

const PUNCTUATION = /[!-/:-@[-`{-~]/;
const ADDRESS = /https?:\/\/[^\s<>"'`]*[^\s<>"'`.,;:!?)\]*_]/y;
const EMPHASIS = [["**", "strong"], ["__", "strong"], ["~~", "del"], ["*", "em"], ["_", "em"]];
const LONGEST_LABEL = 300;
const LONGEST_TARGET = 2000;

/** Lines (leaves) -> leaves and marked parts. */
function inline(lines) {
  return marked({ text: lines.map((line) => line.text).join(""), lines }, 0);
}

function marked(source, depth) {
  const { text } = source;
  const found = [];
  const missing = new Set(); // closers that are nowhere ahead
  const special = /[\\`*_~[!h]/g;
  let done = 0;
  for (let hit = special.exec(text); hit && depth < DEPTH; hit = special.exec(text)) {
    const read = part(source, hit.index, missing, depth);
    if (!read) continue;
    found.push(...leaves(source, done, hit.index), ...read.children);
    done = special.lastIndex = read.next;
  }
  return [...found, ...leaves(source, done, text.length)];
}

/** Letters `from` .. `to` of a source as leaves, one for each of its lines. */
function leaves(source, from, to) {
  const found = [];
  let start = 0;
  for (const line of source.lines) {
    const end = start + line.text.length;
    const [first, last] = [Math.max(from, start), Math.min(to, end)];
    if (first < last) found.push({ text: source.text.slice(first, last), at: line.at + first - start });
    if (end >= to) break;
    start = end;
  }
  return found;
}

/** The letters `from` .. `to` as a source of their own. */
function within(source, from, to) {
  return { text: source.text.slice(from, to), lines: leaves(source, from, to) };
}

/** What begins at `index`: {children, next}; null where it is a letter like others. */
function part(source, index, missing, depth) {
  const { text } = source;
  const letter = text[index];
  if (letter === "\\") {
    const isEscape = index + 1 < text.length && PUNCTUATION.test(text[index + 1]);
    return isEscape ? { children: leaves(source, index + 1, index + 2), next: index + 2 } : null;
  }
  if (letter === "`") return code(source, index, missing);
  if (letter === "h") return bareLink(source, index);
  if (letter === "[" || letter === "!") return link(source, letter === "!" ? index + 1 : index, missing, depth);
  return emphasis(source, index, missing, depth);
}

function code(source, index, missing) {
  const run = /`+/y;
  run.lastIndex = index;
  const ticks = run.exec(source.text)[0];
  const start = index + ticks.length;
  const end = missing.has(ticks) ? -1 : closingTicks(source.text, start, ticks.length);
  if (end < 0) {
    missing.add(ticks);
    return { children: leaves(source, index, start), next: start };
  }
  return { children: [{ tag: "code", children: leaves(source, start, end) }], next: end + ticks.length };
}

function closingTicks(text, start, count) {
  const run = /`+/g;
  run.lastIndex = start;
  for (let hit = run.exec(text); hit; hit = run.exec(text)) if (hit[0].length === count) return hit.index;
  return -1;
}

function bareLink(source, index) {
  if (/\w/.test(source.text[index - 1] ?? "")) return null;
  ADDRESS.lastIndex = index;
  const found = ADDRESS.exec(source.text);
  if (!found) return null;
  const next = index + found[0].length;
  return { children: [{ tag: "a", href: found[0], children: leaves(source, index, next) }], next };
}

/** [label](target), also behind a "!": a picture would be loaded from elsewhere, so it is a link. */
function link(source, index, missing, depth) {
  const { text } = source;
  if (text[index] !== "[" || missing.has("](")) return null;
  const middle = text.indexOf("](", index);
  if (middle < 0) missing.add("](");
  if (middle < 0 || middle - index > LONGEST_LABEL) return null;
  const end = text.slice(middle + 2, middle + 2 + LONGEST_TARGET).search(/[)\n]/) + middle + 2;
  if (text[end] !== ")") return null;
  const href = safeTarget(text.slice(middle + 2, end).trim().split(/\s/)[0]);
  if (!href) return null;
  return { children: [{ tag: "a", href, children: marked(within(source, index + 1, middle), depth + 1) }], next: end + 1 };
}

/** An address that a click may go to; null for any other ("javascript:", "data:", a path of this server). */
export function safeTarget(target) {
  return /^(https?:\/\/|mailto:)[^\s<>"']+$/i.test(target) ? target : null;
}

function emphasis(source, index, missing, depth) {
  const { text } = source;
  for (const [mark, tag] of EMPHASIS) {
    if (!text.startsWith(mark, index)) continue;
    const start = index + mark.length;
    if (missing.has(mark) || !/\S/.test(text[start] ?? "") || text[start] === mark[0]) return null;
    if (mark[0] === "_" && /\w/.test(text[index - 1] ?? "")) return null;
    const end = closing(text, start, mark);
    if (end < 0) {
      missing.add(mark);
      return null;
    }
    return { children: [{ tag, children: marked(within(source, start, end), depth + 1) }], next: end + mark.length };
  }
  return null;
}

/** Where `mark` closes: behind a letter, not in a longer run of the same, and "_" not inside a word. */
function closing(text, start, mark) {
  for (let end = text.indexOf(mark, start + 1); end >= 0; end = text.indexOf(mark, end + 1)) {
    const after = text[end + mark.length] ?? "";
    if (mark.length === 1 && (after === mark || text[end - 1] === mark)) {
      while (text[end + 1] === mark) end += 1;
      continue;
    }
    if (/\S/.test(text[end - 1]) && !(mark[0] === "_" && /\w/.test(after))) return end;
  }
  return -1;
}
