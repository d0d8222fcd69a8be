// The page: which of its views is shown, by the part of the address behind "#": #documents, or #documents/INDEX/ID for a place in it.

import { ask } from "./api.js";
import { Assistant } from "./assistant.js";
import { models } from "./catalog.js";
import { Chat } from "./chat.js";
import { Classify } from "./classify.js";
import { Compare } from "./compare.js";
import { Documents } from "./documents.js";
import { get } from "./dom.js";
import { Inside } from "./inside.js";
import { speak } from "./language.js";
import { Models } from "./models.js";

const inside = new Inside();
const views = {
  assistant: new Assistant(),
  chat: new Chat((text, model) => {
    inside.take(text, model);
    location.hash = "inside";
  }),
  documents: new Documents(),
  inside,
  classify: new Classify(),
  compare: new Compare(),
  models: new Models(),
};

/** The view that the page opens on: an assistant where there is one, the documents where some are served, or nothing else is. */
async function first() {
  try {
    const [{ indexes }, found] = await Promise.all([ask("/groundup/indexes"), models()]);
    if (found.some(({ kind }) => kind === "assistant")) return "assistant";
    return indexes.length || !found.some(({ capabilities }) => capabilities.includes("completion")) ? "documents" : "chat";
  } catch {
    return "chat"; // which says what is wrong
  }
}

async function show() {
  const [asked, ...place] = location.hash.slice(1).split("/");
  const name = asked in views ? asked : await first();
  for (const each of Object.keys(views)) {
    get(each).hidden = each !== name;
    const link = document.querySelector(`nav a[href="#${each}"]`);
    if (each === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  get("readout").hidden = true;
  document.body.classList.toggle("for-customers", name === "assistant");
  if (name !== "assistant") speak("en");
  document.title = `${name[0].toUpperCase()}${name.slice(1)} – groundup`;
  try {
    await views[name].refresh(place.join("/"));
    get("problem").hidden = true;
  } catch (error) {
    get("problem").textContent = error.message;
    get("problem").hidden = false;
    for (const each of get(name).querySelectorAll(".cards > .waiting, .welcome .waiting, option:disabled")) each.remove(); // nothing loads any more
  }
}

/** Go to the first field of the view that is shown, without a change of the address, which would change the view. */
function skip(event) {
  event.preventDefault();
  const view = document.querySelector("main > section:not([hidden])");
  const field = [...view.querySelectorAll("textarea")].find((each) => each.checkVisibility());
  view.tabIndex = -1;
  (field ?? view).focus();
}

/** A panel closes with Escape, and on a click or the focus elsewhere. */
function closePanels({ target, key }) {
  for (const panel of document.querySelectorAll(".bar details[open]")) {
    if (key !== "Escape" && panel.contains(target)) continue;
    panel.open = false;
    if (key === "Escape") panel.querySelector("summary").focus();
  }
}

for (const away of ["wheel", "touchmove"]) document.addEventListener(away, () => (get("readout").hidden = true), { passive: true });
for (const elsewhere of ["pointerdown", "focusin"]) document.addEventListener(elsewhere, closePanels);
document.addEventListener("keydown", (event) => event.key === "Escape" && closePanels(event));
document.querySelector(".skip").addEventListener("click", skip);
addEventListener("hashchange", show);
show();
