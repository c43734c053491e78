"""The program under test: its configuration, its process, its enforcement log."""

import datetime
import glob
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from .clock import Clock
from .procs import Daemon, LabError, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
LMTP, SMTP = "127.0.0.1:10024", "127.0.0.1:10025"
SANITIZER = ("AddressSanitizer", "runtime error:", "ThreadSanitizer", "LeakSanitizer")


def binary(clocked=False):
    """$STERNPOST or build/sternpost; `clocked`: the one whose clock a test moves."""
    path = os.environ.get("STERNPOST") or os.path.join(ROOT, "build", "sternpost")
    path += "-clocked" if clocked else ""
    if not os.access(path, os.X_OK):
        raise LabError(f"no program at {path}: build it, or set STERNPOST")
    return path


def toml(table, prefix=""):
    """A dict as TOML; dicts become tables, lists of dicts arrays of tables."""
    plain, nested = [], []
    for key, value in table.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            nested.append(f"\n[{name}]\n{toml(value, name)}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            nested += [f"\n[[{name}]]\n{toml(v, name)}" for v in value]
        elif value is not None:
            plain.append(f"{key} = {_scalar(value)}\n")
    return "".join(plain) + "".join(nested)


def _scalar(value):
    if isinstance(value, list):
        return "[" + ", ".join(_scalar(v) for v in value) + "]"
    if isinstance(value, datetime.date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)


def merge(base, changes):
    """`base` with `changes` laid over, section by section; None takes a key out."""
    out = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merge(out[key], value)
        elif value is None:
            out.pop(key, None)
        else:
            out[key] = value
    return out


class Sternpost:
    """One instance in `directory`. `changes` are laid over the lab's default configuration.

    clocked: True gives it a clock of its own (`clock`) that the test moves; or a Clock.
    user: runs as that user, whom the files of the instance then belong to.
    """

    def __init__(self, directory, lab, changes=None, env=None, clocked=False, user=None):
        os.makedirs(directory, exist_ok=True)
        self.directory, self.lab, self.env = directory, lab, dict(env or {})
        self.clock = Clock(self.path("clock")) if clocked is True else clocked or None
        if self.clock:
            self.env["STERNPOST_CLOCK"] = self.clock.file
        self.config = merge(self.defaults(), changes or {})
        self.daemon, self.notified = None, []
        self.argv, self.pass_fds, self.user = None, (), user
        self._notify = None

    def path(self, *names):
        """A file of this instance."""
        return os.path.join(self.directory, *names)

    def defaults(self):
        """The configuration that every lab test starts from."""
        return {
            "server": {"hostname": "edge.lab", "state_dir": self.path("state"),
                       "control": self.path("control.sock")},
            "listen": [{"protocol": "lmtp", "address": LMTP},
                       {"protocol": "smtp", "address": SMTP}],
            "outbound": {"private_destinations": ["127.0.0.0/8", "::1/128", "fd00:25::/64"]},
            "dns": {"trust_anchor_file": self.lab.dns.trust_anchor,
                    "unbound_config": self.lab.dns.unbound_config()},
            "tls": {"ca_file": self.lab.pki.ca_file},
            "log": {"enforcement": self.path("enforcement.jsonl"), "level": "debug"},
            "tls_rpt": {"directory": self.path("reports")},
            "store": {"url": f"sqlite:{self.path('state', 'state.db')}"},
        }

    @property
    def config_file(self):
        """Where the configuration is written."""
        return self.path("sternpost.toml")

    def configure(self, changes=None):
        """Lays changes over the configuration and writes it; `reload()` when it runs."""
        self.config = merge(self.config, changes or {})
        with open(self.config_file, "w", encoding="utf-8") as file:
            file.write(toml(self.config))

    def set_clock(self, at=None, days=0, forward=0):
        """Moves its clock to `at` (2026-11-27T00:00:05Z), then on by `days` and seconds."""
        if at is not None:
            self.clock.set(at)
        self.clock.forward(forward, days)

    # -- the process ---------------------------------------------------------------------------

    def binary(self):
        """The program that it runs."""
        return binary(clocked=self.clock is not None)

    def start(self, timeout=30):
        """Writes the configuration, starts `serve`, returns at READY=1."""
        self.configure()
        os.makedirs(self.config["server"]["state_dir"], exist_ok=True)
        notify = self.path("notify.sock")
        if os.path.exists(notify):
            os.remove(notify)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(notify)
        self._notify.setblocking(False)
        self.notified = []
        argv = self.argv or [self.binary(), "serve", "-c", self.config_file]
        if self.user:
            argv = ["setpriv", "--reuid", self.user, "--regid", self.user, "--clear-groups", *argv]
            for top, _, files in os.walk(self.directory):
                for path in (top, *(os.path.join(top, name) for name in files)):
                    shutil.chown(path, self.user, self.user)
        self.daemon = Daemon("sternpost", argv, self.path("sternpost.log"),
                             env={"NOTIFY_SOCKET": notify, **self.env})
        self.daemon.start(lambda: "READY=1" in self.notifications(), timeout, self.pass_fds)
        return self

    def notifications(self):
        """All that it told through sd_notify since its start."""
        while True:
            try:
                self.notified += self._notify.recv(65536).decode().split("\n")
            except BlockingIOError:
                return self.notified

    @property
    def pid(self):
        """Its process id."""
        return self.daemon.pid

    @property
    def log(self):
        """Its operational log so far."""
        return self.daemon.tail(10 ** 6)

    def sanitizer_findings(self):
        """Lines of the log in which a sanitizer spoke."""
        return [x for x in self.log.splitlines() if any(word in x for word in SANITIZER)]

    def reload(self):
        """SIGHUP; returns when it said READY=1 again or logged that the old one is kept."""
        before = len(self.notifications())
        self.daemon.signal(signal.SIGHUP)
        wait_for(lambda: "READY=1" in self.notifications()[before:], "the reload to end")

    def term(self):
        """SIGTERM, without waiting."""
        self.daemon.signal(signal.SIGTERM)

    def kill(self):
        """kill -9, and its end awaited."""
        self.daemon.signal(signal.SIGKILL)
        return self.daemon.wait()

    def stop(self, grace=45):
        """SIGTERM and the exit status; what still runs after `grace` is killed."""
        status = self.daemon.stop(grace) if self.daemon else None
        if self._notify:
            self._notify.close()
        return status

    def run(self, *words, **options):
        """Another subcommand with this configuration: (status, stdout, stderr)."""
        self.configure()
        argv = [self.binary(), words[0], *([words[1]] if len(words) > 1 else []), "-c",
                self.config_file, *words[2:]]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60,
                              env={**os.environ, **self.env}, **options)
        return done.returncode, done.stdout, done.stderr

    # -- the enforcement log -------------------------------------------------------------------

    @property
    def enforcement(self):
        """Path of the log."""
        return self.config["log"]["enforcement"]

    def lines(self):
        """Its complete lines, as octets without line end."""
        try:
            with open(self.enforcement, "rb") as file:
                return file.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def history(self):
        """Lines of the rotated files too, in the order of the chain."""
        stem, end = os.path.splitext(self.enforcement)
        while True:             # until no file was rotated in between
            names, files = sorted(glob.glob(f"{stem}-*{end}")), []
            for path in names:
                with open(path, "rb") as file:
                    files.append(file.read().split(b"\n")[:-1])
            files.append(self.lines())
            if names == sorted(glob.glob(f"{stem}-*{end}")):
                break
        files = sorted((x for x in files if x), key=lambda x: json.loads(x[0])["seq"])
        return [line for lines in files for line in lines]

    def records(self, **wanted):
        """Its records as dicts; only those whose keys have the wanted values.

        What was told a moment ago may not be there: use wait_records() for it. The pause is for
        those who look for what must not be there; the writer gathers lines for a millisecond.
        """
        time.sleep(0.005)
        found = [json.loads(x) for x in (self.history() if self.clock else self.lines())]
        return [r for r in found if all(r.get(k) == v for k, v in wanted.items())]

    def wait_records(self, count=1, timeout=10, **wanted):
        """Waits for that many records and returns them."""
        wait_for(lambda: len(self.records(**wanted)) >= count,
                 f"{count} log records with {wanted}", timeout)
        return self.records(**wanted)

    def chain_error(self):
        """Why the hash chain is broken, as "LINE: why"; None when it is whole."""
        before, seq = None, None
        for number, line in enumerate(self.history() if self.clock else self.lines(), 1):
            try:
                record = json.loads(line)
            except ValueError as error:
                return f"{number}: not JSON: {error}"
            if before is not None and record["prev"] != hashlib.sha256(before).hexdigest():
                return f"{number}: prev is not the SHA-256 of the line before"
            if seq is not None and record["seq"] != seq + 1:
                return f"{number}: seq {record['seq']} follows {seq}"
            before, seq = line, record["seq"]
        return None
