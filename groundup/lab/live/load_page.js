// The start of a page whose model the server sends in parts: what it takes is said first, a button
// loads it, and what has been fetched is kept, so that a reload goes on where it stopped.
"use strict";

const WAITS_S = [1, 2, 4, 8]; // before a part is asked for again

/** A sentence for the reader; `again`: whether a later try may help. */
class LoadError extends Error {
  constructor(message, again = false) {
    super(message);
    this.again = again;
  }
}

const megabytes = (/** @type {number} */ bytes) => `${Math.round(bytes / 1e6).toLocaleString("en")} MB`;
const wait = (/** @type {number} */ seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

class ModelLoader {
  /** @param {{name: string, digest: string, address: string, bytes: number, memory: number, program: string}} what `bytes` and `memory` are estimates; `program`: int8.wasm in base64 */
  constructor(what) {
    this.what = what;
    this.stopping = new AbortController();
    const bytes = Uint8Array.from(atob(what.program), (character) => character.charCodeAt(0));
    /** null: this browser has no SIMD. @type {WebAssembly.Module|null} */
    this.program = globalThis.WebAssembly?.validate(bytes) ? new WebAssembly.Module(bytes) : null;
    byId("load").addEventListener("click", () => this.load());
    byId("load-stop").addEventListener("click", () => this.stopping.abort());
    byId("forget").addEventListener("click", () => this.forget());
  }

  async begin() {
    const { what } = this;
    this.kept = await KeptParts.open(what.name, what.digest);
    this.page = await this.kept.read("page");
    const notes = [];
    if (!this.program) notes.push("This browser has no SIMD in WebAssembly: the model is computed in JavaScript, which takes some ten times as long.");
    if (!this.kept.database) notes.push("This browser keeps nothing for this page (a private window?): the model is fetched again each time.");
    const room = 1e9 * (navigator.deviceMemory ?? Infinity);
    if (what.memory > room / 2) notes.push(`This device says that it has ${navigator.deviceMemory} GB of memory: the model may not fit beside what runs already.`);
    byId("load-notes").replaceChildren(...notes.map((textContent) => element("p", { className: "care", textContent })));
    await this.showKept();
    byId("load").disabled = false;
  }

  /** What is here already, and what is left to fetch. */
  async showKept() {
    const parts = (await this.kept.keys()).length - (this.page ? 1 : 0), bytes = this.page?.bytes ?? this.what.bytes;
    const here = this.page ? Math.min(bytes, parts * this.page.part_bytes) : 0, whole = this.page && parts === this.page.parts.length;
    byId("load").textContent = ["Load the model", "Go on loading", "Start: nothing is fetched"][Number(here > 0) + Number(Boolean(whole))];
    byId("forget").hidden = !here;
    this.say(here ? `${megabytes(here)} of ${megabytes(bytes)} are kept in this browser.` : "Nothing is fetched yet.");
  }

  say(message) {
    byId("load-status").textContent = message;
  }

  async load() {
    this.stopping = new AbortController();
    this.setBusy(true);
    try {
      navigator.storage?.persist?.(); // else the browser may drop the parts when its disk is full
      this.say("The server prepares the weights, once for this model.");
      this.page ??= await this.fetchPage();
      const memory = this.makeMemory();
      await this.fill(memory);
      const weights = Object.fromEntries(Object.entries(this.page.tensors).map(([name, placed]) => [name, memory.weight(placed)]));
      this.start(weights);
    } catch (error) {
      await this.showKept();
      if (!this.stopping.signal.aborted) this.say(`${error.message} ${error.again ? byId("load-status").textContent : ""}`);
    }
    this.setBusy(false);
  }

  setBusy(busy) {
    byId("load").disabled = byId("forget").disabled = busy;
    byId("load-stop").disabled = !busy;
    byId("load-progress").hidden = !busy;
  }

  /** @returns {Int8Memory} */
  makeMemory() {
    try {
      return new Int8Memory(this.page.bytes, Object.values(this.page.tensors), this.program);
    } catch {
      throw new LoadError(`The browser gives no ${megabytes(this.page.bytes)} of memory to one page. Close other pages, or use a device with more.`);
    }
  }

  async fetchPage() {
    const page = await (await this.ask("page.json")).json();
    if (!(await this.kept.write("page", page))) this.kept = new KeptParts(null, this.what.name, this.what.digest);
    return page;
  }

  /** Every part from this browser, or else from the server; each is compared with its hash. @param {Int8Memory} memory */
  async fill(memory) {
    const { parts, part_bytes: size, bytes } = this.page, began = performance.now(), bar = byId("load-progress");
    let fetched = 0;
    for (let part = 0; part < parts.length; part++) {
      this.stopping.signal.throwIfAborted();
      const place = part * size, held = await this.kept.read(part);
      let content = held && (await this.isWhole(held, part)) ? held : null;
      if (!content) fetched += (content = await this.fetchPart(part)).byteLength;
      memory.weights.set(new Uint8Array(content), place);
      const done = place + content.byteLength, speed = (1000 * fetched) / (performance.now() - began);
      bar.value = done / bytes;
      this.say(`${megabytes(done)} of ${megabytes(bytes)}${fetched ? `, ${duration((bytes - done) / speed)} left` : ", from this browser"}.`);
    }
  }

  /** @param {number} part @returns {Promise<ArrayBuffer>} */
  async fetchPart(part) {
    for (let attempt = 0; attempt < WAITS_S.length; attempt++) {
      const content = await (await this.ask(`parts/${part}`)).arrayBuffer().catch(() => null);
      if (!content || !(await this.isWhole(content, part))) continue;
      if (this.kept.database && !(await this.kept.write(part, content))) {
        byId("load-notes").append(element("p", { className: "care", textContent: "This browser has no room to keep the model: it is fetched again next time." }));
        this.kept.database = null;
      }
      return content;
    }
    throw new LoadError("A part arrives damaged or cut off, again and again.", true);
  }

  /** @param {ArrayBuffer} content @param {number} part */
  async isWhole(content, part) {
    const { parts, part_bytes: size, bytes } = this.page;
    if (content.byteLength !== Math.min(size, bytes - part * size)) return false;
    return (await hashOf(new Uint8Array(content))) === parts[part];
  }

  /** An answer of the server, asked again where the connection breaks or it is busy. @param {string} file @returns {Promise<Response>} */
  async ask(file) {
    const { signal } = this.stopping, { address, digest } = this.what;
    for (const seconds of [...WAITS_S, 0]) {
      const answer = await fetch(`${address}/${digest}/${file}`, { signal }).catch(() => null);
      signal.throwIfAborted();
      if (answer?.ok) return answer;
      const busy = !answer || answer.status === 429 || answer.status === 503;
      if (!busy) throw new LoadError(await refusalOf(answer), true);
      if (!seconds) break;
      const until = Number(answer?.headers.get("retry-after")) || seconds;
      this.say(`${answer ? "The server is busy" : "The connection is broken"}: asked again in ${until} s.`);
      await wait(until);
    }
    throw new LoadError("The server does not answer. Go on when the connection is back.", true);
  }

  /** @param {Weights} weights */
  start(weights) {
    for (const name of ["temperature", "top_k", "top_p"]) byId(name.replace("_", "-")).value = String(this.page.sampling[name]);
    byId("as-question").closest("label").hidden = !this.page.chat;
    byId("as-question").checked = Boolean(this.page.chat);
    if (this.page.chat) {
      byId("text").value = QUESTION;
      byId("temperature").value = "0"; // an answer by chance is a poor first impression; the reader may turn it up
    }
    for (const id of ["load", "load-stop", "load-progress", "load-takes", "load-heading"]) byId(id).hidden = true;
    byId("controls").hidden = false;
    globalThis.livePage = new LivePage(this.page, weights);
    const how = this.program ? "" : ", in JavaScript";
    this.say(`The model runs in this browser${how}. ${this.kept.database ? `${megabytes(this.page.bytes)} are kept here, so that the next visit fetches nothing.` : ""}`);
    byId("forget").hidden = !this.kept.database;
  }

  async forget() {
    await this.kept.forget();
    if (globalThis.livePage) byId("forget").hidden = true;
    else this.page = undefined;
    if (globalThis.livePage) this.say("Removed: this page goes on until it is closed.");
    else await this.showKept();
  }
}

const QUESTION = "What is the capital of France?";

/** SHA-256: the browser's, which it has on https and on the computer itself, else our own. @param {Uint8Array} bytes */
async function hashOf(bytes) {
  if (!globalThis.crypto?.subtle) return sha256(bytes);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Response} answer */
async function refusalOf(answer) {
  if (answer.status === 401) return "The server asks for its key: reload the page.";
  if (answer.status === 404) return "The server has this model no more, or another version of it: reload the page.";
  const told = await answer.json().catch(() => null);
  return told?.error?.message ?? `The server refused (status ${answer.status}).`;
}

new ModelLoader(JSON.parse(byId("contents").textContent)).begin();
