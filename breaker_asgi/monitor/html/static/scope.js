// The workers whose figures the page shows: all of them, or one. Kept in the URL.

import { byId } from "./dom.js";
import { allWorkers, memberName } from "./words.js";

const chosen = () => new URLSearchParams(location.search).get("worker") ?? "";

// The query of a request for the same figures as the page's.
export function scopeQuery() {
  return chosen() ? `?${new URLSearchParams({ worker: chosen() })}` : "";
}

export class WorkerChoice {
  #label = byId("scope");
  #select = this.#label.querySelector("select");
  #shown = "";

  constructor() {
    this.#select.addEventListener("change", () => this.#go(this.#select.value));
  }

  get query() {
    return scopeQuery();
  }

  // Workers come and go; the options stay as they are while nothing has changed.
  update(store) {
    const members = store?.members ?? [];
    const known = JSON.stringify(members);
    this.#label.hidden = members.length < 2 && !chosen();
    if (known === this.#shown || document.activeElement === this.#select) return;
    this.#shown = known;
    const names = [["", allWorkers(members.length)], ...members.map((each) => [each.worker, memberName(each)])];
    if (!names.some(([name]) => name === chosen())) names.push([chosen(), "a worker that is gone"]);
    this.#select.replaceChildren(...names.map(([name, text]) => new Option(text, name, false, name === chosen())));
  }

  #go(worker) {
    const query = new URLSearchParams(location.search);
    if (worker) query.set("worker", worker);
    else query.delete("worker");
    location.search = query.toString();
  }
}
