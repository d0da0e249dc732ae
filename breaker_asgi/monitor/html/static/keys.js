// Clicks and keys of the reader.

import { Choice } from "./choice.js";
import { byId } from "./dom.js";

export function follow(page) {
  keepShortcuts();
  document.addEventListener("click", (event) => clicked(event, page));
  document.addEventListener("keydown", (event) => pressed(event, page));
}

function clicked(event, { model, rows, filters, open, close }) {
  const found = event.target.closest("a");
  if (!found || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (found === rows.fold) filters.fold();
  else if (found.matches(".close")) close();
  else if (found.closest("#rows, .events, #outages") && model.breakers.has(found.textContent)) open(found.textContent);
  else return; // the server may know it
  event.preventDefault();
}

function pressed(event, { rows, filters, detail, selection, filter, close }) {
  if (event.metaKey || event.ctrlKey || event.altKey || byId("ask")?.open) return;
  const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape") {
    if (filters.clear()) filter();
    else if (detail.name !== null) close();
    else if (selection.clear()) return;
    else document.activeElement?.blur(); // rows that were held may move again
    return;
  }
  const inList = event.target === document.body || event.target.closest?.("#breakers, #detail");
  const letters = byId("shortcuts").checked && !typing;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key] ?? (letters && { j: 1, k: -1 }[event.key]);
  if (step && !event.target.closest?.("select") && (inList || (typing && event.key === "ArrowDown"))) rows.step(step);
  else if (event.key === "/" && letters) filters.focus();
  else if (event.key === "x" && letters) selection.toggle();
  else return;
  event.preventDefault();
}

// Speech input and switch users can turn single-letter shortcuts off.
function keepShortcuts() {
  const [box, choice] = [byId("shortcuts"), new Choice("breaker-asgi-shortcuts", ["on", "off"])];
  box.checked = choice.value === "on";
  box.addEventListener("change", () => choice.set(box.checked ? "on" : "off"));
}
