// A passage in its document, in a panel over the page: what is cited is marked, and stands in the middle.

import { ask } from "./api.js";
import { button, get, node, refill } from "./dom.js";
import { say } from "./language.js";
import { parse } from "./markdown.js";
import { rendered, words } from "./render.js";

const MARKDOWN = /\.(md|markdown|html?)\b/i;
const AS_MARKDOWN = /\.(docx|xlsx|pptx|od[tsp]|epub|pdf)\b/i; // their headings and tables, read from files in which a line's end can mean something

/** Open the passage at an address of the server; `cited` {start, end} is what of it is cited. */
export async function openPassage(url, cited = null) {
  const panel = get("passage");
  try {
    refill(panel, drawn(await ask(new URL(url, location.href).pathname), cited, panel));
  } catch (error) {
    refill(panel, head(say("passage"), panel), node("p", { class: "problem" }, error.message));
  }
  if (!panel.open) panel.showModal();
  (panel.querySelector("mark.cited") ?? panel.querySelector("mark"))?.scrollIntoView({ block: "center" });
}

function drawn(found, cited, panel) {
  const { document, title, text, offset, start, end, changed } = found;
  const characters = [...text]; // places count characters, not UTF-16 units
  const place = (at) => characters.slice(0, Math.max(0, at - offset)).join("").length;
  const [from, to] = cited?.start >= start && cited?.end <= end ? [cited.start, cited.end] : [start, end];
  const cuts = [[start, from, "near"], [from, to, from === start && to === end ? "near" : "cited"], [to, end, "near"]];
  const marks = cuts.filter(([first, last]) => first < last).map(([first, last, mark]) => ({ from: place(first), to: place(last), mark }));
  const form = MARKDOWN.test(document) ? "answer" : AS_MARKDOWN.test(document) ? "answer lines" : "verbatim";
  return [
    head(document, panel),
    title === document ? null : node("p", { class: "hint" }, title),
    changed ? node("p", { class: "notice" }, say("changed")) : null,
    offset > 0 ? node("p", { class: "hint" }, say("long_document")) : null,
    node("div", { class: `document ${form}`, tabindex: 0, role: "document", "aria-label": document }, form === "verbatim" ? words(text, 0, marks) : parse(text).map((block) => rendered(block, marks))),
  ];
}

function head(name, panel) {
  return node("div", { class: "passage-head" }, node("h3", { id: "passage-name" }, name), button(say("close"), () => panel.close(), { "aria-label": say("close_document") }));
}
