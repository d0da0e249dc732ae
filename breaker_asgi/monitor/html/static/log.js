// The log, newest first; a breaker's rejections between two changes are one line.

import { setIcon } from "./rows.js";
import { addressOf, clock, stateWords, whole } from "./words.js";

const most = 100;

export class Log {
  #template = document.getElementById("event-template").content.firstElementChild;
  #list;
  #base;
  #last = 0;
  #rejecting = new Map();

  constructor(list, base) {
    this.#list = list;
    this.#base = base;
  }

  // Replace all, up to the event `last`: merged events have the id of the first one.
  replace(events, last = 0) {
    this.#last = 0;
    this.#rejecting.clear();
    this.#list.replaceChildren();
    this.add(events);
    this.#last = Math.max(this.#last, last);
  }

  add(events) {
    for (const event of [...events].sort((one, other) => one.id - other.id)) {
      if (event.id <= this.#last) continue;
      this.#last = event.id;
      this.#put(event);
    }
    while (this.#list.children.length > most) this.#list.lastElementChild.remove();
  }

  #put(event) {
    const name = event.breaker;
    const under = this.#rejecting.get(name);
    if (event.kind === "rejections" && under?.item.parentNode) {
      under.count += event.count;
      under.item.querySelector(".what").textContent = rejected(under.count);
      return;
    }
    const item = this.#item(event);
    this.#list.prepend(item);
    if (event.kind === "rejections") this.#rejecting.set(name, { item, count: event.count });
    else this.#rejecting.delete(name);
  }

  #item(event) {
    const item = this.#template.cloneNode(true);
    const [what, reason, state] = story(event);
    Object.assign(item.dataset, { id: event.id, kind: event.kind, state });
    const [time, link] = [item.querySelector("time"), item.querySelector("a")];
    time.textContent = clock(event.at);
    time.dateTime = event.at;
    setIcon(item.querySelector(".icon"), state);
    link.textContent = event.breaker;
    link.href = addressOf(this.#base, event.breaker);
    item.querySelector(".what").textContent = what;
    item.querySelector(".reason").textContent = reason;
    return item;
  }
}

const rejected = (count) => `rejected ${whole(count)} ${count === 1 ? "call" : "calls"}`;

function story(event) {
  if (event.kind === "rejections") return [rejected(event.count), "", "rejections"];
  const { from, to, reason, who } = event;
  let what = `${stateWords(from)} → ${stateWords(to)}`;
  if (from === to) what = reason.startsWith("reset by hand") ? "was reset" : `stays ${stateWords(to)}`;
  return [what, who ? `${reason}, by ${who}` : reason, to];
}
