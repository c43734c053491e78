"""What is measured: each item is one row of the table; Bench runs them, interleaved, in rounds."""

import socket
import sys
import threading
import time
from dataclasses import dataclass

import filled
import measure
import relays
from lab import exim as lab_exim
from lab.procs import LabError
from world import DOMAINS, FEW

KIB, MIB = 1024, 1024 * 1024
SIZES = {"4KiB": 4 * KIB, "1MiB": MIB}
# Messages a second that a first round expects, by program and mode, at 4 KiB and at 1 MiB; later
# rounds take what was measured.
EXPECTED = {
    "bare": {"full": (1400, 350), "resumed": (2600, 500), "reuse": (30000, 800)},
    "sternpost": {"full": (800, 250), "resumed": (1400, 300), "reuse": (6000, 400)},
    "postfix": {"full": (450, 110), "resumed": (450, 110), "reuse": (600, 90)},
    "exim": {"full": (600, 100), "resumed": (600, 100), "reuse": (600, 100)},
}
ALL = ("bare", "sternpost", "postfix", "exim")


@dataclass
class Throughput:
    """Messages as fast as they go."""

    name: str
    title: str
    mode: str
    size: int = 4 * KIB
    connections: int = 20
    domains: int = FEW
    kinds: tuple = ALL
    protocol: str = "smtp"
    quick: bool = False

    def measure(self, bench, relay, last):
        """One measurement: a dict of figures."""
        small, large = EXPECTED[relay.kind][self.mode]
        rate = last["rate"] if last else (small if self.size < MIB else large)
        count = int(min(60000, max(2 * self.connections, rate * bench.seconds)))
        if last is None and self.connections == 1:
            count = max(20, count // 2)
        options = {"connections": self.connections, "messages": count, "size": self.size,
                   "domains": self.domains}
        if self.protocol == "lmtp":
            options.update(target=relay.lmtp, protocol="lmtp")
        world = bench.world
        before = world.sink.counts()
        cpu = measure.cpu(relay.pid) if relay.pid else 0
        begin = time.monotonic()
        told = world.load(relay, **options)
        seconds = told["seconds"]
        if not relay.synchronous:
            world.arrived(before["messages"] + count, relay)
            seconds = time.monotonic() - begin
            time.sleep(0.05)                # it still removes its queue files
        cpu = measure.cpu(relay.pid) - cpu if relay.pid else told["cpu"]
        after = world.sink.counts()
        if after["messages"] - before["messages"] != count:
            raise LabError(f"{relay.name}: {count} sent, {before} before, {after} after")
        return {"rate": count / seconds, "cpu": cpu * 1000 / count,
                "full": (after["full"] - before["full"]) / count,
                "resumed": (after["resumed"] - before["resumed"]) / count}


@dataclass
class Latency:
    """20 messages a second: until the reply to the final dot, and until the MX has the message."""

    name: str
    title: str
    mode: str
    kinds: tuple = ALL
    quick: bool = False
    domains: int = FEW

    def measure(self, bench, relay, _):
        """One measurement: a dict of figures, in milliseconds."""
        world = bench.world
        count = max(20, int(20 * bench.seconds * 3))
        before = world.sink.counts()["messages"]
        # The first message of each connection is not the steady state: sent before, apart.
        world.load(relay, connections=4, messages=2 * FEW, domains=FEW)
        world.arrived(before + 2 * FEW, relay)
        world.sink.ask("XRST")
        told = world.load(relay, connections=4, messages=count, domains=FEW, rate=20)
        world.arrived(count, relay)
        counts = world.sink.counts()
        out = {"mx_p50": counts["p50_us"] / 1000, "mx_p99": counts["p99_us"] / 1000}
        if relay.synchronous:
            out.update(p50=told["p50_ms"], p99=told["p99_ms"])
        return out


class Idle:
    """Client sessions behind their EHLO, doing nothing."""

    def __init__(self, target, count):
        host, _, port = target.rpartition(":")
        self.address, self.sockets = (host, int(port)), []
        try:
            while len(self.sockets) < count:
                self._open(min(50, count - len(self.sockets)))
        except OSError as error:
            self.close()
            raise LabError(f"idle session {len(self.sockets)} of {count}: {error}") from None

    def _open(self, count):
        fresh = [socket.create_connection(self.address, 30) for _ in range(count)]
        self.sockets += fresh
        for say in (None, b"EHLO idle\r\n"):
            for sock in fresh:
                if say:
                    sock.sendall(say)
            for sock in fresh:
                self._reply(sock)

    @staticmethod
    def _reply(sock):
        text = b""
        while not (text.endswith(b"\n") and text.splitlines()[-1][3:4] == b" "):
            got = sock.recv(4096)
            if not got or text[:1] == b"4":
                raise LabError(f"an idle session got {text + got}")
            text += got

    def close(self):
        """The end of all."""
        for sock in self.sockets:
            sock.close()


@dataclass
class Memory:
    """Memory of a fresh relay's processes after one message to each domain; measured once."""

    name: str
    title: str
    sessions: int = 0
    body: int = 0
    kinds: tuple = ("sternpost", "postfix", "exim")
    mode: str = "reuse"
    quick: bool = False
    domains: int = FEW

    def measure(self, bench, relay, last):
        """One measurement: {"memory": MB}."""
        if last:
            return last
        bench.world.warm(relay, FEW, connections=1)
        if self.body:
            return {"memory": self._peak(bench, relay) / 1e6}
        idle = Idle(relay.options()["target"], self.sessions)
        try:
            return {"memory": measure.memory(relay.pid) / 1e6}
        finally:
            idle.close()

    def _peak(self, bench, relay):
        before = bench.world.sink.counts()["messages"]
        sender = threading.Thread(target=bench.world.load, args=(relay,), kwargs={
            "connections": 1, "messages": 3, "size": self.body, "domains": 2})
        sender.start()
        peak = 0
        while sender.is_alive():
            peak = max(peak, measure.memory(relay.pid))
            time.sleep(0.005)
        sender.join()
        bench.world.arrived(before + 3, relay)
        return peak


@dataclass
class ManyBodies:
    """Large messages all at once: what the relay's memory grows by, at its peak; measured once."""

    name: str
    title: str
    messages: int = 100
    body: int = 100 * MIB - 16 * KIB
    kinds: tuple = ("sternpost",)
    mode: str = "reuse"
    quick: bool = False
    domains: int = FEW

    def measure(self, bench, relay, last):
        """One measurement: {"memory": MB above that before}."""
        if last:
            return last
        world = bench.world
        idle = peak = measure.memory(relay.pid)
        before = world.sink.counts()["messages"]
        sender = threading.Thread(target=world.load, args=(relay,), kwargs={
            "connections": self.messages, "messages": self.messages, "size": self.body,
            "domains": FEW})
        sender.start()
        while sender.is_alive():
            peak = max(peak, measure.memory(relay.pid))
            time.sleep(0.05)
        sender.join()
        world.arrived(before + self.messages, relay)
        return {"memory": (peak - idle) / 1e6}


@dataclass
class Cached:
    """A start with many policies in the store, and the memory then; measured once."""

    name: str
    title: str
    policies: int = 100000
    kinds: tuple = ("sternpost",)
    mode: str = "reuse"
    quick: bool = False
    domains: int = FEW

    def measure(self, bench, _, last):
        """One measurement: {"start": seconds, "memory": MB}."""
        if last:
            return last
        relay = relays.Sternpost(bench.world, self.mode)
        relay.start()
        relay.stop()
        filled.fill(relay.instance.path("state", "state.db"), self.policies)
        begin = time.monotonic()
        relay.instance.start()
        seconds = time.monotonic() - begin
        try:
            return {"start": seconds, "memory": measure.memory(relay.pid) / 1e6}
        finally:
            relay.stop()


def _everything():
    titles = {"full": "full handshake each", "resumed": "resumed", "reuse": "connections reused"}
    for size, octets in SIZES.items():
        for connections in (20, 1, 100):
            for mode in relays.MODES:
                kinds = ALL
                if mode != "full" or connections != 20:
                    kinds = ("bare", "sternpost", "postfix")
                many = "1 connection" if connections == 1 else f"{connections} connections"
                yield Throughput(f"{size}-{connections}-{mode}",
                                 f"{size[0]} {size[1:]}, {many}, {titles[mode]}", mode, octets,
                                 connections, kinds=kinds,
                                 quick=(size, connections) == ("4KiB", 20))
    yield Throughput("4KiB-1000-reuse", "4 KiB, 1,000 connections, connections reused", "reuse",
                     connections=1000, kinds=("sternpost",))
    yield Throughput("4KiB-20-reuse-lmtp", "4 KiB, 20 connections, reused, LMTP", "reuse",
                     kinds=("sternpost",), protocol="lmtp")
    yield Throughput("domains-50", f"4 KiB, 100 connections, reused, {DOMAINS} domains", "reuse",
                     connections=100, domains=DOMAINS, kinds=("bare", "sternpost", "postfix"))
    for mode in ("reuse", "full"):
        kinds = ALL if mode == "full" else ("bare", "sternpost", "postfix")
        yield Latency(f"latency-{mode}", f"20 messages/s, {titles[mode]}", mode, kinds,
                      quick=mode == "reuse")
    yield Memory("memory-idle", "memory, idle", quick=True)
    yield Memory("memory-1000", "memory, 1,000 idle sessions", 1000,
                 kinds=("sternpost", "postfix"))
    yield Memory("memory-5000", "memory, 5,000 idle sessions", 5000, kinds=("sternpost",),
                 quick=True)
    yield Memory("memory-100MiB", "memory, 100 MiB message in flight", body=100 * MIB - 16 * KIB,
                 kinds=("sternpost", "postfix"))
    yield ManyBodies("memory-100x100MiB", "memory above idle, 100 messages of 100 MiB at once")
    yield Cached("cached-policies", "100,000 cached policies", quick=True)


def choose(only, quick):
    """The items that the command line asks for."""
    return [x for x in _everything()
            if (x.quick or not quick or only) and (not only or any(o in x.name for o in only))]


class Bench:
    """Runs items. `seconds`: about how long one measurement should last."""

    def __init__(self, world, rounds, seconds):
        self.world, self.rounds, self.seconds = world, rounds, seconds
        self.relays, self.figures, self.errors = {}, {}, {}

    def relay(self, kind, mode, item):
        """The running relay of a kind for a mode; started, warmed and proved at its first use."""
        sessions = getattr(item, "sessions", 0)
        key = kind, mode, item.name if isinstance(item, Memory) else None
        if key not in self.relays:
            made = {"bare": relays.Bare, "sternpost": relays.Sternpost,
                    "postfix": relays.Postfix, "exim": relays.Exim}[kind]
            if kind in ("postfix", "exim") and not any(k[0] == kind for k in self.relays):
                self._prove(made)
            relay = made(self.world, mode, **({"sessions": sessions} if sessions and
                                              kind == "postfix" else {}))
            relay.start()
            if relay.pid and not isinstance(item, Memory):
                self.world.warm(relay, DOMAINS)
                if kind == "sternpost":
                    relay.prove()
            self.relays[key] = relay
        return self.relays[key]

    def _prove(self, made):
        """Another instance, which logs what the measured ones do not, shows that it verifies."""
        proof = made(self.world, "full", proof=True)
        proof.start()
        self.world.warm(proof, FEW)
        proof.prove()
        proof.stop()

    def run(self, items):
        """{item name: {kind: [figures of each round]}}."""
        for number in range(self.rounds):
            for mode in relays.MODES:
                wanted = [x for x in items if x.mode == mode]
                if wanted:
                    self._round(number, mode, wanted)
        return self.figures

    def _round(self, number, mode, items):
        self.world.new_sink(tickets=mode != "full")
        warm = set()
        for item in items:
            kinds = [k for k in item.kinds if k != "exim" or self._has_exim()]
            turn = number % len(kinds)
            for kind in kinds[turn:] + kinds[:turn]:
                if (item.name, kind) in self.errors:
                    continue
                try:
                    told = self._one(item, kind, warm)
                except LabError as error:
                    self.errors[item.name, kind] = told = str(error)
                    self.world.new_sink(tickets=mode != "full")     # nothing late may be counted
                print(f"{number + 1}/{self.rounds} {item.name:<20} {kind:<10} {told}",
                      file=sys.stderr, flush=True)

    def _one(self, item, kind, warm):
        """One measurement, kept; its figures as text."""
        before = self.figures.setdefault(item.name, {}).setdefault(kind, [])
        relay = self.relay(kind, item.mode, item)
        if relay.pid and (kind, item.mode) not in warm and not isinstance(item, Memory):
            self.world.warm(relay, item.domains)
            warm.add((kind, item.mode))
        got = item.measure(self, relay, before[-1] if before else None)
        before.append(got)
        if isinstance(item, Memory):
            relay.stop()
        return ", ".join(f"{k} {v:.4g}" for k, v in got.items())

    @staticmethod
    def _has_exim():
        try:
            return bool(lab_exim.binary())
        except LabError:
            return False
