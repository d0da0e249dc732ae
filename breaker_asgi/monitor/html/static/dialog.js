// The dialog before a change by hand: what it does, to which breakers, for how long and why. It stays
// until the reader knows what became of it. Before harmful ones the focus is on Cancel.

import { byId } from "./dom.js";
import { Failed } from "./requests.js";
import { make } from "./shapes.js";
import { stateWords, whole } from "./words.js";

const first = 10; // names that are listed at once

export const isolated = (name) => make("bdi", {}, name);

// A list of names as text, the first ones only.
export function named(names) {
  const parts = names.slice(0, first).flatMap((name, place) => [place ? ", " : "", isolated(name)]);
  return names.length > first ? [...parts, ` and ${whole(names.length - first)} more`] : parts;
}

export class Dialog {
  #box = byId("ask");
  #form = this.#box.querySelector("form");
  #why = this.#form.querySelector("[name=why]");
  #minutes = byId("ask-minutes");
  #yes = byId("ask-yes");
  #no = byId("ask-no");
  #asked = null;
  #busy = false;

  constructor() {
    this.#no.addEventListener("click", () => this.#box.close());
    this.#box.addEventListener("cancel", (event) => this.#busy && event.preventDefault());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.#busy) this.#send();
    });
    this.#minutes.addEventListener("input", () => (this.#time = "other"));
    for (const each of this.#form.elements.time) each.addEventListener("change", () => this.#choose());
  }

  // Ask for an action: {title, effect, yes, hurts, unless, breakers, send}. `send` gets the form, and
  // returns the parts of the sentence that says what has changed.
  ask(asked) {
    if (this.#busy) return;
    this.#asked = asked;
    this.#form.reset();
    byId("ask-title").replaceChildren(...asked.title);
    byId("ask-effect").textContent = asked.effect;
    byId("ask-names").replaceChildren(...(asked.breakers ? listed(asked.breakers) : []));
    byId("ask-names").hidden = !asked.breakers;
    byId("ask-time").hidden = !asked.unless;
    byId("ask-unless").textContent = asked.unless;
    this.#yes.textContent = asked.yes;
    this.#box.dataset.hurts = asked.hurts ? "True" : "False";
    this.#say("");
    this.#no.textContent = "Cancel";
    this.#choose();
    this.#box.showModal();
    this.#box.scrollTop = 0;
    (asked.hurts ? this.#no : this.#yes).focus();
  }

  get #time() {
    return this.#form.elements.time.value;
  }

  set #time(value) {
    this.#form.elements.time.value = value;
    this.#choose();
  }

  #choose() {
    const other = this.#time === "other";
    this.#minutes.required = other;
    if (!other) this.#minutes.value = "";
  }

  // The fields that the server takes.
  #fields() {
    const fields = new URLSearchParams({ why: this.#why.value });
    const seconds = this.#time === "other" ? String(this.#minutes.value * 60) : this.#time;
    if (this.#asked.unless && seconds) fields.set("for", seconds);
    return fields;
  }

  async #send() {
    const asked = this.#asked;
    const fields = this.#fields();
    this.#say("");
    this.#wait(true);
    const began = performance.now();
    const timer = setInterval(() => {
      this.#yes.textContent = `No answer yet, ${Math.round((performance.now() - began) / 1000)} s`;
    }, 1000);
    try {
      const done = await asked.send(fields);
      this.#ended("done", ["Done: ", ...done]);
    } catch (problem) {
      if (!(problem instanceof Failed)) console.error(problem);
      this.#ended(problem.kind ?? "unknown", problem.parts ?? [problem.message]);
    } finally {
      clearInterval(timer);
    }
  }

  #wait(busy) {
    this.#busy = busy;
    this.#yes.disabled = this.#no.disabled = busy;
    if (busy) this.#yes.textContent = "Sending…";
  }

  #ended(outcome, parts) {
    this.#wait(false);
    if (!this.#box.open) this.#box.showModal(); // the reader has to know
    this.#say(outcome, parts);
    this.#yes.textContent = "Try again";
    this.#no.textContent = "Close";
    this.#no.focus();
  }

  #say(outcome, parts = []) {
    this.#box.dataset.outcome = outcome;
    byId("ask-outcome").replaceChildren(...parts);
    this.#yes.hidden = byId("ask-fields").hidden = outcome === "done";
  }
}

function listed(breakers) {
  const item = ({ name, state }) => {
    const icon = document.querySelector(".verdict .icon").cloneNode(true);
    icon.firstElementChild.setAttribute("href", `#i-${state}`);
    const entry = make("li", {}, icon, " ", isolated(name), ` ${stateWords(state)}`);
    entry.dataset.state = state;
    return entry;
  };
  const list = make("ul", {}, ...breakers.slice(0, first).map(item));
  const rest = breakers.slice(first);
  if (!rest.length) return [list];
  const more = make("details", {}, make("summary", {}, `and ${whole(rest.length)} more`));
  more.addEventListener("toggle", () => more.children[1] ?? more.append(make("ul", {}, ...rest.map(item))));
  return [list, more];
}
