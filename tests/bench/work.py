"""The rows of the table: what is measured, with whom."""

import relays
from items import KIB, LARGE, MIB, Cached, Latency, ManyBodies, Memory, Throughput
from world import DOMAINS

OURS = ("sternpost",)
PLAIN = ("bare", "sternpost", "postfix")
SIZES = {"4KiB": 4 * KIB, "1MiB": MIB}
TITLES = {"full": "full handshake each", "resumed": "resumed", "reuse": "connections reused"}


def _throughput():
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
                                 connections=connections)
    yield Throughput("4KiB-1000-reuse", "4 KiB, 1,000 connections, connections reused",
                     kinds=OURS, connections=1000)
    yield Throughput("4KiB-20-reuse-lmtp", "4 KiB, 20 connections, reused, LMTP", kinds=OURS,
                     protocol="lmtp")
    yield Throughput("domains-50", f"4 KiB, 100 connections, reused, {DOMAINS} domains",
                     kinds=PLAIN, domains=DOMAINS, connections=100)


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
    yield Cached("cached-policies", "100,000 cached policies", kinds=OURS, quick=True)


def choose(only, quick):
    """The items that the command line asks for."""
    return [x for x in _everything()
            if (x.quick or not quick or only) and (not only or any(o in x.name for o in only))]
