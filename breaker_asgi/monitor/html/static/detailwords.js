// The texts of a breaker's details: the same as in detail_wording.py on the server.

import { began, detailFields as fields, running } from "./breakerwords.js";
import { advice, probes, since } from "./outagewords.js";
import { capital, count, duration, moment, perSecond, span, stateWords, whole } from "./words.js";

const blank = Object.fromEntries(
  ["title", "now", "began", "lasted", "reason", "type", "by", "away", "probes"].map((each) => [`story_${each}`, ""]),
);

export function detailFields(breaker, now) {
  const at = running(breaker) ? null : began(breaker);
  return {
    ...fields(breaker, now),
    ...blank,
    ...story(breaker, now),
    reason: why(breaker),
    lasts: lasts(breaker, now),
    since_at: at ? `since ${since(at, now)}` : "",
    p99: duration(breaker.p99 ?? null),
    advice: advice[breaker.state],
    owner: breaker.owner ?? "",
    runbook: breaker.runbook ? "Runbook" : "",
    description: breaker.description ?? "",
  };
}

function why(breaker) {
  const outage = running(breaker);
  if (outage) return outage.reason;
  return breaker.reason === "new" ? "" : breaker.reason;
}

function lasts(breaker, now) {
  const time = span(now - moment(began(breaker)));
  const stays = !running(breaker) || ["open", "forced_open"].includes(breaker.state);
  return stays ? `for ${time}` : `out for ${time}`;
}

// The outage that a breaker is in, or its last one.
function story(breaker, now) {
  const { outage } = breaker;
  if (!outage) return {};
  const type = outage.failure_type ?? "";
  const texts = {
    story_type: outage.reason.includes(type) ? "" : type,
    story_by: outage.who || (outage.by_hand ? "an operator" : ""),
  };
  return { ...texts, ...(outage.ended_at === null ? lasting(breaker, now) : ended(outage, now)) };
}

function lasting({ outage, state, reason, rejected_per_second: rate }, now) {
  const forced = state === "forced_open";
  return {
    story_title: "This outage",
    story_now: forced && !outage.by_hand ? reason : "",
    story_began: since(outage.began_at, now),
    story_away: `${whole(outage.rejected)} so far, ${perSecond(rate ?? 0)}/s now`,
    story_probes: forced && !outage.last_probe_at ? "" : probes(outage),
  };
}

function ended(outage, now) {
  const { began_at: first, ended_at: last } = outage;
  return {
    story_title: "Last outage",
    story_lasted: `${span(moment(last) - moment(first))}, ${since(first, now)} to ${since(last, now)}`,
    story_reason: outage.reason,
    story_away: whole(outage.rejected),
    story_probes: outage.last_probe_at ? probes(outage) : "",
  };
}

// Workers

export const ofAWorker = ["worker", "state", "calls/s", "OK", "failed", "slow", "rejected"];

// The row of all workers together.
export function totalCells(total, states, workers) {
  const every = Object.values(states).reduce((sum, each) => sum + each, 0);
  const divided = Object.keys(states).length > 1 && states[total.state];
  const state = capital(stateWords(total.state)) + (divided ? ` in ${whole(states[total.state])} of ${whole(every)}` : "");
  const who = workers === 1 ? "1 worker" : `All ${whole(workers)} workers`;
  const totals = ["successes", "failures", "slow_calls", "rejected"].map((name) => count(total[name]));
  return [who, state, perSecond(total.calls_per_second), ...totals];
}
