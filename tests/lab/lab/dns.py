"""A private DNS: root, TLDs and zones, signed, served by NSD on loopback addresses, port 53.

A zone is a list of lines as in a zone file, relative to its name. Delegations, DS records, SOA and
NS are added here; `commit()` signs what changed and returns when NSD serves it. One ECDSA key signs
everything (a key tag and a DS differ by owner, so no zone can pass for another).
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field

from . import dnswire
from .procs import Daemon, LabError, run, wait_for

ADDRESS = "127.0.0.10"          # NSD
BROKEN = "127.0.0.66"           # the scripted name server of dnsbad.py: ns.broken.lab.
SIGNED = ("nsec", "nsec3", "expired", "future", "bogus", "unsigned", "wrong-ds")


@dataclass
class Zone:
    """Content and signing of one zone.

    signing: "nsec", "nsec3"; None: unsigned, without DS; "expired", "future": NSEC with signatures
    out of their time; "bogus": every signature but the DNSKEY's is corrupt; "unsigned": a DS at the
    parent, no signatures; "wrong-ds". `corrupt` holds (owner, type) pairs whose signature alone is
    corrupt, the owner absolute without the last dot. `delegated` False: the parent knows nothing.
    """

    name: str
    records: list = field(default_factory=list)
    signing: str = "nsec"
    ttl: int = 60
    negative_ttl: int = 60       # and no longer than `ttl`
    corrupt: set = field(default_factory=set)
    delegated: bool = True
    serial: int = 0
    dirty: bool = True
    known: bool = False          # NSD has it


class Dns:
    """The name server and its zones. `directory` is its own; `start()` before anything asks."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(os.path.join(directory, "zones"))
        self.zones = {}
        self.daemon = None
        self._key = self._make_key()
        self.add_zone("", [f"a.root.lab. A {ADDRESS}"])
        self.add_zone("lab", [f"a.root A {ADDRESS}", f"ns A {ADDRESS}", f"ns.broken A {BROKEN}"])
        self.add_zone("example")
        self.add_zone("net", signing="nsec3")
        self.add_zone("org", signing="nsec3")

    # -- content -----------------------------------------------------------------------------

    def add_zone(self, name, records=(), signing="nsec", **options):
        """Adds or replaces a zone; takes effect at `commit()` (or `start()`)."""
        name = name.strip(".").lower()
        old = self.zones.get(name)
        zone = Zone(name, list(records), signing, **options)
        zone.serial, zone.known = (old.serial, old.known) if old else (0, False)
        self.zones[name] = zone
        parent = self.parent(name)
        if parent is not None and (old is None or old.signing != signing):
            parent.dirty = True
        return zone

    def update(self, name, records, **options):
        """Replaces a zone's content (and signing, when given), signs, reloads, waits."""
        old = self.zones[name.strip(".").lower()]
        self.add_zone(name, records, **{"signing": old.signing, "ttl": old.ttl, **options})
        self.commit()

    def parent(self, name):
        """The zone that delegates `name`; None for the root."""
        if name == "":
            return None
        labels = name.split(".")
        for i in range(1, len(labels) + 1):
            zone = self.zones.get(".".join(labels[i:]))
            if zone:
                return zone
        return None

    def absolute(self, owner, zone):
        """Absolute form, without the last dot, of an owner as written in a zone's line."""
        if owner == "@":
            return zone.name
        return owner.rstrip(".") if owner.endswith(".") else f"{owner}.{zone.name}".strip(".")

    # -- signing -----------------------------------------------------------------------------

    def _make_key(self):
        keys = os.path.join(self.directory, "keys")
        os.makedirs(keys)
        base = run("ldns-keygen", "-a", "ECDSAP256SHA256", ".", cwd=keys).decode().split()[-1]
        with open(os.path.join(keys, base + ".key"), encoding="ascii") as file:
            text = file.read().split("DNSKEY", 1)[1].split(";")[0].strip()
        return os.path.join(keys, base + ".private"), text

    def ds(self, name):
        """The DS of a zone, as presentation RDATA."""
        return dnswire.ds_rdata(name, self._key[1])

    def _children(self, zone):
        return [z for z in self.zones.values()
                if z.name and z.delegated and self.parent(z.name) is zone]

    def _text(self, zone):
        origin = zone.name + "."
        lines = [f"$ORIGIN {origin}", f"$TTL {zone.ttl}",
                 f"@ SOA ns.lab. hostmaster.lab. {zone.serial} 3600 600 86400 "
                 f"{min(zone.ttl, zone.negative_ttl)}",
                 "@ NS a.root.lab." if zone.name == "" else "@ NS ns.lab."]
        lines += zone.records
        for child in self._children(zone):
            lines.append(f"{child.name}. NS ns.lab.")
            if child.name == "lab":
                lines.append(f"ns.lab. A {ADDRESS}")
            if child.signing in SIGNED:
                ds = self.ds(child.name)
                if child.signing == "wrong-ds":
                    ds = ds[:-8] + ("00000000" if not ds.endswith("00000000") else "11111111")
                lines.append(f"{child.name}. DS {ds}")
        return "\n".join(lines) + "\n"

    def _path(self, zone):
        return os.path.join(self.directory, "zones", (zone.name or "root") + ".zone")

    def _sign(self, zone):
        zone.serial += 1
        path = self._path(zone)
        plain = path + ".plain"
        with open(plain, "w", encoding="ascii") as file:
            file.write(self._text(zone))
        if zone.signing is None or zone.signing == "unsigned":
            os.replace(plain, path)
            return
        key = path + "-key"
        shutil.copyfile(self._key[0], key + ".private")
        with open(key + ".key", "w", encoding="ascii") as file:
            file.write(f"{zone.name}. IN DNSKEY {self._key[1]}\n")
        now = time.time()
        begin, end = {"expired": (now - 60 * 86400, now - 30 * 86400),
                      "future": (now + 30 * 86400, now + 60 * 86400)}.get(
                          zone.signing, (now - 7200, now + 20 * 86400))
        stamp = [time.strftime("%Y%m%d%H%M%S", time.gmtime(t)) for t in (begin, end)]
        argv = ["ldns-signzone", "-i", stamp[0], "-e", stamp[1], "-f", path + ".new",
                "-o", zone.name + ".", plain, key]
        run(*(argv[:1] + (["-n"] if zone.signing == "nsec3" else []) + argv[1:]))
        if zone.signing == "bogus" or zone.corrupt:
            self._corrupt(zone, path + ".new")
        os.replace(path + ".new", path)

    def _corrupt(self, zone, path):
        with open(path, encoding="ascii") as file:
            lines = file.readlines()
        for i, line in enumerate(lines):
            found = re.match(r"(\S+)\s+\d+\s+IN\s+RRSIG\s+(\S+) (.* )(\S)(\S{85}==)$", line)
            if not found:
                continue
            owner, kind = found[1].rstrip("."), found[2]
            everything = zone.signing == "bogus" and kind != "DNSKEY"
            if everything or (owner, kind) in zone.corrupt:
                first = "A" if found[4] != "A" else "B"
                lines[i] = line[:found.start(4)] + first + line[found.end(4):]
        with open(path, "w", encoding="ascii") as file:
            file.writelines(lines)

    def _sign_dirty(self):
        dirty = [z for z in self.zones.values() if z.dirty]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(self._sign, dirty))
        for zone in dirty:
            zone.dirty = False
        return dirty

    # -- the server --------------------------------------------------------------------------

    def start(self):
        """Signs everything, writes root.hints, root.key and nsd.conf, and starts NSD."""
        self._sign_dirty()
        with open(self.path("root.hints"), "w", encoding="ascii") as file:
            file.write(f". 3600 IN NS a.root.lab.\na.root.lab. 3600 IN A {ADDRESS}\n")
        with open(self.trust_anchor, "w", encoding="ascii") as file:
            file.write(f". IN DS {self.ds('')}\n")
        with open(self.path("nsd.conf"), "w", encoding="ascii") as file:
            file.write(self._nsd_conf())
        self.daemon = Daemon("nsd", ["nsd", "-d", "-c", self.path("nsd.conf")],
                             self.path("nsd.log"))
        self.daemon.start(lambda: dnswire.soa_serial(ADDRESS, "") is not None)
        for zone in self.zones.values():
            zone.known = True
        return self

    def stop(self):
        """Ends the server."""
        if self.daemon:
            self.daemon.stop()

    def commit(self):
        """Signs what changed, tells NSD, returns when it serves the new serials."""
        if not self.daemon:
            return
        for zone in list(self.zones.values()):
            if not zone.known and self.parent(zone.name):
                self.parent(zone.name).dirty = True
        dirty = self._sign_dirty()
        if not dirty:
            return
        new = [z for z in dirty if not z.known]
        if new:
            self._control("addzones", "".join(f"{z.name} lab\n" for z in new))
        old = [z for z in dirty if z.known]
        if old:
            self._control("reload")
        for zone in dirty:
            zone.known = True
        end = time.monotonic() + 10
        for zone in dirty:
            wait_for(lambda z=zone: dnswire.soa_serial(ADDRESS, z.name) == z.serial,
                     f"NSD to serve {zone.name or '.'} {zone.serial}",
                     max(0.1, end - time.monotonic()))

    def _control(self, *words):
        text = words[1] if len(words) > 1 else None
        done = subprocess.run(["nsd-control", "-c", self.path("nsd.conf"), words[0]],
                              input=text, text=True, capture_output=True, check=False)
        if done.returncode:
            raise LabError(f"nsd-control {words[0]}: {done.stdout}{done.stderr}")

    def _nsd_conf(self):
        zones = "".join(f'zone:\n  name: "{z.name or "."}"\n  zonefile: "{self._path(z)}"\n'
                        for z in self.zones.values())
        return f"""server:
  ip-address: {ADDRESS}
  server-count: 1
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{self.directory}"
  zonelistfile: "{self.path('zone.list')}"
  xfrdfile: "{self.path('xfrd.state')}"
  xfrdir: "{self.directory}"
  pidfile: "{self.path('nsd.pid')}"
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
  minimal-responses: no
  hide-version: yes
  verbosity: 1
remote-control:
  control-enable: yes
  control-interface: "{self.path('nsd.sock')}"
pattern:
  name: "lab"
  zonefile: "{self.directory}/zones/%s.zone"
{zones}"""

    # -- for the programs that ask -----------------------------------------------------------

    def path(self, name):
        """A file of this part."""
        return os.path.join(self.directory, name)

    @property
    def trust_anchor(self):
        """File with the root's DS, as `ub_ctx_add_ta_file` reads it."""
        return self.path("root.key")

    def unbound_config(self, cache=None, extra=()):
        """Writes a configuration for libunbound that resolves from the private root; its path.

        cache: the longest that an answer is kept, in seconds; None leaves that to the TTLs.
        """
        lines = [f'root-hints: "{self.path("root.hints")}"', "do-not-query-localhost: no",
                 "qname-minimisation: yes", "val-bogus-ttl: 1", "infra-keep-probing: yes",
                 "infra-host-ttl: 5", "val-clean-additional: yes", "do-ip6: no",
                 'local-zone: "test." nodefault', "val-log-level: 2"]
        if cache is not None:
            lines += [f"cache-max-ttl: {cache}", f"cache-max-negative-ttl: {cache}",
                      "aggressive-nsec: no"]
        path = self.path(f"unbound-{len(os.listdir(self.directory))}.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write("server:\n" + "".join(f"  {x}\n" for x in lines + list(extra)))
        return path
