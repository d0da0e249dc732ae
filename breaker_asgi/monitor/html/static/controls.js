// Controls: each change by hand is confirmed in a dialog, harmful ones with the focus on Cancel.

import { addressOf, stateWords } from "./words.js";

const dialog = document.getElementById("ask");
const [title, effect, fields, error, yes, no] = ["title", "effect", "fields", "error", "yes", "no"].map(
  (each) => document.getElementById(`ask-${each}`),
);
let pending = null;

no.addEventListener("click", () => dialog.close());
dialog.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  yes.disabled = true;
  error.textContent = "";
  try {
    const { base, name, action, model, done } = pending;
    const breaker = await post(addressOf(base, name, action), new URLSearchParams(new FormData(event.target)));
    const here = !model.worker || model.shows(breaker.worker);
    if (!here && !model.store?.works) throw new Error(elsewhere(breaker, model));
    if (here) done(breaker); // otherwise it arrives through the store
    dialog.close();
  } catch (problem) {
    error.textContent = problem.message;
  } finally {
    yes.disabled = false;
  }
});

// A control opens a dialog instead of unfolding.
export function wire(root, base, name, model, done) {
  for (const control of root.querySelectorAll("details[data-action]")) {
    const { action, hurts } = control.dataset;
    control.querySelector("form").action = addressOf(base, name, action);
    control.querySelector("summary").addEventListener("click", (event) => {
      event.preventDefault();
      pending = { base, name, action, model, done };
      const words = event.currentTarget.textContent;
      title.textContent = `${words}: ${name}`;
      effect.textContent = control.querySelector("p").textContent + alone(model);
      fields.replaceChildren(...[...control.querySelectorAll("label")].map((each) => each.cloneNode(true)));
      error.textContent = "";
      yes.textContent = control.querySelector("button").textContent;
      dialog.dataset.hurts = hurts;
      dialog.showModal();
      (hurts === "True" ? no : yes).focus();
    });
  }
}

const alone = ({ store }) => (store && !store.works ? " In one worker only: the store does not work." : "");

const elsewhere = ({ name, state, worker }, { worker: shown, store }) =>
  `Worker ${worker.pid} was reached, and there ${name} is ${stateWords(state)} now. ` +
  `This page shows worker ${shown.pid}, where nothing has changed: ` +
  (store ? "the store does not work." : "each worker counts for itself.");

async function post(url, body) {
  let response;
  try {
    response = await fetch(url, { method: "POST", body, headers: { accept: "application/json" } });
  } catch {
    throw new Error("The server could not be reached. Nothing is known to have changed.");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const { title: what = response.statusText || "It failed", detail } = answer;
  throw new Error(`${response.status} ${what}${detail ? `: ${detail}` : ""}`);
}
