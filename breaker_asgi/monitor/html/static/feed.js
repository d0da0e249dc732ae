// The reader of the stream: applies its `snapshot` and `figures` to maps of rows. No DOM.

const shortest = 60; // seconds of calls that are kept
const bar = 10;
const most = 90; // bars that are kept

const moment = (text) => Date.parse(text) / 1000;

export class Feed {
  rows = new Map(); // id: { name, state, ..., due }; `due` is when retry_after ends, by the server's clock
  seconds = new Map(); // id: [[at, ok, failed, slow, rejected], ...] with calls, the oldest first
  traffic = { seconds: [], bars: [], marks: [] }; // of all breakers
  summary = null;
  store = null;
  now = 0; // the server's clock at the last message, in seconds since 1970
  #fields = [];

  // Replace everything.
  snapshot(data) {
    this.now = moment(data.now);
    this.#fields = data.fields;
    this.summary = data.summary;
    this.store = data.store;
    this.rows = new Map();
    for (const row of data.rows) this.#add(row);
    this.seconds = new Map(Object.entries(data.seconds).map(([id, seconds]) => [Number(id), seconds]));
    this.traffic = data.traffic;
  }

  // Apply the changes; return the ids of the rows that they touch, those that are gone included.
  figures(data) {
    this.now = moment(data.now);
    if (data.summary !== undefined) this.summary = data.summary;
    if (data.store !== undefined) this.store = data.store;
    const changed = new Set(data.gone);
    for (const id of data.gone ?? []) {
      this.rows.delete(id);
      this.seconds.delete(id);
    }
    for (const row of data.rows ?? []) changed.add(this.#add(row));
    for (const [id, ...pairs] of data.set ?? []) {
      const row = this.rows.get(id);
      for (let place = 0; place < pairs.length; place += 2) this.#put(row, this.#fields[pairs[place]], pairs[place + 1]);
      changed.add(id);
    }
    for (const [id, ...second] of data.seconds ?? []) {
      if (!this.seconds.has(id)) this.seconds.set(id, []);
      this.#place(this.seconds.get(id), second);
      changed.add(id);
    }
    for (const second of data.traffic ?? []) this.#count(second);
    this.traffic.marks.push(...(data.marks ?? []));
    this.#trim();
    return changed;
  }

  #add([id, ...values]) {
    const row = {};
    values.forEach((value, place) => this.#put(row, this.#fields[place], value));
    this.rows.set(id, row);
    return id;
  }

  // Of a running outage only the members that have changed come.
  #put(row, field, value) {
    row[field] = field === "outage" && value ? { ...row.outage, ...value } : value;
    if (field === "retry_after") row.due = value === null ? null : this.now + value;
  }

  // Put a second in its place; one that has come before is replaced. Return the one before.
  #place(seconds, second) {
    let place = seconds.length;
    while (place && seconds[place - 1][0] >= second[0]) place -= 1;
    const before = seconds[place]?.[0] === second[0] ? seconds[place] : undefined;
    seconds.splice(place, before ? 1 : 0, second);
    while (seconds.length && seconds[0][0] < this.now - shortest) seconds.shift();
    return before;
  }

  #count(second) {
    const { bars } = this.traffic;
    const before = this.#place(this.traffic.seconds, second);
    const at = second[0] - (second[0] % bar);
    let found = bars.findLast((each) => each[0] === at);
    if (!found) {
      found = [at, 0, 0, 0, 0, null, null, null];
      bars.push(found);
      bars.sort((one, other) => one[0] - other[0]);
    }
    for (let place = 1; place < 5; place += 1) found[place] += second[place] - (before?.[place] ?? 0);
  }

  #trim() {
    const { bars, marks } = this.traffic;
    const oldest = this.now - most * bar;
    while (bars.length && bars[0][0] <= oldest - bar) bars.shift();
    while (marks.length && marks[0].at < oldest) marks.shift();
  }
}
