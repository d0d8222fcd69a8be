// What is shown of a document: its words in quotation marks, a list below its head, a row of a table in words with the table beside, the nearest passage.

import { node } from "./dom.js";
import { say } from "./language.js";
import { rendered } from "./render.js";

const ITEM = /^\s*(?:[-*•]|\d{1,3}[.)])\s+/;
const AMOUNT = /(\d) (?=[€£$%])/g; // stays on one line
const LONG_WORD = 24; // characters

/** Its text as it is read, without the marks of Markdown. */
const read = (quote) => quote.plain || quote.text;

/** The element of a quotation; `cite` is the button with the number of its source. */
export function quotation(quote, cite) {
  if (quote.in_words) return rowSaid(quote, cite);
  if (quote.is_code) return node("div", { class: quote.role }, codeHead(quote, cite), rendered({ tag: "pre", language: "", children: [{ text: quote.text, at: 0 }] }, []));
  const lines = read(quote).split(/\n\s*/).filter((line) => line.trim());
  if (lines.length > 1 && lines.slice(1).every((line) => ITEM.test(line))) {
    const head = ITEM.test(lines[0]) ? [] : lines.splice(0, 1);
    return listed([quote.head && read(quote.head), ...head].filter(Boolean).join(" … "), lines, quote.role, cite);
  }
  if (quote.head && ITEM.test(quote.text)) return listed(read(quote.head), [read(quote)], quote.role, cite);
  return node("blockquote", { class: quote.role }, withNumber(quoted(quote.head ? `${read(quote.head)} … ${read(quote)}` : read(quote).replace(ITEM, "")), cite));
}

/** A row of a table in words above its table; where several rows answer, these alone. */
function rowSaid({ in_words, role, table }, cite) {
  const areSeveral = table && table.row < 0;
  const shown = table && tableOf(table, say(areSeveral ? "told_rows" : "table"));
  if (areSeveral) shown.classList.add("told");
  const said = node("p", {}, areSeveral ? cite : withNumber(in_words, cite));
  return node("div", { class: `row-said ${role}` }, areSeveral ? [shown, said] : [said, shown]);
}

/** The line that code belongs to, or the number alone. */
const codeHead = (quote, cite) => (quote.head ? node("blockquote", {}, withNumber(quoted(read(quote.head)), cite)) : node("p", {}, cite));

/** A text with the number of its source, which stays on the line of a last word that is not long. */
function withNumber(text, cite) {
  const last = text.slice(text.lastIndexOf(" ") + 1);
  if (last.length > LONG_WORD) return [text, " ", cite];
  return [text.slice(0, text.length - last.length), node("span", { class: "numbered" }, last, " ", cite)];
}

function listed(head, items, role, cite) {
  const texts = items.map((item) => item.replace(ITEM, "").replace(/\s+/g, " "));
  const rows = texts.map((text, place) => node("li", {}, place === items.length - 1 ? withNumber(`${text}${say("close_quote")}`, cite) : text));
  if (!head) rows[0].prepend(say("open_quote"));
  return node("blockquote", { class: role }, head ? node("p", {}, `${say("open_quote")}${head}`) : null, node("ul", {}, rows));
}

/** A table with its quoted row marked; row -1: each is. */
function tableOf({ columns, rows, row }, name) {
  const count = Math.max(columns.length, ...rows.map((cells) => cells.length));
  const filled = (cells, tag, attributes) => Array.from({ length: count }, (_, place) => node(tag, attributes(place), (cells[place] ?? "").replace(AMOUNT, "$1\u00a0")));
  const head = columns.some((name) => name) ? node("thead", {}, node("tr", {}, filled(columns, "th", () => ({ scope: "col" })))) : null;
  const body = rows.map((cells, number) => {
    const [first, ...others] = filled(cells, "td", () => ({}));
    return node("tr", { class: number === row ? "quoted" : null, "aria-current": number === row ? "true" : null }, node("th", { scope: "row" }, ...first.childNodes), others);
  });
  return node("div", { class: "table", tabindex: 0, role: "region", "aria-label": name }, node("table", {}, head, node("tbody", {}, body)));
}

/** Scroll the table of a quotation, once it is on the page, to its quoted row. */
export function showRow(element) {
  const row = element.querySelector(".table .quoted");
  if (!row) return;
  const table = row.closest(".table");
  const hidden = row.offsetTop + row.offsetHeight - table.clientHeight;
  if (hidden > 0) table.scrollTop = hidden + (table.clientHeight - row.offsetHeight) / 2;
}

/** The text of a passage as it is read: without its headings (its title has them) and the fences of code, rows of tables with dots between the cells. */
export const readable = (text) => text.replace(/^\s*#{1,6} .*$/gm, "").replace(/^[ \t]*(?:`{3,}|~{3,}).*$\n?/gm, "").replace(/^\s*\|[\s:|-]+\|\s*$\n?/gm, "").replace(/^\s*\||\|\s*$/gm, "").replace(/[^\S\n]*\|[^\S\n]*/g, " · ");

/** Put a quotation that differs beside the one that answers, each below its document's name. */
export function besideAnother(said, element, { name, nameBefore }) {
  const last = [...said.children].filter(({ classList }) => classList.contains("answers") || classList.contains("differing")).at(-1);
  let pair = last;
  if (last.classList.contains("answers")) {
    pair = node("div", { class: "differing" });
    last.replaceWith(pair);
    pair.append(node("div", {}, node("p", { class: "whose" }, nameBefore), last));
  }
  pair.append(node("div", {}, node("p", { class: "whose" }, name), element));
}

/** What stands before a sentence that its document asks of its reader. */
const REQUEST = "[the document's own request] ";

/** A passage's text from one place of its document to another, its requests to the reader marked; places count characters, not UTF-16 units. */
export function markedText({ text, start, requests = [] }, from, to) {
  const characters = [...text];
  const cuts = requests.map(([first]) => first).filter((first) => from <= first && first < to);
  const places = [from, ...cuts, to];
  return places.slice(1).map((place, number) => `${number ? REQUEST : ""}${characters.slice(places[number] - start, place - start).join("")}`).join("");
}

/** The passage that comes nearest to a question without an answer, opened, with its nearest sentence marked. */
export function nearestPassage(nearest, source, open) {
  const shown = (from, to) => readable(markedText(source, from, to));
  const marked = [shown(source.start, nearest.start).trimStart(), node("mark", {}, shown(nearest.start, nearest.end).trim()), shown(nearest.end, source.end).trimEnd()];
  return node("section", { class: "nearest", "aria-label": "The nearest passage" }, node("p", {}, "Nearest: ", open), node("div", { class: "near-text" }, marked));
}

export const quoted = (text) => `${say("open_quote")}${text.replace(/\s+/g, " ").trim()}${say("close_quote")}`;
