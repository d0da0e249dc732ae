// The live page: what the server rendered is taken over, and kept up to date by the stream.

import { quiet } from "./breakerwords.js";
import { Changes } from "./changes.js";
import { Choice } from "./choice.js";
import { Detail } from "./detail.js";
import { Dialog } from "./dialog.js";
import { byId, set, setData, write } from "./dom.js";
import { Filters } from "./filters.js";
import { Headline } from "./headline.js";
import { Hold, kept } from "./hold.js";
import { follow } from "./keys.js";
import { Model } from "./model.js";
import { arranged, fold } from "./order.js";
import { NoHits } from "./nohits.js";
import { Outages } from "./outages.js";
import { Panel } from "./panel.js";
import { Rows } from "./rows.js";
import { WorkerChoice } from "./scope.js";
import { Selection } from "./selection.js";
import { Stream } from "./stream.js";
import { Timeline } from "./timeline.js";
import { nameZones } from "./times.js";
import { Traffic } from "./traffic.js";
import { address, addressOf, ownPath, sharing, stateWords, title, whole, workerWords, worst } from "./words.js";

const { base } = document.documentElement.dataset;
const home = address(base, "");
const fewest = 8; // breakers that are shown as cards with large charts

const model = new Model();
const dialog = byId("ask") && new Dialog();
const filters = new Filters(filter);
const selection = new Selection(model, base, { dialog, filters, items: () => rows.items, done: () => schedule() });
const rows = new Rows(model, base, selection);
const headline = new Headline();
const outages = new Outages(model, base);
const changes = new Changes(base, model);
const detail = new Detail(model, base, { dialog, changed: schedule });
const noHits = new NoHits(model, filters, filter);
const hold = new Hold([byId("table"), byId("outages")], () => schedule());
const scope = new WorkerChoice();
const stream = new Stream(ownPath(base, "stream") + scope.query, { snapshot, figures, stories, beat, link });
const charts = [new Traffic(byId("traffic"), model), new Timeline(byId("timeline"), model, { base, open })];
const view = new Choice("breaker-asgi-view", ["cards", "table"]);
const panel = new Panel(byId("panel"), model, base, { open, selection });
let scheduled = 0;
let asked = true; // by the reader, who expects that rows move

// Events of the stream

function snapshot(data) {
  const same = model.shows(data.worker);
  model.snapshot(data);
  changes.snapshot();
  if (!same) {
    detail.renew();
    write(byId("worker"), workerWords(data.worker));
  }
  byId("more")?.remove();
  asked = true;
  received();
}

function figures(data) {
  model.figures(data);
  received();
}

function stories(data) {
  model.told(data);
  changes.add(data);
  for (const story of data) detail.add(story);
  received();
}

function beat(data) {
  model.beat(data);
}

// The tab shows the worst state even in the background, where nothing is drawn.
function received() {
  head();
  schedule();
}

function link() {
  model.stop(!stream.live);
  headline.age(stream);
  head();
}

// Drawing

function schedule() {
  scheduled ||= requestAnimationFrame(drawAll);
}

function drawAll() {
  scheduled = 0;
  if (!model.worker) return;
  performance.mark("draw");
  const held = hold.on && !asked;
  const { dirty } = model;
  model.dirty = new Set();
  if (held) hold.keepInPlace(byId("table"), () => above(held));
  else above(held);
  order(held);
  if (isPanel()) panel.update(dirty);
  else rows.update(dirty);
  if (dirty.has(detail.name)) detail.update();
  selection.update();
  announce();
  asked = false;
  performance.measure("draw", "draw");
}

function above(held) {
  headline.update(model);
  scope.update(model.store);
  outages.update(held);
  write(byId("sharing"), sharing(model.store));
  for (const each of charts) each.update();
  for (const id of ["traffic", "timeline"]) byId(id).hidden = !model.summary.total;
}

function order(held) {
  const { summary, breakers } = model;
  const choice = { order: filters.order, wanted: filters.wanted(), filtered: filters.narrows, now: model.now() };
  const { names, quiet: number } = arranged([...breakers.values()], choice);
  const shown = number && !filters.unfolded ? names.slice(0, names.indexOf(fold) + 1) : names;
  const items = held ? kept(rows.items, shown) : shown;
  const moved = held && items.some((each, place) => each !== shown[place]);
  write(byId("held"), moved ? "order holds while you point" : "");
  rows.order(items, quiet(number));
  set(rows.fold, "aria-expanded", String(filters.unfolded));
  const hits = names.length - (number ? 1 : 0);
  byId("table").hidden = !hits || isPanel();
  byId("panel").hidden = !isPanel();
  byId("as").hidden = !mayBePanel() || filters.narrows;
  write(byId("as"), view.value === "cards" ? "Show a table" : "Show cards");
  byId("empty").hidden = hits > 0;
  if (!hits) noHits.update();
  setData(document.body, "density", isPanel() ? "panel" : "table");
  filters.count(summary, hits);
  rows.select(detail.name);
}

// A few breakers have cards with large charts, unless the reader prefers the table, or searches.
function isPanel() {
  return mayBePanel() && !filters.narrows && view.value === "cards";
}

const mayBePanel = () => model.summary.total > 0 && model.summary.total <= fewest;

function announce() {
  const { news } = model;
  if (!news.length) return;
  const told = news.slice(0, 3).map(([name, state]) => `${name} is ${stateWords(state)}`);
  byId("news").textContent = told.join("; ") + (news.length > 3 ? `; and ${whole(news.length - 3)} more` : "");
  model.news = [];
}

function head() {
  if (!model.worker) return;
  const words = stream.live ? title(model.summary) : "(?) Breakers";
  const named = detail.name === null ? words : `${words} – ${detail.name}`;
  if (document.title !== named) document.title = named;
  const url = `${ownPath(base, "static", "icon.svg")}?state=${stream.live ? worst(model.summary) : "unknown"}`;
  set(document.querySelector("link[rel=icon]"), "href", url);
}

function age() {
  stream.check();
  if (stream.live !== null) headline.age(stream);
}

function tick() {
  if (document.hidden || !model.worker) return;
  rows.tick();
  outages.tick();
  changes.tick();
  detail.tick();
  for (const each of charts) each.tick();
  if (isPanel()) panel.tick();
}

// Input of the reader

function filter() {
  history.replaceState(history.state, "", location.pathname + filters.query());
  changes.search(filters.text, filters.pattern);
  asked = true;
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
  if (!rows.focus(name)) byId("breakers").focus();
}

document.documentElement.dataset.live = "";
write(byId("status"), "connecting…");
write(byId("age"), "");
nameZones();
follow({ model, rows, filters, detail, selection, filter, open, close });
byId("as").addEventListener("click", () => {
  view.next();
  asked = true;
  for (const name of model.breakers.keys()) model.dirty.add(name);
  schedule();
});
byId("rows").addEventListener("animationend", (event) => event.target.classList.remove("changed"));
addEventListener("popstate", ({ state }) => show(state?.name ?? null));
history.replaceState({ name: detail.adopt() }, "");
if (filters.text) changes.search(filters.text, filters.pattern);
stream.connect();
setInterval(tick, 1000);
setInterval(age, 500);
