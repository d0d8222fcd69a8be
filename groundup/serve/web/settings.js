// How answers are drawn: one table of fields, from which the form is made and the request is filled.

import { node } from "./dom.js";

const FIELDS = [
  { name: "temperature", label: "Temperature", min: 0, max: 2, step: 0.05, start: 0.7, hint: "0 always takes the most probable token; higher is more varied." },
  { name: "top_p", label: "Top p", min: 0.05, max: 1, step: 0.05, start: 0.95, hint: "Draws from the most probable tokens that have this share together." },
  { name: "frequency_penalty", label: "Against repeats", min: 0, max: 2, step: 0.1, start: 0, hint: "Makes a token less probable for each time it was used." },
  { name: "max_tokens", label: "Longest answer", min: 1, max: 100000, step: 1, start: 400, kind: "number", hint: "In tokens." },
  { name: "seed", label: "Seed", min: 0, max: 2147483647, step: 1, start: null, kind: "number", hint: "The same seed gives the same answer; empty: another each time." },
];

/** Values to begin with. */
export const STANDARD = Object.fromEntries(FIELDS.map(({ name, start }) => [name, start]));

/** The form's fields, put into `place`; `changed` is called with all values whenever a hand changed one. */
export class Settings {
  constructor(place, prefix, changed) {
    this.inputs = FIELDS.map((field) => [field, input(field, `${prefix}-${field.name}`)]);
    for (const [field, element] of this.inputs) {
      const value = node("output", { for: element.id });
      element.addEventListener("input", () => {
        value.textContent = element.value;
        if (element.checkValidity()) changed(this.values());
      });
      const label = node("label", { for: element.id }, field.label);
      const hint = node("p", { class: "hint", id: `${element.id}-hint` }, field.hint);
      place.append(node("div", { class: "field" }, label, field.kind ? null : value, element, hint));
    }
  }

  /** What the form says; null where it is empty. */
  values() {
    return Object.fromEntries(this.inputs.map(([{ name }, { value }]) => [name, value === "" ? null : Number(value)]));
  }

  show(values) {
    for (const [{ name, start }, element] of this.inputs) {
      element.value = values[name] ?? (name in values ? "" : start ?? "");
      const output = element.parentElement.querySelector("output");
      if (output) output.textContent = element.value;
    }
  }
}

function input({ kind = "range", min, max, step }, id) {
  return node("input", { type: kind, id, min, max, step, "aria-describedby": `${id}-hint`, inputmode: kind === "number" ? "numeric" : null });
}

/** Values as fields of a request: what is null is not said. */
export function asked(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
}
