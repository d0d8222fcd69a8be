// What leaves the page: to the clipboard, or as a file. Never to another machine.

import { announce, node } from "./dom.js";
import { say } from "./language.js";

/** Copy a text. Where the browser has no clipboard for a page (http from another machine), the old way of a selection. */
export async function copyText(text) {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copySelection(text);
  announce(say("copied"));
}

function copySelection(text) {
  const area = node("textarea", { class: "away", readonly: true, "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** Save a text as a file. */
export function saveFile(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  node("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** A conversation as Markdown. */
export function asMarkdown(conversation) {
  const parts = conversation.messages.map(({ role, content, model }) => `## ${role === "user" ? "You" : model}\n\n${content.trim()}\n`);
  const system = conversation.system ? `> ${conversation.system.replaceAll("\n", "\n> ")}\n\n` : "";
  return `# ${conversation.title}\n\n${system}${parts.join("\n")}`;
}

/** A conversation as JSON: what another program can send again. */
export function asJson({ title, model, system, options, messages }) {
  const said = messages.map((message) => (message.model ? { role: message.role, content: message.content, model: message.model } : message));
  return `${JSON.stringify({ title, model, system, options, messages: said }, null, 2)}\n`;
}

/** A title as the name of a file. */
export function fileName(title, ending) {
  const words = title.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return `${words.slice(0, 6).join("-") || "conversation"}.${ending}`;
}
