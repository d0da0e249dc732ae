// The model of the breakers: the rows of the stream by name, and what the page adds to them.

import { isQuiet } from "./breakerwords.js";
import { Feed } from "./feed.js";

const lingers = 60; // seconds for which a breaker that was worth a look is not folded
const mostStories = 100;

const byId = (stories) => new Map(stories.map((each) => [each.id, each]));

export class Model {
  breakers = new Map(); // by name; `history` is the last minute, `due` the end of retry_after
  dirty = new Set(); // names of which something changed since the last drawing
  stories = new Map(); // by id, the newest first
  news = []; // [name, state] of changes since they were last announced
  worker = null;
  scope = { worker: null };
  #feed = new Feed();
  #ahead = 0;
  #still = null;

  get summary() {
    return this.#feed.summary ?? { total: 0 };
  }

  // The store through which the workers share their states.
  get store() {
    return this.#feed.store;
  }

  get traffic() {
    return this.#feed.traffic;
  }

  // The server's clock, in seconds since 1970; it stands still while the server is not heard.
  now() {
    return this.#still ?? Date.now() / 1000 + this.#ahead;
  }

  stop(stops) {
    this.#still = stops ? this.now() : null;
  }

  // Return true if that worker is the one of the stream: a request may reach any of them.
  shows(worker) {
    return worker.pid === this.worker?.pid && worker.started_at === this.worker.started_at;
  }

  snapshot(data) {
    this.#feed.snapshot(data);
    this.#setClock();
    Object.assign(this, { worker: data.worker, scope: data.scope ?? { worker: null }, stories: byId(data.stories ?? []) });
    const before = this.breakers;
    this.breakers = new Map();
    for (const name of before.keys()) this.dirty.add(name);
    for (const id of this.#feed.rows.keys()) this.#take(id, before);
  }

  figures(data) {
    const gone = (data.gone ?? []).map((id) => this.#feed.rows.get(id)?.name);
    const changed = this.#feed.figures(data);
    this.#setClock();
    for (const name of gone) {
      this.breakers.delete(name);
      this.dirty.add(name);
    }
    for (const id of changed) if (this.#feed.rows.has(id)) this.#take(id, this.breakers);
  }

  beat({ now }) {
    this.#feed.now = Date.parse(now) / 1000;
    this.#setClock();
  }

  // Stories are new, or known ones that go on.
  told(stories) {
    const all = [...byId([...this.stories.values(), ...stories]).values()];
    this.stories = byId(all.sort((one, other) => other.id - one.id).slice(0, mostStories));
  }

  // The answer of a control is shown at once.
  put(answer) {
    const breaker = this.breakers.get(answer.name);
    if (!breaker) return;
    for (const name of Object.keys(breaker)) if (name !== "history" && name in answer) breaker[name] = answer[name];
    breaker.due = answer.retry_after === null ? null : this.now() + answer.retry_after;
    this.dirty.add(breaker.name);
  }

  #take(id, before) {
    const breaker = this.#feed.rows.get(id);
    const known = before.get(breaker.name);
    breaker.history = this.#feed.seconds.get(id) ?? [];
    breaker.loudUntil = isQuiet(breaker, this.now()) ? (known?.loudUntil ?? 0) : this.now() + lingers;
    if (known && (known.shown ?? known.state) !== breaker.state) this.news.push([breaker.name, breaker.state]);
    breaker.shown = breaker.state;
    this.breakers.set(breaker.name, breaker);
    this.dirty.add(breaker.name);
  }

  #setClock() {
    this.#ahead = this.#feed.now - Date.now() / 1000;
  }
}
