// The connection: it reconnects by itself, and reports the age of the figures.

const patience = 30_000; // after that a silent connection is reopened: it may be dead without an error
const longest = 15_000;

export class Stream {
  #url;
  #handlers;
  #source = null;
  #timer = 0;
  #tries = 0;
  #heard = performance.now();
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
    return (performance.now() - this.#heard) / 1000;
  }

  connect() {
    clearTimeout(this.#timer);
    this.#source?.close();
    const source = (this.#source = new EventSource(this.#url));
    for (const name of ["snapshot", "change", "breakers", "beat"]) {
      source.addEventListener(name, (event) => this.#receive(source, name, event));
    }
    source.addEventListener("error", () => this.#lost(source));
  }

  check() {
    if (!this.live || performance.now() - this.#heard <= patience) return;
    this.#heard = performance.now();
    this.connect();
  }

  #receive(source, name, { data, lastEventId }) {
    if (source !== this.#source) return;
    this.#heard = performance.now();
    this.#tries = 0;
    this.#set(true);
    this.#handlers[name](JSON.parse(data), Number(lastEventId));
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
