// What a run wrote, evaluation by evaluation. The slider stays at the newest until a reader moves it.

import { node, refill } from "./dom.js";
import { say } from "./say.js";
import { count } from "./words.js";

const get = (id) => document.getElementById(id);
const REPEATS = 0.3; // as the coach has it

export class Samples {
  constructor() {
    [this.choice, this.slider, this.step, this.place] = ["sample-run", "sample-slider", "sample-step", "samples"].map(get);
    this.follows = true;
    this.drawn = "";
    this.choice.addEventListener("change", () => {
      this.follows = true;
      this.#draw();
    });
    this.slider.addEventListener("input", () => {
      this.follows = Number(this.slider.value) === Number(this.slider.max);
      this.#draw();
    });
  }

  /** Runs with their details; only those that wrote something can be chosen. */
  show(runs) {
    this.runs = runs.filter((run) => run.detail && run.detail.samples.length > 0);
    get("samples-section").hidden = this.runs.length === 0;
    const known = [...this.choice.options].map((option) => option.value).join();
    if (known !== this.runs.map((run) => run.id).join()) {
      const chosen = this.choice.value;
      refill(this.choice, this.runs.map((run) => node("option", { value: run.id }, run.name)));
      if (this.runs.some((run) => String(run.id) === chosen)) this.choice.value = chosen;
    }
    this.#draw();
  }

  #draw() {
    const run = this.runs.find((each) => String(each.id) === this.choice.value);
    if (!run) return;
    const evaluations = run.detail.samples;
    this.slider.max = evaluations.length - 1;
    if (this.follows) this.slider.value = evaluations.length - 1;
    const evaluation = evaluations[Math.min(Number(this.slider.value), evaluations.length - 1)];
    this.step.textContent = count(evaluation.step);
    this.slider.setAttribute("aria-valuetext", say("step {step}", { step: count(evaluation.step) }));
    const said = JSON.stringify([run.id, evaluation]);
    if (said === this.drawn) return;
    this.drawn = said;
    refill(this.place, evaluation.written.map(sample));
  }
}

function sample(written) {
  const prompt = written.prompt ? node("mark", {}, written.prompt) : null;
  const text = node("blockquote", { dir: "auto", tabindex: "0" }, prompt, written.text || say("(nothing)"));
  const notes = [];
  if (written.repetition !== null) {
    const words = say("{share} % of its 4-grams are repetitions", { share: Math.round(100 * written.repetition) });
    notes.push(node("li", { class: written.repetition >= REPEATS ? "care" : null }, words));
  }
  if (written.longest_copy !== null) {
    const quoted = written.copied_text ? [": ", node("q", { dir: "auto" }, written.copied_text)] : null;
    notes.push(node("li", {}, say("{tokens} tokens in a row also occur in the training text", { tokens: count(written.longest_copy) }), quoted));
  }
  return node("article", {}, text, notes.length ? node("ul", { class: "notes" }, notes) : null);
}
