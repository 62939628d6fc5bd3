"""A fleet on loopback for the benches: a store, the sample origin and nodes, each a process of its own; all end with it."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

LARDER = os.environ.get("LARDER_BIN", "target/release/larder")


def store_program():
    for name in (os.environ.get("STORE_BIN"), os.environ.get("LARDER_VALKEY"), "valkey-server", "redis-server"):
        if name and shutil.which(name):
            return shutil.which(name)
    raise SystemExit("missing: valkey-server or redis-server (STORE_BIN=...)")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def quantile(values, share):
    return sorted(values)[round((len(values) - 1) * share)]


class Node:
    def __init__(self, fleet, number, memory):
        self.name, self.port, self.admin_port = f"node{number}", free_port(), free_port()
        file = f"{fleet.dir}/{self.name}.yaml"
        with open(file, "w") as config:
            config.write(
                f"server: {{ listen: [{{ address: '127.0.0.1:{self.port}' }}], name: {self.name} }}\n"
                f"admin: {{ address: '127.0.0.1:{self.admin_port}' }}\nlog: {{ access: off, level: error }}\n"
                f"origins: {{ app: {{ servers: ['http://127.0.0.1:{fleet.origin_port}'] }} }}\n"
                f"memory: {{ capacity: {memory} }}\n"
                f"shared: {{ url: 'redis://127.0.0.1:{fleet.store_port}', timeout: 1s, {fleet.shared} }}\n"
                f"rules: [{{ name: all, origin: app, ttl: 1h }}]\n"
            )
        fleet.run([LARDER, "serve", "-c", file])
        self.public = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        self.admin = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=30)
        fleet.until(lambda: accepts(self.admin_port) and accepts(self.port), f"{self.name} accepts")

    def get(self, path):
        """Seconds until the whole answer is there, and its Cache-Status."""
        begin = time.perf_counter()
        self.public.request("GET", path, headers={"Host": "bench.example"})
        answer = self.public.getresponse()
        answer.read()
        took = time.perf_counter() - begin
        assert answer.status == 200, answer.status
        return took, answer.getheader("Cache-Status", "")

    def purge(self, tags, wait="fleet"):
        """Seconds until the receipt is there, and the receipt."""
        body = json.dumps({"tags": tags, "wait": wait})
        begin = time.perf_counter()
        self.admin.request("POST", "/purge", body, {"content-type": "application/json"})
        answer = self.admin.getresponse()
        receipt = json.loads(answer.read())
        return time.perf_counter() - begin, answer.status, receipt

    def metric(self, start):
        self.admin.request("GET", "/metrics")
        text = self.admin.getresponse().read().decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(start))


def accepts(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Fleet:
    def __init__(self, nodes, memory="256MiB", shared="max_unsynced: 10s"):
        if not os.access(LARDER, os.X_OK):
            raise SystemExit(f"missing: {LARDER} (cargo build --release)")
        self.processes, self.dir, self.shared = [], tempfile.mkdtemp(), shared
        self.store_port, self.origin_port = free_port(), free_port()
        self.store = store_program()
        try:
            options = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir", self.dir]
            self.run([self.store, "--port", str(self.store_port), *options])
            self.run([LARDER, "demo-origin", "--listen", f"127.0.0.1:{self.origin_port}"])
            self.until(lambda: accepts(self.store_port) and accepts(self.origin_port), "store and origin accept")
            memories = memory if isinstance(memory, list) else [memory] * nodes
            self.nodes = [Node(self, number + 1, memories[number]) for number in range(nodes)]
            self.until(self.assembled, "the nodes know each other")
        except BaseException:
            self.end()
            raise

    def run(self, command):
        self.processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def until(self, holds, what):
        deadline = time.monotonic() + 20
        while not holds():
            if time.monotonic() > deadline:
                raise SystemExit(f"not within 20 s: {what}")
            time.sleep(0.02)

    def assembled(self):
        return all(node.purge(["nothing"])[2]["nodes"]["applied"] == len(self.nodes) for node in self.nodes)

    def end(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
