// The models that are served, and what each can do.

import { ask } from "./api.js";
import { node, refill } from "./dom.js";

const known = new Map(); // name and digest -> what /api/show told; it reads files, and a model with the same digest is the same

/** All models: {name, capabilities, size, details, model_info, ...}. Throws Refusal. */
export async function models() {
  const { models: listed } = await ask("/api/tags");
  return Promise.all(listed.map(async (each) => ({ ...each, ...(await shown(each)), name: short(each.name) })));
}

async function shown({ name, digest, modified_at: modified }) {
  const key = `${name} ${digest} ${modified}`;
  if (!known.has(key)) known.set(key, await ask("/api/show", { model: name }));
  return known.get(key);
}

/** "tiny:latest" -> "tiny" */
export const short = (name) => name.replace(/:latest$/, "");

/** Fill a select with the models that can do something; keeps what is chosen. Gives whether there is any. */
export function offer(select, found, capability, wanted = select.value) {
  const able = found.filter((model) => model.capabilities.includes(capability));
  refill(select, able.map(({ name }) => node("option", { value: name }, name)));
  if (able.some(({ name }) => name === wanted)) select.value = wanted;
  return able.length > 0;
}
