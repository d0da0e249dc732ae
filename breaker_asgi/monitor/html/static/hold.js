// Nothing moves while the reader points at it, or while the focus is in it.

const lasts = 60_000; // milliseconds: after that the pointer or the focus was only left there

export class Hold {
  #elements;
  #over = new Set();
  #released;
  #touched = 0;
  #room;

  constructor(elements, released) {
    this.#elements = elements;
    this.#released = released;
    const sheet = new CSSStyleSheet();
    sheet.insertRule("body { padding-bottom: 0 }");
    document.adoptedStyleSheets.push(sheet);
    this.#room = sheet.cssRules[0].style;
    for (const element of elements) {
      element.addEventListener("pointerenter", ({ pointerType }) => {
        if (pointerType !== "touch") this.#over.add(element);
        this.#touch();
      });
      element.addEventListener("pointerleave", () => this.#leave(element));
      element.addEventListener("focusout", () => queueMicrotask(() => this.#ended()));
      for (const name of ["pointermove", "keydown", "focusin"]) {
        element.addEventListener(name, () => this.#touch(), { passive: true });
      }
    }
  }

  get on() {
    if (performance.now() - this.#touched > lasts) return false;
    return this.#over.size > 0 || this.#elements.some((each) => each.contains(document.activeElement));
  }

  // Make a change above an element that must stay where it is.
  keepInPlace(element, change) {
    const top = element.getBoundingClientRect().top;
    change();
    const moved = element.getBoundingClientRect().top - top;
    if (!moved) return;
    const room = Number.parseFloat(this.#room.paddingBottom) || 0;
    if (moved > 0) this.#room.paddingBottom = `${room + moved}px`; // a short page could not scroll
    scrollBy(0, moved);
  }

  #touch() {
    this.#touched = performance.now();
  }

  #leave(element) {
    this.#over.delete(element);
    this.#ended();
  }

  #ended() {
    if (this.on) return;
    this.#room.paddingBottom = "0px";
    this.#released();
  }
}

// Keep what is known in its place, and put what is new behind it.
export function kept(before, wanted) {
  const known = new Set(before);
  const fresh = wanted.filter((each) => !known.has(each));
  return [...before, ...fresh];
}
