"""What can be measured: a class for each kind of work. Which of it is a row stands in work.py.

An item's measure() takes the Bench, the running relay and what the relay's measurement before gave
(None in the first round), and returns a dict of figures.
"""

import concurrent.futures
import socket
import time
from dataclasses import dataclass

import filled
import measure
import relays
from lab.procs import LabError
from world import FEW, OWN_ZONE

KIB, MIB = 1024, 1024 * 1024
# Messages a second that a first round expects, by program and mode, at 4 KiB and at 1 MiB; later
# rounds take what was measured.
EXPECTED = {
    "bare": {"full": (1400, 350), "resumed": (2600, 500), "reuse": (30000, 800)},
    "sternpost": {"full": (800, 250), "resumed": (1400, 300), "reuse": (6000, 400)},
    "postfix": {"full": (450, 110), "resumed": (450, 110), "reuse": (600, 90)},
    "exim": {"full": (600, 100), "resumed": (600, 100), "reuse": (600, 100)},
    "nginx": {"reuse": (15000, 500)},
}
LARGE = 100 * MIB - 16 * KIB        # with its header it is still below 100 MiB


@dataclass
class Item:
    """What every item says of itself. kinds: whom it is measured with."""

    name: str
    title: str
    mode: str = "reuse"
    kinds: tuple = ()
    domains: int = FEW
    quick: bool = False
    targets: tuple = ()             # of Target; one whose figure was not measured says nothing
    zone: str = OWN_ZONE
    more: bool = False              # only with --all
    fresh = False                   # measured with a relay of its own, which ends with it


@dataclass
class Throughput(Item):
    """Messages as fast as they go."""

    size: int = 4 * KIB
    connections: int = 20
    protocol: str = "smtp"
    each: int = 2                   # messages at least, of a connection

    def measure(self, bench, relay, last):
        """Rate, CPU seconds per 1,000 messages, handshakes per message."""
        small, large = EXPECTED[relay.kind][self.mode]
        rate = last["rate"] if last else (small if self.size < MIB else large)
        count = int(min(60000, max(self.each * self.connections, rate * bench.seconds)))
        if last is None and self.connections == 1:
            count = max(20, count // 2)
        count = max(count, self.domains)        # each of them at least once
        options = {"connections": self.connections, "messages": count, "size": self.size,
                   "domains": self.domains, "zone": self.zone}
        if self.protocol == "lmtp":
            options.update(target=relay.lmtp, protocol="lmtp")
        world = bench.world
        if self.mode == "reuse" and relay.pid and self.connections > 20:
            # The relay opens more connections to the MXs than it had: not the steady state.
            world.warm(relay, self.domains, self.connections, messages=2 * self.connections)
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
class Latency(Item):
    """20 messages a second: until the reply to the final dot, and until the MX has the message."""

    def measure(self, bench, relay, _):
        """Milliseconds."""
        world = bench.world
        count = max(20, int(20 * bench.seconds * 3))
        before = world.sink.counts()["messages"]
        # The first message of each connection is not the steady state: sent before, apart, to all
        # MXs; and the load's own connections are settled before it measures.
        world.load(relay, connections=4, messages=2 * FEW, domains=FEW)
        world.arrived(before + 2 * FEW, relay)
        world.sink.ask("XRST")
        told = world.load(relay, connections=4, messages=count, domains=FEW, rate=20, settle=1)
        world.arrived(count + told.get("settled", 0), relay)
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


def peak_memory(world, relay, pause, **options):
    """Sends messages; the most that the relay's memory was, by looks `pause` seconds apart."""
    before, peak = world.sink.counts()["messages"], measure.memory(relay.pid)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        sender = pool.submit(world.load, relay, **options)
        while not sender.done():
            peak = max(peak, measure.memory(relay.pid))
            time.sleep(pause)
    sender.result()
    world.arrived(before + options["messages"], relay)
    return peak


@dataclass
class Memory(Item):
    """Memory of a fresh relay's processes after one message to each domain; measured once."""

    sessions: int = 0
    body: int = 0
    fresh = True

    def measure(self, bench, relay, last):
        """{"memory": MB}."""
        if last:
            return last
        bench.world.warm(relay, FEW, connections=1)
        if self.body:
            return {"memory": peak_memory(bench.world, relay, 0.005, connections=1, messages=3,
                                          size=self.body, domains=2) / 1e6}
        idle = Idle(relay.options()["target"], self.sessions)
        try:
            return {"memory": measure.memory(relay.pid) / 1e6}
        finally:
            idle.close()


@dataclass
class ManyBodies(Item):
    """Large messages all at once: what the relay's memory grows by, at its peak; measured once."""

    messages: int = 100
    body: int = LARGE

    def measure(self, bench, relay, last):
        """{"memory": MB above that before}."""
        if last:
            return last
        before = measure.memory(relay.pid)
        peak = peak_memory(bench.world, relay, 0.05, connections=self.messages,
                           messages=self.messages, size=self.body, domains=FEW)
        return {"memory": (peak - before) / 1e6}


@dataclass
class Cached(Item):
    """A start with many policies in the store, and the memory then; measured once."""

    policies: int = 100000

    def measure(self, bench, _, last):
        """{"start": seconds, "memory": MB}."""
        if last:
            return last
        relay = relays.Sternpost(bench.world, self.mode)
        relay.fill(filled.own(self.policies, "bench.example"))
        begin = time.monotonic()
        relay.start()
        seconds = time.monotonic() - begin
        try:
            return {"start": seconds, "memory": measure.memory(relay.pid) / 1e6}
        finally:
            relay.stop()


@dataclass
class Plan(Item):
    """What a message costs before it goes out where everything is known of its domain."""

    rounds: int = 2000

    def measure(self, bench, *_):
        """{"plan_us", "allocations", "libunbound_us"} of one plan, as bench_plan prints them."""
        relay = relays.Sternpost(bench.world, self.mode)
        relay.start()
        relay.stop()                        # its configuration and its store stay
        domains = [x.name for x in bench.world.domains[:self.domains]]
        return bench.world.told("bench_plan", relay.instance.config_file, self.rounds, *domains)


@dataclass
class Growth(Item):
    """CPU per message of much work divided by that of little, measured before and behind it.

    A machine that others share is slower for a minute and then faster: rows further apart cannot be
    compared. ratios: (figure, much, little) of each; much and little are options of bench_load.
    """

    ratios: tuple = ()

    def measure(self, bench, relay, _):
        """{figure: ratio}."""
        out = {}
        for figure, much, little in self.ratios:
            before = self._cpu(bench.world, relay, little)
            of_much = self._cpu(bench.world, relay, much)
            behind = self._cpu(bench.world, relay, little)
            out[figure] = 2 * of_much / (before + behind)
        return out

    def _cpu(self, world, relay, options):
        options = {"size": 4 * KIB, "zone": self.zone, **options}
        # As many connections as will be used, and the first contact of each with the MXs.
        world.load(relay, **{**options, "messages": 2 * options["connections"]})
        cpu = measure.cpu(relay.pid)
        world.load(relay, **options)
        return (measure.cpu(relay.pid) - cpu) / options["messages"]
