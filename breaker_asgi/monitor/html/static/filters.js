// What the reader chose: a part of the name or a pattern, states, and the order. Kept in the URL.

import { byId, set, setData, write } from "./dom.js";
import { isPattern, matcher } from "./glob.js";
import { orders } from "./order.js";
import { whole, worstFirst } from "./words.js";

export class Filters {
  #form = byId("filters");
  #search = byId("search");
  #order = byId("order");
  #chips = new Map();
  #changed;
  unfolded = false;

  constructor(changed) {
    this.#changed = changed;
    const asked = new URLSearchParams(location.search);
    this.unfolded = asked.has("all");
    this.#choose(asked.get("order"));
    for (const chip of this.#form.querySelectorAll("[data-state]")) {
      this.#chips.set(chip.dataset.state, chip);
      chip.type = "button";
      chip.addEventListener("click", () => {
        chip.setAttribute("aria-pressed", String(chip.ariaPressed !== "true"));
        changed();
      });
    }
    this.#search.addEventListener("input", changed);
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#order.addEventListener("change", () => this.#pick(this.#order.value));
    for (const head of document.querySelectorAll("#table th[data-order]")) this.#makeButton(head);
    this.#mark();
  }

  get order() {
    return this.#order.value;
  }

  get text() {
    return this.#search.value.trim();
  }

  get narrows() {
    return this.text !== "" || this.#pressed().length > 0;
  }

  focus() {
    this.#search.select();
    this.#search.focus();
  }

  clearText() {
    this.#search.value = "";
  }

  clearStates() {
    for (const chip of this.#chips.values()) chip.setAttribute("aria-pressed", "false");
  }

  // Esc in the search field: true if there was something to clear.
  clear() {
    if (document.activeElement !== this.#search || !this.#search.value) return false;
    this.#search.value = "";
    return true;
  }

  fold() {
    this.unfolded = !this.unfolded;
    this.#changed();
  }

  // Return a function of a name and a state: true if the row is shown.
  wanted() {
    const states = new Set(this.#pressed());
    const named = matcher(this.text);
    return (name, state) => (!states.size || states.has(state)) && named(name);
  }

  count(summary, shown) {
    for (const state of worstFirst) {
      const chip = this.#chips.get(state);
      const number = summary[state] ?? 0;
      write(chip.querySelector("b"), whole(number));
      chip.hidden = !number && chip.ariaPressed !== "true";
    }
    write(byId("found"), this.narrows ? `${whole(shown)} of ${whole(summary.total)}` : "");
  }

  // The query of the page's URL, so that it can be reloaded and shared.
  query() {
    const asked = new URLSearchParams(this.#pressed().map((state) => ["state", state]));
    if (this.text) asked.set("name", this.pattern);
    if (this.order !== orders[0]) asked.set("order", this.order);
    if (this.unfolded) asked.set("all", "yes");
    const worker = new URLSearchParams(location.search).get("worker");
    if (worker) asked.set("worker", worker);
    return asked.size ? `?${asked}` : "";
  }

  // The search as a pattern, as the server takes it.
  get pattern() {
    return !this.text || isPattern(this.text) ? this.text : `*${this.text}*`;
  }

  #pressed() {
    return [...this.#chips].filter(([, chip]) => chip.ariaPressed === "true").map(([state]) => state);
  }

  #choose(order) {
    this.#order.value = orders.includes(order) ? order : orders[0];
  }

  #pick(order) {
    this.#choose(order);
    this.#mark();
    this.#changed();
  }

  #makeButton(head) {
    const { order } = head.dataset;
    if (!order) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => this.#pick(order));
  }

  #mark() {
    for (const head of document.querySelectorAll("#table th[data-order]")) {
      if (head.dataset.order !== this.order) head.removeAttribute("aria-sort");
      else set(head, "aria-sort", ["name", "urgency"].includes(this.order) ? "ascending" : "descending");
    }
    setData(this.#form, "order", this.order);
  }
}
