// Scales, ticks and sums of the charts: numbers and texts only, nothing of the page.

export const kinds = [["ok", 1], ["slow", 3], ["failed", 2], ["rejected", 4]]; // from the bottom; places of a bar
export const calls = (bar) => bar[1] + bar[2] + bar[3] + bar[4];
const least = 3; // pixels: a single failure is seen among a thousand calls, and the gap above it, too

// Return round values from 0 to `most` or a little more.
export function ticks(most, wanted = 3) {
  if (!(most > 0)) return [0, 1];
  const rough = most / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= rough * 0.999);
  const number = Math.max(1, Math.ceil(most / step - 0.001));
  return Array.from({ length: number + 1 }, (_, place) => Number((place * step).toPrecision(12)));
}

export function rate(number) {
  if (number >= 1e6) return `${trimmed(number / 1e6)}M`;
  if (number >= 1e4) return `${trimmed(number / 1e3)}k`;
  return trimmed(number);
}

const trimmed = (number) => String(Number(number.toFixed(number < 1 ? 2 : number < 100 ? 1 : 0)));

export function seconds(number) {
  if (number === 0) return "0";
  return number < 1 ? `${trimmed(number * 1000)} ms` : `${trimmed(number)} s`;
}

const steps = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600];
const day = 86400;

// Return times at round local clock times, at least `space` apart, as [time, text].
export function timeTicks(from, to, width, space) {
  const step = steps.find((each) => (each / (to - from)) * width >= space) ?? (to - from) * 2;
  const ahead = new Date(from * 1000).getTimezoneOffset() * 60;
  const first = Math.ceil((from - ahead) / step) * step + ahead;
  const found = [];
  for (let at = first; at <= to; at += step) found.push([at, step < day ? clock(at, step < 60) : date(at)]);
  return found;
}

// Return times before the end, as [time, text].
export function agoTicks(to, range) {
  return [0.25, 0.5, 0.75, 1].map((share) => [to - range * share, `${range * share} s ago`]);
}

const formats = {};
const format = (name, options) => (formats[name] ??= new Intl.DateTimeFormat("en-GB", options));
const ofClock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

export const clock = (at, exact = true) =>
  format(exact ? "exact" : "clock", exact ? { ...ofClock, second: "2-digit" } : ofClock).format(at * 1000);
export const date = (at) => format("date", { weekday: "short", day: "numeric", month: "short" }).format(at * 1000);

// Sum up seconds in bars of `size` seconds: [at, ok, failed, slow, rejected].
export function summedUp(found, size) {
  const bars = new Map();
  for (const [second, ...numbers] of found) {
    const at = Math.floor(second / size) * size;
    const bar = bars.get(at) ?? [at, 0, 0, 0, 0];
    for (let place = 1; place <= 4; place += 1) bar[place] += numbers[place - 1];
    bars.set(at, bar);
  }
  return bars;
}

// Return the bars with those added that seconds have filled since. A bar that is counted twice is the greater one.
export function merged(bars, found, size) {
  const all = new Map([...bars].map((bar) => [bar[0], bar]));
  for (const [at, bar] of summedUp(found, size)) {
    const known = all.get(at);
    if (!known || calls(bar) > calls(known)) all.set(at, [...bar, ...(known?.slice(5) ?? [])]);
  }
  return all;
}

// Stack the kinds of a bar up to `height` pixels, with a gap between them: [kind, offset of its top, size].
// A kind that would not be seen takes the pixels from the largest, so that the height of the bar is exact.
export function stacked(bar, most, height) {
  const sizes = kinds.filter(([, place]) => bar[place])
    .map(([kind, place]) => ({ kind, size: Math.max(least, Math.round((bar[place] / most) * height)) }));
  const wanted = Math.max(least * sizes.length, Math.min(height, Math.round((calls(bar) / most) * height)));
  const largest = sizes.reduce((found, each) => (each.size > found.size ? each : found), sizes[0]);
  if (largest) largest.size += wanted - sizes.reduce((sum, { size }) => sum + size, 0);
  let top = 0;
  return sizes.map(({ kind, size }, place) => {
    const gap = place === sizes.length - 1 ? 0 : 1;
    top += size;
    return [kind, top - gap, size - gap];
  });
}

export const failingShare = ([, ok, failed, slow]) => (ok + failed + slow ? failed / (ok + failed + slow) : null);
export const slowShare = ([, ok, failed, slow]) => (ok + failed + slow ? slow / (ok + failed + slow) : null);
