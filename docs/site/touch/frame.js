"use strict";
// A picture that can be touched: PICTURES[name] = { controls, play, compute, draw, say }.
//   controls   sliders { name, label, min, max, step, value, names of the places } and choices { name, label, options, value }
//   play       the slider that "Play" moves
//   compute    state -> numbers, as the page computes them on paper (tests compare them with PyTorch)
//   draw       (state, numbers) -> SVG, WIDTH wide: [height, markup]
//   say        (state, numbers) -> one line of what is seen
// No part needs a document but `mount`, so that node writes the still pictures with the same lines.
const PICTURES = {};
const WIDTH = 360;
const STEP_MS = 900;

const show = (number, digits = 2) => {
  const rounded = Number(Number(number).toFixed(digits));
  return String(rounded === 0 ? 0 : rounded).replace("-", "−");
};
const range = (count) => [...Array(count).keys()];
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const dot = (a, b) => sum(a.map((number, place) => number * b[place]));
const softmax = (scores) => {
  const powers = scores.map((score) => Math.exp(score - Math.max(...scores)));
  return powers.map((power) => power / sum(powers));
};

// What a picture says, in the language of the page: WORDS[language] has it by the English, in which {1}, {2} ... stand for numbers and
// quotations. What it lacks stays as it is: the words of the examples are English.
let language = "en";
const VALUE = /−?\d+(?:[.,]\d+)*|“[^”]*”/g;
const QUOTES = { de: ["„", "“"], fr: ["«\u00a0", "\u00a0»"], es: ["«", "»"] };
const written = (value) => {
  if (value.startsWith("“")) return QUOTES[language].join(value.slice(1, -1));
  if (language === "es") value = value.replace(/^(−?\d),(\d{3})$/, "$1$2");
  return value.replace(/[.,]/g, (sign) => (sign === "." ? "," : language === "de" ? "." : "\u202f"));
};
const spoken = (text) => {
  if (!WORDS[language]) return text;
  const values = [], key = String(text).replace(VALUE, (value) => `{${values.push(value)}}`);
  return (WORDS[language][key] ?? key).replace(/\{(\d+)\}/g, (_, place) => written(values[place - 1]));
};

const escaped = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const tag = (name, attributes, inner = "") =>
  `<${name}${Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(value)}"`).join("")}>${inner}</${name}>`;
const words = (x, y, text, attributes = {}) => tag("text", { x, y, ...attributes }, escaped(spoken(text)));
const middle = { "text-anchor": "middle" };
const box = (x, y, width, height, attributes = {}) => tag("rect", { x, y, width, height, rx: 3, ...attributes });
const line = (x1, y1, x2, y2, attributes = {}) => tag("line", { x1, y1, x2, y2, class: "rule", ...attributes });
const path = (points, attributes = {}) =>
  tag("path", { d: "M" + points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L"), fill: "none", ...attributes });
// A number in a square: blue above zero, orange below, stronger the farther from zero.
const cell = (x, y, width, number, most = 2, digits = 2) => {
  const strength = Math.min(Math.abs(number) / most, 1) * 0.45;
  const colour = { class: number < 0 ? "two" : "one", "fill-opacity": strength.toFixed(2), "stroke-opacity": 0.35 };
  return box(x, y, width, 26, colour) + words(x + width / 2, y + 18, show(number, digits), middle);
};
const cells = (x, y, width, numbers, most, digits) =>
  numbers.map((number, place) => cell(x + place * width, y, width - 2, number, most, digits)).join("");
const bar = (x, y, width, share, name = "one") =>
  box(x, y, width, 16, { class: "track" }) + box(x, y, Math.max(share * width, 0.01), 16, { class: name });
const arrow = (x1, y1, x2, y2, name = "one") => {
  const turn = Math.atan2(y2 - y1, x2 - x1);
  const wing = (side) => [x2 - 9 * Math.cos(turn + side), y2 - 9 * Math.sin(turn + side)];
  return path([[x1, y1], [x2, y2]], { class: `${name} stroke` }) + path([wing(0.45), [x2, y2], wing(-0.45)], { class: `${name} stroke` });
};

const initial = (picture) => Object.fromEntries(picture.controls.map(({ name, value }) => [name, value]));
const svg = (picture, state, attributes) => {
  const [height, markup] = picture.draw(state, picture.compute(state));
  const size = { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${WIDTH} ${height}`, class: "touch-picture" };
  return tag("svg", { ...size, ...attributes }, markup);
};
const said = (picture, state) => spoken(picture.say(state, picture.compute(state)));

// In the page: the still picture gives way to a drawn one with its controls.
function mount(figure) {
  const picture = PICTURES[figure.dataset.picture], still = figure.querySelector("img");
  if (!picture || !still) return;
  const state = initial(picture), drawn = document.createElement("div");
  const says = document.createElement("p"), controls = document.createElement("div");
  says.className = "touch-says";
  says.setAttribute("aria-live", "polite");
  controls.className = "touch-controls";
  const shown = [];
  const redraw = () => {
    drawn.innerHTML = svg(picture, state, { role: "img", "aria-label": still.alt });
    says.textContent = said(picture, state);
    for (const refresh of shown) refresh();
  };
  for (const control of picture.controls) {
    const [element, refresh] = control.options ? choice(control, state, redraw) : slider(control, state, redraw);
    controls.append(element);
    shown.push(refresh);
  }
  controls.append(player(picture, state, redraw));
  still.replaceWith(drawn, says, controls);
  redraw();
}

function slider(control, state, redraw) {
  const label = document.createElement("label"), value = document.createElement("output"), input = document.createElement("input");
  const { min, max, step = 1 } = control;
  Object.assign(input, { type: "range", min, max, step, value: control.value });
  input.addEventListener("input", () => { state[control.name] = Number(input.value); redraw(); });
  label.append(spoken(control.label), value, input);
  return [label, () => { input.value = state[control.name]; value.textContent = spoken(control.names?.[state[control.name] - min] ?? show(state[control.name])); }];
}

function choice(control, state, redraw) {
  const label = document.createElement("label"), select = document.createElement("select");
  control.options.forEach((name, place) => select.add(new Option(spoken(name), place)));
  select.addEventListener("change", () => { state[control.name] = Number(select.value); redraw(); });
  label.append(spoken(control.label), select);
  return [label, () => { select.value = state[control.name]; }];
}

// Nothing moves unasked. Where the reader wants less motion, one press is one step.
function player(picture, state, redraw) {
  const button = document.createElement("button"), control = picture.controls.find(({ name }) => name === picture.play);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let timer = 0;
  const on = () => {
    const next = state[control.name] + (control.step ?? 1);
    state[control.name] = next > control.max + 1e-9 ? control.min : Number(next.toFixed(6));
    redraw();
  };
  const stop = () => { clearInterval(timer); timer = 0; label(); };
  const label = () => { button.textContent = calm.matches ? spoken("Next step") : timer ? "Stop" : "Play"; };
  button.type = "button";
  button.addEventListener("click", () => {
    if (calm.matches) return on();
    if (timer) return stop();
    on();
    timer = setInterval(() => { on(); if (state[control.name] >= control.max) stop(); }, STEP_MS);
    label();
  });
  calm.addEventListener("change", stop);
  label();
  return button;
}

if (typeof document !== "undefined") {
  addEventListener("DOMContentLoaded", () => {
    language = document.querySelector("article[lang]")?.lang ?? language;
    document.querySelectorAll("figure.touch").forEach(mount);
  });
}
