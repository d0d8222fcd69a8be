// What can be loaded, what is in memory now, how large it is and how it is built.

import { ask } from "./api.js";
import { described, livePage, models, short } from "./catalog.js";
import { get, node, refill } from "./dom.js";

const count = new Intl.NumberFormat("en");
const CAN = { completion: "generates text", embedding: "embeds", classification: "classifies" };
const SHAPE = [
  ["context_length", "context, tokens"],
  ["block_count", "blocks"],
  ["embedding_length", "width"],
  ["attention.head_count", "attention heads"],
  ["attention.head_count_kv", "key and value heads"],
  ["feed_forward_length", "feed-forward width"],
  ["vocab_size", "vocabulary"],
];

export class Models {
  /** Ask again and draw. Throws Refusal. */
  async refresh() {
    const [found, { models: running }, listed] = await Promise.all([described(), ask("/api/ps"), models()]);
    const held = new Map(running.map((each) => [short(each.name), each]));
    refill(get("model-list"), found.map((model) => card(model, listed.find(({ name }) => name === model.name), held.get(model.details.parent_model ? short(model.details.parent_model) : model.name))));
  }
}

function card(model, entry, held) {
  const page = entry && livePage(entry);
  const uses = entry?.kind === "assistant" ? "answers from documents" : model.capabilities.map((each) => CAN[each] ?? each).join(", ");
  const state = held ? `in memory, ${bytes(held.size)} with its cache; ${leaves(held.expires_at)}` : "not in memory";
  const facts = [
    ["parameters", count.format(model.model_info["general.parameter_count"])],
    ["on disk", bytes(model.size)],
    ["stored as", `${model.details.quantization_level} (${model.details.format})`],
    ["licence", model.license || "not stated"],
    ...shape(model),
  ];
  return node(
    "li",
    { class: "card" },
    node("h3", {}, model.name),
    node("p", { class: held ? "badge held" : "badge" }, state),
    node("p", { class: "quiet" }, `${model.details.family}: ${uses}`),
    node("dl", { class: "facts" }, facts.map(([name, value]) => node("div", {}, node("dd", {}, value), node("dt", {}, name)))),
    page ? node("a", { href: page }, "The page with this model inside") : null,
    model.parameters ? node("details", {}, node("summary", {}, "Stop strings and parameters"), node("pre", { tabindex: 0 }, model.parameters)) : null,
    model.template ? node("details", {}, node("summary", {}, "Chat template"), node("pre", { tabindex: 0 }, model.template)) : null,
  );
}

function shape({ model_info: info }) {
  const family = info["general.architecture"];
  return SHAPE.filter(([key]) => info[`${family}.${key}`]).map(([key, name]) => [name, count.format(info[`${family}.${key}`])]);
}

function leaves(time) {
  const minutes = (new Date(time) - Date.now()) / 60000;
  if (minutes > 1e5) return "stays";
  return minutes < 1 ? "unloaded within a minute" : `unloaded in ${Math.round(minutes)} min if unused`;
}

function bytes(value) {
  const [unit, name] = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]].find(([each]) => value >= each) ?? [1, "bytes"];
  return `${Number((value / unit).toPrecision(3))} ${name}`;
}
