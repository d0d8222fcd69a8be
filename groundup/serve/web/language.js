// The language of the assistant's page: that of its pack, else the browser's. The server writes the messages (messages.js).

import { MESSAGES } from "./messages.js";

const SOURCE = "en";
let language = SOURCE;

/** Speak a language from now on, "" the browser's: in the page's elements that have data-say, and in what is drawn. */
export function speak(wanted) {
  const liked = (wanted ? [wanted] : navigator.languages).map((each) => each.split("-")[0].toLowerCase());
  language = liked.find((each) => Object.hasOwn(MESSAGES, each)) ?? SOURCE;
  document.documentElement.lang = language;
  for (const each of document.querySelectorAll("[data-say]")) each.textContent = say(each.dataset.say);
  for (const each of document.querySelectorAll("[data-say-placeholder]")) each.placeholder = say(each.dataset.sayPlaceholder);
  for (const each of document.querySelectorAll("[data-say-label]")) each.setAttribute("aria-label", say(each.dataset.sayLabel));
}

/** The message of a key, with its values. */
export function say(key, values = {}) {
  return MESSAGES[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** A number as it is written in that language. */
export const number = (value) => new Intl.NumberFormat(language).format(value);
