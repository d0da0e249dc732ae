// The table: only the rows near the view exist, and each is touched only where something changed.

import { began, fields, levels, tickingFields } from "./breakerwords.js";
import { draw } from "./chart.js";
import { arrange, parts, say, set, setData, setIcon, write } from "./dom.js";
import { fold } from "./order.js";
import { setTime } from "./times.js";
import { addressOf, chart } from "./words.js";

const beyond = 400; // pixels around the view for which there are rows

export class Rows {
  #table = document.getElementById("table");
  #body = document.getElementById("rows");
  #row = document.getElementById("row-template").content.querySelector("tr");
  #fold = document.getElementById("row-template").content.querySelector(".fold");
  #items = []; // names in order, and `fold`
  #taken = false; // until then the rows are those of the server
  #rows = new Map(); // the rows that exist, by name
  #fresh = new Set(); // names of rows that are not drawn yet
  #room; // of the rows that do not exist: a rule of a style sheet, as the policy allows no inline style
  #height = 0;
  #current = null;
  #waiting = 0;

  constructor(model, base, selection) {
    this.model = model;
    this.base = base;
    this.selection = selection;
    const sheet = new CSSStyleSheet();
    sheet.insertRule("#rows { padding-block: 0 0 }");
    document.adoptedStyleSheets.push(sheet);
    this.#room = sheet.cssRules[0].style;
    this.#fold = this.#body.querySelector(".fold") ?? this.#fold.cloneNode(true);
    for (const row of this.#body.querySelectorAll("[data-name]")) this.#adopt(row);
    const moved = () => (this.#waiting ||= requestAnimationFrame(() => this.#show()));
    addEventListener("scroll", moved, { passive: true });
    new ResizeObserver(() => ((this.#height = 0), moved())).observe(this.#table);
  }

  // Show these rows in this order.
  order(items, quiet) {
    const changed = items.length !== this.#items.length || items.some((each, place) => each !== this.#items[place]);
    this.#items = items;
    this.#taken = true;
    write(this.#fold.querySelector("span"), quiet);
    if (changed || !this.#height) this.#show();
  }

  get items() {
    return this.#items;
  }

  get fold() {
    return this.#fold.querySelector("a");
  }

  update(dirty) {
    const changed = [...this.#rows].filter(([name]) => dirty.has(name));
    for (const [name, entry] of changed) this.#fill(name, entry);
    for (const [name] of changed) this.#draw(name);
  }

  // Update what depends on time.
  tick() {
    const now = this.model.now();
    for (const [name, { places }] of this.#rows) {
      const breaker = this.model.breakers.get(name);
      if (breaker) say(places, tickingFields(breaker, now));
    }
    for (const name of this.#rows.keys()) this.#draw(name);
  }

  select(name) {
    if (this.#current !== name) this.link(this.#current)?.removeAttribute("aria-current");
    this.#current = name;
    const link = this.link(name);
    if (link) set(link, "aria-current", "true");
  }

  link(name) {
    return this.#rows.get(name)?.places.name.closest("a");
  }

  // Focus a row, wherever it is; it is made if it does not exist yet.
  focus(name) {
    const place = this.#items.indexOf(name);
    if (place < 0) return false;
    this.#scrollTo(place);
    this.#show();
    (name === fold ? this.fold : this.link(name))?.focus({ preventScroll: true });
    return true;
  }

  // Move the focus by a number of rows; from elsewhere to the first row.
  step(by) {
    const row = document.activeElement?.closest?.("#rows tr");
    const at = row ? this.#items.indexOf(row === this.#fold ? fold : row.dataset.name) : -1;
    const place = at < 0 ? 0 : Math.min(this.#items.length - 1, Math.max(0, at + by));
    if (this.#items.length) this.focus(this.#items[place]);
  }

  #scrollTo(place) {
    const { height } = this.#measured();
    const head = this.#table.tHead.offsetHeight;
    const top = this.#body.getBoundingClientRect().top + place * height;
    if (top < head) scrollBy(0, top - head);
    else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight);
  }

  #measured() {
    if (!this.#height) {
      let row = this.#body.querySelector("tr:not(.away, .fold)") ?? this.#body.querySelector(".fold"); // lower on a phone
      const probe = row ? null : this.#body.appendChild(this.#fold);
      row ??= probe;
      const height = row.offsetHeight; // 0 while the table is hidden
      this.#height = height && height + (parseFloat(getComputedStyle(row).marginBottom) || 0);
    }
    return { height: this.#height, top: this.#body.getBoundingClientRect().top };
  }

  #show() {
    cancelAnimationFrame(this.#waiting);
    this.#waiting = 0;
    if (!this.#taken) return;
    const { height, top } = this.#measured();
    if (!height) return; // the table is hidden
    const every = this.#items.length;
    const first = Math.max(0, Math.min(every, Math.floor((-top - beyond) / height)));
    const end = Math.min(every, Math.max(first, Math.ceil((innerHeight - top + beyond) / height)));
    const shown = this.#items.slice(first, end);
    const focused = document.activeElement?.closest?.("#rows tr");
    this.#release(new Set(shown), focused);
    const wanted = shown.map((name, at) => this.#placed(name, first + at));
    if (focused && !wanted.includes(focused) && this.#body.contains(focused)) {
      focused.classList.add("away"); // out of sight it keeps the focus
      wanted.push(focused);
    }
    arrange(this.#body, wanted);
    this.#room.paddingBlock = `${first * height}px ${(every - end) * height}px`;
    set(this.#table, "aria-rowcount", String(every + 1));
    for (const name of this.#fresh) this.#draw(name); // not before: a layout in between would scroll
    this.#fresh.clear();
  }

  #release(shown, focused) {
    if (!shown.has(fold) && focused !== this.#fold) this.#fold.remove();
    for (const [name, { row }] of this.#rows) {
      if (shown.has(name) || row === focused) continue;
      row.remove();
      this.#rows.delete(name);
    }
  }

  #placed(name, place) {
    let row = this.#fold;
    if (name !== fold) row = (this.#rows.get(name) ?? this.#make(name)).row;
    row.classList.remove("away");
    set(row, "aria-rowindex", String(place + 2));
    return row;
  }

  #make(name) {
    const row = this.#row.cloneNode(true);
    row.dataset.name = name;
    const entry = this.#adopt(row);
    this.#fill(name, entry);
    this.#fresh.add(name);
    return entry;
  }

  #adopt(row) {
    if (!row.querySelector("canvas")) {
      row.querySelector(".c-chart").replaceChildren(this.#row.querySelector("canvas").cloneNode());
    }
    const entry = {
      row, places: parts(row), icon: row.querySelector(".icon"), canvas: row.querySelector("canvas"),
      levels: row.querySelectorAll("[data-levels]"),
    };
    this.#rows.set(row.dataset.name, entry);
    return entry;
  }

  #fill(name, entry) {
    const breaker = this.model.breakers.get(name);
    const { row, places } = entry;
    row.classList.toggle("gone", !breaker);
    this.selection.equip(row, name);
    if (!breaker) {
      say(places, { name, next: "is gone" });
      return;
    }
    const texts = fields(breaker, this.model.now());
    say(places, texts);
    const near = levels(breaker);
    for (const place of entry.levels) setData(place, "level", near[place.dataset.levels]);
    setData(places.rejected_rate.parentNode, "some", breaker.rejected_per_second ? "yes" : "");
    const link = places.name.parentNode;
    set(link, "href", addressOf(this.base, name));
    set(link, "title", name);
    set(places.reason, "title", texts.reason);
    if (name === this.#current) set(link, "aria-current", "true");
    if (row.dataset.state !== breaker.state) {
      if (row.dataset.state) row.classList.add("changed");
      row.dataset.state = breaker.state;
      setIcon(entry.icon, breaker.state);
    }
    setTime(places.since, began(breaker));
  }

  #draw(name) {
    const [breaker, canvas] = [this.model.breakers.get(name), this.#rows.get(name)?.canvas];
    if (!breaker || !canvas) return;
    draw(canvas, breaker.history, this.model.now());
    set(canvas, "aria-label", chart(breaker.history));
  }
}
