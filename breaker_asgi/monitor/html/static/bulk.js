// Changes of several breakers: their names are sent as patterns, in as few requests as the server takes.

import { actions, alone, reached } from "./controls.js";
import { named } from "./dialog.js";
import { Failed, post } from "./requests.js";
import { address, addressOf, whole } from "./words.js";

const longest = 1000; // characters of the patterns of one request
const most = 500; // patterns

// A name as a pattern of a shell, which fits itself only.
export const pattern = (name) => name.replace(/[*?[]/g, "[$&]");

export function batches(names) {
  const found = [];
  let [batch, length] = [[], 0];
  for (const name of names) {
    const size = [...pattern(name)].length;
    if (batch.length && (length + size > longest || batch.length === most)) {
      found.push(batch);
      [batch, length] = [[], 0];
    }
    batch.push(name);
    length += size;
  }
  return batch.length ? [...found, batch] : found;
}

// Ask for an action on breakers.
export function askForAll(dialog, action, breakers, { base, model, title, done }) {
  const { control, ...asked } = actions().find((each) => each.action === action);
  const number = counted(breakers.length);
  dialog.ask({
    ...asked,
    title: [title ?? `${asked.title}: ${number}`],
    effect: (breakers.length === 1 ? asked.effect : `For each: ${uncapital(asked.effect)}`) + alone(model),
    yes: `${asked.title} ${number}`,
    breakers,
    async send(fields) {
      const names = breakers.map(({ name }) => name);
      const changed = await change(base, action, names, fields, model);
      done(changed);
      const missed = names.length - changed.length;
      const rest = missed > 0 ? ` ${whole(missed)} no longer ${missed === 1 ? "exists" : "exist"}.` : "";
      return [`${asked.title}, ${counted(changed.length)}`, ...(changed.length ? [": ", ...named(changed)] : []), `.${rest}`];
    },
  });
}

const counted = (number) => `${whole(number)} ${number === 1 ? "breaker" : "breakers"}`;
const uncapital = (text) => text.charAt(0).toLowerCase() + text.slice(1);

async function change(base, action, names, fields, model) {
  const changed = [];
  try {
    for (const batch of batches(names)) changed.push(...(await changeBatch(base, action, batch, fields, model)));
  } catch (problem) {
    if (!(problem instanceof Failed) || !changed.length) throw problem;
    const before = [`${whole(changed.length)} of ${whole(names.length)} were changed: `, ...named(changed), ". Then: "];
    throw new Failed(problem.kind, ...before, ...problem.parts);
  }
  return changed;
}

async function changeBatch(base, action, batch, fields, model) {
  const body = new URLSearchParams(fields);
  const [name] = batch;
  const alone = batch.length === 1 && pattern(name).length > longest;
  if (!alone) for (const each of batch) body.append("name", pattern(each));
  try {
    const answer = await post(alone ? addressOf(base, name, action) : address(base, action), body);
    reached(answer.worker, model);
    return answer.changed ?? [name];
  } catch (problem) {
    if (problem.status === 404) return [];
    throw problem;
  }
}
