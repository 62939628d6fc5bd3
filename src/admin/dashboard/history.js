// The snapshots of the last five minutes, and what follows from two of them: rates, shares, quantiles. The server's counters
// only rise; when they fall, another process has begun to count, and what came before is forgotten.

export const WINDOW = 300;

export const OUTCOMES = ["hit", "stale", "revalidated", "collapsed", "miss", "pass", "error"];

export class History {
  constructor() {
    /** Oldest first: `at` in seconds of the server's life, `time` on this machine, `s` the snapshot. */
    this.samples = [];
  }

  get last() {
    return this.samples.at(-1)?.s ?? null;
  }

  get lastTime() {
    return this.samples.at(-1)?.time ?? null;
  }

  push(s, time) {
    const last = this.samples.at(-1);
    if (last && (s.at_s < last.at || s.requests_total < last.s.requests_total)) this.samples = [];
    if (last && s.at_s === last.at) this.samples.pop();
    this.samples.push({ at: s.at_s, time, s });
    const from = s.at_s - WINDOW - 10;
    while (this.samples[0].at < from) this.samples.shift();
  }

  /** The newest sample that is at least `seconds` old, or the oldest there is. */
  before(seconds) {
    const last = this.samples.at(-1);
    let found = this.samples[0];
    for (const sample of this.samples) {
      if (sample.at > last.at - seconds) break;
      found = sample;
    }
    return found;
  }

  /** How much `read(snapshot)` grew in the last seconds, per second; `null` where there is no telling yet. */
  rate(read, seconds = 5) {
    if (this.samples.length < 2) return null;
    const [from, to] = [this.before(seconds), this.samples.at(-1)];
    const elapsed = to.at - from.at;
    return elapsed > 0 ? Math.max(0, read(to.s) - read(from.s)) / elapsed : null;
  }

  growth(read, seconds) {
    if (this.samples.length < 2) return null;
    return Math.max(0, read(this.last) - read(this.before(seconds).s));
  }

  /** `part` as a share of `all`, of what came in the last seconds. */
  share(part, all, seconds) {
    const whole = this.growth(all, seconds);
    return whole ? this.growth(part, seconds) / whole : null;
  }

  /** Points `{ago, value}` of the last five minutes: `between(older, newer, seconds)` of neighbours, some seconds apart. */
  series(between, seconds = 1) {
    const points = [];
    const end = this.samples.at(-1)?.at ?? 0;
    let from = 0;
    for (let to = 1; to < this.samples.length; to += 1) {
      while (from + 1 < to && this.samples[from + 1].at <= this.samples[to].at - seconds) from += 1;
      const [a, b] = [this.samples[from], this.samples[to]];
      // Where the page slept there is nothing to draw.
      const gap = b.at - this.samples[to - 1].at > 10;
      points.push({ ago: end - b.at, time: b.time, value: gap ? null : between(a.s, b.s, b.at - a.at) });
    }
    return points;
  }

  rates(read, seconds = 3) {
    return this.series((a, b, elapsed) => (elapsed > 0 ? Math.max(0, read(b) - read(a)) / elapsed : null), seconds);
  }

  levels(read) {
    return this.series((_, b) => read(b));
  }

  /** A quantile over the last seconds of what the tally `read(snapshot)` counted. */
  quantile(read, share, seconds) {
    if (this.samples.length < 2) return null;
    return quantile(this.bounds(), grown(read(this.before(seconds).s), read(this.last)), share);
  }

  quantiles(read, share, seconds) {
    return this.series((a, b) => quantile(this.bounds(), grown(read(a), read(b)), share)?.ms ?? null, seconds);
  }

  bounds() {
    return this.last.latency.bounds_ms;
  }
}

function grown(from, to) {
  return to.map((n, i) => Math.max(0, n - (from?.[i] ?? 0)));
}

/** As the server does it: see `observe/samples.rs`. */
export function quantile(bounds, counts, share) {
  const total = counts.reduce((sum, n) => sum + n, 0);
  if (total === 0) return null;
  let reached = 0;
  for (let i = 0; i < counts.length; i += 1) {
    if (counts[i] > 0 && reached + counts[i] >= share * total) {
      if (i === 0) return { ms: bounds[0], below: true };
      const low = bounds[i - 1];
      if (bounds[i] == null) return { ms: low, above: true };
      return { ms: low + (bounds[i] - low) * Math.max(0, (share * total - reached) / counts[i]) };
    }
    reached += counts[i];
  }
  return null;
}

export const requests = (s) => s.requests_total;
export const hits = (s) => s.requests.hit + s.requests.stale;
export const clientBytes = (s) => s.bytes.client;
export const savedBytes = (s) => Math.max(0, s.bytes.client - s.bytes.origin);
export const evictions = (s) => s.memory.evicted_size;

/** All outcomes in one. */
export function allBuckets(s) {
  const tallies = Object.values(s.latency.outcomes);
  return tallies[0].buckets.map((_, i) => tallies.reduce((sum, t) => sum + t.buckets[i], 0));
}

export function answersOf(origin) {
  return origin ? Object.values(origin.answers).reduce((sum, n) => sum + n, 0) : 0;
}

export const originRequests = (s) => Object.values(s.origins).reduce((sum, o) => sum + answersOf(o), 0);
