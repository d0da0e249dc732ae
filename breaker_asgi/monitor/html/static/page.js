// The live page: what the server rendered is taken over, and kept up to date by the stream.

import { Detail } from "./detail.js";
import { Filters } from "./filters.js";
import { Log } from "./log.js";
import { Model } from "./model.js";
import { Rows, setData, setIcon } from "./rows.js";
import { Stream } from "./stream.js";
import { address, addressOf, alarm, sharing, span, stateWords, title, total, verdict, workerWords, worst } from "./words.js";

const { base } = document.documentElement.dataset;
const byId = (id) => document.getElementById(id);
const home = address(base, "");

const model = new Model();
const rows = new Rows(model, base);
const log = new Log(byId("log"), base, model);
const detail = new Detail(model, base, schedule);
const filters = new Filters(filter);
const stream = new Stream(address(base, "stream"), { snapshot, breakers, change, beat() {}, link });
let news = [];
let scheduled = 0;

// Events of the stream

function snapshot(data) {
  const same = model.shows(data.worker);
  model.snapshot(data);
  log.replace(data.stories);
  if (!same) {
    detail.renew();
    byId("worker").textContent = workerWords(data.worker);
  }
  byId("more")?.remove();
  shared();
  received();
}

function breakers(data) {
  model.figures(data);
  shared();
  received();
}

function change(event) {
  if (model.change(event)) news.push(`${event.breaker} is ${stateWords(event.to)}`);
  log.update();
  detail.add(event);
  received();
}

function shared() {
  for (const [id, words] of [["sharing", sharing(model.store)], ["alarm", alarm(model.store)]]) {
    if (byId(id).textContent !== words) byId(id).textContent = words;
  }
}

// The tab shows the worst state even in the background, where nothing is drawn.
function received() {
  head();
  schedule();
}

function link() {
  const status = byId("status");
  setData(byId("link"), "link", stream.live ? "live" : "lost");
  status.textContent = stream.live ? "live" : "reconnecting…";
  age();
  head();
}

// Drawing

function schedule() {
  scheduled ||= requestAnimationFrame(drawAll);
}

function drawAll() {
  scheduled = 0;
  rows.update();
  if (model.dirty.has(detail.name)) detail.update();
  model.dirty.clear();
  model.moved.clear();
  const summary = model.summary();
  const line = byId("verdict");
  setData(line, "state", worst(summary));
  setIcon(line.firstElementChild, worst(summary));
  const [, words, of] = line.children;
  if (words.textContent !== verdict(summary)) words.textContent = verdict(summary);
  if (of.textContent !== total(summary)) of.textContent = total(summary);
  filters.count(summary, rows.filter(filters.wanted()));
  if (detail.name !== null) rows.select(detail.name);
  announce();
}

function announce() {
  if (!news.length) return;
  const more = news.length > 3 ? `; and ${news.length - 3} more` : "";
  byId("news").textContent = news.slice(0, 3).join("; ") + more;
  news = [];
}

function head() {
  if (!model.worker) return;
  const summary = model.summary();
  const words = stream.live ? title(summary) : "(?) Breakers";
  document.title = detail.name === null ? words : `${words} – ${detail.name}`;
  const icon = document.querySelector("link[rel=icon]");
  const url = `${address(base, "static", "icon.svg")}?state=${stream.live ? worst(summary) : "unknown"}`;
  if (icon.getAttribute("href") !== url) icon.setAttribute("href", url);
}

function age() {
  byId("age").textContent = stream.live ? "" : `figures are ${span(stream.age())} old`;
}

function tick() {
  stream.check();
  if (!stream.live) age();
  if (document.hidden) return;
  rows.tick();
  detail.tick();
}

// Input of the reader

function filter() {
  history.replaceState(history.state, "", location.pathname + filters.query());
  schedule();
}

function show(name) {
  if (name === null) detail.close();
  else detail.open(name);
  rows.select(name);
  head();
}

function open(name) {
  history.pushState({ name }, "", addressOf(base, name) + filters.query());
  show(name);
  detail.focus();
}

function close() {
  const { name } = detail;
  history.pushState({ name: null }, "", home + filters.query());
  show(null);
  (rows.link(name) ?? byId("breakers")).focus();
}

function clicked(event) {
  const found = event.target.closest("a");
  if (!found || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const own = found.closest("#rows, .events");
  if (!own && !found.matches(".close")) return;
  if (own && !model.breakers.has(found.textContent)) return; // the server may list it
  event.preventDefault();
  if (own) open(found.textContent);
  else close();
}

function pressed(event) {
  if (event.metaKey || event.ctrlKey || event.altKey || byId("ask").open) return;
  if (event.key === "Escape") {
    if (filters.clear()) filter();
    else if (detail.name !== null) close();
    return;
  }
  const typing = event.target.closest?.("input, textarea, select");
  const inList = event.target === document.body || event.target.closest?.("#breakers, #detail");
  const letters = byId("shortcuts").checked && !typing;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key] ?? (letters && { j: 1, k: -1 }[event.key]);
  if (step && (inList || (typing && event.key === "ArrowDown"))) rows.step(step);
  else if (event.key === "/" && letters) filters.focus();
  else return;
  event.preventDefault();
}

// Speech input and switch users can turn single-letter shortcuts off.
function keepShortcuts() {
  const [box, key] = [byId("shortcuts"), "breaker-asgi-shortcuts"];
  try {
    box.checked = localStorage.getItem(key) !== "off";
    box.addEventListener("change", () => localStorage.setItem(key, box.checked ? "on" : "off"));
  } catch {
    // without storage, the choice lasts for this visit
  }
}

document.documentElement.dataset.live = "";
byId("status").textContent = "connecting…";
byId("age").textContent = "";
keepShortcuts();
document.addEventListener("click", clicked);
document.addEventListener("keydown", pressed);
byId("rows").addEventListener("animationend", (event) => event.target.classList.remove("changed"));
addEventListener("popstate", ({ state }) => show(state?.name ?? null));
history.replaceState({ name: detail.adopt() }, "");
stream.connect();
setInterval(tick, 1000);
