// A passage in its document, in a panel over the page: what is cited is marked, and stands in the middle.

import { ask } from "./api.js";
import { button, get, node, refill } from "./dom.js";
import { say } from "./language.js";

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
  const slice = (from, to) => characters.slice(Math.max(0, from - offset), Math.max(0, to - offset)).join("");
  const last = offset + characters.length;
  const [from, to] = cited?.start >= start && cited?.end <= end ? [cited.start, cited.end] : [start, end];
  const marked =
    from === start && to === end
      ? node("mark", {}, slice(start, end))
      : node("mark", {}, slice(start, from), node("mark", { class: "cited" }, slice(from, to)), slice(to, end));
  return [
    head(document, panel),
    title === document ? null : node("p", { class: "hint" }, title),
    changed ? node("p", { class: "notice" }, say("changed")) : null,
    offset > 0 ? node("p", { class: "hint" }, say("long_document")) : null,
    node("div", { class: "document", tabindex: 0, role: "document", "aria-label": document }, slice(offset, start), marked, slice(end, last)),
  ];
}

function head(name, panel) {
  return node("div", { class: "passage-head" }, node("h3", { id: "passage-name" }, name), button(say("close"), () => panel.close(), { "aria-label": say("close_document") }));
}
