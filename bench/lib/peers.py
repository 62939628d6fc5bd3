"""The servers that are compared: how each is configured and started. Their configurations are in bench/peers."""

import os
import shutil
import socket
import ssl
from pathlib import Path

from .machine import Failed, Process, first_line, free_ports, on_disk

TEMPLATES = Path(__file__).parent.parent / "peers"
MIB = 2**20


class Setting:
    """What the servers of one phase have in common."""

    def __init__(self, work, shm, cores, threads, origin, tls, memory, objects, files):
        self.work, self.shm = Path(work), Path(shm)
        self.cores, self.threads = cores, threads
        self.origin = origin  # its port
        self.tls = tls  # directory with cert.pem, key.pem, and both in both.pem
        self.memory = memory  # MiB for the cache
        self.objects = objects  # how many will be stored
        self.files = files  # descriptors a process may have


class Server:
    """A running peer."""

    name = "?"
    tool = "?"  # the program, as found in PATH
    speaks = frozenset({"http", "https", "h2c", "h2"})
    # Its memory for objects is taken at start, so that filling it shows nothing.
    preallocated = False

    def __init__(self, setting):
        self.dir, self.shm = setting.work / self.name, setting.shm / self.name
        for directory in (self.dir, self.shm):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
        http, https, h2c, self.admin = free_ports(4)
        self.ports = {"http": http, "https": https, "h2c": h2c, "h2": https}
        self.values = {
            "dir": self.dir, "shm": self.shm, "http": http, "https": https, "h2c": h2c, "admin": self.admin,
            "origin": setting.origin, "threads": setting.threads, "memory": setting.memory,
            "cert": setting.tls / "cert.pem", "key": setting.tls / "key.pem", "pem": setting.tls / "both.pem",
            "certs": setting.tls,
        }
        self.process = Process(self.name, self.command(setting), setting.cores, http, self.dir / "out", self.environment())

    @classmethod
    def missing(cls):
        """Why it can't take part, or None."""
        return None if which(cls.tool) else f"{cls.tool} is not installed"

    def command(self, setting):
        raise NotImplementedError

    def environment(self):
        return None

    def render(self, template, name=None, **more):
        """A configuration from its template; returns where it is."""
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        for word, value in {**self.values, **more}.items():
            text = text.replace(f"@{word}@", str(value))
        path = self.dir / (name or Path(template).name)
        path.write_text(text, encoding="utf-8")
        return path

    def url(self, scheme, path):
        return f"{'http' if scheme in ('http', 'h2c') else 'https'}://127.0.0.1:{self.ports[scheme]}{path}"

    def cipher(self):
        """What TLS an ordinary client gets: who compares TLS compares the same cipher."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with socket.create_connection(("127.0.0.1", self.ports["https"]), 5) as plain:
                with context.wrap_socket(plain, server_hostname="localhost") as secure:
                    return f"{secure.version()} {secure.cipher()[0]}"
        except OSError as error:
            raise Failed(f"{self.name}: no TLS: {error}") from error

    def memory(self):
        """Bytes: processes, and files in memory."""
        return self.process.memory() + on_disk(self.shm)

    def stop(self):
        self.process.stop()
        shutil.rmtree(self.shm, ignore_errors=True)


def which(tool):
    """Debian keeps servers where users don't look."""
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class Larder(Server):
    name, tool = "larder", os.environ.get("LARDER_BIN", "target/release/larder")

    @classmethod
    def missing(cls):
        return None if os.access(cls.tool, os.X_OK) else f"{cls.tool} is missing (cargo build --release)"

    @classmethod
    def version(cls):
        return first_line(cls.tool, "--version").removeprefix("larder ")

    def command(self, setting):
        self.ports["h2c"] = self.ports["http"]
        return [self.tool, "serve", "-c", self.render("larder.yaml")]


class Beside(Larder):
    """Another build of Larder: `--beside BINARY`."""

    name = "beside"


class Limit(Server):
    """The raw-epoll program. Its answers are listed when it starts."""

    name, tool = "limit", str(Path(Larder.tool).parent / "examples" / "limit")
    speaks = frozenset({"http"})
    answers = ()  # (path, status, bytes)

    @classmethod
    def missing(cls):
        return None if os.access(cls.tool, os.X_OK) else f"{cls.tool} is missing (cargo build --release --example limit)"

    @classmethod
    def version(cls):
        return "ours"

    def command(self, setting):
        answers = self.dir / "answers"
        answers.write_text("".join(f"{path} {status} {size}\n" for path, status, size in self.answers), encoding="ascii")
        return [self.tool, f"127.0.0.1:{self.ports['http']}", answers]


class Nginx(Server):
    name, tool, nopush = "nginx", "nginx", "off"

    @classmethod
    def version(cls):
        return first_line(which(cls.tool), "-v").rpartition("/")[2]

    def command(self, setting):
        config = self.render(
            "nginx.conf",
            user="user root;" if os.geteuid() == 0 else "",
            files=setting.files,
            # Each open file is a descriptor; some are left for connections.
            open=max(1000, min(setting.objects + 1000, setting.files - 5000)),
            zone=16 + setting.objects // 4000,  # "about 8,000 keys per MB", and twice that to be safe
            nopush=self.nopush,
        )
        (self.shm / "tmp").mkdir()
        return [which(self.tool), "-p", self.dir, "-e", self.dir / "nginx.err", "-c", config]


class NginxNopush(Nginx):
    """As many configurations have it."""

    name, nopush = "nginx-nopush", "on"


class Haproxy(Server):
    name, tool, preallocated = "haproxy", "haproxy", True

    @classmethod
    def version(cls):
        return first_line(which(cls.tool), "-v").split()[2]

    def command(self, setting):
        # A connection needs two descriptors, and some a pipe; the cache takes 4,095 MB at most.
        connections = min(4000, setting.files // 4)
        config = self.render("haproxy.cfg", memory=min(setting.memory, 4095), connections=connections)
        return [which(self.tool), "-db", "-f", config]


class Varnish(Server):
    name, tool = "varnish", "varnishd"
    speaks = frozenset({"http", "h2c"})
    # Nothing is logged into shared memory: every tag that can be masked is.
    MUTE = (
        "Debug Error CLI SessOpen SessClose BackendOpen BackendClose HttpGarbage Proxy ProxyGarbage Backend Length "
        "FetchError BogoHeader LostHeader TTL Fetch_Body VCL_acl VCL_call VCL_trace VCL_return ReqStart Hit HitPass "
        "ExpBan ExpKill WorkThread ESI_xmlerror Hash Backend_health VCL_Log VCL_Error Gzip Link Begin End VSL Storage "
        "Timestamp ReqAcct PipeAcct BereqAcct VfpAcct Witness H2RxHdr H2RxBody H2TxHdr H2TxBody HitMiss Filters SessError "
        "VCL_use Notice VdpAcct ReqMethod ReqURL ReqProtocol ReqStatus ReqReason ReqHeader ReqUnset ReqLost RespMethod "
        "RespURL RespProtocol RespStatus RespReason RespHeader RespUnset RespLost BereqMethod BereqURL BereqProtocol "
        "BereqStatus BereqReason BereqHeader BereqUnset BereqLost BerespMethod BerespURL BerespProtocol BerespStatus "
        "BerespReason BerespHeader BerespUnset BerespLost ObjMethod ObjURL ObjProtocol ObjStatus ObjReason ObjHeader "
        "ObjUnset ObjLost"
    )

    @classmethod
    def version(cls):
        return first_line(which(cls.tool), "-V").partition("(varnish-")[2].partition(" revision")[0]

    def command(self, setting):
        self.ports["h2c"] = self.ports["http"]
        parameters = {
            "vsl_mask": ",".join(f"-{tag}" for tag in self.MUTE.split()),
            "feature": "+http2",
            # Threads that come and go would take their CPU time with them.
            "thread_pools": 2, "thread_pool_min": 200, "thread_pool_max": 2000,
            "timeout_idle": 600,
        }
        return [
            which(self.tool), "-F", "-j", "none", "-n", self.dir / "vsm", "-T", "none", "-l", "1m",
            "-a", f"127.0.0.1:{self.ports['http']}", "-f", self.render("varnish.vcl"),
            "-s", f"default=malloc,{setting.memory}M",
            *(word for name, value in parameters.items() for word in ("-p", f"{name}={value}")),
        ]


class TrafficServer(Server):
    name, tool = "trafficserver", "traffic_server"
    speaks = frozenset({"http", "https", "h2"})

    @classmethod
    def version(cls):
        return first_line(which(cls.tool), "-V").removeprefix("Traffic Server ").split()[0]

    def command(self, setting):
        for template in (TEMPLATES / "trafficserver").iterdir():
            # Room for each object in its directory, of which there can be only so many per byte of storage.
            self.render(f"trafficserver/{template.name}", average=1024 if setting.objects > 200_000 else 2048)
        return [which(self.tool), f"--run-root={self.dir / 'runroot.yaml'}"]


KNOWN = {peer.name: peer for peer in (Larder, Beside, Limit, Nginx, NginxNopush, Haproxy, Varnish, TrafficServer)}
USUAL = ["nginx", "varnish", "trafficserver", "haproxy"]
