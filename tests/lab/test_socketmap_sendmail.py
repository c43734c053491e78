#!/usr/bin/python3
"""The policy map behind a real Sendmail 8.17 with Debian's FEATURE(`sts'): what its rulesets make
of the answers, and what it delivers or keeps. Debian's program has STARTTLS and MTA-STS built in
and DANE not, so that DANE beside a policy can be asked of the rulesets alone."""

import contextlib
import os
import subprocess

from lab import snippet
from lab.case import LabCase, main
from lab.client import message
from lab.procs import wait_for
from lab.resolver import Resolver
from lab.sendmail import SendmailFront
from test_socketmap import Client


def mc_of(lab):
    """The lines that snippet prints, with the lab's CA; and no long wait for a dead host."""
    ca = lab.pki.ca_file
    printed = snippet.usual("sendmail", "--version", "8.17", "--via", "map")
    lines = printed["/etc/mail/sendmail.mc"]
    lines = lines.replace("/etc/ssl/certs/ca-certificates.crt", ca)
    lines = lines.replace("/etc/ssl/certs", os.path.dirname(ca))
    return lines + "define(`confTO_CONNECT', `3s')dnl\ndefine(`confTO_ICONNECT', `3s')dnl\n"


class Sts(LabCase):
    """Sendmail that delivers to MX hosts itself."""

    config = {"socketmap": {"sendmail_listen": "127.0.0.1:5461"},
              "policy": {"rule": [{"domains": ["pinned.example"], "require": "verified",
                                   "spki_sha256": ["A" * 43 + "="]}]}}

    @classmethod
    def publish(cls, lab):
        cls.plain = lab.domain("plain.example", signing=None)
        cls.good = lab.domain("good.example", signing=None, sts="enforce")
        cls.wide = lab.domain("wide.example", {"name": "mx.wide.example"}, signing=None,
                              sts={"mx": ["*.wide.example"]})
        cls.both = lab.domain("both.example", {"tlsa": "3 1 1"}, sts="enforce")
        cls.dane = lab.domain("dane.example", {"tlsa": "3 1 1"})
        cls.bad_cert = lab.domain("badcert.example", {"cert": "self"}, signing=None, sts="enforce")
        cls.bad_name = lab.domain("badname.example", {"cert": "wrong"}, signing=None,
                                  sts="enforce")
        cls.no_tls = lab.domain("notls.example", {"starttls": False}, signing=None, sts="enforce")
        cls.two = lab.domain("two.example", [{"cert": "good"}, {"cert": "good"}], signing=None,
                             sts={"mx": ["mx2.two.example"]})
        cls.pinned = lab.domain("pinned.example", signing=None)
        cls.testing = lab.domain("testing.example", {"cert": "self"}, signing=None, sts="testing")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab.add(Resolver(cls.lab.path("resolver"), cls.lab.dns))
        cls.front = cls.lab.add(SendmailFront(cls.lab.path("front"), mc_of(cls.lab)))

    # -- sendmail -bt --------------------------------------------------------------------------

    def rules(self, *lines):
        """What sendmail -bt says to these lines."""
        done = subprocess.run([*self.front.argv, "-bt"], check=False, capture_output=True,
                              input="".join(x + "\n" for x in lines), text=True,
                              env={**os.environ, **self.front.env}, timeout=60)
        return done.stdout

    def test_map(self):
        for key, answer in (("good.example", f"secure match={self.good.names[0]} "
                             "servername=hostname"),
                            ("wide.example", "secure match=.wide.example servername=hostname"),
                            ("both.example", f"secure match={self.both.names[0]} "
                             "servername=hostname")):
            self.assertIn(f"returns {answer} (0)", self.rules(f"/map sts {key}"), key)
        for key in ("plain.example", "dane.example", "testing.example"):
            self.assertIn("no match (68)", self.rules(f"/map sts {key}"), key)
        self.assertIn("no match (75)", self.rules("/map sts pinned.example"))

    def check(self, domain, server, names=()):
        """STS_Check for a recipient at a server whose certificate has these names."""
        return self.rules(f".D{{rcpt_addr}}{domain.rcpt}", f".D{{server_name}}{server}",
                          *(f".C{{cert_altnames}}{x}" for x in names or [server]),
                          f"STS_Check {domain.rcpt}").strip().splitlines()[-2:]

    def test_rulesets(self):
        def last(text):
            return " ".join(text)
        self.assertIn("returns: ok", last(self.check(self.good, self.good.names[0])))
        self.assertIn("returns: ok", last(self.check(self.wide, "mx.wide.example")))
        self.assertIn("not found in", last(self.check(self.good, "rogue.example")))
        # One label and no more, as RFC 8461 has it.
        self.assertIn("not found in", last(self.check(self.wide, "a.mx.wide.example")))
        self.assertIn("returns: ok", last(self.check(self.plain, "anything.example")))
        secure = last(self.rules(f".D{{rcpt_addr}}{self.good.rcpt}", "STS_secure NO"
                                 ).strip().splitlines()[-2:])
        self.assertIn("$# error", secure)
        # What Sendmail's own DANE found wrong is not rescued; what it found right is enough.
        wrong = last(self.rules(f".D{{rcpt_addr}}{self.both.rcpt}", "STS_secure DANE_FAIL"
                                ).strip().splitlines()[-2:])
        self.assertIn("$# error", wrong)
        right = last(self.rules(f".D{{rcpt_addr}}{self.both.rcpt}", ".D{cipher_bits}256",
                                "STS_secure TRUSTED"
                                ).strip().splitlines()[-2:])
        self.assertNotIn("$# error", right)

    # -- deliveries ----------------------------------------------------------------------------

    def sent(self, domain):
        self.front.submit("a@front.lab", domain.rcpt, message("sts"))
        wait_for(lambda: domain.messages, f"the message: {self.front.queue()}", 30, 0.1)
        return domain.messages[0]

    def kept(self, domain, word):
        self.front.submit("a@front.lab", domain.rcpt, message("sts"))
        self.assertIn(word, self.front.wait_queued(domain.rcpt))
        text = self.front.wait_queued(word)
        self.assertIn(domain.rcpt, text)
        self.assertEqual(domain.messages, [])

    def test_good_hosts_get_their_mail(self):
        for domain in (self.good, self.wide, self.both):
            self.assertIsNotNone(self.sent(domain).tls, domain.name)
        for domain in (self.plain, self.dane, self.testing):
            self.sent(domain)

    def test_bad_hosts_do_not(self):
        for domain in (self.bad_cert, self.bad_name, self.no_tls):
            self.front.submit("a@front.lab", domain.rcpt, message("sts"))
        for domain in (self.bad_cert, self.bad_name, self.no_tls):
            self.front.wait_queued(domain.rcpt)
        self.front.flush()
        for domain in (self.bad_cert, self.bad_name, self.no_tls):
            self.assertEqual(domain.messages, [], domain.name)
            self.assertIn(domain.rcpt, self.front.queue())

    def test_unlisted_host_is_passed_over(self):
        self.front.submit("a@front.lab", self.two.rcpt, message("sts"))
        self.front.wait_queued(self.two.rcpt) if not self.two.messages else None
        self.assertEqual(self.two.hosts[0].accepted, [])

    def test_what_the_map_cannot_say_waits(self):
        self.kept(self.pinned, "sts map: lookup (pinned.example): deferred")
        self.assertIn("pinned.example waits", self.sternpost.log)

    def test_protocol(self):
        with contextlib.closing(Client(("127.0.0.1", 5461))) as client:
            self.assertEqual(client.ask("plain.example", "sts"), "NOTFOUND ")
            self.assertTrue(client.ask("plain.example", "QUERY").startswith("PERM "))


class Gone(LabCase):
    """Nobody answers where the map should be."""

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", signing=None, sts="enforce")

    def test_mail_waits(self):
        self.lab.add(Resolver(self.lab.path("resolver"), self.lab.dns))
        front = self.lab.add(SendmailFront(self.lab.path("front"), mc_of(self.lab)))
        front.submit("a@front.lab", self.good.rcpt, message("sts"))
        wait_for(lambda: "sts map" in front.queue(), "the reason", 60, 0.3)
        self.assertEqual(self.good.messages, [])


if __name__ == "__main__":
    main()
