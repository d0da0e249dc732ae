// A list without rows: what was searched, what hides the rows, and the ways out.

import { byId, write } from "./dom.js";
import { matcher } from "./glob.js";
import { whole } from "./words.js";

export class NoHits {
  #none = byId("none-yet");
  #hits = byId("no-hits");
  #clear = byId("clear-search");
  #states = byId("clear-states");

  constructor(model, filters, changed) {
    Object.assign(this, { model, filters });
    for (const [button, clear] of [[this.#clear, () => filters.clearText()], [this.#states, () => filters.clearStates()]]) {
      button.addEventListener("click", (event) => {
        event.preventDefault();
        clear();
        changed();
      });
    }
  }

  update() {
    const { model, filters } = this;
    this.#none.hidden = model.summary.total > 0;
    this.#hits.hidden = !model.summary.total;
    const named = matcher(filters.text);
    const hidden = [...model.breakers.keys()].filter(named).length;
    const { text } = filters;
    write(byId("searched"), text);
    byId("searched").closest("p").hidden = !text;
    write(byId("hidden-by-state"), hidden ? `${whole(hidden)} ${hidden === 1 ? "is" : "are"} hidden by the filter of states.` : "");
    this.#clear.hidden = !text;
    this.#states.hidden = !hidden;
  }
}
