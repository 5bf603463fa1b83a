// Line charts in SVG. Knows no other module, so that a notebook can draw the same.

const SVG = "http://www.w3.org/2000/svg";
const PAD = { top: 16, right: 14, bottom: 26, left: 52 };

/** An SVG element. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * A chart of series over steps.
 *
 * options: `label`; `series` [{name, label, look}], drawn in this order; `words` {step, empty, readout(step, values)};
 * `format(value)`; `moved(step or null)`, told when a reader looks at a step.
 */
export class LineChart {
  constructor(host, options) {
    this.options = options;
    this.data = {};
    this.marks = [];
    this.smoothing = 0;
    this.log = false;
    this.cursor = null;
    this.svg = make("svg", { class: "plot", "aria-hidden": "true" });
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.hidden = true;
    host.classList.add("chart");
    host.tabIndex = 0;
    host.setAttribute("role", "slider");
    host.setAttribute("aria-label", options.label);
    host.append(this.svg, this.tip);
    this.host = host;
    host.addEventListener("pointermove", (event) => this.#point(event));
    host.addEventListener("pointerleave", () => this.#look(null));
    host.addEventListener("keydown", (event) => this.#key(event));
    host.addEventListener("blur", () => this.#look(null));
    new ResizeObserver(() => this.draw()).observe(host);  // also when a hidden tab is shown: its width was 0
    this.#describe();
  }

  /** `data`: {name: {steps, values}}, `marks`: [{step, label, look}]; whatever is not given stays. */
  update({ data, marks, smoothing, log }) {
    this.data = data ?? this.data;
    this.marks = marks ?? this.marks;
    this.smoothing = smoothing ?? this.smoothing;
    this.log = log ?? this.log;
    this.#describe();
    this.draw();
  }

  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.#draw();
    });
  }

  /** Show the read-out at a step, or none for null. */
  show(step) {
    this.cursor = step;
    this.#readout();
  }

  get steps() {
    return [...new Set(this.#shown().flatMap(({ steps }) => steps))].sort((a, b) => a - b);
  }

  #shown() {
    return this.options.series
      .map((series) => ({ ...series, ...(this.data[series.name] ?? { steps: [], values: [] }) }))
      .filter((series) => series.steps.length);
  }

  #draw() {
    const [width, height] = [this.host.clientWidth, this.host.clientHeight];
    if (!width || !height) return;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const series = this.#shown();
    if (!series.length) {
      this.svg.replaceChildren(make("text", { class: "none", x: width / 2, y: height / 2 }, this.options.words.empty));
      return;
    }
    this.scale = scales(series, { width, height, log: this.log });
    const { x, y } = this.scale;
    const parts = [];
    for (const value of this.scale.yTicks) {
      const at = y(value).toFixed(1);
      parts.push(make("line", { class: "grid", x1: PAD.left, x2: width - PAD.right, y1: at, y2: at }));
      parts.push(make("text", { class: "tick y", x: PAD.left - 8, y: at }, this.options.format(value)));
    }
    for (const step of this.scale.xTicks) {
      parts.push(make("text", { class: "tick x", x: x(step).toFixed(1), y: height - 7 }, this.options.formatStep(step)));
    }
    const floor = height - PAD.bottom;
    parts.push(make("line", { class: "axis", x1: PAD.left, x2: width - PAD.right, y1: floor, y2: floor }));
    for (const mark of this.marks) {
      if (mark.step < this.scale.first || mark.step > this.scale.last) continue;
      const at = x(mark.step).toFixed(1);
      parts.push(make("g", { class: `mark ${mark.look ?? ""}` },
        make("line", { x1: at, x2: at, y1: PAD.top, y2: floor }),
        make("path", { d: `M${at} ${floor - 6}l4.5 6h-9z` }),
      ));
    }
    for (const one of series) {
      const smooth = this.smoothing > 0 && one.steps.length > 2 && one.smooth !== false;
      const raw = path(one.steps, one.values, this.scale);
      parts.push(make("path", { class: `line ${one.look} ${smooth ? "faint" : ""}`, d: raw }));
      if (smooth) parts.push(make("path", { class: `line ${one.look}`, d: path(one.steps, smoothed(one.values, this.smoothing), this.scale) }));
      if (one.steps.length <= 40) {
        one.steps.forEach((step, i) => parts.push(make("circle", { class: `dot ${one.look}`, cx: x(step).toFixed(1), cy: y(one.values[i]).toFixed(1), r: 2.75 })));
      }
    }
    this.hair = make("g", { class: "hair" });
    this.svg.replaceChildren(...parts, this.hair);
    this.#readout();
  }

  #point(event) {
    if (!this.scale) return;
    const at = event.clientX - this.host.getBoundingClientRect().left;
    this.#look(nearest(this.steps, this.scale.step(at)));
  }

  #key(event) {
    const { steps } = this;
    if (!steps.length) return;
    const here = this.cursor === null ? -1 : steps.indexOf(this.cursor);
    const stride = Math.max(1, Math.round(steps.length / 20));
    const at = {
      ArrowRight: here + 1, ArrowUp: here + 1, ArrowLeft: here < 0 ? steps.length - 1 : here - 1, ArrowDown: here - 1,
      PageUp: here + stride, PageDown: here - stride, Home: 0, End: steps.length - 1,
    }[event.key];
    if (event.key === "Escape") this.#look(null);
    if (at === undefined) return;
    event.preventDefault();
    this.#look(steps[Math.min(Math.max(at, 0), steps.length - 1)]);
  }

  #look(step) {
    this.show(step);
    this.options.moved?.(step);
  }

  #readout() {
    const { cursor, scale, hair } = this;
    this.tip.hidden = cursor === null || !scale || !hair;
    hair?.replaceChildren();
    if (this.tip.hidden) return;
    const at = scale.x(cursor);
    hair.append(make("line", { x1: at, x2: at, y1: PAD.top, y2: scale.height - PAD.bottom }));
    const lines = [];
    for (const series of this.#shown()) {
      const i = upTo(series.steps, cursor);
      if (i < 0) continue;
      hair.append(make("circle", { class: `dot ${series.look}`, cx: scale.x(series.steps[i]), cy: scale.y(series.values[i]), r: 4 }));
      lines.push([series, series.values[i], series.steps[i]]);
    }
    const title = document.createElement("strong");
    title.textContent = `${this.options.words.step} ${this.options.formatStep(cursor)}`;
    this.tip.replaceChildren(title, ...lines.map(([series, value, step]) => {
      const line = document.createElement("span");
      line.className = `entry ${series.look}`;
      line.textContent = `${series.label} `;
      const number = document.createElement("b");
      number.textContent = this.options.format(value);
      line.append(number);
      if (step !== cursor) line.append(` (${this.options.formatStep(step)})`);
      return line;
    }));
    const wide = this.tip.offsetWidth;
    this.tip.style.left = `${at + 12 + wide > scale.width ? at - 12 - wide : at + 12}px`;
    this.host.setAttribute("aria-valuenow", cursor);
    const told = lines.map(([series, value, step]) => `${series.label} ${this.options.format(value)}${step === cursor ? "" : ` (${this.options.formatStep(step)})`}`);
    this.host.setAttribute("aria-valuetext", [title.textContent, ...told].join(", "));
  }

  /** What a reader who cannot see the chart is told of it. */
  #describe() {
    const series = this.#shown();
    const { steps } = this;
    this.host.setAttribute("aria-valuemin", steps[0] ?? 0);
    this.host.setAttribute("aria-valuemax", steps.at(-1) ?? 0);
    this.host.setAttribute("aria-valuenow", this.cursor ?? steps.at(-1) ?? 0);
    const told = series.map((one) => `${one.label} ${this.options.format(one.values.at(-1))}`).join(", ");
    this.host.setAttribute("aria-valuetext", told || this.options.words.empty);
  }
}

/** Where steps and values lie in the plot, and which of them are written at the axes. */
function scales(series, { width, height, log }) {
  let [first, last, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { steps, values } of series) {
    first = Math.min(first, steps[0]);
    last = Math.max(last, steps.at(-1));
    for (const value of values) {
      if (log && value <= 0) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) [low, high] = [1, 10];
  if (last === first) last = first + 1;
  const bend = log ? Math.log10 : (value) => value;
  let yTicks;
  if (log) {
    [low, high] = low === high ? [low / 2, high * 2] : [low, high];
    yTicks = high / low < 20 ? ticks(low, high, Math.max(2, Math.floor(height / 48))).filter((value) => value >= low && value <= high) : logTicks(low, high);
  } else {
    if (low === high) [low, high] = [low - Math.max(Math.abs(low) * 0.1, 0.5), high + Math.max(Math.abs(high) * 0.1, 0.5)];
    else if (low > 0 && low < high * 0.6) low = 0;
    yTicks = ticks(low, high, Math.max(2, Math.floor(height / 48)));
    [low, high] = [Math.min(low, yTicks[0]), Math.max(high, yTicks.at(-1))];
  }
  const [bottom, top] = [bend(low), bend(high)];
  const wide = width - PAD.left - PAD.right;
  const tall = height - PAD.top - PAD.bottom;
  return {
    width, height, first, last, yTicks,
    xTicks: ticks(first, last, Math.max(2, Math.floor(width / 90))).filter((step) => Number.isInteger(step) && step >= first && step <= last),
    x: (step) => PAD.left + ((step - first) / (last - first)) * wide,
    y: (value) => PAD.top + tall * (1 - (bend(log ? Math.max(value, low) : value) - bottom) / (top - bottom || 1)),
    step: (at) => first + ((at - PAD.left) / wide) * (last - first),
  };
}

/** Round numbers around `low` and `high`, about `wanted` of them. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const stride = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const found = [];
  for (let i = Math.floor(low / stride + 1e-9); i * stride < high + stride * (1 - 1e-9); i += 1) found.push(Number((i * stride).toPrecision(12)));
  return found;
}

function logTicks(low, high) {
  const found = [];
  const few = Math.log10(high / low) < 3;
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const factor of few ? [1, 2, 5] : [1]) {
      const value = Number((factor * 10 ** power).toPrecision(6));
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

/** One path; where points are denser than pixels, each column of pixels has its least and greatest only. */
function path(steps, values, { x, y, width }) {
  const points = [];
  if (steps.length <= width * 2) steps.forEach((step, i) => points.push(`${x(step).toFixed(1)} ${y(values[i]).toFixed(1)}`));
  else {
    for (let i = 0; i < steps.length; ) {
      const column = Math.floor(x(steps[i]));
      let [low, high] = [values[i], values[i]];
      for (; i < steps.length && Math.floor(x(steps[i])) === column; i += 1) {
        if (values[i] < low) low = values[i];
        if (values[i] > high) high = values[i];
      }
      points.push(`${column} ${y(high).toFixed(1)}`, `${column} ${y(low).toFixed(1)}`);
    }
  }
  return `M${points.join("L")}`;
}

/** An exponential mean, without the pull of its beginning (as TensorBoard smooths). */
function smoothed(values, weight) {
  let [sum, norm] = [0, 0];
  return values.map((value) => {
    sum = sum * weight + (1 - weight) * value;
    norm = norm * weight + (1 - weight);
    return sum / norm;
  });
}

/** Where the last of rising steps at or before `wanted` is; -1 if there is none. */
export function upTo(steps, wanted) {
  let [low, high] = [-1, steps.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (steps[middle] <= wanted) low = middle;
    else high = middle - 1;
  }
  return low;
}

function nearest(steps, wanted) {
  const before = steps[Math.max(0, upTo(steps, wanted))];
  const after = steps[Math.min(steps.length - 1, upTo(steps, wanted) + 1)];
  return wanted - before <= after - wanted ? before : after;
}
