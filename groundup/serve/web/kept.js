// The assistant's conversation of this tab, kept over a reload: its id, each question with the parts of its reply, and a question without a reply.

const PREFIX = "groundup.assistant.";

/** The conversation with an assistant: {id, exchanges: [{question, parts}], asked}; a new one where none was kept. */
export function keptConversation(name) {
  try {
    const found = JSON.parse(sessionStorage.getItem(PREFIX + name));
    if (typeof found?.id === "string" && Array.isArray(found.exchanges)) return found;
  } catch {
    // no storage, or not ours: a new one
  }
  return newConversation();
}

/** A new one, with an id that no one guesses. */
export function newConversation() {
  return { id: crypto.getRandomValues(new Uint32Array(4)).join("-"), exchanges: [], asked: "" };
}

/** Keep it. Where the storage is full or disabled it is forgotten with this page. */
export function keepConversation(name, conversation) {
  try {
    sessionStorage.setItem(PREFIX + name, JSON.stringify(conversation));
  } catch {
    // nothing is lost but the way back after a reload
  }
}
