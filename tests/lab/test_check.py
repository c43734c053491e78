#!/usr/bin/python3
"""`sternpost check`: says what the relay then does with a message, and all that is wrong."""

import functools
import json
import os
import signal
import socket
import subprocess
import time

from lab.actions import Hang, Reset
from lab.case import LabCase, main
from lab.check import CheckMixin, codes, on_terminal
from lab.pki import DAY
from lab.resolver import Resolver
from lab.sternpost import binary

WRONG = "3 1 1 " + "00" * 32


class SameAsTheRelay(CheckMixin, LabCase):
    """For every domain: verdict, host, address, protection, or the reply word for word."""

    config = {"dns": {"timeout": "3s"}}

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        dead = {"listen": False}
        cls.all = [
            add("none.example", {"starttls": False}),
            add("tls.example", {"cert": "self"}),
            add("reset.example", {"at": {"handshake": Reset()}}),
            add("ee.example", {"tlsa": "3 1 1", "cert": "stranger"}),
            add("ta.example", {"tlsa": "2 0 1", "cert": "stranger",
                               "authority": lab.pki.stranger}),
            add("ta-wrong.example", {"tlsa": "2 0 1", "cert": "wrong"}),
            add("mismatch.example", {"tlsa": WRONG}),
            add("unusable.example", {"tlsa": "1 1 1 " + "11" * 32, "cert": "self"}),
            add("stripped.example", {"tlsa": "3 1 1", "starttls": False}),
            add("busy.example", {"tlsa": "3 1 1", "at": {"starttls": "454 4.7.0 not now"}}),
            add("alert.example", {"tlsa": "3 1 1", "at": {"handshake": Reset()}}),
            add("torn.example", {"tlsa": "3 1 1", "at": {"tls-ehlo": Reset()}}),
            add("bogus.example", {"cert": "self"}, signing="bogus"),
            add("badt.example", {"tlsa": "3 1 1"},
                corrupt={("_25._tcp.mx1.badt.example", "TLSA")}),
            add("enforce.example", sts="enforce", signing=None),
            add("both.example", {"tlsa": "3 1 1"}, sts="enforce"),
            add("testing.example", {"cert": "expired"}, sts="testing"),
            add("off.example", {"cert": "self"}, sts={"mode": "none", "mx": []}),
            add("expired.example", {"cert": "expired"}, sts="enforce"),
            add("selfsigned.example", {"cert": "self"}, sts="enforce"),
            add("foreign.example", {"name": "mx.evil.example"}, signing=None,
                sts={"mx": ["mx1.foreign.example"]}),
            add("sts-clear.example", {"starttls": False}, sts="enforce"),
            add("nofile.example", sts={"bad": "404"}, signing=None),
            add("second.example", [{"tlsa": WRONG}, {"tlsa": "3 1 1"}]),
            add("backup.example", [dead, {"tlsa": WRONG}]),
            add("dead.example", dead),
            add("grumpy.example", {"at": {"greeting": "554 5.7.1 go away"}}),
            add("nullmx.example", [], extra=["@ MX 0 ."]),
            add("noaddress.example", {"no_address": True, "listen": False}),
            add("private.example", {"addresses": ["10.1.2.3"], "listen": False}),
            add("self.example", {"name": "edge.lab", "listen": False}),
        ]
        cls.addresses = add("addresses.example", {
            "addresses": [lab.dead_address(), lab.dead_address()], "listen": False})
        # One of two addresses is good: the first refuses connections.
        good = lab.address()
        host, _ = lab.host("mx1.half.example", {"addresses": [good]})
        cls.half = add("half.example", [], extra=[
            "@ MX 10 mx1.half.example.", f"mx1 A {lab.dead_address()}", f"mx1 A {good}"])
        cls.half.hosts.append(host)
        host, lines = lab.host("implicit.example", {"tlsa": "3 1 1"})
        cls.implicit = add("implicit.example", [], extra=lines)
        cls.implicit.hosts.append(host)
        cls.idn = add("xn--bcher-kva.example", {"tlsa": "3 1 1"})
        lab.domain("lame.example", [], extra=["mxfail NS ns.broken.lab."])
        lab.broken_dns.rules["mxfail.lame.example"] = "servfail"

    def test_every_domain(self):
        for domain in self.all:
            with self.subTest(domain.name):
                self.agrees(domain)

    def test_no_such_domain(self):
        self.agrees("absent.example")

    def test_dns_failure(self):
        """The verdict is the relay's, and the status says that another try may tell."""
        found = self.agrees("mxfail.lame.example")
        self.assertFalse(found["outcome"]["certain"])
        self.check("mxfail.lame.example", status=75)

    def test_implicit_mx(self):
        found = self.agrees(self.implicit)
        self.assertEqual(found["mx_state"], "implicit")

    def test_dead_addresses(self):
        self.agrees(self.addresses, any_address=True)

    def test_one_address_of_two(self):
        found = self.agrees(self.half)
        results = sorted(a["result"] for a in found["mx"][0]["addresses"])
        self.assertEqual(results, ["unreachable", "usable"])

    def test_idn(self):
        self.agrees(self.idn)
        found = self.check("b\u00fccher.example")
        self.assertEqual(found["domain"], "xn--bcher-kva.example")

    def test_no_mail_is_sent(self):
        domain = self.all[3]
        domain.mx.forget()
        self.check(domain, status=0)
        sessions = domain.mx.sessions
        self.assertEqual(len(sessions), 1)
        said = [c.split()[0].upper() for c in sessions[0].commands]
        self.assertEqual(said, ["EHLO", "STARTTLS", "EHLO", "QUIT"])

    def test_no_connect(self):
        for domain in self.all[:4]:
            domain.mx.forget()
            found = self.check(domain, "--no-connect")
            self.assertEqual(found["outcome"]["verdict"], "open")
            self.assertEqual(found["mx"][0]["addresses"][0]["result"], "not-tried")
            self.assertEqual(domain.mx.sessions, [])

    def test_the_daemon_is_left_as_it_was(self):
        """No record in the log, no policy in its cache."""
        fresh = self.lab.domain("untouched.example", sts="enforce", signing=None)
        self.lab.commit()
        before = len(self.sternpost.lines())
        self.check(fresh, status=0)
        self.assertEqual(len(self.sternpost.lines()), before)
        control = self.sternpost.config["server"]["control"]
        self.assertIsNone(cached(control, fresh.name))


def ask(control, command, domain):
    """One command to the daemon; its answer."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(control)
        sock.sendall(json.dumps({"command": command, "domain": domain}).encode() + b"\n")
        return json.loads(sock.makefile().readline())


def cached(control, domain):
    """What the daemon has cached for a domain."""
    return ask(control, "policy cached", domain)["policy"]


class AllThatIsWrong(CheckMixin, LabCase):
    """Every problem of an MX, what is shown of a good one, and the policy's source."""

    config = {"policy": {"combine": "both"}}

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        worst = lab.pki.stranger.issue("somebody.else.lab", begin=-90 * DAY, end=-DAY)
        cls.worst = add("worst.example", {"name": "mx.worst.net", "tlsa": WRONG, "cert": worst},
                        sts={"mx": ["mx.other.example"]})
        cls.good = add("good.example", {"tlsa": ["3 1 1", "1 1 1 " + "22" * 32]}, sts="enforce")
        cls.changed = add("changed.example", {}, signing=None,
                          sts={"mx": ["old.changed.example"], "id": "1"})
        cls.later = add("later.example", {"cert": "good"}, sts="enforce")
        host, lines = lab.host("host.alias.example", {})
        cls.alias = add("alias.example", [], signing=None, extra=[
            "@ MX 10 mx1.alias.example.", "mx1 CNAME host.alias.example.", *lines])
        cls.alias.hosts.append(host)

    def test_all_problems(self):
        found = self.check(self.worst, status=1)
        mx = found["mx"][0]
        self.assertEqual(codes(mx["problems"]), ["!not-approved"])
        self.assertEqual(codes(mx["addresses"][0]["problems"]),
                         ["!tlsa-mismatch", "!certificate-expired", "!certificate-untrusted",
                          "!certificate-name"])
        self.assertEqual(len(found["mends"]), 5)
        self.assertEqual(self.worst.mx.messages, [])

    def test_alias(self):
        """RFC 2181 §10.3: mail goes there, and its postmaster is told."""
        found = self.check(self.alias, status=0)
        self.assertEqual(codes(found["mx"][0]["problems"]), ["mx-alias"])
        self.assertEqual([m for m in found["mends"] if "name host.alias.example itself" in m],
                         found["mends"][1:])
        self.assertEqual(len(found["mends"]), 2)        # no policy, and the alias
        self.delivered(self.alias, self.lmtp(self.alias.rcpt))

    def test_what_is_shown(self):
        self.lmtp(self.good.rcpt)
        found = self.check(self.good, status=0)
        first = found["answers"][0]
        asked = {(a["type"], a["name"]): a for a in found["answers"]}
        for key in (("MX", "good.example"), ("TXT", "_mta-sts.good.example"),
                    ("A", "mx1.good.example"), ("TLSA", "_25._tcp.mx1.good.example")):
            self.assertEqual(asked[key]["state"], "secure", key)
            self.assertLessEqual(asked[key]["ttl"], 60)
        self.assertEqual(first["type"], "MX")
        self.assertEqual(found["sts"]["source"], "cached")
        self.assertEqual(found["sts"]["daemon"], "from the daemon's cache")
        mx = found["mx"][0]
        self.assertEqual((mx["approved"], mx["pattern"]), ("yes", "mx1.good.example"))
        self.assertEqual([t["consulted"] for t in sorted(mx["tlsa"], key=lambda t: t["record"])],
                         [False, True])
        tls = mx["addresses"][0]["tls"]
        self.assertEqual((tls["version"], tls["spki_sha256"]),
                         ("TLSv1.3", self.good.mx.cert.spki_sha256))
        self.assertTrue(tls["certificate"]["trusted"] and tls["certificate"]["names_host"])
        self.assertIn("CN=", tls["certificate"]["issuer"])
        self.assertEqual([t["matched"] for t in tls["tlsa"]], [True])
        status, out, _ = self.sternpost.run("check", self.good.name)
        self.assertEqual(status, 0)
        for words in ("Outcome", "delivered to mx1.good.example", "by dane-ee", "secure", "TTL",
                      "yes, by the pattern mx1.good.example", "DANE-EE", "matches"):
            self.assertIn(words, out)

    def test_cached_policy_counts_until_it_fails(self):
        """RFC 8461 §5.1: hosts fail for the cached policy; it is asked for again, as for mail."""
        control = self.sternpost.config["server"]["control"]
        ask(control, "policy refresh", self.changed.name)
        found = self.check(self.changed, status=1)
        self.assertEqual(found["sts"]["source"], "cached")
        self.assertEqual(found["outcome"]["rechecked"], False)
        self.lab.sts(self.changed, mx=["mx1.changed.example"], id="2")
        self.lab.republish(self.changed)
        found = self.check(self.changed)
        self.assertEqual(cached(control, self.changed.name)["id"], "1")
        self.assertTrue(found["outcome"]["rechecked"])
        self.assertEqual(found["outcome"]["verdict"], "delivered")
        self.delivered(self.changed, self.lmtp(self.changed.rcpt))

    def test_at(self):
        now = self.check(self.later)
        self.assertEqual(now["outcome"]["verdict"], "delivered")
        then = self.check(self.later, "--at", "2100-01-01T00:00:00Z", status=0)
        self.assertEqual(then["sts"]["state"], "unavailable")    # its host's certificate, too
        mx = then["mx"][0]["addresses"][0]["tls"]["certificate"]
        self.assertFalse(mx["trusted"])
        self.lmtp(self.later.rcpt)
        soon = self.check(self.later, "--at", now["time"], status=0)
        self.assertTrue(soon["time_given"])
        # What the daemon has fetched since then it did not have then.
        self.assertEqual(soon["sts"]["source"], "fetched")
        self.assertIn("fetched its policy later than that", soon["sts"]["daemon"])
        self.assertEqual(self.check(self.later, status=0)["sts"]["source"], "cached")
        status, out, _ = self.sternpost.run("check", "later.example", "--at", now["time"])
        self.assertEqual(status, 0)
        self.assertIn("fetched now, and taken as if at that time", out)


class Surroundings(CheckMixin, LabCase):
    """Terminal and pipe, with and without daemon, resolvers, bad words, its end."""

    config = {"dns": {"timeout": "3s"}}

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"}, sts="enforce")
        cls.hang = lab.domain("hang.example", {"tlsa": "3 1 1", "at": {"greeting": Hang()}})

    def test_terminal(self):
        status, shown = on_terminal(self.sternpost, "check", "good.example")
        self.assertEqual(status, 0, shown)
        self.assertIn("\r\x1b[K", shown)
        self.assertIn("asking the DNS: MX good.example", shown)
        self.assertIn("\x1b[1mOutcome", shown)
        _, plain = on_terminal(self.sternpost, "check", "good.example", env={"NO_COLOR": "1"})
        self.assertNotIn("\x1b[1m", plain)
        status, out, err = self.sternpost.run("check", "good.example")
        self.assertEqual((status, err), (0, ""))
        self.assertNotIn("\x1b", out)

    def test_without_a_daemon(self):
        server = self.sternpost.config["server"]
        control, server["control"] = server["control"], self.lab.path("nobody.sock")
        try:
            found = self.check(self.good, status=0)
        finally:
            server["control"] = control
            self.sternpost.configure()
        self.assertEqual(found["sts"]["daemon"], "no daemon runs: what is published now counts")
        self.assertEqual(found["sts"]["source"], "fetched")

    def test_resolvers(self):
        self.lab.add(Resolver(self.lab.path("honest"), self.lab.dns, "127.0.0.53"))
        self.lab.add(Resolver(self.lab.path("liar"), self.lab.dns, "127.0.0.54",
                              lies=["_mta-sts.good.example. TXT \"v=STSv1; id=9;\""]))
        same = self.check(self.good, "--resolver", "127.0.0.53", "--resolver", "127.0.0.53@53")
        self.assertEqual(same["differences"], [])
        self.assertEqual([r["name"] for r in same["resolvers"]], ["127.0.0.53@53"] * 2)
        found = self.check(self.good, "--resolver", "127.0.0.53", "--resolver", "127.0.0.54",
                           status=0)
        # What the second one makes up is bogus here, so that it learns of no policy host.
        lie = found["differences"][0]
        self.assertEqual((lie["type"], lie["name"]), ("TXT", "_mta-sts.good.example"))
        self.assertEqual(lie["answers"][1], "bogus")
        self.assertEqual(lie["answers"][0], "secure data: v=STSv1; id=1;")
        self.assertEqual({d["answers"][1] for d in found["differences"][1:]}, {"not asked"})
        status, out, _ = self.sternpost.run("check", "good.example", "--resolver", "127.0.0.53",
                                            "--resolver", "127.0.0.54")
        self.assertEqual(status, 0)
        self.assertIn("TXT _mta-sts.good.example differs", out)

        found = self.check(self.good, "--resolver", "127.0.0.99", "--resolver", "127.0.0.53",
                           status=0)
        self.assertEqual([r["validation"] for r in found["resolvers"]], ["unknown", "validates"])
        self.assertEqual(found["differences"], [])

    def test_no_resolver(self):
        status, out, err = self.sternpost.run("check", "good.example", "--resolver", "127.0.0.99",
                                              "--limit", "20s")
        self.assertEqual((status, out), (69, ""), err)
        self.assertEqual(len(err.splitlines()), 1)

    def test_without_a_configuration(self):
        """On the defaults, which in here means that no root server is to be reached."""
        env = {k: v for k, v in os.environ.items() if k != "STERNPOST_CONFIG"}
        done = subprocess.run([binary(), "check", "good.example", "--limit", "4s"], env=env,
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (69, ""), done.stderr)
        self.assertIn("the defaults hold", done.stderr)
        done = subprocess.run([binary(), "check", "good.example", "-c", "/nowhere.toml"], env=env,
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 78)

    def test_bad_words(self):
        for words in (["not a domain"], ["[127.0.0.1]"], ["x.example", "--at", "yesterday"],
                      ["x.example", "--resolver", "dns.example"], ["x.example", "--limit", "0s"]):
            with self.subTest(words):
                status, out, err = self.sternpost.run("check", *words)
                self.assertEqual((status, out), (2, ""))
                self.assertEqual(len(err.splitlines()), 1, err)

    def test_limit(self):
        found = self.check(self.hang, "--limit", "6s", status=75)
        self.assertEqual(codes(found["mx"][0]["addresses"][0]["problems"]), ["!not-in-time"])

    def test_interrupt(self):
        self.sternpost.configure()
        # A shell that runs this in the background has the signal ignored.
        listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        process = subprocess.Popen([binary(), "check", "hang.example", "-c",
                                    self.sternpost.config_file], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, preexec_fn=listening)
        before = time.monotonic()
        while not self.hang.mx.sessions and time.monotonic() < before + 20:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10), -signal.SIGINT)


if __name__ == "__main__":
    main()
