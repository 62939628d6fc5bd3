// From the history of snapshots to what stands on the page.

import { niceBytes, Sparkline, Stacked } from "./chart.js";
import { byId, el, keyed, marked, setAttribute, setText, show } from "./dom.js";
import * as f from "./format.js";
import * as h from "./history.js";

/** Figures that jump about are taken over so many seconds. */
const MINUTE = 60;

const tones = { hit: "hit", stale: "stale", revalidated: "revalidated", collapsed: "collapsed", miss: "miss", pass: "pass", error: "error" };

const meaning = {
  hit: "fresh, from the store",
  stale: "stale, from the store",
  revalidated: "confirmed by the origin",
  collapsed: "from another client's fetch",
  miss: "fetched from the origin",
  pass: "not for the cache",
  error: "answered with an error",
};

function tile(id, options) {
  const host = byId(id);
  return {
    figure: host.querySelector("output"),
    note: host.querySelector(".note"),
    chart: new Sparkline(host.querySelector(".spark"), options),
  };
}

export class Panels {
  constructor(actions) {
    this.actions = actions;
    const per = (name) => ({ name, format: (v) => `${f.rate(v)} / s` });
    const share = (name) => ({ name, format: (v) => f.percent(v), max: 1 });
    this.requests = tile("tile-requests", per("Requests per second"));
    this.hits = tile("tile-hits", { ...share("Hit ratio"), tone: "hit" });
    this.bytes = tile("tile-bytes", { ...share("Bytes saved"), tone: "hit" });
    this.latency = tile("tile-latency", { name: "Latency, 50th percentile", format: f.latency, tone: "accent", second: ["p50", "p99"] });
    this.origin = tile("tile-origin", { ...per("Requests to origins per second"), tone: "miss" });
    this.memory = tile("tile-memory", { name: "Memory in use", format: f.bytes, nice: niceBytes });
    this.evictions = new Sparkline(byId("evictions"), { ...per("Evictions per second"), height: 22, tone: "stale" });
    const layers = h.OUTCOMES.map((name) => ({ name, tone: tones[name] }));
    this.answers = new Stacked(byId("answers-chart"), { name: "Answers per second", format: (v) => `${f.rate(v)} / s`, layers });
  }

  render(history) {
    const s = history.last;
    setText(byId("server-name"), s.name === "larder" ? "" : s.name);
    document.title = s.name === "larder" ? "Larder" : `${s.name} · Larder`;
    setText(byId("uptime"), `up ${f.span(s.uptime_s)}`);
    setText(byId("version"), `Larder ${s.version}`);
    this.tiles(history, s);
    this.outcomes(history, s);
    reasons(s);
    this.hottest(s);
    this.origins(history, s);
    fleet(history, s);
    purges(s);
  }

  tiles(history, s) {
    setText(this.requests.figure, f.rate(history.rate(h.requests)));
    setText(this.requests.note, `${f.count(s.requests_total)} in all · ${f.count(s.connections)} connections`);
    this.requests.chart.update(history.rates(h.requests));

    setText(this.hits.figure, f.percent(history.share(h.hits, h.requests, MINUTE)));
    setText(this.hits.note, `last minute · ${f.percent(s.hit_ratio)} since start`);
    this.hits.chart.update(ratios(history, h.hits, h.requests));

    setText(this.bytes.figure, f.percent(history.share(h.savedBytes, h.clientBytes, MINUTE)));
    const out = history.rate(h.clientBytes);
    setText(this.bytes.note, `${out == null ? "–" : f.bytes(out)}/s sent · ${f.percent(s.byte_hit_ratio)} since start`);
    this.bytes.chart.update(ratios(history, h.savedBytes, h.clientBytes));

    const quantile = (share) => history.quantile(h.allBuckets, share, MINUTE);
    setText(this.latency.figure, f.latency(quantile(0.5)));
    setText(this.latency.note, `p90 ${f.latency(quantile(0.9))} · p99 ${f.latency(quantile(0.99))}`);
    this.latency.chart.update(history.quantiles(h.allBuckets, 0.5, 10), history.quantiles(h.allBuckets, 0.99, 10));

    setText(this.origin.figure, f.rate(history.rate(h.originRequests)));
    const fetching = `${f.count(s.inflight)} under way`;
    const received = history.rate((x) => x.bytes.origin);
    setText(this.origin.note, `${received == null ? "–" : f.bytes(received)}/s in · ${fetching}`);
    this.origin.chart.update(history.rates(h.originRequests));

    const used = s.memory.bytes / s.memory.capacity;
    setText(this.memory.figure, f.bytes(s.memory.bytes));
    const meter = byId("tile-memory").querySelector(".meter");
    setAttribute(meter, "aria-valuenow", String(Math.round(used * 100)));
    setAttribute(meter, "aria-valuetext", `${f.bytes(s.memory.bytes)} of ${f.bytes(s.memory.capacity)}`);
    meter.firstElementChild.style.width = `${Math.min(100, used * 100).toFixed(1)}%`;
    const evicted = history.rate(h.evictions, MINUTE);
    setText(this.memory.note, `of ${f.bytes(s.memory.capacity)} · ${f.rate(evicted)} evictions / s`);
    this.memory.chart.update(history.levels((x) => x.memory.bytes));
    this.evictions.update(history.rates(h.evictions));
  }

  outcomes(history, s) {
    const of = (outcome) => (x) => x.requests[outcome];
    this.answers.update(h.OUTCOMES.map((outcome) => history.rates(of(outcome))));
    const quantile = (outcome, share) => history.quantile((x) => x.latency.outcomes[outcome].buckets, share, MINUTE);
    keyed(
      byId("answers"),
      h.OUTCOMES,
      (outcome) => outcome,
      (outcome) =>
        el(
          "tr",
          { class: `tone-${tones[outcome]}` },
          el("th", { scope: "row" }, el("i", { class: "swatch", "aria-hidden": "true" }), outcome, el("span", { class: "quiet aside" }, meaning[outcome])),
          ...Array.from({ length: 6 }, () => el("td", { class: "num" })),
        ),
      (row, outcome) => {
        const cells = [
          f.rate(history.rate(of(outcome))),
          f.percent(history.share(of(outcome), h.requests, MINUTE)),
          ...[0.5, 0.9, 0.99].map((share) => f.latency(quantile(outcome, share))),
          f.count(s.requests[outcome]),
        ];
        cells.forEach((text, i) => setText(row.cells[i + 1], text));
        row.classList.toggle("none", s.requests[outcome] === 0);
      },
    );
  }

  hottest(s) {
    const { pages, tags } = s.hottest;
    const bar = (share, most) => `${Math.max(1, (share / most) * 100).toFixed(1)}%`;
    // Where all are of one host, it is said once.
    const hosts = new Set(pages.map(({ url }) => url.split("/")[0]));
    setText(byId("pages-host"), hosts.size === 1 ? `on ${[...hosts][0]}` : "");
    const brief = (item) => (item.url && hosts.size === 1 ? item.url.slice(item.url.indexOf("/")) : (item.url ?? item.tag));
    const fill = (id, items, text, button) => {
      const most = items[0]?.share || 1;
      keyed(
        byId(id),
        items.slice(0, 10),
        text,
        (item) =>
          el("tr", {}, el("th", { scope: "row" }, el("span", { class: "bar-of" }), el("span", { class: "code", title: text(item) })), el("td", { class: "num" }), el("td", { class: "act" }, button(item))),
        (row, item) => {
          row.querySelector(".bar-of").style.width = bar(item.share, most);
          setText(row.querySelector(".code"), brief(item));
          setText(row.cells[1], f.percent(item.share));
        },
      );
      show(byId(`${id}-empty`), items.length === 0);
      show(byId(id).closest(".scroll"), items.length > 0);
    };
    const explain = ({ url }) => el("button", { type: "button", class: "link", onclick: () => this.actions.explain(url) }, "explain", el("span", { class: "unseen" }, ` ${url}`));
    const purge = ({ tag }) => el("button", { type: "button", class: "link", onclick: () => this.actions.purge(tag) }, "purge", el("span", { class: "unseen" }, ` ${tag}`));
    fill("pages", pages, (item) => item.url, explain);
    fill("tags", tags, (item) => item.tag, purge);
  }

  origins(history, s) {
    keyed(
      byId("origins"),
      Object.keys(s.origins).sort(),
      (name) => name,
      (name) => {
        const spark = el("div", { class: "spark" });
        const host = el(
          "article",
          { class: "origin", "aria-label": `Origin ${name}` },
          el("header", {}, el("h3", {}, name), el("span", { class: "badge" }), spark, el("p", { class: "quiet figures" })),
          el("ul", { class: "servers" }),
        );
        host.chart = new Sparkline(spark, { height: 22, name: `Requests to ${name} per second`, format: (v) => `${f.rate(v)} / s`, tone: "miss" });
        return host;
      },
      (host, name) => {
        const origin = s.origins[name];
        badge(host.querySelector(".badge"), origin.up ? "good" : "bad", origin.up ? "up" : "down");
        const failed = (x) => (x.origins[name]?.answers.error ?? 0) + (x.origins[name]?.answers["5xx"] ?? 0);
        const answers = (x) => h.answersOf(x.origins[name]);
        const quantile = (share) => history.quantile((x) => x.origins[name]?.latency.buckets ?? [], share, MINUTE);
        const parts = [
          `${f.rate(history.rate(answers))} / s`,
          `p50 ${f.latency(quantile(0.5))}`,
          `p99 ${f.latency(quantile(0.99))}`,
          `${f.percent(history.share(failed, answers, MINUTE))} failed`,
        ];
        if (origin.waiting > 0) parts.push(`${f.count(origin.waiting)} waiting`);
        setText(host.querySelector(".figures"), parts.join(" · "));
        host.chart.update(history.rates(answers));
        servers(host.querySelector(".servers"), origin.servers);
      },
    );
  }
}

/** Shares over ten seconds, where there were any requests. */
function ratios(history, part, all) {
  return history.series((a, b) => (all(b) > all(a) ? Math.min(1, Math.max(0, part(b) - part(a)) / (all(b) - all(a))) : null), 10);
}

function badge(element, kind, text) {
  setText(element, text);
  element.className = `badge ${kind}`;
}

function servers(list, servers) {
  keyed(
    list,
    servers,
    (server) => server.url,
    (server) => el("li", {}, el("span", { class: "code" }, server.url), el("span", { class: "badge" }), el("span", { class: "quiet" })),
    (row, server) => {
      const [kind, text] = !server.healthy
        ? ["bad", "unhealthy"]
        : server.breaker === "open"
          ? ["bad", "left alone"]
          : server.breaker === "half_open"
            ? ["fair", "on trial"]
            : ["good", "healthy"];
      badge(row.children[1], kind, text);
      const backup = server.backup ? "backup · " : "";
      setText(row.children[2], `${backup}${f.count(server.in_flight)} in flight · ${f.latency(server.latency_ms)} on average`);
    },
  );
}

function pairs(id, items) {
  keyed(
    byId(id),
    items,
    ([name]) => name,
    () => el("div", {}, el("dt"), el("dd", { class: "num" })),
    (row, [name, value, kind]) => {
      setText(row.firstChild, name);
      setText(row.lastChild, value);
      row.className = kind ?? "";
    },
  );
}

function reasons(s) {
  const most = s.not_stored[0]?.count || 1;
  keyed(
    byId("not-stored"),
    s.not_stored.slice(0, 8),
    (item) => item.reason,
    (item) =>
      el(
        "li",
        {},
        el("span", { class: "bar-of" }),
        el(
          "details",
          {},
          el("summary", {}, el("span", { class: "word" }, item.reason), el("span", { class: "num" })),
          el("p", {}, item.says ? [...marked(item.says), "."] : ""),
          item.advice ? el("p", { class: "advice" }, marked(item.advice)) : null,
        ),
      ),
    (row, item) => {
      row.querySelector(".bar-of").style.width = `${Math.max(1, (item.count / most) * 100).toFixed(1)}%`;
      setText(row.querySelector(".num"), f.count(item.count));
    },
  );
  show(byId("not-stored-empty"), s.not_stored.length === 0);
  pairs("stale", s.stale_served.map((item) => [item.why, f.count(item.count)]));
  show(byId("stale-empty"), s.stale_served.length === 0);
  pairs("refused", s.refused.slice(0, 6).map((item) => [item.reason, f.count(item.count)]));
  show(byId("refused-empty"), s.refused.length === 0);
}

// Of the whole process, beside what it may use; neither is known on every system.
function resident({ resident, limit }) {
  if (resident == null) return [];
  const share = limit ? resident / limit : 0;
  const text = limit ? `${f.bytes(resident)} of ${f.bytes(limit)}` : f.bytes(resident);
  return [["resident, whole process", text, share > 0.9 ? "bad" : share > 0.7 ? "fair" : ""]];
}

function fleet(history, s) {
  const { memory, shared } = s;
  pairs("memory", [
    ["stored variants", f.count(memory.entries)],
    ["being downloaded", f.bytes(memory.filling_bytes)],
    ...resident(memory),
    ["evicted for room", f.count(memory.evicted_size)],
    ["expired", f.count(memory.evicted_expired)],
    ["variants over the limit", f.count(memory.variants_dropped)],
  ]);
  show(byId("alone"), !shared);
  show(byId("fleet"), !!shared);
  if (!shared) return;
  const down = shared.state === "down" ? "bad" : shared.state === "degraded" ? "fair" : "good";
  const lag = shared.unsynced_s == null ? "never yet" : `${shared.unsynced_s.toFixed(1)} s ago`;
  const hitRatio = history.share((x) => x.shared?.hits ?? 0, (x) => (x.shared?.hits ?? 0) + (x.shared?.misses ?? 0), MINUTE);
  pairs("shared", [
    ["store", shared.state, down],
    ["purge log", shared.synced ? "in step" : "not in step", shared.synced ? "good" : "bad"],
    ["last in step", lag],
    ["purges that wait", f.count(shared.waiting_purges), shared.waiting_purges > 0 ? "fair" : ""],
    ["look-ups that hit, last minute", f.percent(hitRatio)],
    ["look-up takes", f.latency(shared.latency_ms)],
    ...Object.entries(shared.roles).map(([role, { connected, breaker_open }]) => [
      `${role} connections`,
      breaker_open ? "left alone" : f.count(connected),
      breaker_open ? "bad" : "",
    ]),
  ]);
  // Positions of the log begin with the store's milliseconds.
  const ms = (position) => Number(String(position).split("-")[0]);
  const newest = Math.max(0, ...shared.nodes.map((node) => ms(node.applied)));
  keyed(
    byId("nodes"),
    shared.nodes,
    (node) => node.name,
    (node) => el("tr", {}, el("th", { scope: "row" }, el("span", { class: "code" }, node.name), node.own ? el("span", { class: "quiet aside" }, "this node") : null), el("td", { class: "num" }), el("td", { class: "num" })),
    (row, node) => {
      const behind = newest - ms(node.applied);
      setText(row.cells[1], behind > 0 ? f.latency(behind) : "0");
      setText(row.cells[2], f.latency(node.silent_ms));
    },
  );
}

function purges(s) {
  keyed(
    byId("purges"),
    s.purges,
    (purge) => purge.id,
    (purge) => el("tr", {}, el("td", {}), el("td", { class: "code", title: `id ${purge.id}` }, purge.summary), el("td", {}, purge.mode), el("td", { class: "num" }), el("td", {}, purge.who)),
    (row, purge) => {
      const when = new Date(purge.when);
      setText(row.cells[0], f.clock(when));
      setAttribute(row.cells[0], "title", when.toLocaleString());
      const least = purge.matched_exact === false ? "≥ " : "";
      setText(row.cells[3], purge.matched == null ? "counting" : `${least}${f.count(purge.matched)}`);
    },
  );
  show(byId("purges-empty"), s.purges.length === 0);
  show(byId("purges").closest(".scroll"), s.purges.length > 0);
}
