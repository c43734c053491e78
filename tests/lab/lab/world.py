"""The whole lab, and recipes for domains: what each publishes and how its hosts behave."""

import os
import shutil
from dataclasses import dataclass, field

from . import https, netns
from .dns import Dns
from .dnsbad import BrokenDns
from .https import BadHttps, Nginx
from .mx import Farm, Mx
from .pki import DAY, Cert, Pki, tlsa
from .sternpost import Sternpost

HOST_KEYS = ("starttls", "keywords", "at", "rcpt", "tls", "sni")


@dataclass
class Domain:
    """A recipient domain of the lab; `hosts` are its scripted MX hosts in order of preference."""

    name: str
    records: list
    options: dict
    hosts: list = field(default_factory=list)
    names: list = field(default_factory=list)
    policy_text: str = None

    @property
    def rcpt(self):
        """A recipient in it."""
        return f"user@{self.name}"

    @property
    def mx(self):
        """Its first host."""
        return self.hosts[0]

    @property
    def messages(self):
        """All complete messages at its hosts."""
        return [m for h in self.hosts for m in h.complete]


class Lab:
    """DNS, PKI, policy hosts and scripted MX hosts, and whatever is started through it.

    keep: a directory that stays; without it everything lies in a tmpfs that vanishes.
    """

    def __init__(self, keep=None):
        netns.set_up_network()
        self.directory = netns.scratch(keep)
        self.kept = keep is not None
        if not getattr(Lab, "_etc_done", False):
            netns.set_up_etc(self.directory)
            Lab._etc_done = True
        self.pki = Pki(self.path("pki"))
        self.dns = Dns(self.path("dns"))
        self.farm, self.broken_dns = Farm(), BrokenDns()
        default = self.pki.ca.issue("policy-hosts.lab")
        self.nginx = Nginx(self.path("nginx"), self.pki.ca_file, default)
        self.bad_https = BadHttps(default)
        self.domains, self._parts, self._next, self._count = {}, [], 0, 0

    def path(self, *names):
        """A file of the lab."""
        return os.path.join(self.directory, *names)

    def start(self):
        """Starts what every lab has; domains may be added before (faster) or after."""
        for part in (self.broken_dns, self.bad_https, self.dns, self.nginx):
            part.start()
            self._parts.append(part)
        return self

    def add(self, part):
        """Starts a further part (Postfix, Exim, resolver, …) that ends with the lab."""
        part.start()
        self._parts.append(part)
        return part

    def sternpost(self, changes=None, **options):
        """A Sternpost with `changes` to the lab's configuration; started."""
        self._count += 1
        return self.add(Sternpost(self.path(f"sternpost{self._count}"), self, changes, **options))

    def stop(self):
        """Ends everything, last started first."""
        for part in reversed(self._parts):
            part.stop()
        self._parts = []
        self.farm.stop()
        if not self.kept:
            shutil.rmtree(self.directory, ignore_errors=True)

    def commit(self):
        """Makes changed domains visible."""
        self.dns.commit()
        self.nginx.commit()

    # -- recipes -------------------------------------------------------------------------------

    def address(self):
        """A fresh loopback address."""
        self._next += 1
        return f"127.1.{self._next // 250}.{self._next % 250 + 1}"

    def dead_address(self):
        """A fresh loopback address where nobody listens."""
        return self.address()

    def cert(self, spec, name):
        """A Cert for an MX or policy host from a word, or the Cert that `spec` is."""
        if isinstance(spec, Cert):
            return spec
        ca, stranger = self.pki.ca, self.pki.stranger
        return {
            "good": lambda: ca.issue(name),
            "expired": lambda: ca.issue(name, begin=-90 * DAY, end=-DAY),
            "not-yet": lambda: ca.issue(name, begin=30 * DAY, end=90 * DAY),
            "wrong": lambda: ca.issue("somebody.else.lab"),
            "self": lambda: ca.issue(name, self_signed=True),
            "stranger": lambda: stranger.issue(name),
            "cn-only": lambda: ca.issue(name, []),
            "wildcard": lambda: ca.issue(name, ["*." + name.partition(".")[2]]),
            "intermediate": lambda: self.pki.intermediate.issue(name),
            "old": lambda: ca.issue(name, key="rsa1024-sha1", self_signed=True),
        }[spec]()

    def tlsa(self, text, cert, authority=None):
        """TLSA RDATA: 'U S M' is computed (usage 0, 2: from the authority); more is taken as is."""
        if len(text.split()) > 3:
            return text
        if text.split()[0] in "02":
            return tlsa(text, (authority or self.pki.ca).cert)
        return tlsa(text, cert)

    def host(self, name, spec):
        """(Mx or None, records) for one MX host of a domain; see `domain()` for the keys."""
        cert = self.cert(spec.get("cert", "good"), name)
        texts = spec.get("tlsa") or []
        texts = [texts] if isinstance(texts, str) else texts
        authority = spec.get("authority")
        if any(t.split()[0] in "02" for t in texts):
            cert = self.pki.with_anchor(cert, authority or self.pki.ca)
        addresses = spec.get("addresses") or [self.address()]
        lines = [f"{name}. {'AAAA' if ':' in a else 'A'} {a}" for a in addresses]
        lines += [f"_25._tcp.{name}. TLSA {self.tlsa(t, cert, authority)}" for t in texts]
        if spec.get("no_address"):
            lines = [x for x in lines if " TLSA " in x]
        host = None
        if spec.get("listen", True):
            host = Mx(name, addresses, cert, **{k: spec[k] for k in HOST_KEYS if k in spec})
            self.farm.add(host)
        return host, lines

    def domain(self, name, mx=None, signing="nsec", sts=None, extra=(), **options):
        """Publishes a recipient domain; visible after `commit()`, or `start()`.

        mx: a dict for one host or a list of them, [] for none: `name` (default mxN.DOMAIN),
        `preference`, `cert` (a word of `cert()`), `tlsa` ("3 1 1" or whole RDATA, or a list),
        `authority`, `addresses`, `listen` False (a dead or foreign address), `no_address`, and what
        `Mx` takes. A host outside the domain gets a zone of its own, its `signing` says how signed.
        sts: a mode, or a dict: mode, mx, max_age, id, txt, text, cert, bad (a behaviour of
        BadHttps). extra: further zone lines. options: as dns.Zone.
        """
        mx = {} if mx is None else mx
        specs = [mx] if isinstance(mx, dict) else list(mx)
        domain = Domain(name, list(extra), {"signing": signing, **options})
        for number, spec in enumerate(specs, 1):
            host_name = spec.get("name") or f"mx{number}.{name}"
            host, lines = self.host(host_name, spec)
            if host:
                domain.hosts.append(host)
            domain.names.append(host_name)
            domain.records.append(f"@ MX {spec.get('preference', 10 * number)} {host_name}.")
            if host_name.endswith("." + name):
                domain.records += lines
            else:
                self._add_foreign(host_name, lines, spec.get("signing", "nsec"))
        if sts:
            self.sts(domain, **({"mode": sts} if isinstance(sts, str) else sts))
        self.domains[name] = domain
        self.dns.add_zone(name, domain.records, **domain.options)
        return domain

    def _add_foreign(self, host_name, lines, signing):
        zone = host_name.partition(".")[2]
        old = self.dns.zones.get(zone)
        records = (old.records if old else []) + lines
        self.dns.add_zone(zone, records, signing)

    def sts(self, domain, mode="enforce", mx=None, max_age=86400, id="1", txt=True, text=None,
            cert="good", bad=None):
        """Publishes a policy for a domain, or replaces it; `republish()` where DNS already runs.

        txt: True: the usual record; False: none; a string or a list: these records' text.
        """
        domain.records = [r for r in domain.records
                          if not r.startswith(("_mta-sts TXT ", "mta-sts A "))]
        texts = [f"v=STSv1; id={id};"] if txt is True else [] if not txt else txt
        for one in [texts] if isinstance(texts, str) else texts:
            domain.records.append(f'_mta-sts TXT "{one}"')
        domain.records.append(f"mta-sts A {https.BAD if bad else https.GOOD}")
        host = f"mta-sts.{domain.name}"
        if bad:
            self.bad_https.set(host, bad, self.cert(cert, host))
        else:
            domain.policy_text = text if text is not None else https.policy(
                mode, domain.names if mx is None else mx, max_age)
            self.nginx.set(host, domain.policy_text, self.cert(cert, host))

    def republish(self, domain, records=None):
        """Makes changed records or policies of a domain visible."""
        if records is not None:
            domain.records = list(records)
        self.dns.add_zone(domain.name, domain.records, **domain.options)
        self.commit()
