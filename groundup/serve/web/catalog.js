// The models that are served, and what each can do.

import { ask } from "./api.js";
import { node, refill } from "./dom.js";

const KINDS = { chat: "Chat models", base: "Base models: they continue a text", classifier: "Classifiers" };
const known = new Map(); // name and digest -> what /api/show told; it reads files, and a model with the same digest is the same

/** All models, chat models first: {name, kind, capabilities, sampling, labels, live, runs_in_page}. Throws Refusal. */
export async function models() {
  const { models: listed } = await ask("/groundup/models");
  return listed.map((each) => ({ ...each, name: short(each.name) }));
}

/** Questions for any chat model. */
export const QUESTIONS = ["What is the capital of France?", "What is a language model?", "Write a short poem about the sea."];

/** Questions to begin with, that the documents answer; [] where none is served. Throws Refusal. */
export async function exampleQuestions() {
  const { indexes } = await ask("/groundup/indexes");
  return indexes.flatMap(({ questions }) => questions);
}

/** The same with all that files tell: {..., size, details, model_info, ...}. Throws Refusal. */
export async function described() {
  const { models: listed } = await ask("/api/tags");
  return Promise.all(listed.map(async (each) => ({ ...each, ...(await shown(each)), name: short(each.name) })));
}

async function shown({ name, digest, modified_at: modified }) {
  const key = `${name} ${digest} ${modified}`;
  if (!known.has(key)) known.set(key, await ask("/api/show", { model: name }));
  return known.get(key);
}

/** Where the page with a model inside is: the file of a build where `live`, else one whose weights come in parts; "": there is none. */
export function livePage({ name, live, runs_in_page: runs }) {
  if (live) return `groundup/live/${encodeURIComponent(name)}`;
  return runs ? `live/${encodeURIComponent(name)}` : "";
}

/** "tiny:latest" -> "tiny" */
export const short = (name) => name.replace(/:latest$/, "");

/** Fill a select with the models that can do something; keeps the choice, else takes the first. Returns whether there is any. */
export function offer(select, found, capability, wanted = select.value) {
  const able = found.filter((model) => model.capabilities.includes(capability));
  const groups = Object.keys(KINDS).map((kind) => [KINDS[kind], able.filter((model) => model.kind === kind)]).filter(([, each]) => each.length);
  const options = groups.map(([label, each]) => [label, each.map(({ name }) => node("option", { value: name }, name))]);
  refill(select, options.length > 1 ? options.map(([label, each]) => node("optgroup", { label }, each)) : options.map(([, each]) => each));
  if (able.some(({ name }) => name === wanted)) select.value = wanted;
  const form = select.closest("form");
  if (form) form.querySelector("button.main").disabled = !able.length; // until the models are known nothing can be asked
  return able.length > 0;
}
