// A few breakers as instruments: each has its figures and a large chart.

import { began, nextStep, reason, running, urgency } from "./breakerwords.js";
import { Chart, legend, rangeChoice } from "./chart.js";
import { why } from "./series.js";
import { make, shape } from "./shapes.js";
import { addressOf, capital, duration, moment, percent, perSecond, span, stateWords } from "./words.js";

const every = 8; // seconds until a card's bars and percentiles are requested again; one request a second
const hovers = matchMedia("(hover: hover)");
const figures = [["calls", "Calls/s"], ["failing", "Failing"], ["rejected", "Rejected/s"], ["p95", "p95"]];

export class Panel {
  #cards = new Map();
  #grid = make("div", { className: "cards" });
  #legend = legend();
  #range = 900;

  constructor(section, model, base, hooks = {}) {
    Object.assign(this, { section, model, base, hooks });
    const head = make("div", { className: "chart-head" }, this.#legend.element, rangeChoice(this.#range, (range) => this.#choose(range)));
    section.replaceChildren(head, this.#grid);
    this.#grid.addEventListener("click", (event) => this.#click(event));
  }

  update(dirty = null) {
    const { breakers } = this.model;
    for (const [id, card] of this.#cards) {
      if (breakers.has(id)) continue;
      card.element.remove();
      this.#cards.delete(id);
    }
    for (const [id, breaker] of breakers) {
      const card = this.#cards.get(id) ?? this.#make(id, breaker);
      if (!dirty || dirty.has(id) || !card.filled) card.fill(breaker, this.model.now());
    }
    this.#sort();
  }

  tick() {
    const now = this.model.now();
    for (const [id, card] of this.#cards) card.fill(this.model.breakers.get(id), now);
    this.#sort();
    const [oldest] = [...this.#cards.values()].sort((one, other) => one.asked - other.asked);
    if (oldest && performance.now() - oldest.asked > every * 1000) oldest.ask();
  }

  #make(id, breaker) {
    const card = new Card(breaker.name, this.base, this.model);
    card.chart.choose(this.#range);
    this.#cards.set(id, card);
    this.#grid.append(card.element);
    this.hooks.selection?.equip(card.element, breaker.name);
    card.ask();
    return card;
  }

  #choose(range) {
    this.#range = range;
    for (const { chart } of this.#cards.values()) chart.choose(range);
  }

  // Nothing moves under the pointer or the focus; after a touch, :hover would last.
  #sort() {
    if (this.section.matches(hovers.matches ? ":hover, :focus-within" : ":focus-within")) return;
    const { breakers } = this.model;
    const wanted = [...this.#cards].sort(([one], [other]) => compare(worst(breakers.get(one)), worst(breakers.get(other))));
    let place = this.#grid.firstElementChild;
    for (const [, { element }] of wanted) {
      if (element === place) place = place.nextElementSibling;
      else this.#grid.insertBefore(element, place);
    }
  }

  #click(event) {
    const card = event.target.closest(".card");
    const own = event.target.closest("a");
    if (!card || !this.hooks.open || event.target.closest(".plot, .pick") || (own && !own.matches(".name"))) return;
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.hooks.open(card.dataset.name);
  }
}

class Card {
  #places = {};
  #bars = [];
  #percentiles = [];
  filled = false;
  asked = -Infinity;

  constructor(name, base, model) {
    Object.assign(this, { name, base, model });
    this.url = addressOf(base, name);
    this.chart = new Chart(name, { compact: true });
    this.icon = shape("svg", { class: "icon", "aria-hidden": "true" }, shape("use"));
    const link = make("a", { className: "name", href: this.url, title: name }, make("bdi", { textContent: name }));
    this.element = make(
      "article", { className: "card" },
      make("header", {}, make("h3", {}, link), this.#place("p", "about"),
        make("p", { className: "state" }, this.icon, " ", this.#place("b", "words"), " ", this.#place("span", "since")), this.#place("p", "next")),
      this.#place("p", "why"),
      make("dl", { className: "figures" }, ...figures.map(([key, text]) => {
        const item = make("div", {}, make("dt", { textContent: text }), make("dd", {}, this.#place("span", key), " ", this.#place("small", `${key}_of`)));
        item.dataset.figure = key;
        return item;
      })),
      this.chart.element,
    );
    this.element.dataset.name = name;
  }

  #place(tag, key) {
    return (this.#places[key] = make(tag, { className: key }));
  }

  fill(breaker, now) {
    if (!breaker) return;
    this.filled = true;
    this.element.dataset.state = breaker.state;
    this.icon.firstElementChild.setAttribute("href", `#i-${breaker.state}`);
    for (const [key, text] of Object.entries(texts(breaker, now))) {
      if (this.#places[key].textContent !== text) this.#places[key].textContent = text;
    }
    this.#own(breaker);
    const seconds = breaker.history;
    this.chart.show({ seconds, bars: this.#bars, percentiles: this.#percentiles, limits: breaker.limits, now });
  }

  // The owner, and the link to the runbook, which changes with a deployment only.
  #own({ owner, runbook }) {
    const key = `${owner}\n${runbook}`;
    if (this.owned === key) return;
    this.owned = key;
    const parts = owner ? [owner] : [];
    if (/^https?:/u.test(runbook ?? "")) {
      parts.push(parts.length ? " · " : "", make("a", { href: runbook, textContent: "Runbook", rel: "noreferrer", target: "_blank" }));
    }
    this.#places.about.replaceChildren(...parts);
  }

  async ask() {
    this.asked = performance.now();
    try {
      const response = await fetch(this.url, { headers: { accept: "application/json" } });
      if (!response.ok) return;
      const { bars, percentiles } = await response.json();
      this.#bars = bars ?? [];
      this.#percentiles = percentiles ?? [];
    } catch {
      // the status of the connection shows the error
    }
  }
}

const worst = (breaker) => [...urgency(breaker), breaker.name];

// By code points, as Python sorts; not by any one language's alphabet.
function compare(one, other) {
  const place = [0, 1, 2].find((each) => one[each] !== other[each]);
  return place === undefined ? 0 : one[place] < other[place] ? -1 : 1;
}

function texts(breaker, now) {
  const outage = running(breaker);
  const limit = breaker.limits?.failure_rate ?? null;
  return {
    words: capital(stateWords(breaker.state)),
    since: `for ${span(now - moment(began(breaker)))}`,
    next: nextStep(breaker, now),
    why: outage ? why(outage) : reason(breaker, now),
    calls: perSecond(breaker.calls_per_second ?? 0),
    calls_of: "",
    failing: percent(breaker.failing_share ?? null),
    failing_of: limit === null ? "" : `limit ${percent(limit)}`,
    rejected: perSecond(breaker.rejected_per_second ?? 0),
    rejected_of: breaker.rejected_share ? `${percent(breaker.rejected_share)} of calls` : "",
    p95: duration(breaker.p95 ?? null),
    p95_of: "",
  };
}
