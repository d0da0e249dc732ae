// The model of the breakers: the stream's snapshot, and the changes that follow.

import { isQuiet } from "./breakerwords.js";
import { moment } from "./words.js";

const seconds = 60; // of history: [second, ok, failed, slow, rejected]
const lingers = 60; // seconds for which a breaker that was worth a look is not folded
const mostStories = 100;
const empty = { total: 0 };

export class Model {
  breakers = new Map(); // by name
  dirty = new Set(); // names of which something changed since the last drawing
  stories = []; // the newest first
  news = []; // [name, state] of changes since they were last announced
  traffic = { seconds: [], bars: [], marks: [] };
  summary = empty;
  worker = null;
  store = null; // the store through which the workers share their states
  scope = { worker: null };
  #fields = [];
  #names = new Map(); // by the stream's id
  #ahead = 0;
  #still = null;

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
    this.#setClock(data.now);
    const { worker, store, scope = { worker: null }, summary, fields } = data;
    Object.assign(this, { worker, store, scope, summary, stories: data.stories ?? [] });
    this.traffic = { seconds: [], bars: [], marks: [], ...data.traffic };
    this.#fields = fields;
    this.#names.clear();
    const before = this.breakers;
    this.breakers = new Map();
    for (const name of before.keys()) this.dirty.add(name);
    for (const row of data.rows) this.#add(row, data.seconds?.[row[0]] ?? [], before);
  }

  figures(data) {
    this.#setClock(data.now);
    if (data.store !== undefined) this.store = data.store;
    if (data.summary) this.summary = data.summary;
    for (const id of data.gone ?? []) this.#forget(id);
    for (const row of data.rows ?? []) this.#add(row, []);
    for (const change of data.set ?? []) this.#change(change);
    for (const [id, ...second] of data.seconds ?? []) this.#count(this.#names.get(id), second);
    this.#flow(data);
  }

  beat({ now }) {
    if (now) this.#setClock(now);
  }

  // Stories are new, or known ones that go on.
  told(stories) {
    const known = new Set(stories.map((each) => each.id));
    const others = this.stories.filter((each) => !known.has(each.id));
    this.stories = [...stories, ...others].sort((one, other) => other.id - one.id).slice(0, mostStories);
  }

  // The answer of a control is shown at once.
  put(answer) {
    const breaker = this.breakers.get(answer.name);
    if (!breaker) return;
    for (const name of this.#fields) if (name in answer) breaker[name] = answer[name];
    this.#touched(breaker, true);
  }

  #add([id, ...values], history, before = this.breakers) {
    const breaker = { id };
    this.#fields.forEach((name, place) => (breaker[name] = values[place]));
    const known = before.get(breaker.name);
    breaker.history = history.length ? history : [];
    breaker.loudUntil = known?.loudUntil ?? 0;
    this.#names.set(id, breaker.name);
    this.breakers.set(breaker.name, breaker);
    this.#touched(breaker, true);
  }

  #change([id, ...pairs]) {
    const breaker = this.breakers.get(this.#names.get(id));
    if (!breaker) return;
    let waits = false;
    for (let place = 0; place < pairs.length; place += 2) {
      const name = this.#fields[pairs[place]];
      if (name === "retry_after") waits = true;
      if (name === "state") this.news.push([breaker.name, pairs[place + 1]]);
      breaker[name] = pairs[place + 1];
    }
    this.#touched(breaker, waits);
  }

  #touched(breaker, waits) {
    if (waits) breaker.due = (breaker.retry_after ?? null) === null ? null : this.now() + breaker.retry_after;
    if (!isQuiet(breaker, this.now())) breaker.loudUntil = this.now() + lingers;
    this.dirty.add(breaker.name);
  }

  #count(name, second) {
    const breaker = this.breakers.get(name);
    if (!breaker) return;
    append(breaker.history, second, this.now() - seconds);
    this.dirty.add(name);
  }

  #flow({ traffic = [], marks = [] }) {
    for (const second of traffic) {
      append(this.traffic.seconds, second, this.now() - seconds);
      pile(this.traffic.bars, second, this.now() - 15 * 60);
    }
    this.traffic.marks.push(...marks);
  }

  #setClock(text) {
    this.#ahead = moment(text) - Date.now() / 1000;
  }

  #forget(id) {
    const name = this.#names.get(id);
    this.#names.delete(id);
    this.breakers.delete(name);
    this.dirty.add(name);
  }
}

// A second that was sent before is replaced.
function append(history, second, oldest) {
  const place = history.findLastIndex(([at]) => at <= second[0]);
  history.splice(place + 1 - (history[place]?.[0] === second[0]), history[place]?.[0] === second[0] ? 1 : 0, second);
  const begin = history.findIndex(([at]) => at >= oldest);
  if (begin > 0) history.splice(0, begin);
}

function pile(bars, [at, ...calls], oldest) {
  const begin = at - (at % 10);
  const last = bars.at(-1);
  if (last?.[0] === begin) calls.forEach((number, place) => (last[place + 1] += number));
  else bars.push([begin, ...calls, null, null, null]);
  while (bars.length && bars[0][0] < oldest) bars.shift();
}
