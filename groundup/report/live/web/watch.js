// The page: asks for the runs every two seconds, for all of a run when it has news, and draws.

import { Chart } from "./chart.js";
import { node, refill } from "./dom.js";
import { Rows } from "./rows.js";
import { Samples } from "./samples.js";
import { LANGUAGE, say, speak } from "./say.js";
import { around, curve, evaluated } from "./series.js";
import { showEvaluations, showRemarks, showSettings } from "./tables.js";
import { count, spoken } from "./words.js";

const LOOK_MS = 2000;
const LOOK_SELDOM_MS = 10000; // while nothing is being trained, or the page is hidden
const COLOURS = 8;
const decimals = new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: 2 });

speak();
const get = (id) => document.getElementById(id);
const runs = new Map(); // id -> row, with its detail once it is there
const chosen = new Map(); // id -> shown, for the runs whose box a reader has set
const cursor = (x) => charts.forEach(({ chart }) => chart.point(x));

const BITS = "bits_per_byte";
const choice = node("select", { "aria-label": say("Figure of the evaluations") });

/** Charts, each with the lines that a run gives it. */
const charts = [
  [
    say("Loss"),
    "Cross-entropy of the next token, in nats: lower is better. Line: training text. Dots: held-out text; the band shows where each lies relative to the newest, with its uncertainty. A triangle marks a skipped step or a rollback.",
    (run, view) => [
      { ...line(run), name: say("{name}, training", run), points: curve(run.detail, "loss", view.axis, view.weight), raw: view.weight > 0, events: events(run, view) },
      { ...line(run), name: say("{name}, validation", run), points: evaluated(run.detail, "validation", view.axis), marked: true, band: around(run.detail, view.axis), words: run.detail.differences.text, run: run.name },
    ],
  ],
  [
    say("On held-out text"),
    "Bits per byte is the same loss per byte of text, comparable between models with different vocabularies.",
    (run, view) => [{ ...line(run), points: evaluated(run.detail, choice.value, view.axis), marked: true }],
  ],
  [say("Learning rate"), "The factor of each optimizer step.", (run, view) => [{ ...line(run), points: curve(run.detail, "learning_rate", view.axis, 0) }]],
  [
    say("Gradient norm"),
    "The norm of the gradient before clipping. Sudden peaks are a sign of instability.",
    (run, view) => [{ ...line(run), points: curve(run.detail, "grad_norm", view.axis, view.weight), raw: view.weight > 0 }],
  ],
  [
    say("Throughput"),
    "Tokens (or texts) per second, without evaluations.",
    (run, view) => [{ ...line(run), points: curve(run.detail, "tokens_per_s", view.axis, view.weight), raw: view.weight > 0 }],
  ],
].map(([title, about, lines]) => ({ chart: new Chart(title, say(about), cursor), lines }));

const rows = new Rows(get("runs"), (id, shown) => {
  chosen.set(id, shown);
  draw();
});
const samples = new Samples();

function line(run) {
  return { name: run.name, colour: run.colour, dashed: run.dashed };
}

function events(run, view) {
  const deed = (each) => (each.event === "skipped" ? "step {step} was skipped: {reason}" : "step {step} was rolled back to the weights of step {before}: {reason}");
  return run.detail.marks
    .filter((each) => typeof each[view.axis] === "number")
    .map((each) => ({ x: each[view.axis], words: say(deed(each), { step: count(each.step), before: count(each.to_step), reason: each.reason }) }));
}

// --- drawing

function draw() {
  const kind = kindNow();
  for (const run of runs.values()) run.shown = chosen.get(run.id) ?? (run.kind === kind || run.kind === "");
  rows.show([...runs.values()]);
  const shown = [...runs.values()].filter((run) => run.shown);
  const known = shown.filter((run) => run.detail);
  offerFigures(known);
  const view = { axis: document.querySelector("[name=axis]:checked").value, weight: Number(get("smoothing").value) };
  for (const { chart, lines } of charts) chart.show(known.flatMap((run) => lines(run, view)), view.axis, get("log").checked);
  showRemarks(get("coach"), shown);
  samples.show(shown);
  showEvaluations(get("evaluations"), known);
  showSettings(get("settings"), known);
}

/** Losses of a classifier and of a language model say nothing beside each other: unless a reader chooses, one kind is shown, the one at work. */
function kindNow() {
  const all = [...runs.values()];
  return (all.filter((run) => run.status === "running").at(-1) ?? all[0])?.kind;
}

/** The figures that can be chosen: what the evaluations of the shown runs have, bits per byte first. */
function offerFigures(known) {
  const found = [...new Set(known.flatMap((run) => run.detail.figures))];
  const names = found.filter((name) => !name.endsWith("_low") && !name.endsWith("_high") && !name.endsWith("_answers"));
  names.sort((one, two) => two.startsWith(BITS) - one.startsWith(BITS) || one.localeCompare(two));
  if ([...choice.options].map((option) => option.value).join() === names.join()) return;
  const chosen = choice.value;
  refill(choice, names.map((name) => node("option", { value: name }, spoken(name))));
  if (names.includes(chosen)) choice.value = chosen;
}

// --- looking

let timer = null;
let looking = false;
let drawn = "";

async function look() {
  if (looking) return;
  looking = true;
  window.clearTimeout(timer);
  try {
    const found = (await ask("runs.json")).runs;
    for (const row of found) await take(row);
    document.body.classList.toggle("empty", found.length === 0); // before anything is drawn, which needs its width
    const news = JSON.stringify(found.map((run) => [run.id, run.version, run.status]));
    if (news === drawn) rows.show([...runs.values()]); // times go on, and nothing else does
    else draw();
    drawn = news;
    tell(found);
  } catch (error) {
    get("word").textContent = say("No answer from groundup watch ({error}). Is it still running? This page keeps trying.", { error: error.message });
    get("word").classList.add("lost");
  }
  const busy = [...runs.values()].some((run) => run.status === "running" || run.status === "waiting") || runs.size === 0;
  looking = false;
  timer = window.setTimeout(look, busy && !document.hidden ? LOOK_MS : LOOK_SELDOM_MS);
}

async function ask(address) {
  const answer = await fetch(address, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(say("status {status}", answer));
  return answer.json();
}

async function take(row) {
  const before = runs.get(row.id);
  const detail = before?.version === row.version ? before.detail : await ask(`runs/${row.id}.json`);
  const place = row.id - 1;
  runs.set(row.id, { ...row, detail, shown: before?.shown, colour: (place % COLOURS) + 1, dashed: place >= COLOURS });
}

function tell(found) {
  const running = found.filter((run) => run.status === "running").length;
  const all = say("Runs: {count}, of them running: {running}.", { count: found.length, running });
  const other = [...runs.values()].some((run) => !run.shown && !chosen.has(run.id));
  get("word").classList.remove("lost");
  get("word").textContent = found.length === 0 ? say("No run yet. This page shows runs as soon as they start.") : `${all}${other ? ` ${say("Runs of another kind are not selected.")}` : ""}`;
  document.title = running ? `${say("{count} running", { count: running })} · groundup watch` : "groundup watch";
}

get("controls").addEventListener("input", () => {
  get("smoothing-value").textContent = decimals.format(get("smoothing").value);
  draw();
});
get("controls").addEventListener("submit", (event) => event.preventDefault());
choice.addEventListener("change", draw);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});
charts[1].chart.tools.append(choice);
get("smoothing-value").textContent = decimals.format(get("smoothing").value);
refill(get("grid"), charts.map(({ chart }) => chart.element));
look();
