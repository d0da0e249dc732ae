// The table of the workers that have a breaker: the same as in workers_table.py on the server.

import { ofAWorker, totalCells } from "./detailwords.js";
import { write } from "./dom.js";
import { make } from "./shapes.js";
import { capital, workerCells, workersTitle } from "./words.js";

// Fill a section. The table stays where it is, so that it can be scrolled and read meanwhile.
export function showWorkers(section, { workers, total, states }, store) {
  if (!workers.length) {
    section.replaceChildren();
    return;
  }
  if (!section.firstElementChild) section.append(make("h3"), table());
  write(section.querySelector("h3"), workersTitle(store));
  const rows = workers.map((each) => row(workerCells(each, each.worker === store?.worker), each));
  section.querySelector("tbody").replaceChildren(...rows);
  let foot = section.querySelector("tfoot");
  if (total) {
    foot ??= section.querySelector("table").appendChild(make("tfoot", { role: "rowgroup" }));
    foot.replaceChildren(row(totalCells(total, states ?? {}, workers.length), total));
  } else foot?.remove();
}

// Explicit roles, as on the server: on narrow screens the style sheet does not lay it out as a table.
function table() {
  const heads = ofAWorker.map((each) => make("th", { scope: "col", role: "columnheader" }, capital(each)));
  const head = make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads));
  const rows = make("table", { role: "table", className: "workers" }, head, make("tbody", { role: "rowgroup" }));
  return make("div", { className: "wide", role: "region", tabIndex: 0, ariaLabel: "Workers" }, rows);
}

function row([name, ...texts], { state }) {
  const cells = texts.map((each) => make("td", { role: "cell" }, each));
  const element = make("tr", { role: "row" }, make("th", { scope: "row", role: "rowheader" }, name), ...cells);
  element.dataset.state = state;
  return element;
}
