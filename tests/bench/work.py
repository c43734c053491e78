"""The rows of the table: what is measured, with whom, and what is to be reached.

Targets are ratios, since figures of one machine say nothing of another's; where what was asked for
is a figure, it is divided by that of the bare client or of a peer in the same measurement. Memory,
and a start, are absolute.
"""

import relays
from items import (KIB, LARGE, MIB, Cached, Growth, Item, Latency, ManyBodies, Memory, Plan,
                   Throughput)
from target import Target
from world import DOMAINS, FEW, MANY, MANY_ZONE

OURS = ("sternpost",)
PLAIN = ("bare", "sternpost", "postfix")
SIZES = {"4KiB": 4 * KIB, "1MiB": MIB}
TITLES = {"full": "full handshake each", "resumed": "resumed", "reuse": "connections reused"}
GROWN = (("1 to 1,000 connections", {"connections": 1000, "domains": FEW, "messages": 20000},
          {"connections": 1, "domains": FEW, "messages": 3000}),
         (f"1 to {MANY:,} domains", {"connections": 20, "domains": MANY, "messages": 2 * MANY},
          {"connections": 20, "domains": 1, "messages": 6000}))


def _rate(least, of):
    return Target("rate", least=least, of=of)


def _at_most(figure, most, of):
    return Target(figure, most=most, of=of)


TARGETS = {
    "4KiB-20-full": (_rate(0.8, "bare"), _rate(2.3, "postfix"), _rate(1.7, "exim"),
                     _at_most("cpu", 1.19, "bare")),
    "4KiB-20-resumed": (_rate(0.72, "bare"), _at_most("cpu", 1.47, "bare")),
    "4KiB-20-reuse": (_rate(0.3, "bare"), _rate(15, "postfix"), _rate(0.58, "nginx"),
                      _at_most("cpu", 3.1, "bare")),
    "domains-50": (_rate(15, "postfix"),),
    "1MiB-20-reuse": (_rate(5.1, "postfix"), _rate(1.09, "nginx")),
    "4KiB-1-reuse": (_rate(5.2, "postfix"),),
    "latency-reuse": (_at_most("p50", 1.8, "nginx"), _at_most("p99", 2.5, "nginx"),
                      _at_most("mx_p50", 0.15, "postfix"), _at_most("mx_p99", 0.2, "postfix")),
    "latency-full": (_at_most("p50", 0.61, "exim"), _at_most("p99", 0.71, "exim"),
                     _at_most("mx_p50", 0.45, "postfix"), _at_most("mx_p99", 0.48, "postfix")),
    "memory-idle": (Target("memory", most=20, unit="MB"),),
    "memory-1000": (Target("memory", most=32, unit="MB"),),
    "memory-5000": (Target("memory", most=80, unit="MB"),),
    "memory-100x100MiB": (Target("memory", most=67.1, unit="MB"),),         # 64 MiB
    "plan": (Target("plan_us", most=0.018, of="libunbound_us", name="libunbound"),),
    "cached-policies": (Target("start", most=1, unit="s"), Target("memory", most=60, unit="MB")),
    "growth": tuple(Target(words, least=0.85, most=1.15, unit="×") for words, _, _ in GROWN),
}


def _grid():
    """Size, connections and mode, each with each."""
    for size, octets in SIZES.items():
        for connections in (20, 1, 100):
            for mode in relays.MODES:
                kinds = PLAIN + ("exim",) * (mode == "full" and connections == 20)
                if mode == "reuse" and (octets < MIB or connections == 20):
                    kinds += ("nginx",)
                many = "1 connection" if connections == 1 else f"{connections} connections"
                yield Throughput(f"{size}-{connections}-{mode}",
                                 f"{size[0]} {size[1:]}, {many}, {TITLES[mode]}", mode, kinds,
                                 quick=(size, connections) == ("4KiB", 20), size=octets,
                                 connections=connections, more=connections != 20 and
                                 (mode == "resumed" or (octets == MIB and mode == "full")))


def _throughput():
    yield from _grid()
    yield Throughput("4KiB-1000-reuse", "4 KiB, 1,000 connections, connections reused",
                     kinds=OURS, connections=1000, each=40)
    yield Throughput("4KiB-20-reuse-lmtp", "4 KiB, 20 connections, reused, LMTP", kinds=OURS,
                     protocol="lmtp")
    yield Throughput("domains-50", f"4 KiB, 100 connections, reused, {DOMAINS} domains",
                     kinds=PLAIN, domains=DOMAINS, connections=100)
    yield Throughput("domains-1", "4 KiB, 20 connections, reused, 1 domain", kinds=OURS, domains=1)
    yield Throughput("domains-10000", f"4 KiB, 20 connections, reused, {MANY:,} domains",
                     kinds=OURS, domains=MANY, zone=MANY_ZONE)


def _everything():
    yield from _throughput()
    for mode, peer in (("reuse", "nginx"), ("full", "exim")):
        yield Latency(f"latency-{mode}", f"20 messages/s, {TITLES[mode]}", mode, (*PLAIN, peer),
                      quick=mode == "reuse")
    yield Memory("memory-idle", "memory, idle", kinds=("sternpost", "postfix", "exim", "nginx"),
                 quick=True)
    yield Memory("memory-1000", "memory, 1,000 idle sessions",
                 kinds=("sternpost", "postfix", "nginx"), sessions=1000)
    yield Memory("memory-5000", "memory, 5,000 idle sessions", kinds=("sternpost", "nginx"),
                 quick=True, sessions=5000)
    yield Memory("memory-100MiB", "memory, 100 MiB message in flight",
                 kinds=("sternpost", "postfix"), body=LARGE)
    yield ManyBodies("memory-100x100MiB", "memory above idle, 100 messages of 100 MiB at once",
                     kinds=OURS)
    yield Plan("plan", "plan for a domain, everything cached", kinds=OURS)
    yield Cached("cached-policies", "100,000 cached policies", kinds=OURS, quick=True)
    yield Growth("growth", "growth of CPU per message", kinds=OURS, zone=MANY_ZONE, ratios=GROWN)


def choose(only, quick, more):
    """The items that the command line asks for; with what is computed, what it is made of."""
    items = list(_everything())
    for item in items:
        item.targets = TARGETS.get(item.name, ())

    def wanted(item: Item):
        if only:
            return any(x in item.name for x in only)
        return item.quick if quick else more or not item.more
    return [x for x in items if wanted(x)]
