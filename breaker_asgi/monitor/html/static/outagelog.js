// The outages that are known: those of the stream, and older ones of the log.

import { ownPath } from "./words.js";

const pages = 10; // of the log, at most
const kept = 1000;

export class OutageLog {
  #known = new Map();
  #worker = null;

  constructor(model, base, changed) {
    Object.assign(this, { model, base, changed });
  }

  outages() {
    this.#renew();
    for (const story of this.model.stories.values()) if (story.kind === "outage") this.#known.set(story.id, story);
    for (const id of this.#known.keys()) {
      if (this.#known.size <= kept) break;
      this.#known.delete(id);
    }
    return [...this.#known.values()];
  }

  loadAll() {
    return this.#load(pages);
  }

  // Another worker, or the same one after a restart, has other stories.
  #renew() {
    const { worker } = this.model;
    const key = worker && `${worker.pid} ${worker.started_at}`;
    if (key === this.#worker) return;
    this.#worker = key;
    this.#known.clear();
    this.#load(1);
  }

  async #load(number) {
    try {
      let before = null;
      for (let page = 0; page < number; page += 1) {
        const url = `${ownPath(this.base, "log")}?kind=outage&limit=100${before === null ? "" : `&before=${before}`}`;
        const response = await fetch(url, { headers: { accept: "application/json" } });
        if (!response.ok) return;
        const { stories, next } = await response.json();
        for (const each of stories) if (!this.#known.has(each.id)) this.#known.set(each.id, each);
        this.changed();
        before = next;
        if (before === null) return;
      }
    } catch {
      // the stream brings the newest, and its status shows the error
    }
  }
}
