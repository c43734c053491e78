"""The programs that are compared, each in its own directory of the lab: a bare TLS client,
Sternpost, Postfix as a relay that enforces DANE and MTA-STS, Exim in cut-through.

MODES: "full": every message has a full handshake (the MX gives no tickets, nothing is kept open);
"resumed": the MX gives tickets, nothing is kept open; "reuse": connections are kept open.
"""

import os
import re
import shutil

import filled
from lab import exim, postfix, procs
from lab.procs import LabError
from lab.sternpost import Sternpost as Instance

MODES = ("full", "resumed", "reuse")


class Bare:
    """bench_load itself, without any relay: the physical limit of this machine."""

    name = "bare TLS client"
    kind = "bare"
    pid = None
    synchronous = True

    def __init__(self, world, mode):
        self.world, self.mode = world, mode

    @staticmethod
    def installed():
        """Whether it is there."""
        return True

    def options(self):
        """Where bench_load goes."""
        return {"targets": self.world.targets, "port": 25, "tls": self.mode}

    def start(self):
        """Nothing to start."""

    def prove(self):
        """Nothing to prove: it authenticates nobody."""


class Sternpost:
    """As configured by default, but for addresses, directories and the lab's trust anchors."""

    kind = "sternpost"
    name = "Sternpost"
    synchronous = True

    def __init__(self, world, mode, changes=None):
        self.world, self.mode = world, mode
        number = world.number()
        self.smtp, self.lmtp = f"127.0.0.1:{10000 + number}", f"127.0.0.1:{11000 + number}"
        config = {"listen": [{"protocol": "smtp", "address": self.smtp},
                             {"protocol": "lmtp", "address": self.lmtp}],
                  "log": {"level": None}}
        if mode != "reuse":
            config["outbound"] = {"idle_keepalive": "0s"}
        for section, keys in (changes or {}).items():
            config.setdefault(section, {}).update(keys)
        self.instance = Instance(world.lab.path(f"sternpost-{number}"), world.lab, config)

    @staticmethod
    def installed():
        """Whether it is there."""
        return True

    def options(self):
        """Where bench_load goes."""
        return {"target": self.smtp}

    @property
    def pid(self):
        """The process."""
        return self.instance.pid

    def fill(self, policies):
        """Puts (domain, MX host) of enforce policies into its store, before it starts."""
        self.instance.start()
        self.instance.stop()            # it has made its store
        filled.fill(self.instance.path("state", "state.db"), policies)

    def start(self):
        """Starts it."""
        self.world.lab.add(self.instance)

    def stop(self):
        """Ends it."""
        self.instance.stop()

    def prove(self):
        """LabError unless the log says that every domain so far was authenticated by its policy."""
        last = {}

        def told():
            for record in self.instance.records(event="delivery"):
                last[record["domain"]] = record
            return len(last) >= self.world.warmed
        # The log is written behind the replies.
        procs.wait_for(told, "a delivery of each domain in the log", 10)
        for domain, record in last.items():
            want = self.world.mechanism(domain)
            got = record["policy_type"], record["protection"], record["verdict"]
            if got != (want, "authenticated", "delivered"):
                raise LabError(f"{domain} by {want}: {got} {record['reason']}")


class _Instance(postfix.Postfix):
    """With the services that connection reuse under TLS needs."""

    def configure(self, **changes):
        super().configure(**changes)
        path = self.path("conf", "master.cf")
        stat = os.stat(path)
        with open(path, "a", encoding="utf-8") as file:
            file.write("tlsproxy unix - - n - 0 tlsproxy\n")
        os.utime(path, (stat.st_atime, stat.st_mtime))


class Postfix:
    """Postfix 3.7 that takes mail by SMTP and delivers it under DANE or MTA-STS.

    MTA-STS, which it does not know, is put into its policy map as what it comes to: `secure`, with
    the names of the policy. DNS comes from a validating unbound on the same machine.
    """

    kind = "postfix"
    name = "Postfix"
    synchronous = False         # it answers when it has queued the message

    def __init__(self, world, mode, sessions=0, proof=False):
        self.world, self.mode = world, mode
        number = world.number()
        self.address = f"127.0.2.{number}"
        directory = world.lab.path(f"postfix-{number}")
        os.makedirs(directory)
        policies = os.path.join(directory, "policies")
        with open(policies, "w", encoding="ascii") as file:
            for domain in world.domains:
                if world.mechanism(domain.name) == "sts":
                    file.write(f"{domain.name} secure match={':'.join(domain.names)} "
                               "servername=hostname\n")
        settings = {
            "smtp_tls_security_level": "dane", "smtp_tls_policy_maps": f"texthash:{policies}",
            "smtp_tls_CAfile": world.lab.pki.ca_file, "smtpd_timeout": "300s",
            "smtpd_tls_security_level": "none", "smtpd_peername_lookup": "no",
            "max_idle": "1h",       # else its processes end, 3 to 6 ms each, in others' time
            "default_process_limit": str(max(200, sessions + 100)),
            "smtp_tls_loglevel": "1" if proof else "0",
            "smtp_connection_cache_on_demand": "yes" if mode == "reuse" else "no"}
        if mode == "reuse":
            settings["smtp_tls_connection_reuse"] = "yes"
            settings["smtp_connection_cache_destinations"] = " ".join(
                d.name for d in world.domains)
        if mode != "full":
            settings["smtp_tls_session_cache_database"] = "btree:${data_directory}/scache"
        self.instance = _Instance(directory, "relay.lab", [self.address], settings, workers=100)

    @staticmethod
    def installed():
        """Whether it is there."""
        return bool(shutil.which("postfix"))

    def options(self):
        """Where bench_load goes."""
        return {"target": f"{self.address}:25"}

    @property
    def pid(self):
        """The master."""
        return self.instance.daemon.pid

    def start(self):
        """Starts it."""
        self.world.lab.add(self.instance)

    def stop(self):
        """Ends it."""
        self.instance.stop()

    def prove(self):
        """LabError unless it verified every session (an instance with proof=True)."""
        procs.wait_for(lambda: self.instance.maillog.count("status=sent") >= self.world.warmed,
                       "Postfix to log its deliveries")
        good = len(re.findall("Verified TLS connection established", self.instance.maillog))
        if good < self.world.warmed:
            raise LabError(f"Postfix verified {good}:\n{self.instance.maillog[-3000:]}")

    def why(self):
        """What waits in its queue, for an error message."""
        return "; ".join(sorted(set(self.instance.deferred().values())))[:500]


class Exim:
    """Exim that delivers while it receives (cut-through), DANE required, else a verified name."""

    kind = "exim"
    name = "Exim"
    synchronous = True

    def __init__(self, world, mode, proof=False):
        self.world, self.mode = world, mode
        number = world.number()
        self.address = f"127.0.2.{number}"
        dane = "|".join(x.name.replace(".", r"\.") for x in world.domains
                        if world.mechanism(x.name) == "tlsa")
        config = f"""
dns_dnssec_ok = 1
acl_smtp_rcpt = take
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
smtp_connect_backlog = 500
begin acl
take:
  accept {'' if proof else 'control = cutthrough_delivery'}
begin routers
mx:
  driver = dnslookup
  transport = out
  dnssec_request_domains = *
  self = send
begin transports
out:
  driver = smtp
  dnssec_request_domains = *
  hosts_require_dane = \\N^mx1\\.({dane})$\\N
  hosts_require_tls = *
  tls_verify_hosts = *
  tls_verify_certificates = {world.lab.pki.ca_file}
  tls_resumption_hosts = {'*' if mode == 'resumed' else ':'}
  hosts_try_prdr =
begin retry
* * F,2h,1m
"""
        self.instance = exim.Exim(world.lab.path(f"exim-{number}"), "relay.lab", self.address,
                                  config)

    @staticmethod
    def installed():
        """Whether it is there."""
        try:
            return bool(exim.binary())
        except LabError:
            return False

    def options(self):
        """Where bench_load goes."""
        return {"target": f"{self.address}:25"}

    @property
    def pid(self):
        """The daemon."""
        return self.instance.daemon.pid

    def start(self):
        """Starts it."""
        self.world.lab.add(self.instance)

    def stop(self):
        """Ends it."""
        self.instance.stop()

    def prove(self):
        """LabError unless it verified every session (an instance with proof=True: it delivers from
        its queue, since the log of a cut-through delivery does not tell)."""
        procs.wait_for(lambda: self.instance.mainlog.count(" => ") >= self.world.warmed,
                       "Exim to log its deliveries")
        lines = [x for x in self.instance.mainlog.splitlines() if " => " in x]
        for line in lines:
            domain = re.search(r" => user@(\S+)", line)[1]
            want = "CV=dane" if self.world.mechanism(domain) == "tlsa" else "CV=yes"
            if want not in line:
                raise LabError(f"Exim: no {want}: {line}")
