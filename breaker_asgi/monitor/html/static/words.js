// The texts of the page: the same as in wording.py on the server.

export const worstFirst = ["open", "forced_open", "half_open", "closing", "disabled", "metrics_only", "closed"];
export const kinds = ["ok", "failed", "slow", "rejected"];
const states = {
  closed: "closed", open: "open", half_open: "half-open", closing: "closing", forced_open: "forced open",
  disabled: "disabled", metrics_only: "metrics only",
};
export const nothing = "–";

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
export const whole = (number) => grouped.format(number);
export const stateWords = (state) => states[state] ?? state;
// Return true if a reason has the name of a type, without its module.
export const isNamed = (type, reason) => reason.includes(type.split(".").at(-1));
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export function count(number) {
  for (const [from, size, unit] of [[1e6, 1e6, "M"], [1e4, 1e3, "k"]]) {
    if (number >= from) {
      const each = number / size;
      return (each < 10 ? each.toFixed(1) : whole(each)) + unit;
    }
  }
  return whole(number);
}

export function percent(share) {
  if (share === null) return nothing;
  return share > 0 && share < 0.01 ? "<1%" : `${Math.floor(share * 100 + 0.5)}%`;
}

export const perSecond = (number) => (number > 0 && number < 10 ? number.toFixed(1) : count(number));

export function duration(seconds) {
  if (seconds === null) return nothing;
  if (seconds >= 1) return `${seconds.toFixed(1)} s`;
  return seconds < 0.001 ? "<1 ms" : `${Math.floor(seconds * 1000 + 0.5)} ms`;
}

export function span(seconds) {
  const all = Math.max(0, Math.trunc(seconds));
  const [minutes, hours] = [Math.trunc(all / 60), Math.trunc(all / 3600)];
  if (all < 60) return `${all} s`;
  if (all < 3600) return `${minutes} min`;
  if (all < 86400) return `${hours} h ${minutes % 60} min`;
  return `${Math.trunc(hours / 24)} d ${hours % 24} h`;
}

export const moment = (text) => (text ? Date.parse(text) / 1000 : 0);
export function lastMinute(history) {
  const sums = [0, 0, 0, 0];
  for (const [, ...calls] of history) calls.forEach((number, place) => (sums[place] += number));
  return sums;
}

export function chart(history) {
  if (!history.length) return "No calls in the last minute";
  const sums = lastMinute(history);
  return `Last minute: ${sums.map((sum, place) => `${whole(sum)} ${kinds[place]}`).join(", ")}`;
}

const rate = (number) => (number === undefined ? nothing : perSecond(number));

// The figures over all breakers.
export function headline(summary) {
  return {
    all_calls: rate(summary.calls_per_second),
    all_failing: percent(summary.failing_share ?? null),
    all_rejected: rate(summary.rejected_per_second),
    all_workers: whole(summary.workers ?? 1),
    workers_word: (summary.workers ?? 1) === 1 ? "worker" : "workers",
  };
}

export function verdict(summary) {
  if (!summary.total) return "No breakers yet";
  if (summary.closed === summary.total) {
    return summary.total === 1 ? "The breaker is closed" : `All ${whole(summary.total)} are closed`;
  }
  const troubled = worstFirst.slice(0, 3).some((state) => summary[state]);
  const shown = (troubled ? worstFirst.slice(0, 3) : worstFirst.slice(3, -1)).filter((state) => summary[state]);
  return shown.map((state) => `${whole(summary[state])} ${stateWords(state)}`).join(", ");
}

export const total = (summary) => (summary.closed === summary.total ? "" : `of ${whole(summary.total)}`);

export const worst = (summary) => worstFirst.find((state) => summary[state]) ?? "closed";

export function title(summary) {
  const state = worst(summary);
  return state === "closed" ? "Breakers" : `(${whole(summary[state])} ${stateWords(state)}) Breakers`;
}

export const workerWords = ({ pid, started_at: started }) =>
  `${pid}, started ${started.slice(0, 16).replace("T", " ")} UTC`;

// Describe what the workers share.
export function sharing(store) {
  if (!store) return "each worker counts for itself.";
  if (!store.works) return `the store ${store.label} does not work.`;
  const number = store.workers;
  const among = number === null ? "" : number === 1 ? " by 1 worker" : ` by ${whole(number)} workers`;
  return `states and figures are shared${among} through ${store.label}.`;
}

// The name of a worker that the reader may choose: its host and process.
export const memberName = ({ host, pid }) => `${host || "worker"} ${pid}`;

export const allWorkers = (number) => `all ${whole(number)} workers`;

// The warning at the top while the store does not work, or only in part.
export function alarm(store) {
  if (!store || (store.works && !store.problem)) return "";
  if (store.works) return `The store ${store.label} works only in part: ${store.problem}.`;
  const why = store.problem ? ` ${store.problem}` : "";
  return `The store ${store.label} does not work: each worker decides alone.${why}`;
}

// The title of the table of workers.
export const workersTitle = (store) => (!store || store.works ? "In each worker" : "In the workers, as last heard");

// A worker's row: its identity, and its figures of the breaker.
export function workerCells(worker, here) {
  const totals = ["successes", "failures", "slow_calls", "rejected"].map((name) => count(worker[name]));
  const slow = worker.slow_calls_under_way;
  const more = (worker.alone ? ", here only" : "") + (slow ? `, ${count(slow)} slow running` : "");
  const state = capital(stateWords(worker.state)) + more;
  const who = `${worker.host ? `${worker.host} ` : ""}${worker.pid}${here ? ", this one" : ""}`;
  return [who, state, perSecond(worker.calls_per_second), ...totals];
}

export function address(base, ...segments) {
  const encoded = segments.map((each) => encodeURIComponent(each.toWellFormed?.() ?? each));
  return [base, ...encoded].join("/") || "/";
}

// A URL of the monitor itself, apart from those of breakers.
export const ownPath = (base, ...segments) => address(base, "-", ...segments);

// The URL of a breaker: with ~ before a name that is one of the monitor's own paths.
export function addressOf(base, name, ...action) {
  const isPath = /^([.]{1,2}|-[/].*|~.*)$/su.test(name);
  return address(base, isPath ? `~${name}` : name, ...action);
}
