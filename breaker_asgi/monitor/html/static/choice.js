// A choice of the reader that lasts, where the browser keeps anything; else for this visit.

export class Choice {
  #key;
  #values;
  value;

  constructor(key, values) {
    this.#key = key;
    this.#values = values;
    const kept = this.#kept();
    this.value = values.includes(kept) ? kept : values[0];
  }

  set(value) {
    this.value = value;
    try {
      localStorage.setItem(this.#key, value);
    } catch {
      // it lasts for this visit
    }
  }

  next() {
    this.set(this.#values[(this.#values.indexOf(this.value) + 1) % this.#values.length]);
  }

  #kept() {
    try {
      return localStorage.getItem(this.#key);
    } catch {
      return null;
    }
  }
}
