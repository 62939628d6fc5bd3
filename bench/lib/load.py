"""The load generators: wrk for HTTP/1.1, h2load for HTTP/2, and our own clients (bench/clients.rs) for the rest."""

import http.client
import json
import os
import random
import re
import ssl
import subprocess
from pathlib import Path
from statistics import quantiles

from .machine import Failed, prepare
from .peers import Larder, which

HERE = Path(__file__).parent
EXAMPLES = Path(Larder.tool).parent / "examples"

# What a browser sends with a navigation.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.7",
    "Referer": "https://shop.example.com/products?page=3&sort=price",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Sec-CH-UA": '"Chromium";v="131", "Not_A Brand";v="24"',
    "Upgrade-Insecure-Requests": "1",
}
AT_ONCE = 64  # requests under way, per core of the load


def run(command, cores, seconds):
    """The output of a load generator that may take this long and a little more."""
    try:
        done = subprocess.run(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=seconds, preexec_fn=prepare(cores),
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{Path(command[0]).name} took longer than {seconds} s") from error
    if done.returncode:
        raise Failed(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def wrk(url, headers, cores, seconds, *files):
    """{requests, seconds, errors, p50_us, p99_us} of so many seconds, and with `files` of many paths (wrk.lua)."""
    threads = len(cores)
    command = [which("wrk"), f"-t{threads}", f"-c{AT_ONCE * threads}", f"-d{seconds}s", "-s", HERE / "wrk.lua"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    said = run([*command, url, *(["--", *files] if files else [])], cores, seconds + 30)
    result = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\d+)$", said, re.MULTILINE)
    if not result:
        raise Failed(f"wrk gave no result: {said.strip()[-300:]}")
    requests, micros, errors, p50, p99 = map(int, result.groups())
    return {"requests": requests, "seconds": micros / 1e6, "errors": errors, "p50_us": p50, "p99_us": p99}


def h2load(url, headers, cores, seconds, log):
    """The same over HTTP/2: 8 connections with 8 streams each. `log` is a file for the time of each request."""
    Path(log).unlink(missing_ok=True)
    command = [which("h2load"), "-t1", "-c8", f"-m{AT_ONCE // 8}", f"-D{seconds}", f"--log-file={log}"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    said = run([*command, url], cores, seconds + 30)
    counts = re.search(r"(\d+) total, .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", said)
    fine = re.search(r"status codes: (\d+) 2xx", said)
    if not counts or not fine:
        raise Failed(f"h2load gave no result: {said.strip()[-300:]}")
    done, failed = int(counts[2]), sum(int(counts[n]) for n in (4, 5, 6))
    times = [int(line.split()[2]) for line in Path(log).read_text().splitlines() if line.count("\t") >= 2]
    shares = quantiles(times, n=100) if len(times) > 1 else [0] * 99
    # What is still under way when the time is over is neither done nor wrong.
    errors = failed + max(0, done - int(fine[1]))
    body = re.search(r"\((\d+)\) data", said)
    return {
        "requests": done, "seconds": float(seconds), "errors": errors, "p50_us": shares[49], "p99_us": shares[98],
        "body": int(body[1]) / max(done, 1) if body else 0,
    }


def clients(kind, port, *arguments, cores, seconds):
    """Our own clients; what they print (see there)."""
    return json.loads(run([EXAMPLES / "clients", kind, f"127.0.0.1:{port}", *arguments], cores, seconds))


def zipf(paths, directory, draws=500_000, exponent=0.99):
    """Two files for wrk.lua: the paths, and draws of them; the same draws each time."""
    weights = [1 / rank**exponent for rank in range(1, len(paths) + 1)]
    chosen = random.Random(20261124).choices(range(1, len(paths) + 1), weights, k=draws)
    files = Path(directory, "paths"), Path(directory, "draws")
    for file, lines in zip(files, (paths, chosen)):
        file.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    return files


def ask(port, path, headers=None, secure=False):
    """One request on a connection of its own: (status, headers, body)."""
    if secure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict((name.lower(), value) for name, value in answer.getheaders()), answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"no answer to {path}: {error or type(error).__name__}") from error
    finally:
        connection.close()


def missing():
    """Tools without which nothing goes."""
    lacking = [tool for tool in ("wrk", "h2load", "openssl") if not which(tool)]
    for example in ("origin", "clients"):
        if not os.access(EXAMPLES / example, os.X_OK):
            lacking.append(f"{EXAMPLES / example} (cargo build --release --example {example})")
    return lacking
