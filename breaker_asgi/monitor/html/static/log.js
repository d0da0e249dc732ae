// The log of stories, the newest first: an outage is one entry, which goes on while it lasts.

import { arrange, parts, say, set, setData, setIcon } from "./dom.js";
import { storyFields, storyState } from "./outagewords.js";
import { day, setTime } from "./times.js";
import { addressOf, moment, ownPath } from "./words.js";

const most = 1000; // entries that the page keeps

export class Log {
  #template = document.getElementById("event-template").content.firstElementChild;
  #list;
  #base;
  #model;
  #stories = new Map(); // by id
  #items = new Map();

  constructor(list, base, model) {
    this.#list = list;
    this.#base = base;
    this.#model = model;
  }

  get oldest() {
    return Math.min(...this.#stories.keys());
  }

  replace(stories) {
    this.#stories.clear();
    this.add(stories);
  }

  // Add stories, or what is new of known ones.
  add(stories) {
    for (const story of stories) {
      this.#stories.set(story.id, story);
      if (this.#items.has(story.id)) this.#fill(story);
    }
    const sorted = [...this.#stories.values()].sort((one, other) => other.id - one.id);
    for (const { id } of sorted.splice(most)) this.#stories.delete(id);
    this.#show(sorted);
  }

  // Lengths of outages that last grow.
  tick() {
    for (const story of this.#stories.values()) {
      if (story.kind === "outage" && story.ended_at === null) this.#fill(story);
    }
  }

  #show(sorted) {
    const items = [];
    let last = day(this.#model.now());
    for (const story of sorted) {
      const date = day(moment(story.at));
      if (date !== last) items.push(dated(date));
      last = date;
      items.push(this.#items.get(story.id) ?? this.#make(story));
    }
    for (const id of this.#items.keys()) if (!this.#stories.has(id)) this.#items.delete(id);
    const wanted = new Set(items);
    for (const each of [...this.#list.children]) if (!wanted.has(each)) each.remove();
    arrange(this.#list, items);
  }

  #make(story) {
    const item = this.#template.cloneNode(true);
    Object.assign(item.dataset, { id: story.id, kind: story.kind });
    this.#items.set(story.id, item);
    const link = item.querySelector("a");
    link.href = addressOf(this.#base, story.breaker);
    link.title = story.breaker;
    setTime(item.querySelector("time"), story.at);
    this.#fill(story);
    return item;
  }

  #fill(story) {
    const item = this.#items.get(story.id);
    if (!item) return;
    setData(item, "state", storyState(story));
    item.toggleAttribute("data-lasts", story.kind === "outage" && story.ended_at === null);
    setIcon(item.querySelector(".icon"), storyState(story));
    const places = (item.places ??= parts(item));
    const texts = storyFields(story, this.#model.now());
    say(places, texts);
    set(places.reason, "title", texts.reason);
  }
}

function dated(date) {
  const item = document.createElement("li");
  item.className = "day";
  item.textContent = date;
  return item;
}

// Fetch older stories, or those of one kind.
export async function older(base, asked) {
  const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value));
  const response = await fetch(`${ownPath(base, "log")}?${query}`, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(response.statusText);
  return response.json();
}
