"""Processes: started pinned, measured through /proc, and gone when we are. And what machine this is."""

import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """Something that was started did not do what it is for; the text is for the person at the terminal."""


def free_ports(count):
    """Ports that were free a moment ago, all held at once so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def raise_open_files(wanted):
    """As many descriptors as we may have, for us and those that we start. Returns how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for soft, limit in ((wanted, max(wanted, hard)), (min(wanted, hard), hard)):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, limit))
            return soft
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def prepare(cores):
    """For `preexec_fn`: on these cores, and not outliving us even if we are killed."""

    def in_child():
        os.sched_setaffinity(0, cores)
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return in_child


def children(pid):
    """`pid` and all that descend from it."""
    found, at = [pid], 0
    while at < len(found):
        for task in Path(f"/proc/{found[at]}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, task.read_text().split())
        at += 1
    return found


class Process:
    """One server with its children."""

    def __init__(self, name, command, cores, port, log, env=None):
        """Starts it and waits until it listens on `port`."""
        self.name, self.log = name, Path(log)
        with open(log, "wb") as out:
            self.popen = subprocess.Popen(
                list(map(str, command)), stdout=out, stderr=out, stdin=subprocess.DEVNULL, preexec_fn=prepare(cores),
                start_new_session=True, env=env,
            )
        try:
            self._until_open(port)
        except BaseException:
            self.stop()
            raise

    def _until_open(self, port):
        for _ in range(300):
            if self.popen.poll() is not None:
                raise Failed(f"{self.name} ended at start: {self.last_words()}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        raise Failed(f"{self.name} does not listen on port {port}: {self.last_words()}")

    def last_words(self):
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return " / ".join(lines[-3:]) or "(it said nothing)"

    def stop(self):
        """Asks it to end, then insists; children that lost their parent included."""
        all_of_it = children(self.popen.pid)
        if self.popen.poll() is None:
            self.popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(5)
        for pid in all_of_it:
            # A number may have been given to somebody else since: only what is still in the session we made for it.
            with suppress(OSError):
                if os.getsid(pid) == self.popen.pid:
                    os.kill(pid, signal.SIGKILL)
        self.popen.wait()

    def cpu(self):
        """A reading to be handed to `cpu_seconds`: nanoseconds by thread, and ticks of all, ended threads included."""
        threads, ticks = {}, 0
        for pid in children(self.popen.pid):
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))  # utime, stime, and those of children that were waited for
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with suppress(OSError):
                    threads[task.parent.name] = int(task.read_text().split()[0])
        return threads, ticks

    def memory(self):
        """Bytes resident now; what processes share counts once."""
        total = 0
        for pid in children(self.popen.pid):
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total

    def resident(self):
        """The same, quickly and roughly: shared pages count once per process."""
        total = 0
        for pid in children(self.popen.pid):
            with suppress(OSError):
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
        return total


def cpu_seconds(before, after):
    """CPU time between two readings. Nanoseconds where every thread lived on; else from the ticks (10 ms), which lose nobody."""
    if before[0].keys() <= after[0].keys():
        return sum(ns - before[0].get(task, 0) for task, ns in after[0].items()) / 1e9
    return (after[1] - before[1]) / os.sysconf("SC_CLK_TCK")


class Growth:
    """How much resident memory rose above its start at most, while in the `with` block."""

    def __init__(self, process):
        self.process, self.most, self._over = process, 0, threading.Event()

    def __enter__(self):
        self.start = self.process.resident()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while not self._over.wait(0.02):
            self.most = max(self.most, self.process.resident() - self.start)

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


def on_disk(directory):
    """Bytes that files below take, as blocks."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
    return total


def available_memory():
    """Bytes that can be had without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def stop_on_signals():
    """SIGTERM and SIGHUP end the program by way of its `finally`s."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def first_line(*command):
    """What a tool says about itself; some say it on the error channel, some with a failure."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return next((line.strip() for line in done.stdout.splitlines() if line.strip()), "unknown")


def describe():
    """Processor, kernel, load and date, without names."""
    cpu = "unknown processor"
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{cpu}, {os.cpu_count()} CPUs, {memory:.0f} GiB, Linux {os.uname().release}",
        "load_before": round(os.getloadavg()[0], 2),
    }
