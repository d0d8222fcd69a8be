// The coach's remarks, and the tables: every evaluation, and the settings in which runs differ.

import { node, refill } from "./dom.js";
import { say } from "./say.js";
import { count, figure, spoken } from "./words.js";

/** The remarks of each run. */
export function showRemarks(place, runs) {
  refill(place, runs.filter((run) => run.detail).map(coached));
}

function coached(run) {
  const remarks = run.detail.remarks.map(({ level, what, text }) =>
    node("li", { class: `remark ${level}` }, node("b", {}, `${what[0].toUpperCase()}${what.slice(1)}. `), text),
  );
  return node("div", {}, node("h3", { class: `run-${run.colour}` }, node("bdi", {}, run.name)), node("ul", {}, remarks));
}

/** A row for each evaluation of each run. */
export function showEvaluations(place, runs) {
  const names = [...new Set(runs.flatMap((run) => run.detail?.figures ?? []))];
  const rows = runs.flatMap((run) =>
    (run.detail?.evaluations ?? []).map((each) => [run.name, count(each.step), figure(each.train_loss), ...names.map((name) => figure(each[name]))]),
  );
  refill(place, table([say("run"), say("step"), say("training loss before it"), ...names.map(spoken)], rows));
}

/** A row for each setting that is not the same in all runs. */
export function showSettings(place, runs) {
  const shown = runs.filter((run) => run.detail);
  const names = [...new Set(shown.flatMap((run) => Object.keys(run.detail.settings)))];
  const valueOf = (run, name) => run.detail.settings[name] ?? "–";
  const differing = names.filter((name) => new Set(shown.map((run) => valueOf(run, name))).size > 1);
  const rows = differing.map((name) => [name, ...shown.map((run) => valueOf(run, name))]);
  const none = shown.length < 2 ? say("There is only one run.") : say("They have the same settings.");
  refill(place, rows.length ? table([say("setting"), ...shown.map((run) => run.name)], rows) : node("p", { class: "quiet" }, none));
}

function table(head, rows) {
  const top = node("thead", {}, node("tr", {}, head.map((name) => node("th", { scope: "col" }, name))));
  const body = rows.map(([first, ...others]) => node("tr", {}, node("th", { scope: "row" }, node("bdi", {}, first)), others.map((cell) => node("td", {}, cell))));
  return node("table", {}, top, node("tbody", {}, body));
}
