// The model of the breakers: the snapshot, updated by the stream.

import { moment, worstFirst } from "./words.js";

const second = 1; // of history: [second, ok, failed, slow, rejected]
const sameMoment = 0.05;

export class Model {
  breakers = new Map();
  dirty = new Set();
  moved = new Set();
  worker = null;
  store = null; // the store through which the workers share their states
  #ahead = 0;

  // The server's clock, in seconds since 1970.
  now() {
    return Date.now() / 1000 + this.#ahead;
  }

  // Return true if that worker is the one that is shown: a request may reach any of them.
  shows(worker) {
    return worker.pid === this.worker?.pid && worker.started_at === this.worker.started_at;
  }

  snapshot(data) {
    this.#setClock(data.now);
    this.worker = data.worker;
    this.store = data.store;
    const names = new Set(data.breakers.map((each) => each.name));
    for (const name of this.breakers.keys()) {
      if (!names.has(name)) this.#forget(name);
    }
    for (const each of data.breakers) this.put(each, each.history ?? []);
  }

  figures(data) {
    this.#setClock(data.now);
    this.store = data.store;
    for (const name of data.gone) this.#forget(name);
    for (const each of data.breakers) {
      this.put(each, this.breakers.get(each.name)?.history ?? [], each.second);
    }
  }

  put(breaker, history, latest = null) {
    const before = this.breakers.get(breaker.name);
    breaker.due = breaker.retry_after === null ? null : this.now() + breaker.retry_after;
    breaker.history = this.#recent(history, latest);
    this.breakers.set(breaker.name, breaker);
    this.dirty.add(breaker.name);
    if (before?.state !== breaker.state) this.moved.add(breaker.name);
  }

  // A transition is shown at once; its figures follow within the second.
  change(event) {
    const breaker = this.breakers.get(event.breaker);
    if (event.kind !== "transition" || !breaker || breaker.state === event.to) return false;
    if (moment(event.at) < moment(breaker.changed_at) - sameMoment) return false;
    Object.assign(breaker, { state: event.to, reason: event.reason, changed_at: event.at, due: undefined, alone: false });
    this.dirty.add(breaker.name);
    this.moved.add(breaker.name);
    return true;
  }

  summary() {
    const found = Object.fromEntries(worstFirst.map((state) => [state, 0]));
    for (const { state } of this.breakers.values()) found[state] += 1;
    return { ...found, total: this.breakers.size };
  }

  #setClock(text) {
    this.#ahead = moment(text) - Date.now() / 1000;
  }

  #forget(name) {
    this.breakers.delete(name);
    this.dirty.add(name);
    this.moved.add(name);
  }

  #recent(history, latest) {
    const oldest = this.now() - 60 * second;
    const found = history.filter(([at]) => at >= oldest && at !== latest?.[0]);
    return latest ? [...found, latest] : found;
  }
}
