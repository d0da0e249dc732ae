// Search: a part of a name, or a pattern of * and ?. A star that failed is never tried again, so
// that no pattern takes longer than the product of the two lengths.

export const isPattern = (text) => /[*?]/.test(text);

export function matches(pattern, text) {
  let [at, place, star, resume] = [0, 0, -1, 0];
  while (place < text.length) {
    if (pattern[at] === "*") {
      star = at++;
      resume = place;
    } else if (at < pattern.length && (pattern[at] === "?" || pattern[at] === text[place])) {
      at++;
      place++;
    } else if (star >= 0) {
      at = star + 1;
      place = ++resume;
    } else return false;
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}

// Return a function of a name: true if the search finds it.
export function matcher(text) {
  const wanted = text.toLowerCase();
  if (!isPattern(wanted)) return (name) => name.toLowerCase().includes(wanted);
  const pattern = [...wanted.replace(/\*+/g, "*")]; // by code points: ? is one character
  return (name) => matches(pattern, [...name.toLowerCase()]);
}
