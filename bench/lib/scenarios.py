"""What is asked of the servers. Each scenario says why a server can't take part, or returns one round's figures.

A round's figures are a dictionary; `invalid`, where it is there, says why they are no measurement of what was meant.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from . import load
from .load import AT_ONCE, BROWSER
from .machine import Failed, Growth, Process, cpu_seconds, free_ports
from .peers import MIB, Limit, Setting


class Origin:
    """bench/origin.rs, and its count, which proves that hits are hits."""

    def __init__(self, directory, cores):
        self.port = free_ports(1)[0]
        command = [load.EXAMPLES / "origin", f"127.0.0.1:{self.port}"]
        self.process = Process("origin", command, cores, self.port, directory / "origin.out")

    def quiet(self):
        """The count, once nobody asks any more on account of what was before."""
        before = self.count()
        for _ in range(100):
            time.sleep(0.02)
            if (now := self.count()) == before:
                break
            before = now
        return before

    def count(self):
        return int(load.ask(self.port, "/count")[1]["count"])

    def head(self, path):
        """Bytes of the response head as it stands on the wire."""
        return load.clients("stream", self.port, path, cores={0}, seconds=30)["head"]

    def stop(self):
        self.process.stop()


class Bench:
    """The running servers of one phase, and how long to ask them."""

    def __init__(self, options, work, shm, tls, files):
        self.options, self.work, self.shm, self.tls, self.files = options, work, shm, tls, files
        self.servers, self.origin, self.ciphers = [], None, {}
        self.absent = {}  # name: why a server could not be started
        self.load_cores = set()

    def say(self, text):
        print(f"bench/compare: {text}", file=sys.stderr, flush=True)

    @contextmanager
    def phase(self, peers, server_cores, load_cores, memory, objects):
        """Servers on these cores, origin and load on those; gone afterwards, whatever happens."""
        self.servers, self.load_cores = [], load_cores
        self.origin = Origin(self.work, load_cores)
        with ExitStack() as running:
            running.callback(self.origin.stop)
            setting = Setting(
                self.work, self.shm, server_cores, len(server_cores), self.origin.port, self.tls, memory, objects, self.files
            )
            for peer in peers:
                try:
                    server = peer(setting)
                except (Failed, OSError) as error:
                    if peer.name == "larder":
                        raise
                    self.absent[peer.name] = str(error)
                    self.say(f"goes on without {peer.name}: {error}")
                    continue
                running.callback(server.stop)
                self.servers.append(server)
            yield


class Scenario:
    """`play` does the rest; `phase` is one, all (cores) or memory."""

    phase = "one"
    ROUNDS = 99  # at most

    def __init__(self, name, title):
        self.name, self.title = name, title

    def prepare(self, bench, server):
        """Fills and checks; returns why the server can't take part, or None."""
        raise NotImplementedError

    def measure(self, bench, server, number):
        raise NotImplementedError

    def play(self, bench):
        """{server: {"rounds": [figures]} or {"not": why}}, in the order of the servers."""
        outcome, able = {}, []
        for server in bench.servers:
            try:
                why = self.prepare(bench, server)
            except Failed as error:
                why = str(error)
            outcome[server.name] = {"not": why} if why else {"rounds": []}
            if not why:
                able.append(server)
        for number in range(min(self.ROUNDS, bench.options.rounds) if able else 0):
            # Whoever comes later may find a warmer or a hotter machine: take turns.
            turn = number % len(able)
            for server in able[turn:] + able[:turn]:
                try:
                    figures = self.measure(bench, server, number)
                except Failed as error:
                    figures = {"invalid": str(error)}
                outcome[server.name]["rounds"].append(figures)
        for server in able:
            outcome[server.name]["memory_mib"] = server.memory() / MIB
        return outcome


class Requests(Scenario):
    """The same request over and over, or many by popularity: server CPU per request, rate, latency."""

    def __init__(self, name, title, path, *, scheme="http", plain=False, more=None, status=200, objects=0, phase="one", hits=True):
        super().__init__(name, title)
        self.path, self.scheme, self.status, self.objects, self.phase, self.hits = path, scheme, status, objects, phase, hits
        self.headers = {**({} if plain else BROWSER), **(more or {})}
        self.files = ()

    def answers(self, bench):
        """What the limit program is to say: (path, status, bytes)."""
        if self.objects:
            return [(path, 200, 1024) for path in self.paths(bench)]
        size = int(self.path.split("/")[2])
        return [(self.path, self.status, {200: size, 206: 1024, 304: 0}[self.status])]

    def paths(self, bench):
        return [f"{self.path}{n}" for n in range(bench.options.objects)]

    def prepare(self, bench, server):
        if self.scheme not in server.speaks:
            return f"does not speak {self.scheme}"
        if server.name == "limit" and not self.hits:
            return "has no origin"
        secure = self.scheme in ("https", "h2")
        if secure:
            bench.ciphers[server.name] = server.cipher()
        if self.objects:
            return self._fill(bench, server)
        if server.name == "limit":
            return None
        # In the clear HTTP/2 comes from h2load alone, whose answers it counts by status.
        port = server.ports["http" if self.scheme == "h2c" else "h2" if self.scheme == "h2" else self.scheme]
        plain = {name: value for name, value in self.headers.items() if name not in ("Range", "If-None-Match")}
        true_status, _, true_body = load.ask(bench.origin.port, self.path, plain)
        for _ in range(5 if self.hits else 1):
            status, fields, body = load.ask(port, self.path, plain, secure)
            if status != true_status or body != true_body or fields.get("etag") != f'"{self.path}"':
                return f"answers with status {status} and {len(body)} bytes, or others than the origin's"
        if self.status != 200:
            status, fields, body = load.ask(port, self.path, self.headers, secure)
            if status != self.status:
                return f"answers {status}"
            if status == 304 and "content-length" in fields:
                return "says in its 304 how long the body would be, and wrk waits for it"
            if status == 206 and body != true_body[1024:2048]:
                return "answers with another range"
        if self.scheme in ("h2c", "h2"):
            # Some keys tell the listeners apart, so this port too wants filling.
            load.h2load(server.url(self.scheme, self.path), self.headers, bench.load_cores, 1, bench.shm / "h2load.log")
        return None

    def _fill(self, bench, server):
        if not self.files:
            self.files = load.zipf(self.paths(bench), bench.work)
        if server.name == "limit":
            return None
        filled = load.clients(
            "fill", server.ports["http"], self.path, bench.options.objects, 32, cores=bench.load_cores, seconds=300
        )
        if filled["errors"]:
            return f"filling failed: {filled['error']}"
        # Asks for each again, in another order: whatever warms with use is warm.
        load.wrk(server.url("http", self.path), self.headers, bench.load_cores, 1, *self.files)
        return None

    def measure(self, bench, server, _):
        url, seconds = server.url(self.scheme, self.path), bench.options.seconds
        asked, cpu = bench.origin.quiet(), server.process.cpu()
        if self.scheme in ("h2c", "h2"):
            log = bench.shm / "h2load.log"
            figures = load.h2load(url, self.headers, bench.load_cores, seconds, log)
        else:
            figures = load.wrk(url, self.headers, bench.load_cores, seconds, *self.files)
        cpu, asked = cpu_seconds(cpu, server.process.cpu()), bench.origin.count() - asked
        requests = figures["requests"]
        problems = [f"{figures['errors']} errors"] if figures["errors"] else []
        if not requests:
            problems.append("no request")
        elif self.hits and asked:
            problems.append(f"the origin was asked {asked} times")
        elif "body" in figures and abs(figures["body"] / self.answers(bench)[0][2] - 1) > 0.02:
            problems.append(f"bodies of {figures['body']:.0f} bytes on average")
        elif not self.hits and asked < requests:
            problems.append(f"{requests} requests, of which the origin saw {asked}")
        figures |= {
            "rate": requests / figures["seconds"], "cpu_us": cpu * 1e6 / max(requests, 1), "origin": asked,
        }
        return figures | ({"invalid": ", ".join(problems)} if problems else {})


class Cold(Scenario):
    """All clients at once on what nobody has asked for yet."""

    TAKES = 1.0  # s, the origin's time
    ROUNDS = 3

    def prepare(self, bench, server):
        return "has no origin" if server.name == "limit" else None

    def measure(self, bench, server, number):
        asked = bench.origin.quiet()
        path = f"/slow/16384/{self.TAKES * 1000:.0f}/cold-{server.name}-{number}"
        said = load.clients("cold", server.ports["http"], path, bench.options.clients, cores=bench.load_cores, seconds=60)
        figures = {"last_s": said["last_s"] or 0.0, "origin": bench.origin.count() - asked, "answered": said["answered"]}
        problems = [f"{said['errors']} errors ({said['error']})"] if said["errors"] else []
        if said["lengths"] != 1:
            problems.append("bodies of different lengths")
        return figures | ({"invalid": ", ".join(problems)} if problems else {})


class Stale(Scenario):
    """Paced requests to objects that go stale each second, may be served stale, and take the origin 100 ms; and to fresh ones."""

    # One client that has to wait at each expiry of each object would be 1.6 % of all requests: enough to be the p99.
    OBJECTS, CLIENTS, RATE = 64, 32, 4000

    ROUNDS = 2

    def prepare(self, bench, server):
        return "has no origin" if server.name == "limit" else None

    def _paced(self, bench, server, path, seconds):
        said = load.clients(
            "paced", server.ports["http"], path, self.OBJECTS, self.CLIENTS, self.RATE, seconds,
            cores=bench.load_cores, seconds=seconds + 60,
        )
        if said["errors"]:
            raise Failed(f"{said['errors']} errors ({said['error']})")
        return said

    def measure(self, bench, server, number):
        seconds = 2 if bench.options.quick else 4
        fresh = self._paced(bench, server, "/o/1024/paced-", seconds // 2)
        asked = bench.origin.quiet()
        stale = self._paced(bench, server, f"/swr/1024/100/paced-{number}-", seconds)
        asked = bench.origin.count() - asked
        kinds = {"fresh": fresh, "stale": stale}
        figures = {f"{kind}_{key}": said[key] for kind, said in kinds.items() for key in ("p50_us", "p99_us", "max_us")}
        # First fills and, after a second each, refreshes: without any of these nothing went stale.
        problem = {} if asked > self.OBJECTS else {"invalid": "nothing went stale"}
        return figures | {"origin": asked, "requests": stale["requests"]} | problem


class Stream(Scenario):
    """One long body that is not stored, to one client."""

    ROUNDS = 3

    def prepare(self, bench, server):
        return "has no origin" if server.name == "limit" else None

    def measure(self, bench, server, _):
        size = bench.options.stream
        with Growth(server.process) as growth:
            cpu = server.process.cpu()
            said = load.clients("stream", server.ports["http"], f"/pass/{size}/stream", cores=bench.load_cores, seconds=120)
            cpu = cpu_seconds(cpu, server.process.cpu())
        figures = {
            "mb_s": said["bytes"] / said["seconds"] / 1e6, "cpu_s_gib": cpu / (size / 2**30), "growth_mib": growth.most / MIB,
        }
        return figures if said["bytes"] == size else figures | {"invalid": f"{said['bytes']} of {size} bytes"}


class Memory(Scenario):
    """What an object of 1 KiB takes beyond its body and its header, with so many of them stored."""

    phase = "memory"
    SIZE = 1024

    def play(self, bench):
        """All at the same time: it is not time that is measured."""
        able = [server for server in bench.servers if not server.preallocated]
        outcome = {server.name: {"not": "takes its memory at start"} for server in bench.servers if server.preallocated}
        with ThreadPoolExecutor(max(1, len(able))) as pool:
            for server, filled in [(server, pool.submit(self._fill, bench, server)) for server in able]:
                try:
                    outcome[server.name] = {"rounds": [filled.result()], "memory_mib": server.memory() / MIB}
                except Failed as error:
                    outcome[server.name] = {"not": str(error)}
        # Only now that nobody fills any more, the origin's count tells what was kept.
        for server in able:
            for figures in outcome[server.name].get("rounds", []):
                if not self._kept(bench, server):
                    figures["invalid"] = "not all objects were stored any more"
        return outcome

    def _fill(self, bench, server):
        count, cores = bench.options.memory_objects, bench.load_cores
        port, path = server.ports["http"], self._path(server)
        load.clients("fill", port, f"{path}warm-", 500, 16, cores=cores, seconds=60)
        before = server.memory()
        said = load.clients("fill", port, path, count, 16, cores=cores, seconds=900)
        if said["errors"]:
            raise Failed(f"{said['errors']} errors ({said['error']})")
        time.sleep(1)  # what is still being tidied up
        taken = server.memory() - before
        head = bench.origin.head(f"{path}0")
        return {"beyond": taken / count - self.SIZE - head, "head": head, "objects": count, "fill_s": said["seconds"]}

    def _kept(self, bench, server):
        asked, count = bench.origin.count(), bench.options.memory_objects
        for n in range(0, count, max(1, count // 200)):
            load.ask(server.ports["http"], f"{self._path(server)}{n}")
        return bench.origin.count() == asked

    def _path(self, server):
        return f"/o/{self.SIZE}/{server.name}-"


def catalogue():
    """All there is, in the order in which it runs."""
    etag = '"/o/1024/cond"'
    return [
        Requests("hit-1k", "hit 1 KiB", "/o/1024/hit"),
        Requests("hit-1k-bare", "hit 1 KiB, no browser headers", "/o/1024/hit", plain=True),
        Requests("vary-1k", "hit 1 KiB with Vary", "/vary/1024/hit"),
        Requests("hit-16k", "hit 16 KiB", "/o/16384/hit"),
        Requests("hit-16k-bare", "hit 16 KiB, no browser headers", "/o/16384/hit", plain=True),
        Requests("hit-128k", "hit 128 KiB", "/o/131072/hit"),
        Requests("hit-128k-bare", "hit 128 KiB, no browser headers", "/o/131072/hit", plain=True),
        Requests("zipf", "zipf over many objects of 1 KiB", "/o/1024/z", objects=True),
        Requests("304", "conditional, 304", "/o/1024/cond", more={"If-None-Match": etag}, status=304),
        Requests("range", "range, 1 KiB of 16", "/o/16384/range", more={"Range": "bytes=1024-2047"}, status=206),
        Requests("pass", "uncacheable 1 KiB, passed through", "/pass/1024/x", hits=False),
        Requests("tls", "hit 1 KiB, TLS", "/o/1024/hit", scheme="https"),
        Requests("h2c", "hit 1 KiB, HTTP/2", "/o/1024/hit", scheme="h2c"),
        Requests("h2-tls", "hit 1 KiB, HTTP/2 over TLS", "/o/1024/hit", scheme="h2"),
        Cold("cold", "many clients on one cold object"),
        Stale("stale", "stale-while-revalidate"),
        Stream("stream", "one long body, not stored"),
        Requests("all-cores", "hit 1 KiB, all cores shared with the load", "/o/1024/hit", phase="all"),
        Memory("memory", "memory per object of 1 KiB"),
    ]


# Not run unless asked for by name.
ON_DEMAND = {"hit-1k-bare", "hit-16k-bare", "hit-128k-bare"}


def list_answers(bench, scenarios):
    """Tells the limit program, which starts later, what it will be asked."""
    Limit.answers = [answer for s in scenarios if isinstance(s, Requests) and s.hits for answer in s.answers(bench)]

