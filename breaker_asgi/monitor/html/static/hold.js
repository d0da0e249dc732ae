// Nothing moves while the reader points at it, or while the focus is in it.

export class Hold {
  #elements;
  #over = new Set();
  #released;

  constructor(elements, released) {
    this.#elements = elements;
    this.#released = released;
    for (const element of elements) {
      element.addEventListener("pointerenter", ({ pointerType }) => {
        if (pointerType !== "touch") this.#over.add(element);
      });
      element.addEventListener("pointerleave", () => this.#leave(element));
      element.addEventListener("focusout", () => queueMicrotask(() => this.#ended()));
    }
    addEventListener("blur", () => this.#over.clear() ?? this.#ended());
  }

  get on() {
    return this.#over.size > 0 || this.#elements.some((each) => each.contains(document.activeElement));
  }

  #leave(element) {
    this.#over.delete(element);
    this.#ended();
  }

  #ended() {
    if (!this.on) this.#released();
  }
}

// Keep what is known in its place, and put what is new behind it.
export function kept(before, wanted) {
  const known = new Set(before);
  const fresh = wanted.filter((each) => !known.has(each));
  return [...before, ...fresh];
}
