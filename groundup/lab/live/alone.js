// The page in a frame of another one (its name `at-scores`, or `?alone=at-scores`): of its parts only the text and what the
// address names. It tells the page around it how high it is, and takes its colours, light or dark.
"use strict";

/** @param {string|null} name the id of the part, or of its heading */
function showAlone(name) {
  const named = name && byId(name), part = named && named.closest(".stage, #controls > section");
  if (!part) return;
  document.body.classList.add("alone");
  document.body.dataset.alone = part.id || name;
  for (let each = part; each !== document.body; each = each.parentElement) each.classList.add("shown");
  addEventListener("message", ({ source, data }) => source === parent && setScheme(data?.scheme));
  const tell = () => parent.postMessage({ height: document.body.offsetHeight }, "*");
  new ResizeObserver(tell).observe(document.body);
}

/** What the style sheet says of a dark setting holds or not, whatever the reader's system has. @param {string} scheme */
function setScheme(scheme) {
  if (scheme !== "dark" && scheme !== "light") return;
  document.documentElement.style.colorScheme = scheme;
  setScheme.rules ??= [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).filter((rule) => rule.media?.mediaText.includes("prefers-color-scheme: dark"));
  for (const rule of setScheme.rules) rule.media.mediaText = scheme === "dark" ? "all" : "not all";
}
