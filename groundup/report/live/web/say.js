// The page in its reader's language: the server writes the texts of it (texts.js), by the English ones that stand in the code.

import { LANGUAGE, TEXTS } from "./texts.js";

export { LANGUAGE };

/** A text in that language, with its values. */
export function say(english, values = {}) {
  return (TEXTS[english] ?? english).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Say what stands in the page in English. */
export function speak() {
  document.documentElement.lang = LANGUAGE;
  for (const each of document.querySelectorAll("[data-say]")) each.textContent = say(each.textContent);
  for (const each of document.querySelectorAll("[data-say-label]")) each.setAttribute("aria-label", say(each.getAttribute("aria-label")));
}
