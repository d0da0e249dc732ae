// One breaker in detail: beside the rest of the page, or on narrow screens in its place.

import { began, levels } from "./breakerwords.js";
import { Chart } from "./chart.js";
import { wire } from "./controls.js";
import { detailFields } from "./detailwords.js";
import { parts, say, set, setData, setIcon } from "./dom.js";
import { Log } from "./log.js";
import { scopeQuery } from "./scope.js";
import { make } from "./shapes.js";
import { nameZones, setTime } from "./times.js";
import { addressOf } from "./words.js";
import { showWorkers } from "./workers.js";

const every = 3000; // milliseconds between two requests for what the stream does not contain
const beside = matchMedia("(width >= 1100px)");

export class Detail {
  #aside = document.getElementById("detail");
  #template = document.getElementById("detail-template").content.firstElementChild;
  #root = null;
  #places = {};
  #chart = null;
  #log = null;
  #more = {}; // what the stream does not contain
  #fresh = true;
  #asked = -Infinity;
  name = null;

  constructor(model, base, { dialog, changed }) {
    Object.assign(this, { model, base, dialog, changed });
    beside.addEventListener("change", () => this.#land());
  }

  // Take over the details that the server rendered; return their name, if there are any.
  adopt() {
    const root = this.#aside.querySelector(".detail");
    if (!root) return null;
    this.#take(root.querySelector("#detail-name").textContent, root);
    this.#land();
    return this.name;
  }

  open(name) {
    const root = this.#template.cloneNode(true);
    this.#take(name, root);
    this.#aside.replaceChildren(root);
    this.#aside.scrollTop = 0;
    this.#view("detail");
    if (!beside.matches) scrollTo(0, 0);
    this.update();
    this.tick();
  }

  #take(name, root) {
    this.name = name;
    this.#root = root;
    this.#places = parts(root);
    this.renew();
    this.#more = {};
    nameZones(root);
    this.#chart = new Chart(name, { heading: make("h3", {}, "Calls") });
    root.querySelector(".big-chart").replaceChildren(this.#chart.element);
    this.#log = new Log(this.#part("events"), this.base, this.model);
    wire(root, this.dialog, { base: this.base, name, model: this.model, done: (breaker) => this.#answered(breaker) });
  }

  close() {
    this.name = null;
    this.#root = null;
    this.#aside.replaceChildren();
    this.#view("list");
  }

  // In place of the list they are the main part of the page.
  #land() {
    set(this.#aside, "role", this.#root && !beside.matches ? "main" : "complementary");
  }

  // What the reader has clicked stays where it is, although all of the page becomes narrower.
  #view(name) {
    const clicked = document.activeElement?.closest(".row, .card, .outage");
    const top = clicked?.getBoundingClientRect().top;
    document.body.dataset.view = name;
    this.#land();
    if (clicked && beside.matches) scrollBy(0, clicked.getBoundingClientRect().top - top);
  }

  // Show another worker: details of the previous one must not be mixed with its own.
  renew() {
    this.#asked = -Infinity;
    this.#fresh = true;
  }

  focus() {
    this.#places.name?.closest("h2").focus({ preventScroll: beside.matches });
  }

  add(story) {
    if (story.breaker === this.name) this.#log?.add([story]);
  }

  // Show the figures of the stream; the others are requested.
  update() {
    const listed = this.model.breakers.get(this.name);
    if (!this.#root) return;
    if (!listed) {
      say(this.#places, { name: this.name, next: "There is no such breaker any more." });
      return;
    }
    const breaker = { ...this.#more, ...listed };
    say(this.#places, detailFields(breaker, this.model.now()));
    setTime(this.#places.since_at, began(breaker));
    const { history: seconds, bars, percentiles, limits, runbook } = breaker;
    if (/^https?:/u.test(runbook ?? "")) set(this.#places.runbook, "href", runbook);
    this.#chart.show({ seconds, bars, percentiles, limits, now: this.model.now() });
    for (const place of this.#root.querySelectorAll("[data-levels]")) {
      setData(place, "level", levels(breaker)[place.dataset.levels]);
    }
    if (this.#root.dataset.state !== breaker.state) {
      this.#root.dataset.state = breaker.state;
      setIcon(this.#root.querySelector(".state .icon"), breaker.state);
    }
  }

  tick() {
    const breaker = this.model.breakers.get(this.name);
    this.update();
    if (!this.#root || !breaker) return;
    this.#log.tick();
    if (performance.now() - this.#asked < every) return;
    this.#asked = performance.now();
    this.#ask(this.name, this.#root);
  }

  async #ask(name, root) {
    const url = addressOf(this.base, name);
    try {
      const [breaker, told] = await Promise.all([get(url + scopeQuery()), get(`${url}/log`)]);
      if (root !== this.#root) return;
      this.#more = breaker;
      this.update();
      this.#show(breaker);
      this.#enter(this.model.shows(told.worker) ? told.stories : this.#heard());
    } catch {
      // the connection's status shows the error; the next tick requests the details again
    }
  }

  #enter(stories) {
    if (this.#fresh) this.#log.replace(stories);
    else this.#log.add(stories);
    this.#fresh = false;
  }

  #heard() {
    return [...this.model.stories.values()].filter((story) => story.breaker === this.name);
  }

  #answered(breaker) {
    this.model.put(breaker);
    this.#asked = -Infinity;
    this.changed();
  }

  #show(breaker) {
    const { hints, failure_types: types, settings, worker, total } = breaker;
    const { worker: shown } = this.model;
    const other = shown && !this.model.shows(worker) && !total && (hints?.length || Object.keys(types ?? {}).length);
    this.#part("note").textContent = other ? elsewhere(worker, shown) : "";
    this.#part("hints").replaceChildren(...(hints ?? []).map(hintOf));
    setData(this.#root, "total", total ? "yes" : "");
    showWorkers(this.#part("workers"), breaker, this.model.store);
    this.#part("failure_types").replaceChildren(...listed("Failures by type since the start", types));
    this.#part("settings").replaceChildren(...listed("Settings in force", settings));
  }

  #part(name) {
    return this.#root.querySelector(`[data-part="${name}"]`);
  }
}

async function get(url) {
  const response = await fetch(url, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(response.statusText);
  return response.json();
}

const elsewhere = (other, shown) =>
  `The hints and the failures by type are those of worker ${other.pid}, all else is of worker ${shown.pid}: ` +
  "each worker counts for itself.";

const hintOf = ({ setting, hint, remedy }) =>
  make("p", {}, make("code", {}, setting), ` ${hint} `, make("strong", {}, remedy));

function listed(title, found) {
  const pairs = Object.entries(found ?? {});
  if (!pairs.length) return [];
  const items = pairs.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, pythonic(value))));
  return [make("h3", {}, title), make("dl", { className: "pairs" }, ...items)];
}

const pythonic = (value) => ({ null: "None", true: "True", false: "False" })[String(value)] ?? String(value);
