// One breaker in detail, beside the table or, on a phone, instead of it.

import { Chart } from "./chart.js";
import { wire } from "./controls.js";
import { Log } from "./log.js";
import { detailFields, levels } from "./breakerwords.js";
import { parts, say, setData, setIcon } from "./dom.js";
import { nameZones } from "./times.js";
import { addressOf, capital, workerCells, workersTitle } from "./words.js";

const every = 3000; // milliseconds between two requests for what the stream does not contain

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

  constructor(model, base, changed) {
    this.model = model;
    this.base = base;
    this.changed = changed;
  }

  // Take over the details that the server rendered; return their name, if there are any.
  adopt() {
    const root = this.#aside.querySelector(".detail");
    if (!root) return null;
    this.#take(root.querySelector("#detail-name").textContent, root);
    return this.name;
  }

  open(name) {
    const root = this.#template.cloneNode(true);
    this.#take(name, root);
    this.#aside.replaceChildren(root);
    document.body.dataset.view = "detail";
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
    this.#chart = new Chart(name, { heading: make("h3", "Calls") });
    root.querySelector(".big-chart").replaceChildren(this.#chart.element);
    this.#log = new Log(this.#part("events"), this.base, this.model);
    wire(root, this.base, name, this.model, (breaker) => this.#answered(breaker));
  }

  close() {
    this.name = null;
    this.#root = null;
    this.#aside.replaceChildren();
    document.body.dataset.view = "list";
  }

  // Show another worker: details of the previous one must not be mixed with its own.
  renew() {
    this.#asked = -Infinity;
    this.#fresh = true;
  }

  focus() {
    this.#root?.querySelector("#detail-name").focus();
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
    const { history: seconds, bars, percentiles, limits } = breaker;
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
    if (performance.now() - this.#asked < every) return;
    this.#asked = performance.now();
    this.#ask(this.name, this.#root);
  }

  async #ask(name, root) {
    const url = addressOf(this.base, name);
    try {
      const [breaker, told] = await Promise.all([get(url), get(`${url}/log`)]);
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

  #show({ hints = [], failure_types: types = {}, settings = {}, worker, workers }) {
    const { worker: shown } = this.model;
    const other = shown && !this.model.shows(worker) && (hints.length || Object.keys(types).length);
    this.#part("note").textContent = other ? elsewhere(worker, shown, workers.length) : "";
    this.#part("hints").replaceChildren(...hints.map(hintOf));
    this.#showWorkers(workers);
    this.#part("failure_types").replaceChildren(...listed("Failures by type since the start", types));
    this.#part("settings").replaceChildren(...listed("Settings in force", settings));
  }

  // The table stays where it is, so that it can be scrolled and read meanwhile.
  #showWorkers(workers) {
    const part = this.#part("workers");
    if (!workers.length) part.replaceChildren();
    else if (!part.firstElementChild) part.append(make("h3"), tableOfWorkers());
    if (workers.length) say({ title: part.querySelector("h3") }, { title: workersTitle(this.model.store) });
    part.querySelector("tbody")?.replaceChildren(
      ...workers.map((each) => rowOfWorker(each, each.worker === this.model.store?.worker)),
    );
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

function make(tag, ...children) {
  const element = document.createElement(tag);
  element.append(...children);
  return element;
}

const elsewhere = (other, shown, table) =>
  `The hints and the failures by type are those of worker ${other.pid}, ` +
  `${table ? "which told the table of workers too; " : ""}all else is of worker ${shown.pid}: each worker counts for itself.`;

const hintOf = ({ setting, hint, remedy }) =>
  make("p", make("code", setting), ` ${hint} `, make("strong", remedy));

const ofAWorker = ["worker", "state", "calls/s", "OK", "failed", "slow", "rejected"];

// Explicit roles, as on the server: on narrow screens the style sheet does not lay it out as a table.
const inRole = (role, element) => Object.assign(element, { role });

function tableOfWorkers() {
  const heads = ofAWorker.map((each) => Object.assign(make("th", capital(each)), { scope: "col", role: "columnheader" }));
  const [head, body] = [make("thead", inRole("row", make("tr", ...heads))), make("tbody")];
  const table = inRole("table", make("table", inRole("rowgroup", head), inRole("rowgroup", body)));
  table.className = "workers";
  const region = Object.assign(make("div", table), { className: "wide", role: "region", tabIndex: 0 });
  region.ariaLabel = "Workers";
  return region;
}

function rowOfWorker(worker, here) {
  const [who, ...said] = workerCells(worker, here);
  const head = Object.assign(make("th", who), { scope: "row", role: "rowheader" });
  const row = inRole("row", make("tr", head, ...said.map((each) => inRole("cell", make("td", each)))));
  row.dataset.state = worker.state;
  return row;
}

function listed(title, found) {
  const pairs = Object.entries(found ?? {});
  if (!pairs.length) return [];
  const items = pairs.map(([name, value]) => make("div", make("dt", name), make("dd", pythonic(value))));
  const list = make("dl", ...items);
  list.className = "pairs";
  return [make("h3", title), list];
}

const pythonic = (value) => ({ null: "None", true: "True", false: "False" })[String(value)] ?? String(value);
