// The charts of calls: a small one of a row, and a large one with scales, ranges and a read-out.

import { Plot } from "./plot.js";
import { calls, kinds, stacked } from "./scale.js";
import { planned, told } from "./series.js";
import { choice, make, swatch } from "./shapes.js";
import { whole } from "./words.js";

const minute = 60;
let colours = null;

for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)", "(resolution: 1dppx)"]) {
  matchMedia(query).addEventListener("change", () => (colours = null));
}

// Draw the last minute of a row.
export function draw(canvas, history, now) {
  const end = Math.floor(now);
  const shown = history.filter(([second]) => second > end - minute);
  if (!shown.length && canvas.dataset.empty) return;
  const { width, height, pen } = prepared(canvas);
  if (!width) return;
  canvas.dataset.empty = shown.length ? "" : "yes";
  colours ??= palette(pen);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = colours.axis;
  pen.fillRect(0, height - 1, width, 1);
  const most = Math.max(1, ...shown.map(calls));
  const x = (second) => Math.round(width - ((end - second) * width) / minute);
  for (const bar of shown) {
    const [left, right] = [x(bar[0] - 1), x(bar[0])];
    for (const [kind, top, size] of stacked(bar, most, height - 2)) {
      pen.fillStyle = colours[kind];
      pen.fillRect(left, height - 1 - top, Math.max(1, right - left - (right - left > 3 ? 1 : 0)), size);
    }
  }
}

function prepared(canvas) {
  const scale = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  return { width, height, pen };
}

const textures = {
  slow: (pen) => pen.fillRect(0, 2, 4, 1.5),
  failed: (pen) => [-4, 0, 4].forEach((x) => pen.fill(new Path2D(`M${x} 4l4 -4h1.5l-4 4z`))),
  rejected: (pen) => pen.fill(new Path2D("M1 1h2v2h-2z")),
};

// Return the fills of the small charts: colours, and patterns of them with the ground.
function palette(pen) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--chart-${name}`).trim();
  const fills = { axis: colour("axis"), ok: colour("ok") };
  for (const [kind, texture] of Object.entries(textures)) {
    const tile = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
    const inner = tile.getContext("2d");
    inner.scale(2, 2);
    inner.fillStyle = colour(kind);
    inner.fillRect(0, 0, 4, 4);
    inner.fillStyle = colour("ground");
    texture(inner);
    fills[kind] = pen.createPattern(tile, "repeat");
    fills[kind].setTransform(new DOMMatrix().scale(0.5));
  }
  return fills;
}

// The legend of the outcomes of calls: pattern, name, and a number that changes.
export function legend() {
  const figures = {};
  const items = kinds.map(([kind]) => {
    figures[kind] = make("dd");
    const item = make("div", {}, make("dt", {}, swatch(kind), ` ${kind}`), figures[kind]);
    item.dataset.kind = kind;
    return item;
  });
  return { element: make("dl", { className: "kinds" }, ...items), figures };
}

export const rangeChoice = (chosen, choose) => choice("Range", [[900, "15 min"], [minute, "60 s"]], chosen, choose);

export class Chart {
  #plot = new Plot();
  #legend = legend();
  #summary = make("p", { className: "summary" });
  #data = null;
  #label;
  range = 900;

  // With `compact` the legend and the choice of a range are elsewhere.
  constructor(label, { compact = false, heading = "" } = {}) {
    this.#label = label;
    const foot = make("div", { className: "chart-foot" }, this.#summary, this.#plot.readout);
    this.element = make("div", { className: compact ? "chart compact" : "chart" }, this.#plot.element, foot);
    if (compact) return;
    const ranged = rangeChoice(this.range, (range) => this.choose(range));
    this.element.prepend(make("div", { className: "chart-head" }, heading, ranged), this.#legend.element);
  }

  choose(range) {
    this.range = range;
    if (this.#data) this.show(this.#data);
  }

  // Show {seconds, bars, percentiles, limits, marks, now}, each of them optional but the last.
  show(data) {
    this.#data = data;
    const plan = planned(data, this.range);
    const sums = kinds.map(([kind, place]) => [kind, whole(plan.bars.reduce((sum, bar) => sum + bar[place], 0))]);
    for (const [kind, sum] of sums) say(this.#legend.figures[kind], sum);
    say(this.#summary, plan.summary);
    this.#plot.show(plan, `${this.#label}, ${told[this.range]}: ${sums.map(([kind, sum]) => `${sum} ${kind}`).join(", ")}`);
  }
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
