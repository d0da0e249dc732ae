// The log of stories, the newest first: an outage is one line, which changes while it goes on.

import { setIcon } from "./rows.js";
import { address, addressOf, clock, stateWords, whole } from "./words.js";

export class Log {
  #template = document.getElementById("event-template").content.firstElementChild;
  #list;
  #base;
  #asked = false;

  constructor(list, base, model) {
    this.#list = list;
    this.#base = base;
    this.model = model;
  }

  replace(stories) {
    this.#list.replaceChildren(...stories.map((story) => this.#item(story)));
  }

  // Fetch the stories of one breaker, or of all; of several calls at a time one does so.
  async update(name = null) {
    if (this.#asked) return;
    this.#asked = true;
    await new Promise((resolve) => setTimeout(resolve, 250));
    this.#asked = false;
    const url = name === null ? address(this.#base, "-", "log") : `${addressOf(this.#base, name)}/log`;
    const response = await fetch(url, { headers: { accept: "application/json" } }).catch(() => null);
    if (response?.ok) this.take(await response.json());
  }

  // Show the stories that a request has fetched, unless it has reached another worker.
  take({ worker, stories }) {
    if (this.model.shows(worker)) this.replace(stories);
  }

  #item(story) {
    const item = this.#template.cloneNode(true);
    const [what, reason, state] = texts(story);
    Object.assign(item.dataset, { id: story.id, kind: story.kind, state });
    const [time, link] = [item.querySelector("time"), item.querySelector("a")];
    time.textContent = clock(story.at);
    time.dateTime = story.at;
    setIcon(item.querySelector(".icon"), state);
    link.textContent = story.breaker;
    link.href = addressOf(this.#base, story.breaker);
    item.querySelector(".what").textContent = what;
    item.querySelector(".reason").textContent = reason;
    return item;
  }
}

function texts(story) {
  const { from, to, reason, who } = story;
  const why = who ? `${reason}, by ${who}` : reason;
  if (story.kind === "outage") {
    const end = story.ended_at ? `until ${clock(story.ended_at)}` : "goes on";
    return [`outage, ${end}: ${whole(story.rejected)} rejected, ${whole(story.probes_failed)} probes failed`, why, story.state];
  }
  let what = `${stateWords(from)} → ${stateWords(to)}`;
  if (from === to) what = reason.startsWith("reset by hand") ? "was reset" : `stays ${stateWords(to)}`;
  return [what, why, to];
}
