// The list of runs: what each is doing, how far it is, its figures, and a box to hide it.

import { node, refill } from "./dom.js";
import { say } from "./say.js";
import { count, duration, figure, short, state } from "./words.js";

/** A row for each run; `onToggle(id, shown)` is called when its box is changed. Rows stay the same elements, so that focus is kept. */
export class Rows {
  constructor(list, onToggle) {
    this.list = list;
    this.onToggle = onToggle;
    this.rows = new Map();
  }

  show(runs) {
    for (const run of runs) {
      if (!this.rows.has(run.id)) this.#add(run);
      this.#update(this.rows.get(run.id), run);
    }
  }

  #add(run) {
    const box = node("input", { type: "checkbox" });
    box.addEventListener("change", () => this.onToggle(run.id, box.checked));
    const swatch = node("span", { class: `swatch run-${run.colour}${run.dashed ? " dashed" : ""}`, "aria-hidden": "true" });
    const [badge, bar, facts] = [node("span", { class: "badge" }), node("progress", { max: 1 }), node("dl", { class: "facts" })];
    const label = node("label", {}, box, swatch, node("bdi", {}, run.name));
    const element = node("li", { class: "run" }, node("div", {}, label, node("div", { class: "way" }, badge, bar)), facts);
    this.list.append(element);
    this.rows.set(run.id, { box, badge, bar, facts, said: "" });
  }

  #update(row, run) {
    row.box.checked = run.shown;
    row.badge.textContent = state(run);
    row.badge.className = `badge ${run.status}`;
    row.bar.hidden = !run.steps;
    row.bar.value = run.steps ? Math.min(1, (run.step ?? 0) / run.steps) : 0;
    row.bar.setAttribute("aria-label", say("{name}: steps done", { name: run.name }));
    const facts = factsOf(run);
    const said = JSON.stringify(facts);
    if (said === row.said) return;
    row.said = said;
    refill(row.facts, facts.map(([name, value]) => node("div", {}, node("dt", {}, name), node("dd", {}, value))));
  }
}

function factsOf(run) {
  const evaluation = run.evaluation ?? {};
  const done = run.steps ? say("{step} of {steps}", { step: count(run.step ?? 0), steps: count(run.steps) }) : count(run.step);
  const best = run.best?.step === undefined ? null : say("{loss} at {step}", { loss: figure(run.best.loss), step: count(run.best.step) });
  const facts = [
    [say("step"), done],
    [say("left"), run.status === "running" && run.left_s !== null ? duration(run.left_s) : null],
    [say("trained for"), run.elapsed_s === null ? null : duration(run.elapsed_s)],
    [say("training loss"), run.loss === null ? null : figure(run.loss)],
    [say("validation loss"), evaluation.validation == null ? null : figure(evaluation.validation)],
    [say("best"), best],
    [say("bits per byte"), evaluation.bits_per_byte === undefined ? null : figure(evaluation.bits_per_byte)],
    [say("tokens per second"), run.tokens_per_s === null ? null : count(run.tokens_per_s)],
    [say("tokens read"), run.tokens === null ? null : short(run.tokens)],
    [say("skipped steps"), run.skipped ? count(run.skipped) : null],
    [say("rolled back"), run.rolled_back ? count(run.rolled_back) : null],
  ];
  return facts.filter(([, value]) => value !== null);
}
