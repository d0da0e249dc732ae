// The filter of the rows: by a part of the name or a pattern, and by state.

import { setData } from "./rows.js";
import { whole, worstFirst } from "./words.js";

export class Filters {
  #form = document.getElementById("filters");
  #search = document.getElementById("search");
  #found = document.getElementById("found");
  #empty = document.getElementById("empty");
  #chips = new Map();

  constructor(changed) {
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
  }

  focus() {
    this.#search.select();
    this.#search.focus();
  }

  // Esc in the search field: true if there was something to clear.
  clear() {
    if (document.activeElement !== this.#search) return false;
    this.#search.value = "";
    return true;
  }

  // Return a function of a name and a state: true if the row is shown.
  wanted() {
    const states = new Set(this.#pressed());
    const named = matcher(this.#search.value.trim());
    return (name, state) => (!states.size || states.has(state)) && named(name);
  }

  count(summary, shown) {
    for (const state of worstFirst) {
      const chip = this.#chips.get(state);
      const number = chip.querySelector("b");
      const text = whole(summary[state]);
      if (number.textContent !== text) number.textContent = text;
      chip.hidden = !summary[state] && chip.ariaPressed !== "true";
    }
    const text = shown === summary.total ? "" : `${whole(shown)} of ${whole(summary.total)}`;
    if (this.#found.textContent !== text) this.#found.textContent = text;
    this.#empty.hidden = shown > 0;
    setData(this.#form, "filtered", String(shown !== summary.total));
  }

  // The query of the page's URL, so that it can be reloaded and shared.
  query() {
    const asked = new URLSearchParams(this.#pressed().map((state) => ["state", state]));
    const text = this.#search.value.trim();
    if (text) asked.set("name", /[*?]/.test(text) ? text : `*${text}*`);
    return asked.size ? `?${asked}` : "";
  }

  #pressed() {
    return [...this.#chips].filter(([, chip]) => chip.ariaPressed === "true").map(([state]) => state);
  }
}

function matcher(text) {
  const wanted = text.toLowerCase();
  if (!/[*?]/.test(wanted)) return (name) => name.toLowerCase().includes(wanted);
  const escaped = wanted.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  const pattern = new RegExp(`^${escaped.replace(/\*+/g, ".*").replaceAll("?", ".")}$`, "su");
  return (name) => pattern.test(name.toLowerCase());
}
