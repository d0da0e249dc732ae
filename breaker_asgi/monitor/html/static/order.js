// The order of the rows, and the line in place of those that nothing is to be seen of.

import { isQuiet, urgency } from "./breakerwords.js";

export const fold = Symbol("fold");
const mostQuiet = 12; // that are not folded

const nameOf = ({ name }) => name;
const most = (value) => (breaker) => [-(value(breaker) ?? -1)];

// A key for each order that the reader may choose: arrays of numbers; the name decides between equals.
const keys = {
  urgency,
  rejected: most((each) => each.rejected_per_second),
  calls: most((each) => each.calls_per_second),
  failing: most((each) => each.failing_share),
  p95: most((each) => each.p95),
  name: () => [],
};
export const orders = Object.keys(keys);

// By code points, as Python sorts; not by any one language's alphabet.
function compare([one, name], [other, otherName]) {
  for (let place = 0; place < one.length; place += 1) {
    if (one[place] !== other[place]) return one[place] - other[place];
  }
  return name < otherName ? -1 : name > otherName ? 1 : 0;
}

// Return the names in order, with `fold` where the quiet ones begin, and the number of these.
export function arranged(breakers, { order, wanted, filtered, now }) {
  const found = breakers.filter(({ name, state }) => wanted(name, state));
  const sorted = found.map((each) => [keys[order](each), each.name, each]).sort(compare).map((each) => each[2]);
  if (filtered || order !== "urgency") return { names: sorted.map(nameOf), quiet: 0 };
  const quiet = sorted.filter((each) => each.loudUntil <= now && isQuiet(each, now));
  if (quiet.length <= mostQuiet) return { names: sorted.map(nameOf), quiet: 0 };
  const folded = new Set(quiet);
  const loud = sorted.filter((each) => !folded.has(each));
  return { names: [...loud.map(nameOf), fold, ...quiet.map(nameOf)], quiet: quiet.length };
}
