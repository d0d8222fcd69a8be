// Saves the pairs that are ticked, as JSON lines. It makes no requests.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const rows = [...document.querySelectorAll("#pairs > li")];
const state = document.getElementById("state");
let changed = false;

const inLine = (text) => text.trim().split(/\s+/).join(" ");
const plain = (text) => inLine(text).replaceAll("*", "").toLowerCase();

/** What is wrong with a pair as it is edited; "" where nothing is. */
function faultOf(pair, question, answer) {
  if (!question) return "The question is empty.";
  if (!answer) return "The answer is empty.";
  const stands = plain(pair.context).includes(plain(answer)) || plain(pair.answer).includes(plain(answer));
  return stands ? "" : "The answer does not stand in the passage: shorten it, or drop the pair.";
}

function read(row) {
  const pair = data[Number(row.dataset.place)];
  const question = inLine(row.querySelector(".question").value);
  const edited = row.querySelector(".answer").value.trim();
  const answer = inLine(edited) === inLine(pair.answer) ? pair.answer : edited;
  const isKept = row.querySelector(".keep").checked;
  const fault = isKept ? faultOf(pair, question, answer) : "";
  row.classList.toggle("dropped", !isKept);
  row.querySelector(".fault").textContent = fault;
  return { isKept, fault, pair: { ...pair, question, answer } };
}

function show() {
  const found = rows.map(read);
  const kept = found.filter((each) => each.isKept && !each.fault).length;
  const faults = found.filter((each) => each.fault).length;
  state.textContent = ` ${kept} of ${rows.length} are kept${faults ? `, ${faults} can't be saved as they are` : ""}.`;
  return found;
}

document.getElementById("pairs").addEventListener("input", () => {
  changed = true;
  show();
});
document.getElementById("kind").addEventListener("change", (event) => {
  for (const row of rows) row.hidden = Boolean(event.target.value) && row.dataset.kind !== event.target.value;
});
document.getElementById("save").addEventListener("click", () => {
  const lines = show().filter((each) => each.isKept && !each.fault).map((each) => `${JSON.stringify(each.pair)}\n`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("")], { type: "application/jsonl" }));
  link.download = "approved.jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  changed = false;
});
addEventListener("beforeunload", (event) => {
  if (changed) event.preventDefault();
});
show();
