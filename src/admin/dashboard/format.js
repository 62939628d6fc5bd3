// Numbers as people read them. Digits of one width come from the style sheet.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const NONE = "–";

export function count(n) {
  return n == null ? NONE : whole.format(n);
}

/** 0.35, 4.2, 118, 12,400 */
export function rate(perSecond) {
  if (perSecond == null || !Number.isFinite(perSecond)) return NONE;
  if (perSecond === 0) return "0";
  if (perSecond < 1) return perSecond.toFixed(2);
  if (perSecond < 10) return perSecond.toFixed(1);
  return whole.format(perSecond);
}

export function percent(share, digits = 1) {
  if (share == null || !Number.isFinite(share)) return NONE;
  if (share === 1) return "100 %";
  // Never rounded up to what it is not.
  const scale = 10 ** (digits + 2);
  return `${(Math.floor(share * scale) / (scale / 100)).toFixed(digits)} %`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(n) {
  if (n == null || !Number.isFinite(n)) return NONE;
  let unit = 0;
  while (n >= 1024 && unit < UNITS.length - 1) {
    n /= 1024;
    unit += 1;
  }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${UNITS[unit]}`;
}

/** Milliseconds, with the unit that fits. `below`: it is less, and by how much is not known. */
export function latency(quantile) {
  if (quantile == null) return NONE;
  const { ms, below, above } = typeof quantile === "number" ? { ms: quantile } : quantile;
  const text =
    ms >= 1000 ? `${(ms / 1000).toFixed(ms >= 10_000 ? 0 : 1)} s` : `${ms >= 10 ? Math.round(ms) : Number(ms.toFixed(1))} ms`;
  return `${below ? "< " : above ? "> " : ""}${text}`;
}

/** 36 s, 5 min, 2 h 3 min, 12 d 4 h */
export function span(seconds) {
  if (seconds == null) return NONE;
  let left = Math.max(0, Math.floor(seconds));
  const parts = [];
  for (const [length, unit] of [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
    const n = Math.floor(left / length);
    if (n > 0 && parts.length < 2) parts.push(`${n} ${unit}`);
    left -= n * length;
  }
  return parts.join(" ") || "0 s";
}

export function clock(date) {
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}
