"""Runs items, interleaved, in rounds, each with the relays it is measured with."""

import sys

import nginx
import relays
from lab.procs import LabError
from world import DOMAINS, FEW, MANY, MANY_ZONE

KINDS = {x.kind: x for x in (relays.Bare, relays.Sternpost, relays.Postfix, relays.Exim,
                             nginx.Nginx)}


class Bench:
    """Runs items. `seconds`: about how long one measurement should last."""

    def __init__(self, world, rounds, seconds):
        self.world, self.rounds, self.seconds = world, rounds, seconds
        self.relays, self.there, self.figures, self.errors = {}, {}, {}, {}

    def relay(self, kind, mode, item):
        """The running relay of a kind for a mode; started, warmed and proved at its first use."""
        key = kind, mode, item.zone, item.name if item.fresh else None
        if key not in self.relays:
            made = KINDS[kind]
            if kind in ("postfix", "exim") and not any(k[0] == kind for k in self.relays):
                self._prove(made)
            sessions = getattr(item, "sessions", 0)
            relay = made(self.world, mode, **({"sessions": sessions} if sessions and
                                              kind == "postfix" else {}))
            if item.zone == MANY_ZONE:
                relay.fill(self.world.many_policies())
            relay.start()
            if relay.pid and not item.fresh:
                self._warm_all(relay, item.zone)
                if kind == "sternpost":
                    relay.prove()
            self.relays[key] = relay
        return self.relays[key]

    def _warm_all(self, relay, zone):
        if zone == MANY_ZONE:
            for _ in range(6):      # each thread is to have met nearly all of them
                self.world.warm(relay, MANY, 20, zone)
        else:
            self.world.warm(relay, DOMAINS)

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
            kinds = [k for k in item.kinds if self._installed(k)]
            turn = number % max(1, len(kinds))
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
        key = kind, item.mode, item.zone
        if relay.pid and key not in warm and not item.fresh:
            # The MX is a new process; what the relay knows of the domains is still warm.
            self.world.warm(relay, min(item.domains, DOMAINS), zone=item.zone)
            warm.add(key)
        try:
            got = item.measure(self, relay, before[-1] if before else None)
        finally:
            if item.fresh:
                relay.stop()
        before.append(got)
        return ", ".join(f"{k} {v:.4g}" for k, v in got.items())

    def _installed(self, kind):
        if kind not in self.there:
            self.there[kind] = KINDS[kind].installed()
        return self.there[kind]
