"""Turns the outcome of a run into Markdown: medians with their spread, ratios of runs of the same round, and the aims."""

from statistics import median


class Told:
    """The outcome: {scenario: {server: {"rounds": [figures], "memory_mib": ...} or {"not": why}}}."""

    def __init__(self, outcome, titles, servers):
        self.outcome, self.titles, self.servers = outcome, titles, servers

    def rounds(self, scenario, server):
        """Rounds that are measurements, by number."""
        rounds = self.outcome.get(scenario, {}).get(server, {}).get("rounds", [])
        return {n: figures for n, figures in enumerate(rounds) if "invalid" not in figures}

    def middle(self, scenario, server, figure):
        values = [figures[figure] for figures in self.rounds(scenario, server).values()]
        return median(values) if values else None

    def ratio(self, scenario, mine, theirs, figure):
        """Of the same rounds only: what the machine did meanwhile hit both alike."""
        ours, others = self.rounds(scenario, mine), self.rounds(scenario, theirs)
        pairs = [ours[n][figure] / others[n][figure] for n in ours.keys() & others.keys() if others[n][figure]]
        return median(pairs) if pairs else None

    def spread(self, scenario, server, figure):
        """Half of what lies between the least and the most, as a share of the median."""
        values = [figures[figure] for figures in self.rounds(scenario, server).values()]
        return (max(values) - min(values)) / 2 / median(values) if len(values) > 1 and median(values) else None

    def of_kind(self, figure):
        """Scenarios that have this figure."""
        has = lambda scenario, server: any(figure in figures for figures in self.rounds(scenario, server).values())
        return [scenario for scenario, servers in self.outcome.items() if any(has(scenario, server) for server in servers)]

    def matrix(self, heading, scenarios, cell):
        """One row per scenario, one column per server; nothing where nothing was measured."""
        if not scenarios:
            return []
        lines = [f"**{heading}**", "", f"| | {' | '.join(self.servers)} |", "| --- |" + " ---: |" * len(self.servers)]
        for scenario in scenarios:
            cells = [cell(scenario, server) if self.rounds(scenario, server) else "–" for server in self.servers]
            lines.append(f"| {self.titles[scenario]} | {' | '.join(cells)} |")
        return [*lines, ""]

    def with_ratio(self, figure, form):
        """A cell: the median, its spread, and in brackets Larder's figure divided by it."""

        def cell(scenario, server):
            text = form.format(self.middle(scenario, server, figure))
            spread = self.spread(scenario, server, figure)
            text += f" ±{spread:.0%}" if spread is not None else ""
            ratio = None if server == "larder" else self.ratio(scenario, "larder", server, figure)
            return text if ratio is None else f"{text} ({ratio:.2f})"

        return cell

    def rows(self, heading, lines):
        """A matrix whose rows are figures of different scenarios: (title, scenario, cell)."""
        lines = [line for line in lines if any(self.rounds(line[1], server) for server in self.servers)]
        if not lines:
            return []
        out = [f"**{heading}**", "", f"| | {' | '.join(self.servers)} |", "| --- |" + " ---: |" * len(self.servers)]
        for title, scenario, cell in lines:
            cells = [cell(scenario, server) if self.rounds(scenario, server) else "–" for server in self.servers]
            out.append(f"| {title} | {' | '.join(cells)} |")
        return [*out, ""]

    def figure(self, name, form="{:,.0f}", factor=1.0):
        return lambda scenario, server: form.format(self.middle(scenario, server, name) * factor)

    def exceptions(self):
        """What did not take part, and rounds that are no measurements."""
        lines = []
        for scenario, servers in self.outcome.items():
            for server, what in servers.items():
                if "not" in what and server != "limit":
                    lines.append(f"* {self.titles[scenario]}: {server} {what['not']}")
                bad = sorted({figures["invalid"] for figures in what.get("rounds", []) if "invalid" in figures})
                if bad:
                    lines.append(f"* {self.titles[scenario]}: {server}: LEFT OUT: {'; '.join(bad)}")
        return lines


def tables(told):
    """All tables, as lines."""
    requests = told.of_kind("cpu_us")
    pair = lambda s, v: f"{told.middle(s, v, 'p50_us'):,.0f} / {told.middle(s, v, 'p99_us'):,.0f}"
    resident = lambda scenario, server: f"{told.outcome[scenario][server]['memory_mib']:,.0f}"
    rest = [
        ("cold: requests at the origin", "cold", told.figure("origin")),
        ("cold: last client done, s (origin: 1 s)", "cold", told.figure("last_s", "{:.2f}")),
        ("plain hits, paced: p99 / max, ms", "stale", lambda s, v: _pair_ms(told, s, v, "fresh")),
        ("at expiry, paced: p99 / max, ms", "stale", lambda s, v: _pair_ms(told, s, v, "stale")),
        ("at expiry: requests at the origin", "stale", told.figure("origin")),
        ("streaming, MB/s", "stream", told.with_ratio("mb_s", "{:,.0f}")),
        ("streaming, server CPU s/GiB", "stream", told.figure("cpu_s_gib", "{:.2f}")),
        ("streaming, memory growth, MiB", "stream", told.figure("growth_mib")),
        ("memory per object beyond body and header, bytes", "memory", told.figure("beyond")),
    ]
    return [
        *told.matrix("Server CPU, µs per request", requests, told.with_ratio("cpu_us", "{:.2f}")),
        *told.matrix("Requests per second", requests, told.with_ratio("rate", "{:,.0f}")),
        *told.matrix("Latency p50 / p99, µs", requests, pair),
        *told.matrix("Resident memory after it, MiB, cache files included", requests, resident),
        *told.rows("The rest", rest),
    ]


def _pair_ms(told, scenario, server, kind):
    return " / ".join(f"{told.middle(scenario, server, f'{kind}_{figure}') / 1000:.2f}" for figure in ("p99_us", "max_us"))


# The aims: (what, how it is measured, the bound, whether less is better). "As good as" allows a tenth where the figure is noisy.
def _against(scenario, figure, peer):
    return lambda told: told.ratio(scenario, "larder", peer, figure)


def _against_best(scenario, figure, less=True):
    """The peer that does best, by median; the limit is no peer."""

    def measure(told):
        peers = [s for s in told.servers if s not in ("larder", "beside", "limit", "nginx-nopush")]
        figures = {s: value for s in peers if (value := told.middle(scenario, s, figure)) is not None}
        best = (min if less else max)(figures, key=figures.get, default=None)
        return None if best is None else told.ratio(scenario, "larder", best, figure)

    return measure


def _own(numerator, denominator, factor=1.0):
    """Two figures of Larder's: each (scenario, figure)."""

    def measure(told):
        values = [told.middle(scenario, "larder", figure) for scenario, figure in (numerator, denominator)]
        return None if None in values or not values[1] else factor * values[0] / values[1]

    return measure


def _alone(scenario, figure):
    return lambda told: told.middle(scenario, "larder", figure)


def aims():
    cpu = "cpu_us"
    small = [
        (f"{title}: CPU / {peer}", _against(scenario, cpu, peer), bound, True)
        for scenario, title in (("hit-1k", "hit 1 KiB"), ("vary-1k", "with Vary"))
        for peer, bound in (("limit", 1.15), ("haproxy", 0.60), ("nginx", 0.55), ("varnish", 0.35))
    ]
    return [
        *small,
        ("hit 16 KiB: CPU / limit", _against("hit-16k", cpu, "limit"), 1.15, True),
        ("hit 128 KiB: CPU / best peer", _against_best("hit-128k", cpu), 1.0, True),
        ("zipf: CPU / haproxy", _against("zipf", cpu, "haproxy"), 0.65, True),
        ("zipf: CPU / own hit 1 KiB", _own(("zipf", cpu), ("hit-1k", cpu)), 1.4, True),
        ("304: CPU / nginx", _against("304", cpu, "nginx"), 0.65, True),
        ("range: CPU / nginx", _against("range", cpu, "nginx"), 0.60, True),
        ("pass-through: CPU / nginx", _against("pass", cpu, "nginx"), 1.0, True),
        ("TLS: CPU / nginx", _against("tls", cpu, "nginx"), 0.85, True),
        ("HTTP/2: CPU / best peer", _against_best("h2c", cpu), 1.0, True),
        ("HTTP/2 over TLS: CPU / best peer", _against_best("h2-tls", cpu), 1.0, True),
        ("work of all cores / of one", _scaling, "cores", False),
        (
            "stale-while-revalidate: p99 at expiry / of plain hits",
            _own(("stale", "stale_p99_us"), ("stale", "fresh_p99_us")), 1.1, True,
        ),
        ("cold: requests at the origin", _alone("cold", "origin"), 1, True),
        ("cold: last client, of the origin's time", _alone("cold", "last_s"), 1.1, True),
        ("streaming: MB/s / best peer", _against_best("stream", "mb_s", less=False), 1.0, False),
        ("streaming: memory growth, MiB", _alone("stream", "growth_mib"), 16, True),
        ("memory per object beyond body and header, bytes", _alone("memory", "beyond"), 300, True),
    ]


def _scaling(told):
    """By CPU: so many cores' worth of requests at what one costs there, over one core at what one costs when alone."""
    one, all_of_them = told.middle("hit-1k", "larder", "cpu_us"), told.middle("all-cores", "larder", "cpu_us")
    return told.cores * one / all_of_them if one and all_of_them else None


def aims_table(told):
    lines = []
    for title, measure, bound, less in aims():
        bound = 0.95 * told.cores if bound == "cores" else bound
        value = measure(told)
        if value is None:
            continue
        kept = value <= bound if less else value >= bound
        lines.append(f"| {title} | {value:,.2f} | {'≤' if less else '≥'} {bound:g} | {'yes' if kept else '**no**'} |")
    return ["**Aims**", "", "| | measured | aim | kept |", "| --- | ---: | ---: | --- |", *lines, ""] if lines else []
