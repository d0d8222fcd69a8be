// The parts of a model that this browser keeps (IndexedDB, which pages of any server have; Cache
// Storage is there on https alone). Keys: [model, digest, part]; part "page": the content of page.json.
"use strict";

const DATABASE = "groundup-live", KEPT = "parts";

/** What a request of IndexedDB gives. @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
const resultOf = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

class KeptParts {
  /** @param {IDBDatabase|null} database null: this browser keeps nothing @param {string} name @param {string} digest */
  constructor(database, name, digest) {
    Object.assign(this, { database, name, digest });
  }

  /** Opens them, and removes those of the same model as it was before. @param {string} name @param {string} digest */
  static async open(name, digest) {
    try {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(KEPT);
      const kept = new KeptParts(await resultOf(request), name, digest);
      const others = (await kept.keys()).filter((key) => key[1] !== digest);
      for (const key of others) await resultOf(kept.store("readwrite").delete(key));
      return kept;
    } catch {
      return new KeptParts(null, name, digest);
    }
  }

  /** @param {IDBTransactionMode} mode */
  store(mode) {
    return this.database.transaction(KEPT, mode).objectStore(KEPT);
  }

  /** Of this model. @returns {Promise<[string, string, number|string][]>} */
  async keys() {
    return this.database ? resultOf(this.store("readonly").getAllKeys(IDBKeyRange.bound([this.name], [this.name, []]))) : [];
  }

  /** @param {number|string} part @returns {Promise<any>} undefined: it is not kept */
  async read(part) {
    return this.database ? resultOf(this.store("readonly").get([this.name, this.digest, part])) : undefined;
  }

  /** @param {number|string} part Returns whether it is kept now: a full disk, or a private window, keeps nothing. */
  async write(part, value) {
    try {
      await resultOf(this.store("readwrite").put(value, [this.name, this.digest, part]));
      return true;
    } catch {
      return false;
    }
  }

  async forget() {
    if (this.database) await resultOf(this.store("readwrite").delete(IDBKeyRange.bound([this.name], [this.name, []])));
  }
}
