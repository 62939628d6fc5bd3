"""Larder as systemd starts it, without systemd: a socket from systemd-socket-activate, a socket for READY, signals. With strace, the system
calls of all that must be among those that larder.service allows.

  activated.py LARDER WORK
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def hears(notified, word):
    while True:  # until the time-out of the socket
        said = notified.recv(4096).decode().split()
        if any(line.startswith(word) for line in said):
            return said


def pid_of(said):
    return int(next(line for line in said if line.startswith("MAINPID=")).split("=")[1])


def allowed():
    """System calls that the unit's filter lets through."""
    unit = (ROOT / "deploy/systemd/larder.service").read_text()

    def names(sets):
        found, left = set(), list(sets)
        while left:
            word = left.pop()
            if not word.startswith("@"):
                found.add(word)
                continue
            listed = subprocess.run(["systemd-analyze", "syscall-filter", word], check=True, capture_output=True, text=True).stdout
            left += [line.strip() for line in listed.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
        return found

    calls = set()
    for words in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M):
        calls = calls - names(words[1:].split()) if words.startswith("~") else calls | names(words.split())
    return calls


def main(larder, work):
    port, admin = free_port(), free_port()
    config = work / "activated.yaml"

    def write(extra):
        config.write_text(
            f"server: {{ listen: [{{ address: 127.0.0.1:{port} }}] }}\nadmin: {{ address: 127.0.0.1:{admin} }}\n"
            f"origins: {{ app: {{ servers: [demo] }} }}\nlog: {{ access: off }}\n{extra}"
        )

    write("")
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(str(work / "notify"))
    notified.settimeout(PATIENCE)
    trace = work / "calls"
    strace = ["strace", "-f", "-qq", "-e", "signal=none", "-o", str(trace)] if shutil.which("strace") else []
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-E", f"NOTIFY_SOCKET={work / 'notify'}", larder, "serve", "-c", str(config)]
    log = open(work / "activated.log", "w+")
    process = subprocess.Popen(strace + command, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        # The first connection waits in the socket until Larder is there.
        client = None
        for _ in range(PATIENCE * 10):
            try:
                client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
                break
            except ConnectionRefusedError:
                try:
                    process.wait(0.1)
                    raise AssertionError("systemd-socket-activate has ended")
                except subprocess.TimeoutExpired:
                    pass
        client.sendall(b"GET /products/3 HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        main_pid = pid_of(hears(notified, "READY=1"))
        assert client.recv(4096).startswith(b"HTTP/1.1 200"), "no page"

        # Reload: a rule that is there afterwards.
        write("rules: [{ name: reloaded, origin: app, cache: bypass }]\n")
        os.kill(main_pid, signal.SIGHUP)
        for _ in range(PATIENCE * 10):
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/config", timeout=PATIENCE) as answer:
                if b"reloaded" in answer.read():
                    break
            time.sleep(0.1)
        else:
            raise AssertionError("not reloaded")

        # Hand-over: the new process says READY, and that it is the service now; it has the socket.
        os.kill(main_pid, signal.SIGUSR2)
        first_pid, main_pid = main_pid, pid_of(hears(notified, "READY=1"))
        assert main_pid != first_pid, "the old process says READY again"
        client.close()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/products/3", timeout=PATIENCE) as answer:
            assert answer.status == 200
        os.kill(main_pid, signal.SIGTERM)
        hears(notified, "STOPPING=1")
        assert process.wait(PATIENCE) == 0, "did not end well"
        for _ in range(PATIENCE * 10):
            if not pathlib.Path(f"/proc/{main_pid}").exists():
                break
            time.sleep(0.1)
        else:
            raise AssertionError("the new process does not end")
    except BaseException:
        log.seek(0)
        print(log.read())
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if strace:
        lines = trace.read_text().splitlines()
        # Before Larder is executed it is systemd-socket-activate that calls.
        start = next(at for at, line in enumerate(lines) if "execve(" in line and larder in line and "systemd-socket-activate" not in line)
        called = {found[1] for line in lines[start:] if (found := re.match(r"\d+ +(\w+)\(", line))}
        # Refused by @resources, and not needed: LimitNOFILE has done it.
        beyond = called - allowed() - {"prlimit64", "setrlimit"}
        assert len(called) > 20, called
        assert not beyond, f"larder.service refuses what Larder calls: {sorted(beyond)}"
        print(f"{len(called)} system calls")


if __name__ == "__main__":
    main(str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]))
