// The texts of one breaker: the same as in breaker_wording.py on the server.

import { capital, count, duration, moment, nothing, percent, perSecond, span, stateWords, whole } from "./words.js";

const next = {
  half_open: "probing", forced_open: "until changed by hand", disabled: "not watched",
  metrics_only: "never trips",
};
const recent = 3600; // seconds for which a closed breaker's last outage is recalled in its row
const settled = 300; // seconds after an outage in which a breaker does not count as quiet
const broken = new Set(["open", "half_open", "forced_open", "closing"]);

// Return the outage that a breaker is in, if it is in one.
export const running = ({ outage }) => (outage && outage.ended_at === null ? outage : null);

// Return when the outage began, or without one the state.
export const began = (breaker) => running(breaker)?.began_at ?? breaker.changed_at;

export function reason(breaker, now) {
  const [current, { outage }] = [running(breaker), breaker];
  if (current) return current.reason;
  if (breaker.state === "closed" && outage) {
    const ended = moment(outage.ended_at);
    return now - ended < recent ? `back after an outage of ${span(ended - moment(outage.began_at))}` : "";
  }
  return breaker.reason === "new" ? "" : breaker.reason;
}

// Return the figures to compare with the limits: in an outage those of its trip.
export function judged(breaker) {
  const outage = running(breaker);
  return !outage || outage.by_hand ? breaker : { ...breaker, ...outage };
}

export function nextStep(breaker, now) {
  if (breaker.state === "closing") {
    return (breaker.admitted_share ?? null) === null ? "" : `${percent(breaker.admitted_share)} admitted`;
  }
  const [wait, forced] = [breaker.due - now, breaker.state === "forced_open"];
  if ((forced || breaker.state === "open") && breaker.due === undefined) return "";
  if (forced && breaker.due !== null) return wait > 0 ? `closes in ${span(wait + 0.999)}` : "next call closes it";
  if (breaker.state !== "open") return next[breaker.state] ?? "";
  return wait > 0 ? `probe in ${span(wait + 0.999)}` : "next call probes";
}

// Where a rate decides, failures in a row would only appear and disappear.
function streak(breaker) {
  const [number, most] = [breaker.consecutive_failures, breaker.limits?.fail_max ?? null];
  if (most !== null) return `${number} of ${most} in a row`;
  const rated = breaker.failure_rate !== null || (breaker.limits?.failure_rate ?? null) !== null;
  return number && !rated ? `${number} in a row` : "";
}

// Empty where only failures in a row are counted.
function failureRate({ failure_rate: rate, limits }) {
  const unused = rate === null && (limits?.failure_rate ?? null) === null;
  return unused && (limits?.fail_max ?? null) !== null ? "" : percent(rate);
}

function limit(breaker, name) {
  const most = breaker.limits?.[name] ?? null;
  return most === null ? "" : `of ${percent(most)}`;
}

function level(value, most) {
  if (!most || value === null || value < most * 0.8) return "";
  return value >= most ? "over" : "near";
}

export function levels(listed) {
  const [breaker, limits] = [judged(listed), listed.limits ?? {}];
  return {
    failing: level(breaker.failure_rate, limits.failure_rate),
    streaking: level(breaker.consecutive_failures, limits.fail_max),
    slowing: level(breaker.slow_call_rate, limits.slow_call_rate),
  };
}

// Unknown where durations are not measured.
function underWay({ calls_under_way: calls, slow_calls_under_way: slow }) {
  if (calls === null) return nothing;
  return slow ? `${whole(calls)}, ${whole(slow)} of them slow` : whole(calls);
}

const hanging = ({ slow_calls_under_way: slow }) => (!slow ? "" : slow === 1 ? "1 hangs" : `${count(slow)} hang`);

function lastFailure(breaker, now) {
  if (!breaker.last_failure_type) return nothing;
  return `${breaker.last_failure_type}, ${span(now - moment(breaker.last_failure_at))} ago`;
}

// The texts that depend on time.
export function tickingFields(breaker, now) {
  return { since: span(now - moment(began(breaker))), next: nextStep(breaker, now), reason: reason(breaker, now) };
}

export function fields(breaker, now) {
  const trip = judged(breaker);
  const failed = failureRate(trip);
  const atTrip = trip === breaker || !failed ? "" : " at trip";
  const most = limit(trip, "failure_rate");
  return {
    ...tickingFields(breaker, now),
    name: breaker.name,
    words: capital(stateWords(breaker.state)),
    alone: alone(breaker),
    rejected_rate: perSecond(breaker.rejected_per_second ?? 0),
    rejected_share: breaker.rejected_share ? `${percent(breaker.rejected_share)} of calls` : "",
    rate: perSecond(breaker.calls_per_second),
    failure_rate: failed,
    failure_limit: most ? most + atTrip : atTrip.trim(),
    streak: streak(trip),
    slow_rate: percent(trip.slow_call_rate),
    slow_limit: limit(trip, "slow_call_rate"),
    hanging: hanging(breaker),
    p50: duration(breaker.p50),
    p95: duration(breaker.p95),
  };
}

export function detailFields(breaker, now) {
  const found = { ...fields(breaker, now), last_failure: lastFailure(breaker, now) };
  found.rejected = breaker.rejected === undefined ? nothing : count(breaker.rejected);
  found.under_way = underWay(breaker);
  found.last_failure_message = breaker.last_failure_message ?? "";
  for (const name of ["calls", "successes", "failures", "slow_calls", "ignored", "excluded", "generation"]) {
    found[name] = breaker[name] === undefined ? nothing : whole(breaker[name]);
  }
  return found;
}

// Describe a state that the other workers do not share.
export function alone(breaker) {
  const [{ state }, states] = [breaker, breaker.states ?? {}];
  const every = Object.values(states).reduce((sum, each) => sum + each, 0);
  if (Object.keys(states).length > 1 && states[state]) {
    return `${stateWords(state)} in ${whole(states[state])} of ${whole(every)} workers`;
  }
  return breaker.alone && every <= 1 ? `${stateWords(state)} in this worker only` : "";
}

// Return true if a breaker is closed, and nothing about it is worth a look.
export function isQuiet(breaker, now) {
  const { state, states, outage } = breaker;
  if (state !== "closed" || breaker.alone || Object.keys(states ?? {}).length > 1) return false;
  if (breaker.rejected_per_second || breaker.slow_calls_under_way) return false;
  if (Object.values(levels(breaker)).some(Boolean)) return false;
  return !outage || now - moment(outage.ended_at) >= settled;
}

export const quiet = (number) => `${whole(number)} closed, nothing near its limit`;

// Return the sort key: broken ones by the begin of their outage, the others by name.
export function urgency(breaker) {
  if (!running(breaker) && !broken.has(breaker.state)) return [breaker.state === "closed" ? 2 : 1, 0];
  return [0, moment(breaker.outage?.began_at ?? breaker.changed_at)];
}
