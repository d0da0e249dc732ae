// The table: a row for each breaker, touched only where something changed.

import { draw } from "./chart.js";
import { addressOf, chart, fields, levels, moment, tickingFields, worstFirst } from "./words.js";

export const parts = (root) =>
  Object.fromEntries([...root.querySelectorAll("[data-f]")].map((each) => [each.dataset.f, each]));

export function say(places, texts) {
  for (const [name, text] of Object.entries(texts)) {
    const place = places[name];
    if (place && place.textContent !== text) place.textContent = text;
  }
}

export function setData(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

export const setIcon = (svg, state) => svg.firstElementChild.setAttribute("href", `#i-${state}`);

export class Rows {
  #body = document.getElementById("rows");
  #template = document.getElementById("row-template");
  #canvas = document.getElementById("row-template").content.querySelector("canvas");
  #rows = new Map();
  #seen = new Set();
  #watch = new IntersectionObserver((entries) => this.#scrolled(entries), { rootMargin: "200px" });

  constructor(model, base) {
    this.model = model;
    this.base = base;
    for (const row of [...this.#body.rows]) {
      row.querySelector(".c-chart").replaceChildren(this.#canvas.cloneNode());
      this.#adopt(row);
    }
  }

  update() {
    const { dirty, moved, breakers } = this.model;
    for (const name of this.#rows.keys()) if (!breakers.has(name)) this.#drop(name);
    for (const name of dirty) {
      if (breakers.has(name)) this.#fill(name, this.#rows.get(name) ?? this.#make(name));
    }
    if (moved.size) this.#sort(moved);
  }

  // Update the texts that depend on time, of visible rows only.
  tick() {
    const now = this.model.now();
    for (const name of this.#seen) {
      const breaker = this.model.breakers.get(name);
      if (breaker) say(this.#rows.get(name).places, tickingFields(breaker, now));
      this.#draw(name);
    }
  }

  // Show the rows for which `wanted` is true; return their number.
  filter(wanted) {
    let shown = 0;
    for (const [name, { row }] of this.#rows) {
      const breaker = this.model.breakers.get(name);
      const hidden = !wanted(name, breaker?.state ?? row.dataset.state);
      if (row.hidden !== hidden) row.hidden = hidden;
      shown += hidden ? 0 : 1;
    }
    return shown;
  }

  select(name) {
    this.#body.querySelector("[aria-current]")?.removeAttribute("aria-current");
    this.link(name)?.setAttribute("aria-current", "true");
  }

  link(name) {
    return this.#rows.get(name)?.places.name;
  }

  // Move the focus by a number of rows; from elsewhere, to the first row.
  step(by) {
    const links = [...this.#body.querySelectorAll("tr:not([hidden]) a")];
    const at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + by))];
    next?.focus();
    next?.closest("tr").scrollIntoView({ block: "nearest" });
  }

  #make(name) {
    const row = this.#template.content.querySelector("tr").cloneNode(true);
    row.dataset.name = name;
    this.#body.append(row);
    this.model.moved.add(name);
    return this.#adopt(row);
  }

  #adopt(row) {
    const entry = {
      row, places: parts(row), icon: row.querySelector(".icon"), canvas: row.querySelector("canvas"),
      levels: row.querySelectorAll("[data-levels]"), placed: row.dataset.state,
    };
    this.#rows.set(row.dataset.name, entry);
    this.#watch.observe(row);
    return entry;
  }

  #fill(name, entry) {
    const breaker = this.model.breakers.get(name);
    const { row, places } = entry;
    say(places, fields(breaker, this.model.now()));
    const near = levels(breaker);
    for (const place of entry.levels) setData(place, "level", near[place.dataset.levels]);
    if (!places.name.hasAttribute("href") || !row.dataset.state) places.name.href = addressOf(this.base, name);
    if (row.dataset.state !== breaker.state) {
      if (row.dataset.state) row.classList.add("changed");
      row.dataset.state = breaker.state;
      setIcon(entry.icon, breaker.state);
    }
    places.since.dateTime = breaker.changed_at;
    if (this.#seen.has(name)) this.#draw(name);
  }

  #drop(name) {
    const { row } = this.#rows.get(name);
    this.#watch.unobserve(row);
    row.remove();
    this.#rows.delete(name);
    this.#seen.delete(name);
  }

  // Only the rows that changed their place are moved, so that the others are not laid out again.
  #sort(moved) {
    const focused = document.activeElement;
    for (const name of moved) {
      const entry = this.#rows.get(name);
      const { state } = this.model.breakers.get(name) ?? {};
      if (entry && entry.placed !== state) entry.row.remove();
      if (entry) entry.placed = state;
    }
    const wanted = [...this.model.breakers.values()].map(urgency).sort(compare);
    let place = this.#body.firstElementChild;
    for (const [, , name] of wanted) {
      const { row } = this.#rows.get(name);
      if (row === place) place = place.nextElementSibling;
      else this.#body.insertBefore(row, place);
    }
    if (focused !== document.activeElement && focused?.isConnected) focused.focus();
  }

  #scrolled(entries) {
    for (const { target, isIntersecting } of entries) {
      const { name } = target.dataset;
      if (!isIntersecting) this.#seen.delete(name);
      else if (this.#rows.has(name)) {
        this.#seen.add(name);
        this.#draw(name);
      }
    }
  }

  #draw(name) {
    const breaker = this.model.breakers.get(name);
    const { canvas } = this.#rows.get(name);
    if (!breaker) return;
    draw(canvas, breaker.history, this.model.now());
    const label = chart(breaker.history);
    if (canvas.getAttribute("aria-label") !== label) canvas.setAttribute("aria-label", label);
  }
}

function urgency({ state, changed_at: changed, name }) {
  return [worstFirst.indexOf(state), state === "closed" ? 0 : -moment(changed), name];
}

// By code points, as Python sorts; not by any one language's alphabet.
function compare(one, other) {
  const place = [0, 1, 2].find((each) => one[each] !== other[each]);
  return place === undefined ? 0 : one[place] < other[place] ? -1 : 1;
}
