"""Every expression of the Grafana dashboard parses, and it and the alert rules name only metrics, labels and label values that a running
Larder has; every family is on the dashboard.

  metrics.py LARDER
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

import promql_parser
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}
# What Prometheus adds, or others measure.
OTHERS = {"up"}
TARGET = {"job", "instance"}

CONFIG = """
server: { listen: [{ address: 127.0.0.1:0 }] }
admin: { address: 127.0.0.1:0 }
origins: { app: { servers: [demo] } }
# Nobody is there: the families of the fleet are.
shared: { url: redis://127.0.0.1:1 }
log: { access: off, level: error }
"""


def scrape(larder):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(CONFIG)
        config.flush()
        process = subprocess.Popen([larder, "serve", "-c", config.name], stderr=subprocess.PIPE, text=True)
        try:
            admin = next(line.split()[-1] for line in process.stderr if line.startswith("larder: admin on "))
            with urllib.request.urlopen(f"{admin}/metrics", timeout=10) as answer:
                return answer.read().decode()
        finally:
            process.terminate()
            process.wait()


def series(text):
    """Names that can be asked for, each with its labels and their values so far."""
    known = {}
    for family, kind in re.findall(r"^# TYPE (\S+) (\w+)$", text, re.M):
        known |= {family + suffix: {} for suffix in SUFFIXES[kind]}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} ", text, re.M):
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            known[name].setdefault(label, set()).add(value)
    # A family without children shows nothing yet; the sources name it.
    for source in (ROOT / "src/observe").glob("*.rs"):
        for family in re.findall(r'register\(\s*"((?:larder|process)_\w+)"', source.read_text()):
            if not any(family + suffix in known for suffix in ("", "_total", "_bucket")):
                known[family + "_total"] = None
    return known


def selectors(expression):
    """Names and matchers of every selector."""
    parsed = str(promql_parser.parse(re.sub(r"\$__(rate_interval|interval|range)\b", "5m", expression)))
    for name, matchers in re.findall(r"\b([a-zA-Z_:][\w:]*)\{([^}]*)\}", parsed):
        yield name, re.findall(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"', matchers)


def wrong(expression, known, recorded):
    for name, matchers in selectors(expression):
        if name in OTHERS or name in recorded:
            continue
        if name not in known:
            yield f"{name}: there is no such metric"
            continue
        for label, operator, value in matchers:
            if label in TARGET or known[name] is None:
                continue
            values = known[name].get(label)
            if values is None:
                yield f"{name}: there is no label {label}"
            elif operator == "=" and value not in values:
                yield f"{name}: {label} is never {value}"
            elif operator == "=~":
                for one in value.split("|"):
                    if not any(re.fullmatch(one, has) for has in values):
                        yield f"{name}: {label} is never {one}"


def grouped(expression, known):
    """Labels that are grouped by or joined on must be some metric's."""
    labels = {label for has in known.values() if has for label in has} | TARGET
    for inside in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
        for label in filter(None, (word.strip() for word in inside.split(","))):
            if label not in labels and label not in {"le", "event"}:
                yield f"no metric has the label {label}"


def main(larder):
    known = series(scrape(larder))
    rules = [rule for group in yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    expressions = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules]

    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/larder.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels), "two panels with one id"
    shown = []
    for panel in panels:
        assert panel["type"] == "row" or panel.get("description"), f"{panel['title']}: says nothing about itself"
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, f"{panel['title']}: wider than the page"
        shown += [(panel["title"], target["expr"]) for target in panel.get("targets", [])]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps([panels, dashboard["templating"]])))
    assert used <= variables, f"variables that are not there: {used - variables}"

    problems = [f"{where}: {what}" for where, expr in expressions + shown for what in wrong(expr, known, recorded)]
    problems += [f"{where}: {what}" for where, expr in expressions + shown for what in grouped(expr, known)]
    asked = " ".join(expr for _, expr in shown)
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in known}
    problems += [f"{family} is on no panel" for family in sorted(families) if not re.search(rf"\b{family}(_bucket)?\b", asked)]
    assert len(families) > 25 and shown, "that can't be all"
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main(sys.argv[1])
