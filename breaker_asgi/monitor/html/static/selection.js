// The selection: a box in each row and card, a bar with what can be done to those that are selected,
// and the two ways to many at once: all that match the search, and all that are not closed.

import { askForAll } from "./bulk.js";
import { actions } from "./controls.js";
import { byId, write } from "./dom.js";
import { make } from "./shapes.js";
import { whole } from "./words.js";

export class Selection {
  #allowed = document.body.dataset.controls === "yes";
  #names = new Set();
  #last = null;
  #count = make("b");
  #hidden = make("span");
  #all = make("button", { type: "button" });
  #matching = make("button", { type: "button", id: "select-all" });
  #green = make("button", { type: "button", id: "all-green", textContent: "All green…" });
  #bar = null;

  // `items` returns the names of the rows in their order.
  constructor(model, base, { dialog, filters, items, done }) {
    Object.assign(this, { model, base, dialog, filters, items, done });
    if (!this.#allowed) return;
    this.#green.title = "Reset all that are not closed";
    this.#bar = this.#build();
    const tools = make("div", { className: "bulk" }, this.#matching, this.#green);
    byId("filters").querySelector(".order").before(tools);
    this.#matching.addEventListener("click", () => this.#selectAll());
    this.#all.addEventListener("click", () => this.#selectAll());
    this.#green.addEventListener("click", () => this.#ask("reset", this.#notClosed(), "All green"));
    document.addEventListener("click", (event) => {
      if (event.target.matches?.(".pick input")) this.#picked(event.target, event.shiftKey);
    });
  }

  // Put a box into a row or a card, and check it if that is selected.
  equip(element, name) {
    if (!this.#allowed) return;
    let box = element.querySelector(".pick input");
    if (!box) {
      box = make("input", { type: "checkbox" });
      const place = element.querySelector(".c-state, h3");
      place.prepend(make("label", { className: "pick", title: "Select (x)" }, box));
    }
    const label = `Select ${name}`;
    if (box.ariaLabel !== label) box.ariaLabel = label;
    this.#mark(box, element, name);
  }

  update() {
    if (!this.#allowed) return;
    const { breakers } = this.model;
    for (const name of this.#names) if (!breakers.has(name)) this.#names.delete(name);
    const matching = this.#match();
    const shown = matching.filter(({ name }) => this.#names.has(name)).length;
    const [size, all] = [this.#names.size, whole(matching.length)];
    this.#bar.hidden = !size;
    document.body.toggleAttribute("data-selecting", size > 0);
    write(this.#count, `${whole(size)} selected`);
    write(this.#hidden, shown < size ? `${whole(size - shown)} of them not shown` : "");
    write(this.#all, `All ${all}${this.filters.narrows ? " that match" : ""}`);
    this.#all.hidden = shown === matching.length;
    write(this.#matching, this.filters.narrows ? `Select the ${all} that match` : `Select all ${all}`);
    this.#matching.hidden = size > 0 || !matching.length;
    this.#green.hidden = !this.#notClosed().length;
  }

  // Select what the cursor of the keyboard, or else that of the pointer, is at.
  toggle() {
    const row = document.activeElement?.closest?.("[data-name]") ?? document.querySelector(":is(.row, .card)[data-name]:hover");
    row?.querySelector(".pick input")?.click();
  }

  // True if there was something to clear.
  clear() {
    if (!this.#names.size) return false;
    this.#names.clear();
    this.#last = null;
    this.#show();
    return true;
  }

  #build() {
    const clear = make("button", { type: "button", textContent: "Clear", title: "Clear the selection (Esc)" });
    clear.addEventListener("click", () => this.clear());
    const buttons = actions().map(({ action, title, effect, hurts }) => {
      const button = make("button", { type: "button", textContent: title, title: effect, className: hurts ? "hurts" : "" });
      button.addEventListener("click", () => this.#ask(action, this.#selected()));
      return button;
    });
    const count = make("p", { role: "status" }, this.#count, " ", this.#hidden);
    const bar = make("section", { id: "selection", ariaLabel: "Selected breakers", hidden: true });
    bar.append(
      count, this.#all, clear, make("div", { className: "bulk-actions", role: "group", ariaLabel: "Change them" }, ...buttons),
      make("p", { className: "not-live" }, "This page is not live: it does not show what a change does."),
    );
    document.querySelector("footer").before(bar);
    return bar;
  }

  #ask(action, breakers, title) {
    askForAll(this.dialog, action, breakers, {
      base: this.base, model: this.model, title,
      done: (changed) => {
        for (const name of changed) this.#names.delete(name);
        this.#show();
        this.done();
      },
    });
  }

  #selected() {
    return [...this.model.breakers.values()].filter(({ name }) => this.#names.has(name));
  }

  #notClosed() {
    return [...this.model.breakers.values()].filter(({ state }) => state !== "closed");
  }

  #match() {
    const wanted = this.filters.wanted();
    return [...this.model.breakers.values()].filter(({ name, state }) => wanted(name, state));
  }

  #selectAll() {
    for (const { name } of this.#match()) this.#names.add(name);
    this.#show();
  }

  #picked(box, toHere) {
    const { name } = box.closest("[data-name]").dataset;
    const items = this.items();
    const [from, to] = [items.indexOf(this.#last), items.indexOf(name)].sort((one, other) => one - other);
    const range = toHere && from >= 0 ? items.slice(from, to + 1).filter((each) => this.model.breakers.has(each)) : [name];
    for (const each of range) this.#names[box.checked ? "add" : "delete"](each);
    this.#last = name;
    this.#show();
  }

  #show() {
    for (const box of document.querySelectorAll(".pick input")) {
      const element = box.closest("[data-name]");
      this.#mark(box, element, element.dataset.name);
    }
    this.update();
  }

  #mark(box, element, name) {
    const on = this.#names.has(name);
    if (box.checked !== on) box.checked = on;
    element.toggleAttribute("data-selected", on);
  }
}
