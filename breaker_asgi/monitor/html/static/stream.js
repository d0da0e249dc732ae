// The connection: it reconnects by itself, and is live only while the server is heard.

const silence = 5; // seconds; the server sends a beat every 2 s
const patience = 10_000; // after that a silent connection is opened anew: it may be dead without an error
const longest = 15_000;

// Seconds that pass also while the computer sleeps, and don't run back when its clock is set.
const clocks = () => [performance.now(), Date.now()];
const since = (before) => Math.max(...clocks().map((now, place) => now - before[place])) / 1000;

export class Stream {
  #url;
  #handlers;
  #source = null;
  #timer = 0;
  #tries = 0;
  #connected = false;
  #opened = performance.now();
  #heard = clocks();
  live = null; // null until the first event, or the first failure

  constructor(url, handlers) {
    this.#url = url;
    this.#handlers = handlers;
    addEventListener("online", () => this.#again());
    addEventListener("pagehide", () => this.#source?.close());
    addEventListener("pageshow", (event) => event.persisted && this.connect());
    document.addEventListener("visibilitychange", () => document.hidden || this.#again());
  }

  // Return the age of the figures in seconds.
  age() {
    return since(this.#heard);
  }

  connect() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#opened = performance.now();
    const source = (this.#source = new EventSource(this.#url));
    for (const name of ["snapshot", "figures", "stories", "beat"]) {
      source.addEventListener(name, (event) => this.#receive(source, name, event));
    }
    source.addEventListener("error", () => this.#lost(source));
  }

  // Silence is a loss too: a server that hangs keeps its connections.
  check() {
    if (this.age() < silence) return;
    this.#set(false);
    const waited = performance.now() - this.#opened;
    if (this.#connected && waited > patience && this.age() * 1000 > patience) this.connect();
  }

  #receive(source, name, { data, lastEventId }) {
    if (source !== this.#source) return;
    this.#heard = clocks();
    this.#tries = 0;
    this.#connected = true;
    this.#handlers[name](JSON.parse(data), Number(lastEventId));
    this.#set(true);
  }

  #lost(source) {
    if (source !== this.#source) return;
    this.#set(false);
    // The browser reconnects after a lost connection, but not after a response that is no stream.
    if (source.readyState !== EventSource.CLOSED) return;
    const wait = Math.min(longest, 1000 * 2 ** this.#tries++) * (0.5 + Math.random() / 2);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.connect(), wait);
  }

  #again() {
    if (!this.live && this.#source) this.connect();
  }

  #set(live) {
    if (this.live === live) return;
    this.live = live;
    this.#handlers.link();
  }
}
