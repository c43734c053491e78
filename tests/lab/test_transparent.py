#!/usr/bin/python3
"""The transparent listener, behind the redirect rule of contrib/: an MTA that knows of no relay.

The rules, the resolver that lies and everything else are in this test's own namespaces. Sternpost
runs as its own user, whom the rule exempts; all else that goes to port 25 comes to it.
"""

import datetime
import json
import os
import re
import socket
import time
import tomllib

from lab import snippet
from lab.actions import Close, Hang
from lab.case import LabCase, main
from lab.client import Client, Lost, message
from lab.firewall import Redirect
from lab.mx import Mx
from lab.postfix import PostfixDirect
from lab.procs import wait_for
from lab.resolver import Resolver
from lab.sternpost import ROOT



def listeners():
    """Those of the README; this machine has the lab's addresses."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        section = file.read().split("\n### Any MTA, redirected by the firewall\n")[1]
    text = re.search(r"^```toml\n(.*?)^```$", section, re.M | re.S)[1]
    clients = ["127.0.0.0/24", "fd00:25::/64"]
    return [{**x, "clients": clients} for x in tomllib.loads(text)["listen"]]


PORT = 10026
CONFIG = {
    "listen": listeners(),
    "outbound": {"connect_timeout": "3s", "host_memory": "2s", "idle_keepalive": "2s",
                 "private_destinations": ["127.0.0.0/16", "127.1.0.0/16", "fd00:25::/64"]},
}
WRONG = "3 1 1 " + "00" * 32


class Transparent(LabCase):
    """Common: Sternpost as its user, a host that nobody's DNS names, the rule."""

    config = CONFIG
    begins = False
    exempt = "sternpost"

    @classmethod
    def publish(cls, lab):
        cls.evil = Mx("mx.evil.lab", [lab.address()], lab.cert("good", "mx.evil.lab"))
        lab.farm.add(cls.evil)

    @classmethod
    def setUpClass(cls):
        if cls is Transparent:
            return
        super().setUpClass()
        try:
            cls.sternpost = cls.lab.sternpost(cls.config, user="sternpost")
            cls.lab.add(Redirect(cls.exempt))
            cls.begin()
        except BaseException:
            cls.lab.stop()
            raise

    @classmethod
    def begin(cls):
        """Starts what a class has besides."""

    @classmethod
    def tearDownClass(cls):
        if cls is not Transparent:
            super().tearDownClass()

    def run(self, result=None):
        """The base class has no lab and runs nothing."""
        return result if type(self) is Transparent else super().run(result)

    def setUp(self):
        self.evil.forget()

    def dial(self, address, **options):
        """A connection to port 25 of an address, as an MTA makes it."""
        host = f"[{address}]" if ":" in address else address
        return Client(f"{host}:25", **options)

    def through(self, address, rcpts, **options):
        """One message over a connection to an address; the Outcome."""
        self.forget_sent()
        rcpts = [rcpts] if isinstance(rcpts, str) else rcpts
        with self.dial(address, **options) as client:
            out = client.transaction("a@front.lab", rcpts, message())
            client.quit()
        return out

    def untouched(self, host):
        """The host was asked nothing but to go: a connection at most, with QUIT."""
        self.assertEqual(host.messages, [])
        for session in host.sessions:
            self.assertTrue(session.closed.wait(5))
            self.assertEqual([x.split(" ")[0] for x in session.commands], ["EHLO", "QUIT"])

    def refusal(self, address, **options):
        """The greeting, which is a refusal, behind which the connection ends."""
        with self.dial(address, hello=False, **options) as client:
            with self.assertRaises(Lost):
                client.read()
            return client.greeting


class Dialled(Transparent):
    """What becomes of the address that was dialled."""

    config = {**CONFIG, "policy": {"exception": [{
        "domains": ["excepted.example"], "allow": "opportunistic", "reason": "a test",
        "until": datetime.date(2099, 12, 31), "owner": "postmaster@front.lab"}]}}

    @classmethod
    def publish(cls, lab):
        super().publish(lab)
        cls.plain = lab.domain("plain.example")
        cls.uncounted = lab.domain("uncounted.example")
        cls.two = lab.domain("two.example", [{}, {}])
        cls.dane = lab.domain("dane.example", {"tlsa": "3 1 1"})
        cls.sts = lab.domain("sts.example", [{}, {}], signing=None, sts="enforce")
        cls.one = lab.domain("one.example", [{}, {}], signing=None,
                             sts={"mode": "enforce", "mx": ["mx1.one.example"]})
        cls.testing = lab.domain("testing.example", signing=None, sts="testing")
        cls.excepted = lab.domain("excepted.example", {"cert": "expired"}, signing=None,
                                  sts="enforce")
        cls.mismatch = lab.domain("mismatch.example", {"tlsa": WRONG})
        cls.stripped = lab.domain("stripped.example", {"tlsa": "3 1 1", "starttls": False})
        cls.bare = lab.domain("bare.example", {"starttls": False})
        cls.gone = lab.domain("gone.example", {"listen": False})
        cls.gruff = lab.domain("gruff.example", {"at": {"greeting": Close("554 5.7.1 not you")}})
        cls.six = lab.domain("six.example", {"addresses": ["fd00:25::6"]})
        cls.null = lab.domain("null.example", [], extra=["@ MX 0 ."])
        cls.far = Mx("mx.far.lab", ["127.9.0.1"], lab.cert("good", "mx.far.lab"))
        lab.farm.add(cls.far)

    def setUp(self):
        super().setUp()
        for domain in self.lab.domains.values():
            for host in domain.hosts:
                host.forget()

    def test_no_policy_the_dialled_host_and_one_connection(self):
        out = self.through(self.plain.mx.address, self.plain.rcpt)
        self.delivered(self.plain, out)
        self.assertEqual(len(self.plain.mx.sessions), 1)
        record = self.last(self.plain)
        self.assertEqual((record["mx"], record["ip"]), (self.plain.mx.name, self.plain.mx.address))
        self.assertEqual((record["policy_type"], record["reused"]), ("no-policy-found", False))
        self.assertIn("by edge.lab with ESMTP", self.plain.messages[0].header("Received")[0])

    def test_no_policy_the_second_host_where_it_was_dialled(self):
        out = self.through(self.two.hosts[1].address, self.two.rcpt)
        self.delivered(self.two, out)
        self.assertEqual(len(self.two.hosts[1].messages), 1)

    def test_no_policy_an_address_that_our_dns_does_not_have(self):
        out = self.through(self.evil.address, self.plain.rcpt)
        self.reply(out, "250 2.0.0", "LAB")
        self.assertEqual((len(self.evil.accepted), self.plain.messages), (1, []))
        self.assertEqual(len(self.evil.sessions), 1)
        self.assertIsNone(self.evil.sessions[0].sni)
        for event in ("session", "delivery"):
            record = self.last(self.plain, event)
            self.assertEqual((record["mx"], record["ip"]), (None, self.evil.address))
            self.assertEqual(record["protection"], "encrypted")
        self.assertEqual([x["policy_type"] for x in self.last(self.plain, "session")["results"]],
                         ["no-policy-found"])

    def test_no_policy_an_address_that_our_dns_does_not_have_is_counted(self):
        self.evil.starttls = False
        try:
            out = self.through(self.evil.address, self.uncounted.rcpt)
        finally:
            self.evil.starttls = True
        self.reply(out, "250 2.0.0")

        def shown():
            status, text, _ = self.sternpost.run("report", "show", "--domain",
                                                 self.uncounted.name, "--json")
            return not status and self.evil.address in text and json.loads(text)
        self.assertIn("starttls-not-supported",
                      json.dumps(wait_for(shown, "the session in the running day's report")))

    def test_no_policy_cleartext_where_the_host_has_no_tls(self):
        self.delivered(self.bare, self.through(self.bare.mx.address, self.bare.rcpt), tls=False)
        self.assertEqual(len(self.bare.mx.sessions), 1)

    def test_dane_a_spoofed_address_is_healed(self):
        out = self.through(self.evil.address, self.dane.rcpt)
        self.delivered(self.dane, out)
        self.untouched(self.evil)
        record = self.last(self.dane)
        self.assertEqual((record["mx"], record["protection"]),
                         (self.dane.mx.name, "authenticated"))

    def test_enforce_a_spoofed_address_is_healed(self):
        self.delivered(self.sts, self.through(self.evil.address, self.sts.rcpt))
        self.untouched(self.evil)
        self.assertEqual(self.last(self.sts)["protection"], "authenticated")

    def test_enforce_the_approved_host_that_was_dialled(self):
        self.delivered(self.sts, self.through(self.sts.hosts[1].address, self.sts.rcpt))
        self.assertEqual(len(self.sts.hosts[1].messages), 1)
        self.assertEqual(self.sts.hosts[0].sessions, [])

    def test_enforce_a_host_that_is_not_approved(self):
        self.delivered(self.one, self.through(self.one.hosts[1].address, self.one.rcpt))
        self.assertEqual(len(self.one.hosts[0].messages), 1)
        self.untouched(self.one.hosts[1])

    def test_testing_a_spoofed_address_is_healed(self):
        self.delivered(self.testing, self.through(self.evil.address, self.testing.rcpt))
        self.untouched(self.evil)

    def test_exception_as_if_nothing_were_published(self):
        self.reply(self.through(self.evil.address, self.excepted.rcpt), "250 2.0.0")
        self.assertEqual(len(self.evil.accepted), 1)
        self.assertEqual(self.last(self.excepted, "session")["results"][0]["policy_type"], "sts")

    def test_mismatch_and_stripped(self):
        for domain, address, status in (
                (self.mismatch, self.mismatch.mx.address, "451 4.7.5"),
                (self.mismatch, self.evil.address, "451 4.7.5"),
                (self.stripped, self.evil.address, "451 4.7.4")):
            with self.subTest(domain=domain.name, address=address):
                self.refused(domain, self.through(address, domain.rcpt), status, domain.mx.name)
        self.assertEqual(self.evil.messages, [])

    def test_a_domain_that_our_dns_does_not_know(self):
        self.reply(self.through(self.evil.address, "user@nosuch.example"), "250 2.0.0")
        self.assertEqual(len(self.evil.accepted), 1)
        self.reply(self.through(self.evil.address, self.null.rcpt), "556 5.1.10")

    def test_address_literal(self):
        rcpt = f"user@[{self.plain.mx.address}]"
        self.reply(self.through(self.evil.address, rcpt), "250 2.0.0")
        self.assertEqual(len(self.evil.accepted), 1)

    def test_dead_address(self):
        greeting = self.refusal(self.lab.dead_address())
        self.assertEqual(greeting.status.split(" ")[0], "421")
        address = self.gone.records[-1].split()[-1]
        first, second = self.refusal(address), self.refusal(address)
        self.assertRegex(first.text, r"^4\.4\.1 .*refused.* \[\w+\]$")
        self.assertIn("not tried again before", second.text)

    def test_greeting_refused(self):
        greeting = self.refusal(self.gruff.mx.address)
        self.assertRegex(greeting.text, r"^4\.4\.1 .*554 5\.7\.1 not you")

    def test_not_redirected(self):
        for address in ("127.0.0.1", "::1"):
            with self.subTest(address):
                with socket.create_connection((address, PORT), 10) as sock:
                    said = sock.makefile().read()
                self.assertRegex(said, r"^421 4\.3\.5 .*redirect.*\n$")
        self.assertRegex(self.sternpost.log, r"misdirected connection from 127\.0\.0\.1:\d+: ")

    def test_stranger_is_greeted_and_relays_nothing(self):
        out = self.through(self.plain.mx.address, self.plain.rcpt, source="127.5.5.5")
        self.refused(self.plain, out, "451 4.7.1", "may not relay")
        self.assertEqual(self.plain.mx.sessions, [])

    def test_private_destination(self):
        got = self.refused(self.plain, self.through(self.far.address, self.plain.rcpt),
                           "451 4.4.4", "private_destinations")
        self.assertIn("127.9.0.1", got.text)
        self.delivered(self.sts, self.through(self.far.address, self.sts.rcpt))
        self.assertEqual(self.far.sessions, [])

    def test_connection_that_died_before_the_recipient(self):
        for domain in (self.plain, self.dane, self.bare):
            with self.subTest(domain.name), self.dial(domain.mx.address) as client:
                wait_for(lambda d=domain: d.mx.sessions, "the early connection")
                self.lab.farm.cut(domain.mx)
                out = client.transaction("a@front.lab", [domain.rcpt], message())
                self.delivered(domain, out, tls=domain is not self.bare)
                self.assertEqual(len(domain.mx.sessions), 2)

    def test_connection_that_nobody_used(self):
        with self.dial(self.plain.mx.address) as client:
            client.quit()
        self.untouched(self.plain.mx)
        self.assertEqual(len(self.plain.mx.sessions), 1)

    def test_several_transactions_on_one_connection(self):
        with self.dial(self.plain.mx.address) as client:
            for _ in range(3):
                out = client.transaction("a@front.lab", [self.plain.rcpt], message())
                self.reply(out, "250 2.0.0")
            out = client.transaction("a@front.lab", [self.dane.rcpt], message())
            self.reply(out, "250 2.0.0")
            out = client.transaction("a@front.lab", [self.plain.rcpt], message())
            self.reply(out, "250 2.0.0")
        self.assertEqual((len(self.plain.messages), len(self.dane.messages)), (4, 1))
        self.assertEqual(len(self.plain.mx.sessions), 1)

    def test_two_domains_in_one_message(self):
        out = self.through(self.plain.mx.address, [self.plain.rcpt, self.dane.rcpt])
        self.assertEqual([r.status for r in out.rcpts], ["250 2.1.5", "452 4.5.3"])
        self.delivered(self.plain, out)

    def test_ipv6(self):
        self.delivered(self.six, self.through("fd00:25::6", self.six.rcpt))
        self.assertEqual(len(self.six.mx.sessions), 1)
        self.assertEqual(self.last(self.six)["ip"], "fd00:25::6")

    def test_keywords(self):
        with self.dial(self.plain.mx.address) as client:
            self.assertEqual(client.greeting.text, "edge.lab ESMTP")
            self.assertNotIn("STARTTLS", client.keywords)
            self.assertIn("LIMITS", client.keywords)


class Observe(Transparent):
    """observe: as enforce, and only where that would defer, where the MTA was going."""

    config = {**CONFIG, "policy": {"mode": "observe"}}

    @classmethod
    def publish(cls, lab):
        super().publish(lab)
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"})
        cls.mismatch = lab.domain("mismatch.example", {"tlsa": WRONG})

    def test_healed_as_in_enforce(self):
        self.delivered(self.good, self.through(self.evil.address, self.good.rcpt))
        self.untouched(self.evil)
        self.assertEqual(self.last(self.good)["would_be"], "delivered")

    def test_the_dialled_address_where_enforce_would_defer(self):
        self.reply(self.through(self.evil.address, self.mismatch.rcpt), "250 2.0.0")
        self.assertEqual(len(self.evil.accepted), 1)
        record = self.last(self.mismatch)
        self.assertEqual((record["verdict"], record["would_be"], record["mx"]),
                         ("delivered", "deferred", None))

    def test_the_dialled_host_where_enforce_would_defer(self):
        self.delivered(self.mismatch, self.through(self.mismatch.mx.address, self.mismatch.rcpt))
        self.assertEqual(self.last(self.mismatch)["would_be"], "deferred")


class Limits(Transparent):
    """One connection an MX, and little patience."""

    config = {**CONFIG, "outbound": {**CONFIG["outbound"], "max_connections_per_mx": 1,
                                     "recipient_wait": "2s", "idle_keepalive": "0s"}}

    @classmethod
    def publish(cls, lab):
        super().publish(lab)
        cls.plain = lab.domain("plain.example")
        cls.mute = lab.domain("mute.example", {"at": {"greeting": Hang()}})

    def test_greeting_that_does_not_come(self):
        began = time.monotonic()
        greeting = self.refusal(self.mute.mx.address)
        self.assertRegex(greeting.text, r"^4\.4\.1 .*did not answer in time")
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("not tried again before", self.refusal(self.mute.mx.address).text)

    def test_connections_all_in_use(self):
        with self.dial(self.plain.mx.address) as first:
            out = self.through(self.plain.mx.address, self.plain.rcpt)
            self.refused(self.plain, out, "451 4.4.5", "in use")
            out = first.transaction("a@front.lab", [self.plain.rcpt], message())
            self.delivered(self.plain, out)
        self.assertEqual(len(self.plain.mx.sessions), 1)


class Waiting(Transparent):
    """While an address is being dialled, which may take minutes."""

    @classmethod
    def publish(cls, lab):
        super().publish(lab)
        cls.mute = lab.domain("mute.example", {"at": {"greeting": Hang()}})

    def sessions(self):
        """How many there are, by the control socket."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.sternpost.config["server"]["control"])
            sock.sendall(b'{"command": "status"}\n')
            return json.loads(sock.makefile().readline())["sessions"]

    def test_a_client_that_goes_ends_the_wait(self):
        with socket.create_connection((self.mute.mx.address, 25), 10):
            wait_for(lambda: self.mute.mx.sessions, "the early connection")
            self.assertEqual(self.sessions(), 1)
        wait_for(lambda: self.sessions() == 0, "the session's end")

    def test_b_drain(self):
        self.mute.mx.forget()
        with socket.create_connection((self.mute.mx.address, 25), 10) as sock:
            wait_for(lambda: self.mute.mx.sessions, "the early connection")
            began = time.monotonic()
            self.sternpost.term()
            self.assertRegex(sock.makefile().read(), r"^421 4\.3\.2 ")
            self.assertEqual(self.sternpost.daemon.wait(10), 0)
            self.assertLess(time.monotonic() - began, 8)


class Loop(Transparent):
    """A rule that forgets the relay's own user."""

    exempt = "nobody"

    @classmethod
    def publish(cls, lab):
        super().publish(lab)
        cls.plain = lab.domain("plain.example")

    def test_own_connection_comes_back(self):
        greeting = self.refusal(self.plain.mx.address)
        self.assertRegex(greeting.status, "^421 4.4.1")
        wait_for(lambda: "must exempt the relay's user" in self.sternpost.log, "the warning")
        self.assertEqual(self.sternpost.log.count("session from"), 2)   # Known at once.
        self.assertEqual(self.plain.mx.sessions, [])


class Front(Transparent):
    """Postfix, whose resolver lies to it, and which delivers to MX hosts itself."""

    @classmethod
    def publish(cls, lab):
        super().publish(lab)
        cls.dane = lab.domain("dane.example", {"tlsa": "3 1 1"})
        cls.sts = lab.domain("sts.example", signing=None, sts="enforce")
        cls.plain = lab.domain("plain.example")
        cls.honest = [lab.domain(f"honest{n}.example", {"tlsa": "3 1 1"}) for n in range(2)]
        cls.mismatch = lab.domain("mismatch.example", {"tlsa": WRONG})
        cls.stripped = lab.domain("stripped.example", {"starttls": False}, signing=None,
                                  sts="enforce")
        cls.backup = lab.domain("backup.example", [{"listen": False}, {}])
        cls.six = lab.domain("six.example", {"addresses": ["fd00:25::6"]})

    @classmethod
    def begin(cls):
        lies = [f"{d.name}. 60 IN MX 5 mx.evil.lab." for d in (cls.dane, cls.sts, cls.plain)]
        cls.lab.add(Resolver(cls.lab.path("resolver"), cls.lab.dns, validating=False,
                             lies=[*lies, f"mx.evil.lab. 60 IN A {cls.evil.address}"]))
        lines = snippet.usual("postfix", "--via", "transparent")["/etc/postfix/main.cf"]
        # Its own port is not 25, which comes to the relay.
        cls.front = cls.lab.add(PostfixDirect(cls.lab.path("front"), port=2525,
                                              settings=snippet.main_cf(lines)))

    def outcome(self, rcpt):
        """(dsn, status, text) of the delivery of one message."""
        self.forget_sent()
        self.front.submit("a@front.lab", rcpt, message("direct"))
        return self.front.wait_logged(rcpt)[-1]

    def sent(self, domain):
        """One message goes out, and Postfix has the MX's own words for it."""
        dsn, status, text = self.outcome(domain.rcpt)
        self.assertEqual((dsn[0], status), ("2", "sent"), text)
        self.assertIn("LAB", text)

    def test_spoofed_mx_healed_by_dane(self):
        self.sent(self.dane)
        self.assertEqual(len(self.dane.mx.accepted), 1)
        self.assertIsNotNone(self.dane.messages[0].tls)
        self.untouched(self.evil)
        record = self.last(self.dane)
        self.assertEqual((record["mx"], record["protection"], record["policy_type"]),
                         (self.dane.mx.name, "authenticated", "tlsa"))
        self.assertIn(f"relay=mx.evil.lab[{self.evil.address}]:25", self.front.maillog)

    def test_spoofed_mx_healed_by_mta_sts(self):
        self.sent(self.sts)
        self.assertEqual(len(self.sts.mx.accepted), 1)
        self.untouched(self.evil)
        record = self.last(self.sts)
        self.assertEqual((record["mx"], record["protection"], record["policy_type"]),
                         (self.sts.mx.name, "authenticated", "sts"))

    def test_spoofed_mx_where_nothing_is_published(self):
        self.sent(self.plain)
        self.assertEqual((len(self.evil.accepted), self.plain.messages), (1, []))

    def test_mismatch_is_deferred_with_the_reason(self):
        dsn, status, text = self.outcome(self.mismatch.rcpt)
        self.assertEqual((dsn, status), ("4.7.5", "deferred"), text)
        self.assertIn("TLSA", text)
        self.assertIn(self.mismatch.mx.name, text)

    def test_starttls_stripped_is_deferred(self):
        dsn, status, text = self.outcome(self.stripped.rcpt)
        self.assertEqual((dsn, status), ("4.7.4", "deferred"), text)
        self.assertIn("MTA-STS", text)

    def test_dead_host_then_the_next(self):
        self.sent(self.backup)
        self.assertIn("421 4.4.1", self.front.maillog)
        self.assertEqual(len(self.backup.hosts[0].accepted), 1)

    def test_ipv6(self):
        self.sent(self.six)
        self.assertEqual(self.last(self.six)["ip"], "fd00:25::6")

    def test_two_domains_in_one_message(self):
        rcpts = [f"both@{d.name}" for d in self.honest]
        self.front.submit("a@front.lab", rcpts, message("both"))
        for rcpt in rcpts:
            self.assertEqual(self.front.wait_logged(rcpt)[-1][1], "sent")
        for domain in self.honest:
            self.assertEqual(len(domain.mx.accepted), 1)


if __name__ == "__main__":
    main()
