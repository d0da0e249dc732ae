// The texts of outages and stories: the same as in outage_wording.py on the server.

import { nextStep, running } from "./breakerwords.js";
import { clock, day } from "./times.js";
import { capital, isNamed, moment, perSecond, span, stateWords, whole } from "./words.js";

export const advice = {
  closed: "Sleep.",
  open: "Mend the dependency. The breaker is not the fault, and closes by itself.",
  half_open: "Wait a moment. If that lasts, its probes hang.",
  closing: "Wait until it is over.",
  forced_open:
    "An operator wanted that: the log has the reason, and the author if one was given. Ask before you reset it.",
  disabled: "Nothing protects it, and nothing is counted. If it is sick too, Reset or Force open the breaker.",
  metrics_only: "Nothing protects it, but failures are counted: the page shows how it is.",
};

export function outageFields(breaker, now) {
  const outage = running(breaker);
  const type = outage.failure_type;
  return {
    name: breaker.name,
    words: capital(stateWords(breaker.state)),
    began: since(outage.began_at, now),
    lasts: span(now - moment(outage.began_at)),
    reason: outage.reason,
    type: type && !isNamed(type, outage.reason) ? `mostly ${type}` : "",
    by: outage.who ? `by ${outage.who}` : "",
    probes: probes(outage),
    away: `${whole(outage.rejected)} so far`,
    away_rate: `${perSecond(breaker.rejected_per_second ?? 0)}/s`,
    next: nextStep(breaker, now),
    advice: advice[breaker.state],
    owner: breaker.owner ?? "",
    runbook: breaker.runbook ? "runbook" : "",
    description: breaker.description ?? "",
  };
}

// The time of day, with the date if it is not that of today.
export function since(at, now) {
  const date = day(moment(at));
  return date === day(now) ? clock(at) : `${date}, ${clock(at)}`;
}

export function probes({ probes_failed: number, last_probe_at: last, by_hand: byHand }) {
  if (!number && byHand && !last) return "";
  if (!number) return last ? `first probe ${clock(last)}` : "no probe yet";
  const at = last ? `, last ${clock(last)}` : "";
  return `${whole(number)} ${number === 1 ? "probe" : "probes"} failed${at}`;
}

// The breakers whose outage lasts, in the order in which these began.
export function runningOutages(breakers) {
  const key = (each) => moment(each.outage.began_at);
  return [...breakers].filter(running).sort((one, other) => key(one) - key(other) || (one.name < other.name ? -1 : 1));
}

export const more = (number) => `and ${whole(number)} more`;

// Stories

export const storyState = (story) => (story.kind === "outage" ? story.state : story.to);

export function storyFields(story, now) {
  const isOutage = story.kind === "outage";
  return {
    time: clock(story.at),
    breaker: story.breaker,
    what: isOutage ? course(story, now) : change(story),
    reason: story.reason + (story.who ? `, by ${story.who}` : ""),
    cost: isOutage ? cost(story) : "",
  };
}

function course({ state, began_at: began, ended_at: ended }, now) {
  if (ended === null) return `${stateWords(state)} for ${span(now - moment(began))}`;
  return `was out for ${span(moment(ended) - moment(began))}, until ${clock(ended)}`;
}

// What an outage cost so far.
export function cost({ probes_failed: failed, rejected: away }) {
  const found = [];
  if (away) found.push(`${whole(away)} ${away === 1 ? "call" : "calls"} rejected`);
  if (failed) found.push(`${whole(failed)} ${failed === 1 ? "probe" : "probes"} failed`);
  return found.join(", ");
}

function change({ from, to, reason }) {
  if (from !== to) return `${stateWords(from)} → ${stateWords(to)}`;
  return reason.startsWith("reset by hand") ? "was reset" : `stays ${stateWords(to)}`;
}
