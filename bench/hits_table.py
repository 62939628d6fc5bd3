"""Turns the raw runs of bench/hits into a Markdown table: medians of the rounds, ratios of runs of the same round."""

import sys
from collections import defaultdict
from statistics import median
from typing import NamedTuple


class Run(NamedTuple):
    rate: float  # requests/s
    p50: float  # µs
    p99: float  # µs
    cpu: float  # server CPU, µs per request
    invalid: str  # why this is no measurement of hits, or empty


def read(path):
    """{(size, headers): {server: {round: Run}}}, in the order of the file."""
    cases = defaultdict(lambda: defaultdict(dict))
    with open(path, encoding="ascii") as lines:
        for line in lines:
            size, headers, number, server, *figures = line.split()
            requests, duration, errors, p50, p99, cpu_ns, asked = map(int, figures)
            invalid = []
            if errors:
                invalid.append(f"{errors} errors")
            if asked:
                invalid.append(f"origin asked {asked} times")
            if not requests:
                invalid.append("no request")
            run = Run(
                requests / max(duration, 1) * 1e6,
                p50,
                p99,
                cpu_ns / 1000 / max(requests, 1),
                ", ".join(invalid),
            )
            cases[int(size), headers][server][int(number)] = run
    return cases


def row(case, server, runs, base):
    size, headers = case
    mid = lambda field: median(getattr(run, field) for run in runs.values())

    def ratio(field):
        # Of the same round only: what the machine did meanwhile hit both alike.
        pairs = [(getattr(run, field), getattr(base[n], field)) for n, run in runs.items() if n in base]
        ratios = [mine / theirs for mine, theirs in pairs if theirs]
        return f" ({median(ratios):.2f})" if ratios else ""

    name = f"{size // 1024} KiB" + (", browser headers" if headers == "browser" else "")
    problems = sorted({run.invalid for run in runs.values() if run.invalid})
    cells = [
        name,
        server,
        f"{mid('rate'):,.0f}{ratio('rate')}",
        f"{mid('p50'):,.0f}{ratio('p50')}",
        f"{mid('p99'):,.0f}{ratio('p99')}",
        f"{mid('cpu'):.2f}{ratio('cpu')}",
        "; ".join(problems) if problems else "0",
    ]
    return "| " + " | ".join(cells) + " |"


def main(path):
    cases = read(path)
    print("In brackets: the ratio to nginx, median over the rounds.\n")
    print("| hit | server | requests/s | p50 µs | p99 µs | server CPU µs/request | origin requests, errors |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    invalid = False
    for case, servers in cases.items():
        for server, runs in servers.items():
            base = {} if server == "nginx" else servers.get("nginx", {})
            print(row(case, server, runs, base))
            invalid |= any(run.invalid for run in runs.values())
    if invalid:
        print("\nNot every row is a measurement of hits alone: see its last column.")


if __name__ == "__main__":
    main(sys.argv[1])
