// Conversations, kept in this browser and nowhere else: each under a key of its own.
//
//   {id, title, model, system, options: {temperature, ...}, messages: [{role, content, model, tokens, note}], updated}

const PREFIX = "groundup.conversation.";
const SETTINGS = "groundup.settings";

/** All of them, the last used first. What can't be read is skipped. */
export function conversations() {
  return Object.keys(localStorage)
    .filter((key) => key.startsWith(PREFIX))
    .map((key) => read(key))
    .filter((found) => Array.isArray(found?.messages))
    .sort((one, other) => other.updated - one.updated);
}

export function conversation(id) {
  return read(PREFIX + id);
}

/** A new one; it is kept once it is saved. */
export function begin(model, { system, options }) {
  return { id: crypto.getRandomValues(new Uint32Array(2)).join("-"), title: "", model, system, options, messages: [], updated: Date.now() };
}

/** Keep it. Where storage is full, probabilities are dropped, those of the oldest first. Returns whether it was stored. */
export function save(changed) {
  changed.updated = Date.now();
  if (write(PREFIX + changed.id, changed)) return true;
  for (const old of conversations().reverse()) {
    if (!old.messages.some((message) => message.tokens?.length)) continue;
    write(PREFIX + old.id, withoutTokens(old));
    if (write(PREFIX + changed.id, changed)) return true;
  }
  return write(PREFIX + changed.id, withoutTokens(changed));
}

export function remove(id) {
  localStorage.removeItem(PREFIX + id);
}

/** What a new conversation begins with: {model, system, options, shade}. */
export function settings() {
  return read(SETTINGS) ?? {};
}

export function saveSettings(changed) {
  write(SETTINGS, { ...settings(), ...changed });
}

function withoutTokens(kept) {
  return { ...kept, messages: kept.messages.map((message) => ({ ...message, tokens: undefined })) };
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false; // the browser's storage is full or disabled
  }
}
