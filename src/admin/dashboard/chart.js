// Charts of the last five minutes, as inline SVG: a line over its area, and areas on top of each other. Each has a text that
// says the same, and shows the values under the pointer.

import { el, setAttribute, setText, show, svg } from "./dom.js";
import { clock } from "./format.js";
import { WINDOW } from "./history.js";

const WIDTH = 300;

/** 1, 2, 5, 10, 20, …: the smallest that is not less. */
export function niceMax(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value * 0.999) ?? value;
}

const x = (ago) => WIDTH - (ago / WINDOW) * WIDTH;

/** What lies within the window, in pieces without gaps. */
function pieces(points) {
  const found = [];
  let piece = [];
  for (const point of points) {
    if (point.ago > WINDOW) continue;
    if (point.value == null) {
      if (piece.length) found.push(piece);
      piece = [];
    } else {
      piece.push(point);
    }
  }
  if (piece.length) found.push(piece);
  return found;
}

const at = (number) => number.toFixed(1);

class Chart {
  constructor(host, { height, name, format }) {
    Object.assign(this, { host, height, name, format });
    this.svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none", role: "img" });
    this.top = el("span", { class: "chart-top", "aria-hidden": "true" });
    this.line = el("span", { class: "chart-cursor", "aria-hidden": "true", hidden: true });
    this.tip = el("div", { class: "chart-tip", "aria-hidden": "true", hidden: true });
    host.classList.add("chart");
    host.append(this.svg, this.top, this.line, this.tip);
    host.addEventListener("pointermove", (event) => this.point(event));
    host.addEventListener("pointerleave", () => this.leave());
  }

  leave() {
    show(this.line, false);
    show(this.tip, false);
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const lines = this.told((1 - share) * WINDOW);
    if (!lines) return this.leave();
    this.tip.replaceChildren(...lines);
    this.line.style.left = `${(share * 100).toFixed(2)}%`;
    this.tip.style.left = `${(share * 100).toFixed(2)}%`;
    this.tip.classList.toggle("to-the-left", share > 0.5);
    show(this.line, true);
    show(this.tip, true);
  }
}

function nearest(points, ago) {
  let best = null;
  for (const point of points) {
    const distance = Math.abs(point.ago - ago);
    if (point.value != null && distance < 3 && (!best || distance < Math.abs(best.ago - ago))) best = point;
  }
  return best;
}

/** The same for bytes, which are counted by twos. */
export function niceBytes(value) {
  return 2 ** Math.ceil(Math.log2(Math.max(1, value)));
}

/** One or two lines. `max`: the fixed upper end of the scale; else `nice` finds one. */
export class Sparkline extends Chart {
  constructor(host, { height = 36, name, format, max = null, nice = niceMax, tone = "accent", second = null }) {
    super(host, { height, name, format });
    Object.assign(this, { max, nice });
    this.second = second;
    host.classList.add(`tone-${tone}`);
    this.area = svg("path", { class: "area" });
    this.path = svg("path", { class: "line" });
    this.other = svg("path", { class: "line second" });
    this.svg.append(this.area, this.path, this.other);
    this.points = [];
    this.others = [];
  }

  update(points, others = []) {
    [this.points, this.others] = [points, others];
    const [parts, otherParts] = [pieces(points), pieces(others)];
    const values = [...parts, ...otherParts].flat().map((point) => point.value);
    const most = values.length ? Math.max(...values) : 0;
    const max = this.max ?? this.nice(most);
    const y = (value) => this.height - 1 - (Math.min(value, max) / max) * (this.height - 3);
    const line = (piece) => piece.map((p, i) => `${i ? "L" : "M"}${at(x(p.ago))} ${at(y(p.value))}`).join("");
    const closed = (piece) => `${line(piece)}L${at(x(piece.at(-1).ago))} ${this.height}L${at(x(piece[0].ago))} ${this.height}Z`;
    setAttribute(this.path, "d", parts.map(line).join(""));
    setAttribute(this.area, "d", parts.map(closed).join(""));
    setAttribute(this.other, "d", otherParts.map(line).join(""));
    setText(this.top, this.max == null && most > 0 ? `to ${this.format(max)}` : "");
    setAttribute(this.svg, "aria-label", this.words(parts.flat()));
    this.host.classList.toggle("empty", values.length === 0);
  }

  words(points) {
    if (!points.length) return `${this.name}: nothing yet`;
    const values = points.map((point) => point.value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return `${this.name}, last five minutes: from ${this.format(low)} to ${this.format(high)}, now ${this.format(values.at(-1))}`;
  }

  told(ago) {
    const point = nearest(this.points, ago);
    if (!point) return null;
    const other = this.second && nearest(this.others, ago);
    return [
      el("span", { class: "tip-time" }, clock(point.time)),
      el("span", {}, `${this.second ? `${this.second[0]} ` : ""}${this.format(point.value)}`),
      other ? el("span", {}, `${this.second[1]} ${this.format(other.value)}`) : null,
    ].filter(Boolean);
  }
}

/** Areas on top of each other: `layers` are `{name, tone}`, from the bottom up. */
export class Stacked extends Chart {
  constructor(host, { height = 110, name, format, layers }) {
    super(host, { height, name, format });
    this.layers = layers;
    this.paths = layers.map(({ tone }) => svg("path", { class: `layer tone-${tone}` }));
    this.svg.append(...[0.25, 0.5, 0.75].map((share) => svg("path", { class: "grid", d: `M0 ${at(height * share)}H${WIDTH}` })));
    this.svg.append(...this.paths);
    this.series = layers.map(() => []);
  }

  /** One series of points for each layer, all at the same moments. */
  update(series) {
    this.series = series;
    const moments = series[0].map((point, i) => ({ ago: point.ago, value: point.value, at: i })).filter((p) => p.ago <= WINDOW);
    const valueAt = (layer, i) => series[layer][i].value ?? 0;
    const total = (i) => series.reduce((sum, _, layer) => sum + valueAt(layer, i), 0);
    const most = moments.length ? Math.max(...moments.map((moment) => total(moment.at))) : 0;
    const max = niceMax(most);
    const y = (value) => this.height - (value / max) * (this.height - 2);
    const runs = pieces(moments);
    const base = new Map(moments.map((moment) => [moment.at, 0]));
    this.paths.forEach((path, layer) => {
      const shape = runs.map((run) => {
        const lower = run.map((m) => `${at(x(m.ago))} ${at(y(base.get(m.at)))}`);
        run.forEach((m) => base.set(m.at, base.get(m.at) + valueAt(layer, m.at)));
        const upper = run.map((m) => `${at(x(m.ago))} ${at(y(base.get(m.at)))}`);
        return `M${upper.join("L")}L${lower.reverse().join("L")}Z`;
      });
      setAttribute(path, "d", shape.join(""));
    });
    setText(this.top, most > 0 ? `to ${this.format(max)}` : "");
    setAttribute(this.svg, "aria-label", this.words(moments, total));
    this.host.classList.toggle("empty", runs.length === 0);
  }

  words(moments, total) {
    if (!moments.length) return `${this.name}: nothing yet`;
    const now = moments.at(-1).at;
    const parts = this.layers.map(({ name }, layer) => [name, this.series[layer][now].value ?? 0]).filter(([, v]) => v > 0);
    const list = parts.map(([name, value]) => `${name} ${this.format(value)}`).join(", ");
    return `${this.name}, last five minutes; now ${this.format(total(now))}${list ? `: ${list}` : ""}`;
  }

  told(ago) {
    const point = nearest(this.series[0], ago);
    if (!point) return null;
    const i = this.series[0].indexOf(point);
    const rows = this.layers
      .map(({ name, tone }, layer) => ({ name, tone, value: this.series[layer][i].value ?? 0 }))
      .filter(({ value }) => value > 0)
      .reverse();
    return [
      el("span", { class: "tip-time" }, clock(point.time)),
      ...rows.map(({ name, tone, value }) =>
        el("span", { class: `tip-row tone-${tone}` }, el("i", { class: "swatch" }), `${name} ${this.format(value)}`),
      ),
      rows.length ? null : el("span", {}, "no requests"),
    ].filter(Boolean);
  }
}
