// The assistant in a frame of another site (embed.js): its name is the end of the address, its public key what stands behind "#".

import { useKey } from "./api.js";
import { Assistant } from "./assistant.js";
import { get } from "./dom.js";

const name = decodeURIComponent(location.pathname.split("/").pop());
useKey(decodeURIComponent(location.hash.slice(1)));
const isTyped = matchMedia("(hover: hover) and (pointer: fine)").matches; // on a phone the keyboard would hide the greeting

function focusQuestion() {
  get(isTyped ? "assistant-question" : "assistant-thread").focus({ preventScroll: true });
}

/** Escape closes a document that is open, then the frame. */
function closeWithEscape(event) {
  if (event.key !== "Escape" || event.defaultPrevented || event.isComposing || get("passage").open) return;
  parent.postMessage({ groundup: "close" }, "*"); // it says nothing else
}

async function show() {
  get("assistant").hidden = false;
  try {
    await new Assistant().refresh(name);
    if (document.hasFocus() && document.activeElement === document.body) focusQuestion(); // it was hidden
  } catch (error) {
    get("assistant-room").hidden = true;
    get("problem").textContent = error.message;
    get("problem").hidden = false;
  }
}

addEventListener("focus", () => document.activeElement === document.body && focusQuestion());
addEventListener("keydown", closeWithEscape);
show();
