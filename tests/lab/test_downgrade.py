#!/usr/bin/python3
"""Downgrade memory: an MX host that offered STARTTLS, or was authenticated, and is not any more."""

import datetime

from lab import http
from lab.actions import Reset
from lab.case import LabCase, main
from lab.procs import wait_for

SOON = datetime.date.today() + datetime.timedelta(days=30)


class Suspected(LabCase):
    """What both settings share."""

    def events(self, domain, count=1):
        """The downgrade-suspected records about a domain, waited for; and no more of them."""
        self.sternpost.wait_records(count, event="downgrade-suspected", domain=domain.name)
        got = self.sternpost.records(event="downgrade-suspected", domain=domain.name)
        self.assertEqual(len(got), count, got)
        return got

    def no_event(self, domain):
        """The domain's last delivery is in the log, and no suspicion before it."""
        self.last(domain)
        self.assertEqual(
            self.sternpost.records(event="downgrade-suspected", domain=domain.name), [])

    def known(self, domain):
        """One message over TLS; the connection is gone before the next one."""
        self.reply(self.lmtp(domain.rcpt), "250 2.0.0")
        self.assertIsNotNone(domain.messages[-1].tls)
        self.quiet()

    def quiet(self):
        """No MX connection waits for reuse."""
        def idle():
            text = http.get("/metrics").body
            return "sternpost_mx_connections_open 0\n" in text
        wait_for(idle, "the MX connections to be closed")

    def renew(self, domain, **options):
        """The host has another key and certificate."""
        domain.mx.cert = self.lab.pki.ca.issue("renewed." + domain.mx.name, [domain.mx.name],
                                               **options)

    def strip(self, domain):
        """From now on STARTTLS is not offered."""
        domain.mx.starttls = False


class Log(Suspected):
    """policy.on_downgrade = "log", the default; domains that publish nothing."""

    config = {"admin": {"listen": "127.0.0.1:8470"}, "outbound": {"idle_keepalive": "0s"}}

    @classmethod
    def publish(cls, lab):
        def add(name, hosts):
            return lab.domain(name, hosts, signing=None)
        cls.stripped = add("stripped.example", {"cert": "self"})
        cls.refusing = add("refusing.example", {"cert": "self"})
        cls.reset = add("reset.example", {"cert": "self"})
        cls.other_key = add("otherkey.example", {"cert": "good"})
        cls.renewed = add("renewed.example", {"cert": "good"})
        cls.never = add("never.example", {"starttls": False})
        cls.killed = add("killed.example", {"cert": "self"})
        cls.signed = lab.domain("signed.example", {"tlsa": "3 1 1"})

    def test_starttls_is_gone(self):
        self.known(self.stripped)
        self.strip(self.stripped)
        self.reply(self.lmtp(self.stripped.rcpt), "250 2.0.0")
        self.assertIsNone(self.stripped.messages[-1].tls)
        event = self.events(self.stripped)[0]
        self.assertEqual((event["mx"], event["ip"], event["result"], event["protection"]),
                         ("mx1.stripped.example", self.stripped.mx.address,
                          "starttls-not-supported", "cleartext"))
        self.assertRegex(event["reason"], r"^was last seen with TLS at 20\d\d-\d\d-\d\dT[\d:.]+Z "
                                          r"and now: STARTTLS is not offered$")
        self.assertEqual(event["id"], self.last(self.stripped)["id"])
        self.assertIn("downgrade suspected: MX mx1.stripped.example", self.sternpost.log)
        self.assertRegex(http.get("/metrics").body,
                         r'sternpost_downgrades_suspected_total\{lost="starttls"\} [1-9]')
        # It is told each time, and over when TLS is back.
        self.reply(self.lmtp(self.stripped.rcpt), "250 2.0.0")
        self.events(self.stripped, 2)
        self.stripped.mx.starttls = True
        self.reply(self.lmtp(self.stripped.rcpt), "250 2.0.0")
        self.assertIsNotNone(self.stripped.messages[-1].tls)
        self.events(self.stripped, 2)

    def test_other_ways_into_cleartext(self):
        """A refused STARTTLS and a broken handshake leave the mail as unprotected as none."""
        self.known(self.refusing)
        self.refusing.mx.at["starttls"] = "454 4.7.0 not now"
        self.reply(self.lmtp(self.refusing.rcpt), "250 2.0.0")
        self.assertIn("454 4.7.0", self.events(self.refusing)[0]["reason"])
        self.known(self.reset)
        self.reset.mx.at["handshake"] = Reset()
        self.reply(self.lmtp(self.reset.rcpt), "250 2.0.0")
        self.assertIsNone(self.reset.messages[-1].tls)
        event = self.events(self.reset)[0]      # one, though it was connected to twice
        self.assertEqual(event["result"], "validation-failure")

    def test_authentication_is_gone(self):
        self.known(self.other_key)
        self.renew(self.other_key, self_signed=True)
        self.reply(self.lmtp(self.other_key.rcpt), "250 2.0.0")
        event = self.events(self.other_key)[0]
        self.assertRegex(event["reason"], r"^was last authenticated \(pkix\) at .*Z and now shows "
                                          "another key: ")
        self.assertEqual(event["protection"], "encrypted")
        self.assertEqual(event["spki_sha256"], self.last(self.other_key)["spki_sha256"])

    def test_what_is_no_downgrade(self):
        # Another key with a good certificate.
        self.known(self.renewed)
        before = self.last(self.renewed)["spki_sha256"]
        self.renew(self.renewed)
        self.reply(self.lmtp(self.renewed.rcpt), "250 2.0.0")
        self.assertNotEqual(self.last(self.renewed)["spki_sha256"], before)
        self.no_event(self.renewed)
        # A host that never had it.
        for _ in range(2):
            self.reply(self.lmtp(self.never.rcpt), "250 2.0.0")
        self.no_event(self.never)

    def test_a_policy_that_refuses_tells_it_too(self):
        self.known(self.signed)
        self.strip(self.signed)
        self.reply(self.lmtp(self.signed.rcpt), "451 4.7.4", "TLSA")
        self.assertEqual(self.events(self.signed)[0]["requirement"], "dane")

    def test_survives_kill_and_restart(self):
        self.known(self.killed)
        # The writer is done within moments; nothing but the file tells so from outside.
        wait_for(lambda: b"mx1.killed.example" in self.stored(), "the row")
        self.sternpost.kill()
        self.sternpost.start()
        self.strip(self.killed)
        self.reply(self.lmtp(self.killed.rcpt), "250 2.0.0")
        self.events(self.killed)
        self.sternpost.stop()
        self.sternpost.start()
        self.reply(self.lmtp(self.killed.rcpt), "250 2.0.0")
        self.events(self.killed, 2)
        self.assertRegex(self.sternpost.log, r"[1-9]\d* MX hosts are remembered")

    def stored(self):
        """The store's file and its write-ahead log."""
        octets = b""
        for name in ("state.db", "state.db-wal"):
            try:
                with open(self.sternpost.path("state", name), "rb") as file:
                    octets += file.read()
            except FileNotFoundError:
                pass
        return octets


class Defer(Suspected):
    """policy.on_downgrade = "defer"."""

    config = {"admin": {"listen": "127.0.0.1:8470"}, "outbound": {"idle_keepalive": "0s"},
              "policy": {"on_downgrade": "defer", "exception": [
                  {"domains": ["excepted.example"], "allow": "opportunistic",
                   "until": SOON, "owner": "postmaster@edge.lab", "reason": "ticket 4711"}]}}

    @classmethod
    def publish(cls, lab):
        def add(name, hosts):
            return lab.domain(name, hosts, signing=None)
        cls.stripped = add("stripped.example", {"cert": "self"})
        cls.reset = add("reset.example", {"cert": "self"})
        cls.other_key = add("otherkey.example", {"cert": "good"})
        cls.two = add("two.example", [{"cert": "self"}, {"cert": "self"}])
        cls.excepted = add("excepted.example", {"cert": "self"})

    def test_not_used(self):
        self.known(self.stripped)
        self.strip(self.stripped)
        count = len(self.stripped.messages)
        for _ in range(2):              # nothing of it is a mark that runs out
            self.reply(self.lmtp(self.stripped.rcpt), "451 4.7.4",
                       r"policy\.on_downgrade", r"mx1\.stripped\.example",
                       r"last seen with TLS at 20\d\d-\d\d-\d\dT[\d:.]+Z")
        self.assertEqual(len(self.stripped.messages), count)
        self.assertEqual(self.last(self.stripped)["verdict"], "deferred")
        self.events(self.stripped, 2)
        self.stripped.mx.starttls = True
        self.reply(self.lmtp(self.stripped.rcpt), "250 2.0.0")

    def test_no_retry_in_cleartext(self):
        self.known(self.reset)
        self.reset.mx.at["handshake"] = Reset()
        self.reply(self.lmtp(self.reset.rcpt), "451 4.7.5", r"mx1\.reset\.example")
        self.assertEqual(len(self.reset.messages), 1)

    def test_authentication(self):
        self.known(self.other_key)
        self.renew(self.other_key, self_signed=True)
        self.reply(self.lmtp(self.other_key.rcpt), "451 4.7.5", r"mx1\.otherkey\.example",
                   r"last authenticated \(pkix\) at")
        self.assertEqual(len(self.other_key.messages), 1)

    def test_other_hosts_are_tried(self):
        self.known(self.two)
        self.strip(self.two)
        self.reply(self.lmtp(self.two.rcpt), "250 2.0.0")
        self.assertEqual(self.last(self.two)["mx"], "mx2.two.example")
        self.assertIsNotNone(self.two.hosts[1].messages[-1].tls)
        self.events(self.two)

    def test_exception(self):
        self.known(self.excepted)
        self.strip(self.excepted)
        self.reply(self.lmtp(self.excepted.rcpt), "250 2.0.0")
        self.assertIsNone(self.excepted.messages[-1].tls)
        self.no_event(self.excepted)
        self.assertTrue(self.sternpost.records(event="exception", domain="excepted.example"))


class Observe(Suspected):
    """Observe mode: told, and what defer would have done is said."""

    config = {"admin": {"listen": "127.0.0.1:8470"}, "outbound": {"idle_keepalive": "0s"},
              "policy": {"on_downgrade": "defer", "mode": "observe"}}

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("stripped.example", {"cert": "self"}, signing=None)

    def test_told_and_delivered(self):
        self.known(self.domain)
        self.strip(self.domain)
        self.reply(self.lmtp(self.domain.rcpt), "250 2.0.0")
        self.events(self.domain)
        line = self.last(self.domain)
        self.assertEqual((line["verdict"], line["would_be"]), ("delivered", "deferred"))


if __name__ == "__main__":
    main()
