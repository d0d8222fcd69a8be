// Elements as a tree. Text goes in as text nodes only: what a model wrote can't become markup.

/** An element with attributes (null or false leaves one out; a function listens) and children (texts, elements, null, lists of these). */
export function node(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function shape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** A button that does something; `name` is what is read aloud where its text is not enough. */
export function button(text, act, attributes = {}) {
  return node("button", { type: "button", click: act, ...attributes }, text);
}

/** Put `children` in the place of what an element holds. */
export function refill(element, ...children) {
  element.replaceChildren(...present(children));
}

export const get = (id) => document.getElementById(id);

/** Announce something to screen readers. */
export function announce(text) {
  get("announcer").textContent = text;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

const present = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined);

/** Send the question of a form at its button or Enter; while `running()` is an AbortController, the button ends that instead. */
export function whenSent(form, field, running, send) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (running()) running().abort();
    else send(field.value.trim());
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!running()) send(field.value.trim());
  });
}
