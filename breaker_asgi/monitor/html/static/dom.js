// Small steps on the document: each one touches only what differs.

export const byId = (id) => document.getElementById(id);

// The places of texts by their `data-f`; the first of a name counts, as entries of a log inside of it have such names, too.
export const parts = (root) =>
  Object.fromEntries([...root.querySelectorAll("[data-f]")].reverse().map((each) => [each.dataset.f, each]));

export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function say(places, texts) {
  for (const [name, text] of Object.entries(texts)) {
    const place = places[name];
    if (place && place.textContent !== text) place.textContent = text;
  }
}

export function setData(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

export function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export const setIcon = (svg, state) => set(svg.firstElementChild, "href", `#i-${state}`);

// Bring the children of a list into an order; only those that have to move are moved.
export function arrange(parent, wanted) {
  const focused = document.activeElement;
  let place = parent.firstElementChild;
  for (const element of wanted) {
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
}
