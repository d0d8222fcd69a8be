// The list of conversations: open, rename, delete.

import { button, get, node, refill } from "./dom.js";
import * as store from "./store.js";

/** Draw the list. `acts` are {open(id), renamed(id, title), removed(id)}; `current` is the id of the open one. */
export function listConversations(current, acts) {
  const found = store.conversations();
  refill(get("conversations"), found.map((each) => entry(each, each.id === current, acts)));
  get("no-conversations").hidden = found.length > 0;
}

function entry(conversation, isCurrent, acts) {
  const { id, title } = conversation;
  const item = node("li", { class: isCurrent ? "current" : null });
  const open = button(title, () => acts.open(id), { class: "open", "aria-current": isCurrent ? "true" : null });
  const rename = button("✎", () => renameIn(item, conversation, acts), { class: "icon", "aria-label": `Rename ${title}`, title: "Rename" });
  const remove = button("✕", () => confirm(`Delete “${title}”? There is no other copy.`) && acts.removed(id), { class: "icon", "aria-label": `Delete ${title}`, title: "Delete" });
  item.append(open, rename, remove);
  return item;
}

function renameIn(item, { id, title }, acts) {
  const field = node("input", { type: "text", "aria-label": "Name of the conversation", maxlength: 120 });
  field.value = title;
  let isDone = false;
  const end = (keeps) => {
    if (isDone) return; // taking the field away blurs it
    isDone = true;
    acts.renamed(id, (keeps && field.value.trim()) || title);
  };
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") end(true);
    if (event.key === "Escape") end(false);
  });
  field.addEventListener("blur", () => end(true));
  refill(item, field);
  field.select();
}
