// SVG elements, and the patterns that tell the outcomes of calls apart without colour.

const namespace = "http://www.w3.org/2000/svg";

export function shape(tag, attributes = {}, ...children) {
  const element = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function make(tag, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

export const rectangle = (x, y, width, height) => `M${x} ${y}h${width}v${height}h${-width}z`;

const marks = {
  slow: { size: 5, marks: [["rect", { y: 3, width: 5, height: 2 }]] },
  failed: { size: 6, turn: "rotate(45)", marks: [["rect", { width: 2, height: 6 }]] },
  rejected: { size: 5, marks: [["circle", { cx: 2.5, cy: 2.5, r: 1.3 }]] },
  running: { size: 8, turn: "rotate(45)", marks: [["rect", { width: 4, height: 8 }]] },
};

// Return the look of a kind of calls: a colour alone for those that went well, a pattern for the others.
export function look(kind) {
  if (kind === "ok") return { class: "chart-ok" };
  prepare();
  return { fill: `url(#pattern-${kind})` };
}

function prepare() {
  if (document.getElementById("pattern-failed")) return;
  const patterns = Object.entries(marks).map(([kind, { size, turn, marks: drawn }]) =>
    shape(
      "pattern",
      {
        id: `pattern-${kind}`, width: size, height: size, patternUnits: "userSpaceOnUse",
        ...(turn && { patternTransform: turn }),
      },
      shape("rect", { width: size, height: size, class: `chart-${kind}` }),
      ...drawn.map(([tag, attributes]) => shape(tag, { ...attributes, class: "chart-ground" })),
    ));
  const sprite = shape("svg", { class: "sprite", width: 0, height: 0, "aria-hidden": "true" });
  sprite.append(shape("defs", {}, ...patterns));
  document.body.append(sprite);
}

export function swatch(kind) {
  const drawn = shape("svg", { class: "swatch", viewBox: "0 0 14 14", "aria-hidden": "true" });
  drawn.append(shape("rect", { width: 14, height: 14, rx: 2, ...look(kind) }));
  return drawn;
}

// A group of buttons of which one is pressed.
export function choice(label, options, chosen, choose) {
  const buttons = options.map(([value, text]) => {
    const button = make("button", { type: "button", textContent: text });
    button.setAttribute("aria-pressed", String(value === chosen));
    button.addEventListener("click", () => {
      for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
      choose(value);
    });
    return button;
  });
  const group = make("div", { className: "choice", role: "group" }, ...buttons);
  group.setAttribute("aria-label", label);
  return group;
}
