// The card of the page that shows what each head and network wrote into the most probable token.
"use strict";

class ContributionCard {
  /** @param {LivePage} live */
  constructor(live) {
    this.live = live;
    this.task = 0;
    byId("written-remove").addEventListener("click", () => this.removeEach());
  }

  /** Another text or place. @param {number[]} ids @param {Float64Array} shares the prediction after them */
  show(ids, shares) {
    this.task++;
    [this.ids, this.id] = [ids, argmax(shares)];
    const { config } = this.live, seconds = 0.5 * this.live.stepSeconds * ids.length * partsOf(config).length;
    byId("written-remove").textContent = `Leave out each in turn${seconds < 10 ? "" : ` (${duration(seconds)})`}`;
    const found = directContributions(this.live.model, ids, this.id);
    const sum = found.heads.flat().concat(found.networks).reduce((total, value) => total + value, 0);
    const largest = Math.max(...found.heads.flat().concat(found.networks).map(Math.abs));
    byId("written-said").replaceChildren("The logit of ", word(this.live.tokenizer.show(this.id)), ` is ${signedLogit(found.score)} against the mean of all tokens: the embedding wrote ${signedLogit(found.embedding)}, heads and networks ${signedLogit(sum)}, biases the rest.`);
    this.cells = new Map();
    const rows = found.heads.map((heads, layer) => {
      const cells = [...heads, found.networks[layer]].map((value, column) => {
        const kind = column < config.num_heads ? "head" : "network", said = kind === "head" ? `head ${column + 1}` : "network";
        const cell = element("td", { className: value < 0 ? "less" : "" }, element("span", { textContent: signedLogit(value) }), element("small", { textContent: "…" }));
        cell.style.setProperty("--share", (Math.abs(value) / largest).toFixed(3));
        cell.title = `block ${layer + 1}, ${said}`;
        this.cells.set(`${kind} ${layer} ${kind === "head" ? column : ""}`, cell);
        return cell;
      });
      return element("tr", {}, element("th", { scope: "row", textContent: String(layer + 1) }), ...cells);
    });
    const names = ["block", ...Array.from({ length: config.num_heads }, (_, head) => `head ${head + 1}`), "network"].map((textContent) => element("th", { scope: "col", textContent }));
    byId("written-table").replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...names)), element("tbody", {}, ...rows.reverse())));
    byId("written-table").classList.remove("tried");
    byId("written-remove").disabled = false;
  }

  /** Leaves out each part in turn, between frames. */
  async removeEach() {
    const task = ++this.task, model = (this.changed ??= new ChangedModel(this.live.model)), { ids, id, cells } = this;
    byId("written-remove").disabled = true;
    byId("written-table").classList.add("tried");
    let paused = performance.now();
    const pause = async () => {
      if (performance.now() - paused < PAUSE_MS) return;
      await frame();
      paused = performance.now();
    };
    model.setChanges([]);
    model.ids = [];
    const streams = [];
    for (const [place, token] of ids.entries()) {
      streams.push(streamOf(model.model, token, place));
      await pause();
      if (task !== this.task) return;
    }
    const whole = centred(model.model.predict([streams.at(-1).at(-1)])[0], id);
    for (const part of partsOf(this.live.config).reverse()) { // from above, so that the blocks below are as they were
      let x;
      for (const [place, layers] of streams.entries()) {
        x = model.runFrom(part, place, layers[part.layer]);
        await pause();
        if (task !== this.task) return;
      }
      const logits = model.model.predict([x])[0];
      const lost = whole - centred(logits, id);
      cells.get(`${part.kind} ${part.layer} ${part.head ?? ""}`).lastChild.textContent = signedLogit(-lost);
    }
  }
}

/** @param {number} value */
const signedLogit = (value) => `${value < 0 ? MINUS : "+"}${Math.abs(value).toFixed(2)}`;
