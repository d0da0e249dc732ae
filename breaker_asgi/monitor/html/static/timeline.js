// The outages on one time axis: the breaker that broke first is at the top.

import { OutageLog } from "./outagelog.js";
import { clock, date } from "./scale.js";
import { why } from "./series.js";
import { choice, make, shape } from "./shapes.js";
import { drawnTimes, margins } from "./strips.js";
import { zone } from "./times.js";
import { addressOf, moment, span, stateWords, whole } from "./words.js";

const ranges = [[900, "15 min"], [3600, "1 h"], [21600, "6 h"], [0, "all"]];
const words = { 900: "the last 15 minutes", 3600: "the last hour", 21600: "the last 6 hours", 0: "what is kept" };
const most = 10; // rows until the others are asked for

export class Timeline {
  #log;
  #rows = new Map(); // breaker -> {row, name, cost, track}
  #bars = new Map(); // id of a story -> its link
  #list = make("ol", { className: "outages" });
  #axis = shape("svg", { class: "axis", "aria-hidden": "true" });
  #readout = make("p", { className: "readout" });
  #summary = make("p", { className: "summary" });
  #none = make("p", { className: "none" });
  #more = make("button", { type: "button", className: "more-outages" });
  #range = 900;
  #all = false;
  #current = null; // the id of the bar that the keyboard reaches

  constructor(section, model, { base = document.documentElement.dataset.base, open = null } = {}) {
    Object.assign(this, { section, model, base, open });
    this.#log = new OutageLog(model, base, () => this.update());
    const title = make("h2", {}, "What broke first ", make("small", { textContent: zone() }));
    const ranged = choice("Range", ranges, this.#range, (range) => this.#choose(range));
    this.body = make("div", { className: "tracks" }, this.#axis, this.#list);
    section.classList.add("aligned");
    const foot = make("div", { className: "chart-foot" }, this.#summary, this.#readout);
    section.replaceChildren(make("div", { className: "chart-head" }, title, legend(), ranged), this.#none, this.body, this.#more, foot);
    this.#more.addEventListener("click", () => this.#choose(this.#range, true));
    this.#list.addEventListener("click", (event) => this.#click(event));
    this.#list.addEventListener("keydown", (event) => this.#press(event));
    for (const name of ["focusin", "pointerover"]) this.#list.addEventListener(name, ({ target }) => this.#read(target));
    for (const name of ["focusout", "pointerleave"]) this.#list.addEventListener(name, () => this.#read(document.activeElement));
    new ResizeObserver(() => this.update()).observe(section);
  }

  tick() {
    this.update();
  }

  update() {
    const now = this.model.now();
    const stories = this.#log.outages();
    const { from, to } = this.#span(stories, now);
    const rows = byBreaker(stories.filter((each) => ended(each, now) >= from));
    const shown = this.#all ? rows : rows.slice(0, most);
    this.section.dataset.rows = String(rows.length);
    this.#none.textContent = rows.length ? "" : `no outage in ${words[this.#range]}`;
    this.#more.hidden = shown.length === rows.length;
    this.#more.textContent = `Show all ${whole(rows.length)}`;
    this.body.hidden = !rows.length;
    say(this.#summary, summary(rows));
    this.#keep(shown);
    for (const [breaker, found] of shown) this.#fill(breaker, found, { from, to, now });
    this.#reach(shown);
    this.#drawAxis(from, to);
    if (this.#readout.dataset.id) this.#read(this.#bars.get(Number(this.#readout.dataset.id)));
  }

  #choose(range, all = false) {
    this.#range = range;
    this.#all = all;
    if (range === 0) this.#log.loadAll();
    this.update();
  }

  // With 15 minutes the axis is the one of the traffic above it.
  #span(stories, now) {
    const first = Math.min(now - 3600, ...stories.map(({ began_at: began }) => moment(began)));
    const range = this.#range || (now - first) * 1.02;
    const step = Math.max(10, range / 90);
    const to = this.#range ? Math.floor(now / step) * step + step : now;
    return { from: to - range, to };
  }

  #keep(shown) {
    const wanted = new Set(shown.map(([breaker]) => breaker));
    for (const [breaker, { row }] of this.#rows) {
      if (wanted.has(breaker)) continue;
      row.remove();
      this.#rows.delete(breaker);
    }
    let place = this.#list.firstElementChild;
    for (const [breaker] of shown) {
      const { row } = this.#rows.get(breaker) ?? this.#make(breaker);
      if (row === place) place = place.nextElementSibling;
      else this.#list.insertBefore(row, place);
    }
  }

  #make(breaker) {
    const icon = shape("svg", { class: "icon", "aria-hidden": "true" }, shape("use", {}));
    const name = make("a", { href: addressOf(this.base, breaker), tabIndex: -1, title: breaker }, make("bdi", { textContent: breaker }));
    const [cost, track] = [make("span", { className: "cost" }), make("div", { className: "track" })];
    const row = make("li", {}, make("p", { className: "who" }, icon, name, cost), track);
    row.dataset.breaker = breaker;
    const entry = { row, icon, cost, track };
    this.#rows.set(breaker, entry);
    return entry;
  }

  #fill(breaker, found, axis) {
    const { row, icon, cost, track } = this.#rows.get(breaker);
    const last = found.at(-1);
    row.dataset.state = last.state;
    icon.firstElementChild.setAttribute("href", `#i-${last.state}`);
    const [length, rejected] = [found.reduce((sum, each) => sum + ended(each, axis.now) - moment(each.began_at), 0), found.reduce((sum, each) => sum + (each.rejected ?? 0), 0)];
    const times = found.length > 1 ? `${found.length} times, ` : "";
    say(cost, `${times}${span(length)}${rejected ? ` · ${whole(rejected)} rejected` : ""}`);
    const bars = found.map((story) => this.#bar(story, axis));
    for (const each of [...track.children]) if (!bars.includes(each)) each.remove();
    for (const each of bars) if (each.parentNode !== track) track.append(each);
  }

  #bar(story, { from, to, now }) {
    const bar = this.#bars.get(story.id) ?? make("a", { className: "bar", href: addressOf(this.base, story.breaker), tabIndex: -1 });
    this.#bars.set(story.id, bar);
    bar.dataset.id = story.id;
    bar.dataset.running = story.ended_at ? "no" : "yes";
    bar.dataset.by = story.by_hand ? "hand" : "rule";
    bar.dataset.before = moment(story.began_at) < from ? "yes" : "no";
    const place = (at) => `${(100 * (Math.min(to, Math.max(from, at)) - from)) / (to - from)}%`;
    const [left, right] = [place(moment(story.began_at)), place(ended(story, now))];
    if (bar.style.left !== left) bar.style.left = left;
    const width = `${Math.max(0, Number.parseFloat(right) - Number.parseFloat(left))}%`;
    if (bar.style.width !== width) bar.style.width = width;
    const label = told(story, now);
    if (bar.ariaLabel !== label) bar.ariaLabel = label;
    return bar;
  }

  #drawAxis(from, to) {
    const { em, left, right } = margins();
    const { width, height } = this.#axis.getBoundingClientRect();
    if (!width) return;
    const edge = Math.round(width) - right;
    const x = (at) => Math.round(left + ((at - from) / (to - from)) * (edge - left));
    this.#axis.replaceChildren(...drawnTimes({ from, to }, { left, edge, wide: edge - left, em, x, gridTop: 0, bottom: Math.round(height - 1.9 * em) }));
  }

  // One bar is in the order of the Tab key; the arrows move to the others.
  #reach(shown) {
    const ids = new Set(shown.flatMap(([, found]) => found.map(({ id }) => id)));
    for (const [id] of this.#bars) if (!ids.has(id)) this.#bars.delete(id);
    if (!ids.has(this.#current)) this.#current = shown[0]?.[1][0].id ?? null;
    for (const [id, bar] of this.#bars) bar.tabIndex = id === this.#current ? 0 : -1;
  }

  #press(event) {
    const bar = event.target.closest(".bar");
    if (!bar || event.ctrlKey || event.metaKey || event.altKey) return;
    const tracks = [...this.#list.querySelectorAll(".track")];
    const row = tracks.indexOf(bar.parentNode);
    const steps = {
      ArrowLeft: () => bar.previousElementSibling, ArrowRight: () => bar.nextElementSibling,
      ArrowUp: () => tracks[row - 1]?.lastElementChild, ArrowDown: () => tracks[row + 1]?.firstElementChild,
      Home: () => tracks[0].firstElementChild, End: () => tracks.at(-1).lastElementChild,
    };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    const found = steps[event.key]();
    if (!found) return;
    this.#current = Number(found.dataset.id);
    for (const each of this.#bars.values()) each.tabIndex = each === found ? 0 : -1;
    found.focus();
  }

  #click(event) {
    const link = event.target.closest("a");
    if (!link || !this.open || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.open(link.closest("li").dataset.breaker);
  }

  #read(target) {
    const bar = target?.closest?.(".bar") ?? target?.closest?.(".outages li")?.querySelector(".bar:last-child");
    say(this.#readout, bar?.ariaLabel ?? "");
    this.#readout.dataset.id = bar?.dataset.id ?? "";
  }
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const ended = (story, now) => (story.ended_at ? moment(story.ended_at) : now);

// Return the outages of each breaker, oldest first, in the order in which the breakers broke.
export function byBreaker(stories) {
  const found = new Map();
  const began = (story) => moment(story.began_at);
  for (const story of stories.toSorted((one, other) => began(one) - began(other) || one.id - other.id)) {
    found.set(story.breaker, [...(found.get(story.breaker) ?? []), story]);
  }
  return [...found];
}

function legend() {
  const items = [["no", "rule", "ended"], ["yes", "rule", "running"], ["no", "hand", "by hand"]].map(([running, by, text]) => {
    const sample = make("span", { className: "bar" });
    Object.assign(sample.dataset, { running, by });
    return make("li", {}, sample, ` ${text}`);
  });
  return make("ul", { className: "kinds samples" }, ...items);
}

function summary(rows) {
  const all = rows.flatMap(([, found]) => found);
  if (!all.length) return "";
  const running = all.filter((story) => !story.ended_at).length;
  const number = `${whole(all.length)} ${all.length === 1 ? "outage" : "outages"}`;
  return `${number}${running ? `, ${running === all.length ? "" : `${whole(running)} of them `}running` : ", all over"}; first: ${rows[0][0]}, ${clock(moment(all[0].began_at))}`;
}

// Describe an outage in a sentence.
function told(story, now) {
  const [began, end] = [moment(story.began_at), ended(story, now)];
  const day = date(began) === date(now) ? "" : `${date(began)}, `;
  const lasted = story.ended_at ? `to ${clock(end)}, ${span(end - began)}` : `for ${span(end - began)} so far, ${stateWords(story.state)}`;
  const parts = [`${story.breaker}: ${day}${clock(began)} ${lasted}`];
  if (story.reason) parts.push(why(story));
  if (story.who) parts.push(`by ${story.who}`);
  if (story.probes_failed) parts.push(`${whole(story.probes_failed)} failed ${story.probes_failed === 1 ? "probe" : "probes"}`);
  parts.push(`${whole(story.rejected ?? 0)} rejected`);
  return parts.join("; ");
}
