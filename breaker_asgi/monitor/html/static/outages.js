// The outages that last, in the order in which they began.

import { arrange, byId, parts, say, set, setData, setIcon, write } from "./dom.js";
import { kept } from "./hold.js";
import { more, outageFields, runningOutages } from "./outagewords.js";
import { running } from "./breakerwords.js";
import { setTime } from "./times.js";
import { addressOf, moment, span } from "./words.js";

const shown = 5; // that are not folded

export class Outages {
  #section = byId("outages");
  #list = byId("outage-list");
  #rest = byId("more-outages");
  #template = byId("outage-template").content.firstElementChild;
  #items = new Map(); // by name
  #order = [];

  constructor(model, base) {
    this.model = model;
    this.base = base;
    for (const item of this.#section.querySelectorAll(".outage")) this.#adopt(item);
  }

  // While the reader points at them none moves, and one that has ended stays.
  update(held) {
    const wanted = runningOutages(this.model.breakers.values()).map((each) => each.name);
    this.#order = held ? kept(this.#order, wanted) : wanted;
    const lasting = new Set(this.#order);
    for (const [name, { item }] of this.#items) {
      if (lasting.has(name)) continue;
      item.remove();
      this.#items.delete(name);
    }
    const open = this.#rest.open ? this.#order.length : shown;
    const items = this.#order.slice(0, open).map((name) => this.#items.get(name)?.item ?? this.#make(name));
    arrange(this.#list, items.slice(0, shown));
    arrange(this.#rest.lastElementChild, items.slice(shown));
    const folded = this.#order.length - shown;
    this.#rest.hidden = folded <= 0;
    write(this.#rest.firstElementChild, more(Math.max(0, folded)));
    this.#section.hidden = !this.#order.length;
    this.tick();
  }

  tick() {
    const [now, told] = [this.model.now(), new Set()];
    for (const name of this.#order) {
      const entry = this.#items.get(name);
      if (entry) this.#fill(this.model.breakers.get(name), entry, now, told);
    }
  }

  #make(name) {
    const item = this.#template.cloneNode(true);
    item.dataset.name = name;
    this.#adopt(item);
    return item;
  }

  #adopt(item) {
    this.#items.set(item.dataset.name, { item, places: parts(item), icon: item.querySelector(".icon") });
  }

  #fill(breaker, { item, places, icon }, now, told) {
    if (!breaker) return;
    const outage = running(breaker);
    setData(item, "state", breaker.state);
    setIcon(icon, breaker.state);
    item.toggleAttribute("data-cause", breaker.name === this.model.summary.likely_cause);
    item.toggleAttribute("data-ended", !outage);
    if (!outage) {
      const { began_at: began, ended_at: ended } = breaker.outage ?? {};
      say(places, { words: "Over after", next: "", advice: "", lasts: ended ? span(moment(ended) - moment(began)) : "" });
      return;
    }
    const texts = outageFields(breaker, now);
    if (told.has(breaker.state)) texts.advice = ""; // it is given once
    told.add(breaker.state);
    say(places, texts);
    const link = places.name.parentNode;
    set(link, "href", addressOf(this.base, breaker.name));
    set(link, "title", breaker.name);
    setTime(places.began, outage.began_at);
    if (breaker.runbook) set(places.runbook, "href", breaker.runbook);
  }
}
