// The contents of a large chart: calls a second, the failing share and the durations, in words and as strips.

import { calls, clock, failingShare, kinds, merged, rate, seconds, slowShare, ticks } from "./scale.js";
import { isNamed, percent } from "./words.js";

const sizes = { 900: 10, 60: 1 }; // seconds of a bar
export const told = { 900: "the last 15 minutes", 60: "the last 60 seconds" };
const ps = ["p50", "p95", "p99"];

// Return the description of a plot of a range in seconds.
export function planned({ seconds: found = [], bars = [], percentiles = [], limits, marks, now }, range) {
  const step = sizes[range];
  const to = Math.floor((step === 1 ? now - 1 : now) / step) * step + step;
  const from = to - range;
  const all = step === 1 ? new Map([...found].map((bar) => [bar[0], bar])) : merged(bars, found, step);
  const lasted = (at) => Math.min(step, Math.max(1, Math.floor(now) - at)); // the last bar is not over
  const shown = [...all.values()]
    .filter((bar) => bar[0] >= from && bar[0] < to && calls(bar))
    .sort((one, other) => one[0] - other[0])
    .map((bar) => Object.assign(bar, { rate: calls(bar) / lasted(bar[0]), lasted: lasted(bar[0]) }));
  const times = step === 1 ? percentiles : shown.filter((bar) => bar.length > 5).map(([at, , , , , ...p]) => [at, ...p]);
  return {
    from, to, step, marks, bars: shown, ago: range === 60,
    strips: shown.length ? [callStrip(shown, step), shareStrip(shown, limits), ...timeStrip(times, limits)] : [nothing],
    empty: shown.length ? "" : `no calls in ${told[range]}`,
    summary: summary(shown),
    read: reader(shown, times, marks ?? [], step),
  };
}

const nothing = { names: ["calls/s"], part: 1, ticks: [0, 1], words: (tick) => (tick ? "" : "0"), bars: [] };

function callStrip(bars, step) {
  const most = Math.max(1 / step, ...bars.map((bar) => bar.rate));
  return { names: ["calls/s"], part: 5, ticks: ticks(most), words: rate, bars };
}

function shareStrip(bars, limits) {
  const lines = [{ kind: "failing", points: bars.map((bar) => [bar[0], failingShare(bar)]) }];
  const most = limits?.failure_rate ?? null;
  const limit = most === null ? null : { value: most, words: `limit ${percent(most)}` };
  const slow = (limits?.slow_call_rate ?? null) !== null;
  if (slow) lines.push({ kind: "slowing", points: bars.map((bar) => [bar[0], slowShare(bar)]) });
  const names = slow ? ["failing share, slow share (dashed)", "failing, slow (dashed)"] : ["failing share"];
  return { names, part: 1.8, ticks: [0, 1], words: percent, lines, limit };
}

function timeStrip(times, limits) {
  const timed = times.filter(([, ...p]) => p.some((each) => each !== null));
  if (!timed.length) return [];
  const most = Math.max(...timed.flatMap(([, ...p]) => p));
  const slow = limits?.slow_call_duration ?? null;
  const near = slow !== null && slow <= most * 3; // far above all of them, it would flatten them
  const limit = near ? { value: slow, words: `slow from ${seconds(slow)}` } : null;
  const lines = ps.map((name, place) => ({ name, kind: name, points: timed.map(([at, ...p]) => [at, p[place]]) }));
  return [{ names: ["duration"], part: 3, ticks: ticks(Math.max(most, near ? slow : 0), 2), words: seconds, lines, limit }];
}

function reader(bars, times, marks, step) {
  const [barsAt, timesAt] = [new Map(bars.map((bar) => [bar[0], bar])), new Map(times.map(([at, ...p]) => [at, p]))];
  return (at) => {
    const changes = marks.filter((mark) => mark.at >= at && mark.at < at + step).map(({ words }) => words);
    const more = changes.length > 3 ? [`${changes.length - 3} more changes`] : [];
    const when = step === 1 ? clock(at) : `${clock(at)} to ${clock(at + step)}`;
    return [`${when}: ${numbers(barsAt.get(at), timesAt.get(at))}`, ...changes.slice(0, 3), ...more].join("; ");
  };
}

function numbers(bar, times = []) {
  if (!bar) return "no calls";
  const each = kinds.map(([kind, place]) => `${rate(bar[place] / bar.lasted)} ${kind}`).join(", ");
  const share = failingShare(bar);
  const timed = times.flatMap((time, place) => (time === null ? [] : `${ps[place]} ${seconds(time)}`));
  const parts = [`${rate(bar.rate)} calls/s (${each})`, share === null ? "" : `${percent(share)} failing`, timed.join(", ")];
  return parts.filter(Boolean).join("; ");
}

function summary(bars) {
  if (!bars.length) return "";
  const peak = bars.reduce((most, bar) => (bar.rate > most.rate ? bar : most));
  return `Peak ${rate(peak.rate)} calls/s at ${clock(peak[0])}`;
}

// Describe why an outage began: by its reason, which may name the type of the failures.
export function why({ reason, failure_type: type }) {
  return type && !isNamed(type, reason) ? `${reason}, mostly ${type}` : reason;
}
