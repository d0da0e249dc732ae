// The parts of a plot: strips with their scales, bars and lines; the marks and the times below them.

import { agoTicks, kinds, stacked, timeTicks } from "./scale.js";
import { look, rectangle, shape } from "./shapes.js";
import { worstFirst } from "./words.js";

const pen = document.createElement("canvas").getContext("2d");

// Return the pixels that all charts leave beside the time axis, so that the axes are aligned; charts.css has them for .tracks.
export function margins() {
  const em = 0.75 * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  return { em, left: Math.round(4 * em), right: Math.round(2.6 * em) };
}

export function framed({ from, to, strips, marks }, width, height) {
  const { em, left, right } = margins();
  const wide = width - left - right;
  const [title, foot] = [Math.round(2.3 * em), Math.round(1.8 * em + (marks ? 1.5 * em : 0))];
  const free = height - foot - strips.length * title - 2;
  const parts = strips.reduce((sum, { part }) => sum + part, 0);
  let bottom = 0;
  const placed = strips.map((strip) => {
    const high = Math.max(8, Math.round((free * strip.part) / parts));
    bottom += title + high;
    return { ...strip, top: bottom - high, bottom, high, y: scaled(bottom, high, strip.ticks.at(-1)) };
  });
  const x = (at) => Math.round(left + ((at - from) / (to - from)) * wide);
  const time = (at) => ((at - left) / wide) * (to - from);
  return { em, left, wide, edge: left + wide, x, time, strips: placed, top: placed[0].top, bottom };
}

const scaled = (bottom, high, most) => (value) => bottom - Math.round((Math.min(value, most) / most) * high);

export function drawnStrip(strip, plan, frame) {
  const { left, edge, em } = frame;
  const free = edge - (strip.limit ? measured(strip.limit.words, em) + 2 * em : 0);
  const name = strip.names.find((each) => measured(each, em) * 1.15 < free) ?? strip.names.at(-1); // it is bold
  const drawn = [text(name, 0, strip.top - 0.8 * em, "start", "strip-name")];
  for (const tick of strip.ticks) {
    const y = strip.y(tick);
    const words = strip.words(tick);
    if (!words) continue;
    drawn.push(line(left, edge, y, tick ? "grid" : "axis"), text(words, left - 0.5 * em, y + 0.35 * em, "end"));
  }
  if (strip.bars) drawn.push(...drawnBars(strip, plan, frame));
  if (strip.lines) drawn.push(...drawnLines(strip, plan, frame));
  if (strip.limit) {
    const y = strip.y(strip.limit.value);
    drawn.push(line(left, edge, y, "limit"), text(strip.limit.words, edge, strip.top - 0.8 * em, "end", "limit-name"));
  }
  return drawn;
}

function drawnBars({ bars, ticks, bottom, high }, { step }, { x: place }) {
  const paths = Object.fromEntries(kinds.map(([kind]) => [kind, ""]));
  for (const bar of bars) {
    const x = place(bar[0]);
    const width = place(bar[0] + step) - x;
    for (const [kind, top, size] of stacked(bar, ticks.at(-1) * bar.lasted, high)) {
      paths[kind] += rectangle(x, bottom - top, Math.max(1, width - (width > 2 ? 1 : 0)), size);
    }
  }
  return kinds.filter(([kind]) => paths[kind])
    .map(([kind]) => shape("path", { d: paths[kind], "data-kind": kind, ...look(kind) }));
}

// Lines are named at their end, where the names are kept apart.
function drawnLines(strip, { from, to, step }, frame) {
  const drawn = [];
  let lowest = strip.bottom + 0.35 * frame.em + 1.2 * frame.em;
  for (const { name, kind, points } of strip.lines) {
    const shown = points.filter(([at, value]) => at >= from && at < to && value !== null);
    if (!shown.length) continue;
    drawn.push(shape("path", { d: course(shown, strip, step, frame), class: `line ${kind}` }));
    if (!name) continue;
    const y = Math.min(lowest - 1.15 * frame.em, strip.y(shown.at(-1)[1]) + 0.35 * frame.em);
    lowest = y;
    drawn.push(text(name, frame.edge + 0.4 * frame.em, y, "start", "line-name"));
  }
  return drawn;
}

// A line through the middles of bars, interrupted where there is none; a bar that is alone has a dash of its width.
function course(points, strip, step, frame) {
  let path = "";
  points.forEach(([at, value], place) => {
    const [x, y] = [(frame.x(at) + frame.x(at + step)) / 2, strip.y(value)];
    const joined = place && at - points[place - 1][0] <= step * 1.5;
    const goesOn = place + 1 < points.length && points[place + 1][0] - at <= step * 1.5;
    if (joined) path += `L${x} ${y}`;
    else path += goesOn ? `M${x} ${y}` : `M${frame.x(at)} ${y}H${frame.x(at + step)}`;
  });
  return path;
}

// Changes of state: those too close to be told apart share the icon of the worst.
export function drawnMarks({ marks, from, to }, { x, bottom, em, top }) {
  const size = Math.round(1.3 * em);
  const groups = [];
  for (const { at, to: state } of (marks ?? []).filter((mark) => mark.at >= from && mark.at <= to)) {
    const last = groups.at(-1);
    if (last && x(at) - last.end < size * 1.2) Object.assign(last, { end: x(at), states: [...last.states, state] });
    else groups.push({ start: x(at), end: x(at), states: [state] });
  }
  return groups.map(({ start, end, states }) => {
    const state = worstFirst.find((each) => states.includes(each));
    const middle = Math.round((start + end) / 2);
    const ticks = start === end ? `M${start + 0.5} ${top}V${bottom + 3}` : `M${start + 0.5} ${top}V${bottom + 3}H${end + 0.5}V${bottom}`;
    return shape(
      "g", { class: "mark", "data-state": state, "data-number": states.length },
      shape("path", { d: ticks, class: "mark-line" }),
      shape("use", { href: `#i-${state}`, x: middle - size / 2, y: bottom + 0.4 * em, width: size, height: size }),
    );
  });
}

export function drawnTimes(plan, { left, edge, em, x, bottom, wide, gridTop: top }) {
  const y = bottom + 1.35 * em + (plan.marks ? 1.5 * em : 0);
  const drawn = [text("now", edge, y, "end")];
  let free = edge - measured("now", em) - em;
  const found = plan.ago ? agoTicks(plan.to, plan.to - plan.from) : timeTicks(plan.from, plan.to, wide, Math.max(5.5 * em, wide / 9)).reverse();
  for (const [at, words] of found) {
    const half = measured(words, em) / 2;
    const middle = Math.max(left - 3 * em + half, x(at));
    if (middle + half > free) continue;
    free = middle - half - em;
    drawn.push(text(words, middle, y, "middle"), shape("path", { d: `M${x(at) + 0.5} ${top ?? bottom}V${bottom + 4}`, class: "tick" }));
  }
  return drawn;
}

export const note = (words, { left, edge, strips }) =>
  text(words, (left + edge) / 2, (strips[0].top + strips[0].bottom) / 2, "middle", "no-calls");

function line(from, to, y, name) {
  return shape("path", { d: `M${from} ${y + 0.5}H${to}`, class: name });
}

function text(words, x, y, anchor, name = "") {
  return shape("text", { x, y, "text-anchor": anchor, class: name }, words);
}

function measured(words, em) {
  pen.font = `${em}px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(words).width;
}
