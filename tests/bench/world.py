"""The benchmark's internet: domains that promise DANE or MTA-STS, and one fast sink for all MXs."""

import json
import os
import socket
import subprocess

from lab import netns, procs
from lab.procs import LabError
from lab.resolver import Resolver
from lab.world import Lab

DOMAINS = 50            # with an MX of its own each
FEW = 10                # in most of the work
MANY = 10000            # dK.many.example, whose MXs are those of the fifty
OWN_ZONE, MANY_ZONE = "bench.example", "many.example"
HOUR = {"ttl": 3600, "negative_ttl": 3600}      # else names that do not exist are asked for again


class Sink:
    """bench_sink on the addresses of all MXs; tickets False: it resumes nothing."""

    def __init__(self, world, tickets):
        self.address = world.addresses[0]
        words = [f"{a}={c}" for a, c in zip(world.addresses, world.certificates)]
        self.daemon = procs.Daemon("bench_sink", [world.binary("bench_sink"), 25,
                                                  0 if tickets else 1, *words],
                                   world.lab.path("sink.log"))
        self.daemon.start(lambda: procs.port_open(self.address, 25))
        self._sock = socket.create_connection((self.address, 25), 10)
        self._file = self._sock.makefile("rb")
        self._file.readline()

    def ask(self, command):
        """Sends a command; the text of its reply."""
        self._sock.sendall(command.encode() + b"\r\n")
        return self._file.readline().decode().strip()

    def counts(self):
        """What XSTAT says, as a dict of numbers."""
        return {k: int(v) for k, v in (x.split("=") for x in self.ask("XSTAT").split()[1:])}

    def stop(self):
        """Ends it."""
        self._sock.close()
        self.daemon.stop()


class World:
    """The lab with its domains: dK.bench.example, K even: DANE-EE; odd: MTA-STS.

    many: there are also MANY in one signed zone, each at the MX of the fifty whose number it has
    modulo fifty. So what it promises has the same parity; the policies of the odd ones are to be
    put into a store, since no host serves them.
    """

    def __init__(self, build, many=False):
        self.build, self.lab, self.sink = build, Lab(), None
        self._numbers, self.warmed = 0, 0
        self.domains, self.addresses, self.certificates = [], [], []
        for number in range(DOMAINS):
            self._publish(f"d{number}.{OWN_ZONE}", number % 2 == 0)
        if many:
            self._publish_many()
        self.targets = self.lab.path("targets")
        with open(self.targets, "w", encoding="ascii") as file:
            for domain, address in zip(self.domains, self.addresses):
                file.write(f"{domain.names[0]} {address}\n")
        self.lab.start()
        self.lab.add(Resolver(self.lab.path("resolver"), self.lab.dns))

    def _publish(self, name, dane):
        host, address = f"mx1.{name}", self.lab.address()
        cert = self.lab.pki.ca.issue(host)
        both = self.lab.path(f"{host}.pem")
        with open(both, "w", encoding="ascii") as out:
            for part in (cert.key, cert.pem):
                with open(part, encoding="ascii") as file:
                    out.write(file.read())
        spec = {"name": host, "addresses": [address], "cert": cert, "listen": False}
        if dane:
            domain = self.lab.domain(name, {**spec, "tlsa": "3 1 1"}, **HOUR)
        else:
            domain = self.lab.domain(name, spec, signing=None, sts="enforce", **HOUR)
        self.domains.append(domain)
        self.addresses.append(address)
        self.certificates.append(both)

    def _publish_many(self):
        records = []
        for number in range(MANY):
            records.append(f"d{number} MX 10 {self._host(number)}.")
            if number % 2:
                records.append(f'_mta-sts.d{number} TXT "v=STSv1; id=1;"')
        self.lab.dns.add_zone(MANY_ZONE, records, **HOUR)

    def _host(self, number):
        return self.domains[number % DOMAINS].names[0]

    def many_policies(self):
        """(domain, MX host) of the odd ones of the many."""
        return ((f"d{n}.{MANY_ZONE}", self._host(n)) for n in range(1, MANY, 2))

    def mechanism(self, domain):
        """"tlsa" or "sts": what a domain promises."""
        return "tlsa" if int(domain[1:domain.index(".")]) % 2 == 0 else "sts"

    def number(self):
        """A fresh small number, for directories, ports and addresses."""
        self._numbers += 1
        return self._numbers

    def binary(self, name):
        """A program of the build directory."""
        path = os.path.join(self.build, "tests", "bench", name)
        if not os.access(path, os.X_OK):
            raise LabError(f"no program at {path}")
        return path

    def new_sink(self, tickets):
        """Ends the sink that runs, if any, and starts another."""
        if self.sink:
            self.sink.stop()
        self.sink = Sink(self, tickets)
        return self.sink

    def told(self, program, *words, limit=120):
        """Runs a program of the build directory; what it printed, as a dict."""
        argv = [self.binary(program), *map(str, words)]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            raise LabError(f"{' '.join(argv)} still ran after {limit} s") from None
        if done.returncode != 0:
            raise LabError(f"{' '.join(argv)} ended with {done.returncode}: {done.stdout}"
                           f"{done.stderr[-600:]}")
        return json.loads(done.stdout)

    def load(self, relay, **options):
        """Runs bench_load against a relay; what it printed, as a dict."""
        return self.told("bench_load",
                         *(f"{k}={v}" for k, v in {**relay.options(), **options}.items()))

    def arrived(self, count, relay, limit=120):
        """Waits until the sink has that many messages."""
        try:
            procs.wait_for(lambda: self.sink.counts()["messages"] >= count,
                           f"{count} messages at the sink", limit, 0.005)
        except LabError as error:
            why = relay.why() if hasattr(relay, "why") else ""
            raise LabError(f"{relay.name}: {error}: {self.sink.counts()} {why}") from None

    def warm(self, relay, domains, connections=4, zone=OWN_ZONE, messages=None):
        """One message to each domain, or so many: caches full, processes there."""
        before, messages = self.sink.counts()["messages"], messages or domains
        self.load(relay, connections=connections, messages=messages, domains=domains, size=1024,
                  zone=zone)
        self.arrived(before + messages, relay)
        self.warmed = domains

    def stop(self):
        """Ends everything."""
        if self.sink:
            self.sink.stop()
        self.lab.stop()


def enter():
    """Own namespaces; see lab.netns."""
    netns.enter()
