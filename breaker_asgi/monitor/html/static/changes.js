// What changed: the log of the page, with its filter by kind and by the search, and the way back.

import { byId } from "./dom.js";
import { matcher } from "./glob.js";
import { Log, older } from "./log.js";

export class Changes {
  #log;
  #kind = byId("kind");
  #older = byId("older");
  #base;
  #model;
  #pattern = ""; // of the search
  #wanted = () => true;
  #ended = false;

  constructor(base, model) {
    this.#base = base;
    this.#model = model;
    this.#log = new Log(byId("log"), base, model);
    this.#kind.addEventListener("change", () => this.#renew());
    this.#older.addEventListener("click", () => this.#fetch({ before: this.#log.oldest }));
  }

  snapshot() {
    this.#ended = false;
    this.#log.replace(this.#fitting([...this.#model.stories.values()]));
    this.#offer();
  }

  add(stories) {
    this.#log.add(this.#fitting(stories));
    this.#offer();
  }

  tick() {
    this.#log.tick();
  }

  // The search narrows the log, too.
  search(text, pattern) {
    if (pattern === this.#pattern) return;
    this.#pattern = pattern;
    const named = matcher(text);
    this.#wanted = (story) => named(story.breaker);
    this.#renew();
  }

  #fitting(stories) {
    const kind = this.#kind.value;
    return stories.filter((each) => (!kind || each.kind === kind) && this.#wanted(each));
  }

  // Show what is here at once; the server is asked only for what is older.
  #renew() {
    this.#ended = false;
    this.#log.replace(this.#fitting([...this.#model.stories.values()]));
    this.#offer();
  }

  #offer() {
    this.#older.hidden = this.#ended || !this.#model.stories.size;
  }

  async #fetch({ before }) {
    const kind = this.#kind.value;
    this.#older.disabled = true;
    try {
      const first = Number.isFinite(before) ? before : "";
      const { stories, next } = await older(this.#base, { before: first, kind, name: this.#pattern });
      this.#log.add(stories.filter((each) => this.#wanted(each)));
      this.#ended = next === null;
      this.#older.textContent = "Older";
    } catch {
      this.#older.textContent = "Older (the server did not answer: try again)";
    } finally {
      this.#older.disabled = false;
      this.#offer();
    }
  }
}
