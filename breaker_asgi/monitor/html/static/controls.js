// The controls of one breaker: each asks in a dialog instead of unfolding its form.

import { nextStep } from "./breakerwords.js";
import { isolated } from "./dialog.js";
import { Failed, post } from "./requests.js";
import { addressOf, stateWords } from "./words.js";

// Return the actions that the page has, in their order: {action, title, effect, hurts, unless}.
export function actions(root = document.getElementById("detail-template").content) {
  return [...root.querySelectorAll("details[data-action]")].map((control) => {
    const { action, hurts, unless } = control.dataset;
    const [title, effect] = [control.querySelector("b"), control.querySelector(".effect")].map((each) => each.textContent);
    return { control, action, title, effect, unless, hurts: hurts === "True" };
  });
}

export function wire(root, dialog, { base, name, model, done }) {
  for (const { control, ...asked } of actions(root)) {
    const url = addressOf(base, name, asked.action);
    control.querySelector("form").action = url;
    control.querySelector("summary").addEventListener("click", (event) => {
      event.preventDefault();
      dialog.ask({
        ...asked,
        title: [`${asked.title}: `, isolated(name)],
        effect: asked.effect + alone(model),
        yes: `${asked.title} now`,
        async send(fields) {
          const breaker = await post(url, fields);
          reached(breaker.worker, model, [", and there ", isolated(name), ` is ${stateWords(breaker.state)} now`]);
          if (model.shows(breaker.worker)) done(breaker); // otherwise it arrives through the store
          return [isolated(name), ` is ${course(breaker, model.now())}.`];
        },
      });
    });
  }
}

export const alone = ({ store }) => (store && !store.works ? " In one worker only: the store does not work." : "");

// Check that the change is one of the worker that the page shows, or reaches it.
export function reached(worker, model, there = []) {
  const { worker: shown, store } = model;
  if (!shown || model.shows(worker) || store?.works) return;
  throw new Failed(
    "elsewhere", `Worker ${worker.pid} was reached`, ...there,
    `. This page shows worker ${shown.pid}, where nothing has changed: ` +
      (store ? "the store does not work." : "each worker counts for itself."),
  );
}

function course(breaker, now) {
  const due = breaker.retry_after === null ? null : now + breaker.retry_after;
  const next = nextStep({ ...breaker, due }, now);
  return `${stateWords(breaker.state)} now${next ? `: ${next}` : ""}`;
}
