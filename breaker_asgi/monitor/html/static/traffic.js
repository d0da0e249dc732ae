// All traffic of the last 15 minutes, with the changes of state marked on it.

import { Chart } from "./chart.js";
import { make } from "./shapes.js";
import { zone } from "./times.js";
import { moment, stateWords } from "./words.js";

export class Traffic {
  #chart;
  #second = 0;

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
    this.#second = Math.floor(now);
    this.#chart.show({ seconds, bars, marks: marks.map(marked).sort((one, other) => one.at - other.at), now });
  }

  // The axis moves on without calls, too.
  tick() {
    if (Math.floor(this.model.now()) !== this.#second) this.update();
  }
}

function marked({ at, breaker, from, to }) {
  return { at: typeof at === "number" ? at : moment(at), to, words: `${breaker}: ${stateWords(from)} → ${stateWords(to)}` };
}
