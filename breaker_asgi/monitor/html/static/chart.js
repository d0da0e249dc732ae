// The last minute of a breaker, second by second, as stacked bars.

const order = [["ok", 1], ["slow", 3], ["failed", 2], ["rejected", 4]]; // from the bottom; places in history
const seconds = 60;
let colours = null;

for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
  matchMedia(query).addEventListener("change", () => (colours = null));
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const names = [...order.map(([kind]) => kind), "axis", "muted"];
  colours ??= Object.fromEntries(names.map((each) => [each, style.getPropertyValue(`--chart-${each}`)]));
  return colours;
}

export function draw(canvas, history, now, { labels = false } = {}) {
  const end = Math.floor(now);
  const shown = history.filter(([second]) => second > end - seconds);
  if (!shown.length && canvas.dataset.empty) return;
  canvas.dataset.empty = shown.length ? "" : "yes";
  const { width, height, pen } = prepared(canvas);
  if (!width) return;
  const { axis, muted, ...fills } = palette();
  const [top, bottom] = labels ? [20, height - 20] : [1, height - 1];
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = axis;
  pen.fillRect(0, bottom, width, 1);
  const peak = Math.max(1, ...shown.map(([, ...calls]) => calls.reduce((sum, each) => sum + each)));
  const step = width / seconds;
  for (const entry of shown) {
    const x = width - (end - entry[0] + 1) * step;
    let y = bottom;
    for (const [kind, place] of order) {
      if (!entry[place]) continue;
      const size = Math.max(1, (entry[place] / peak) * (bottom - top));
      pen.fillStyle = fills[kind];
      pen.fillRect(x, y - size, Math.max(1, step - (step > 3 ? 1 : 0.5)), size);
      y -= size;
    }
  }
  if (labels) write(pen, muted, width, height, shown.length ? `peak ${peak}/s` : "no calls");
}

function write(pen, colour, width, height, peak) {
  pen.fillStyle = colour;
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  pen.textBaseline = "top";
  pen.textAlign = "left";
  pen.fillText(peak, 0, 2);
  pen.fillText("60 s ago", 0, height - 14);
  pen.textAlign = "right";
  pen.fillText("now", width, height - 14);
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
