// A drawing of one or more strips above one time axis, with a cursor for keyboard and pointer.

import { make, shape } from "./shapes.js";
import { drawnMarks, drawnStrip, drawnTimes, framed, note } from "./strips.js";

const keys = { ArrowLeft: -1, ArrowRight: 1, PageUp: -6, PageDown: 6, Home: -Infinity, End: Infinity };

// A description of a plot: {from, to, step, ago, now, strips, marks, empty, read(at)}. A strip has `names` (the first that fits is
// written), `part` (of the height), `ticks`, `words` (of a tick), and `bars` (a Map of counts), `lines` and a `limit` as it needs them.
export class Plot {
  #svg = shape("svg", { "aria-hidden": "true" });
  #cursor = shape("g", { class: "cursor" });
  #plan = null;
  #frame = null;
  #at = null;
  #held = false; // set by a key: stays when the pointer leaves

  constructor() {
    this.element = make("div", { className: "plot", tabIndex: 0 }, this.#svg);
    this.element.setAttribute("role", "application");
    this.element.setAttribute("aria-roledescription", "chart");
    this.readout = make("p", { className: "readout" });
    this.readout.setAttribute("aria-live", "polite");
    for (const name of ["pointermove", "pointerdown"]) this.element.addEventListener(name, (event) => this.#point(event));
    this.element.addEventListener("pointerleave", () => this.#held || this.#move(null));
    this.element.addEventListener("keydown", (event) => this.#press(event));
    this.element.addEventListener("blur", () => this.#move(null));
    new ResizeObserver(() => this.#resized()).observe(this.element);
  }

  show(plan, label) {
    this.#plan = plan;
    if (this.element.ariaLabel !== label) this.element.ariaLabel = label;
    this.#draw();
  }

  #resized() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (width !== this.#frame?.width || height !== this.#frame?.height) this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height || !this.#plan) return;
    const frame = (this.#frame = framed(this.#plan, width, height));
    this.#svg.setAttribute("width", width);
    this.#svg.setAttribute("height", height);
    this.#svg.replaceChildren(
      ...frame.strips.flatMap((strip) => drawnStrip(strip, this.#plan, frame)),
      ...drawnMarks(this.#plan, frame), ...drawnTimes(this.#plan, frame), this.#cursor,
    );
    if (this.#plan.empty) this.#svg.append(note(this.#plan.empty, frame));
    this.#follow();
  }

  // Keep the cursor on its time while the axis moves on.
  #follow() {
    const { from, to, step, read } = this.#plan;
    if (this.#at !== null && (this.#at < from || this.#at >= to)) this.#at = this.#at < from ? from : to - step;
    if (this.#at === null) {
      this.#cursor.replaceChildren();
      if (this.readout.textContent) this.readout.textContent = "";
      return;
    }
    const { top, bottom } = this.#frame;
    const [x, end] = [this.#frame.x(this.#at), this.#frame.x(this.#at + step)];
    this.#cursor.replaceChildren(shape("rect", { x, y: top, width: Math.max(1, end - x), height: bottom - top }));
    const text = read(this.#at);
    if (this.readout.textContent !== text) this.readout.textContent = text;
  }

  #move(at, held = false) {
    this.#held = held;
    if (at === this.#at || !this.#frame) return;
    this.#at = at;
    this.#follow();
  }

  #point({ clientX }) {
    if (!this.#frame || this.#plan.empty) return;
    const { from, to, step } = this.#plan;
    const x = clientX - this.element.getBoundingClientRect().left;
    const at = from + Math.floor(this.#frame.time(x) / step) * step;
    this.#move(Math.min(to - step, Math.max(from, at)));
  }

  #press(event) {
    const { from, to, step } = this.#plan ?? {};
    if (event.key === "Escape" && this.#at !== null) this.#move(null);
    else if (event.key in keys && step && !(event.ctrlKey || event.metaKey || event.altKey)) {
      const by = keys[event.key] * step;
      const start = this.#at ?? (by < 0 ? to : to - 2 * step);
      this.#move(Math.min(to - step, Math.max(from, start + by)), true);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
