// All traffic of the last 15 minutes, with the changes of state marked on it.

import { Chart } from "./chart.js";
import { calls, merged, zone } from "./scale.js";
import { make } from "./shapes.js";
import { moment, stateWords } from "./words.js";

const kept = 900 + 10;

export class Traffic {
  #chart;
  #of = null; // the bars of the snapshot that #bars continues
  #bars = new Map();

  constructor(section, model) {
    this.model = model;
    const title = make("h2", {}, "All traffic ", make("small", { textContent: zone() }));
    section.classList.add("aligned");
    this.#chart = new Chart("All traffic", { heading: title });
    section.replaceChildren(this.#chart.element);
  }

  update() {
    const { seconds, bars, marks } = this.model.traffic;
    const now = this.model.now();
    if (this.#of !== bars) this.#bars = new Map();
    this.#of = bars;
    const [known, found] = [[...bars.values()], [...seconds.values()]];
    for (const [at, bar] of merged(known, found, 10)) {
      if (calls(bar) >= calls(this.#bars.get(at) ?? [0, 0, 0, 0, 0])) this.#bars.set(at, bar);
    }
    for (const at of this.#bars.keys()) if (at < now - kept) this.#bars.delete(at);
    this.#chart.show({ seconds: found, bars: [...this.#bars.values()], marks: marks.map(marked), now });
  }

  // The axis moves on without calls, too.
  tick() {
    this.update();
  }
}

function marked({ at, breaker, from, to }) {
  return { at: typeof at === "number" ? at : moment(at), to, words: `${breaker}: ${stateWords(from)} → ${stateWords(to)}` };
}
