// How answers are drawn: one table of fields, from which the form is made and the request is filled. The user sets some; the others are the model's,
// as the server says (`sampling`).

import { node } from "./dom.js";

const FIELDS = [
  { name: "temperature", label: "Temperature", min: 0, max: 2, step: 0.05, hint: "0 always takes the most probable token; higher is more varied." },
  { name: "top_k", label: "Top k", min: 0, max: 100000, step: 1, kind: "number", hint: "Draws from the k most probable tokens; 0: from all." },
  { name: "top_p", label: "Top p", min: 0.05, max: 1, step: 0.05, hint: "Draws from the most probable tokens that hold this much probability; 1: from all." },
  { name: "min_p", label: "Min p", min: 0, max: 0.5, step: 0.01, hint: "Draws from tokens at least this fraction as probable as the best." },
  { name: "repetition_penalty", label: "Repetition penalty", min: 1, max: 2, step: 0.05, hint: "Above 1: tokens of the last 64 become less probable." },
  { name: "max_tokens", label: "Longest answer", min: 1, max: 100000, step: 1, kind: "number", hint: "In tokens." },
  { name: "seed", label: "Seed", min: 0, max: 2147483647, step: 1, kind: "number", hint: "The same seed gives the same answer; empty: a new one each time." },
];
const LONGEST_TOKENS = 400;

/** What is asked of a model: what the user set, else the model's defaults. Fields of a request; null: not said. */
export function asked(model, set) {
  const values = { max_tokens: LONGEST_TOKENS, ...model?.sampling, ...set };
  return Object.fromEntries(FIELDS.map(({ name }) => [name, values[name]]).filter(([, value]) => value !== null && value !== undefined));
}

/** The form's fields, put into `place`; `changed({name: value})` is called when the user changed one (null: it was emptied). */
export class Settings {
  constructor(place, prefix, changed) {
    this.inputs = FIELDS.map((field) => [field, input(field, `${prefix}-${field.name}`)]);
    for (const [field, element] of this.inputs) {
      const value = node("output", { for: element.id });
      element.addEventListener("input", () => {
        value.textContent = element.value;
        if (element.checkValidity()) changed({ [field.name]: element.value === "" ? null : Number(element.value) });
      });
      const label = node("label", { for: element.id }, field.label);
      const hint = node("p", { class: "hint", id: `${element.id}-hint` }, field.hint);
      place.append(node("div", { class: "field" }, label, field.kind ? null : value, element, hint));
    }
  }

  /** Show what would be asked. */
  show(values) {
    for (const [{ name }, element] of this.inputs) {
      element.value = values[name] ?? "";
      const output = element.parentElement.querySelector("output");
      if (output) output.textContent = element.value;
    }
  }
}

function input({ kind = "range", min, max, step }, id) {
  return node("input", { type: kind, id, min, max, step, "aria-describedby": `${id}-hint`, inputmode: kind === "number" ? "numeric" : null });
}
