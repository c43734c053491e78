#!/usr/bin/python3
"""Report mail of our own that comes back through the relay by way of the MTA, and its bounces."""

import os
import stat

from lab import report_mail
from lab.actions import Reset
from lab.case import LabCase, main
from lab.client import message
from lab.postfix import PostfixFront
from lab.procs import LabError
from lab.sternpost import LMTP, merge

WRONG = "3 1 1 " + "00" * 32
FREED = r"report mail of our own, freed from policies \(RFC 8460 §5\.3\)"


class ReportMailCase(LabCase):
    """A relay with a report domain."""

    config = report_mail.CONFIG

    def path_for(self, rcpt, age=0):
        """The return path that the relay under test makes for report mail to `rcpt`."""
        return report_mail.return_path(report_mail.secret_of(self.sternpost), rcpt, age)

    def handed_on(self, domain, number=1):
        """The line of the domain's delivery of that number."""
        return self.sternpost.wait_records(number, domain=domain.name, event="delivery",
                                           verdict="delivered")[number - 1]

    def not_counted(self, domain, tls, number=1):
        """The lines of the domain's delivery of that number are those of report mail."""
        delivery = self.handed_on(domain, number)
        session = self.record(delivery["id"], "session")
        self.assertEqual(session["counted"], False)
        self.assertIsNone(session["results"])
        self.assertRegex(session["reason"], FREED)
        self.assertEqual((session["verdict"], session["requirement"]), ("usable", "opportunistic"))
        self.assertEqual(session["protection"] == "cleartext", not tls)
        self.assertEqual((delivery["verdict"], delivery["reused"]), ("delivered", False))
        self.assertIsNone(delivery["policy_type"])
        self.assertEqual(self.sternpost.records(id=delivery["id"], event="exception"), [])
        self.assertNotIn("tlsrpt+", str(session) + str(delivery))


class Freed(ReportMailCase):
    """RFC 8460 §5.3: delivered despite any TLS failure; ordinary mail to the same place is not."""

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.held = {
            "expired": (add("expired.example", {"cert": "expired"}, sts="enforce"), "451 4.7.5"),
            "untrusted": (add("self.example", {"cert": "self"}, sts="enforce", signing=None),
                          "451 4.7.5"),
            "mx not in policy": (add("unlisted.example",
                                     sts={"mode": "enforce", "mx": ["mx.else.example"]}),
                                 "451 4.7.5"),
            "dane mismatch": (add("mismatch.example", {"tlsa": WRONG}), "451 4.7.5"),
            "both": (add("both.example", {"tlsa": WRONG, "cert": "expired"}, sts="enforce"),
                     "451 4.7.5"),
            "bogus": (add("bogus.example", signing="bogus"), "451 4.7.5"),
            "bogus mx": (add("badmx.example", corrupt={("badmx.example", "MX")}), "451 4.7.5"),
            "bogus tlsa": (add("badt.example", {"tlsa": "3 1 1"},
                               corrupt={("_25._tcp.mx1.badt.example", "TLSA")}), "451 4.7.5"),
            "operator's rule": (add("ruled.example", {"cert": "self"}), "451 4.7.5")}
        cls.clear = {
            "stripped, sts": (add("strip.example", {"starttls": False}, sts="enforce"),
                              "451 4.7.4"),
            "stripped, dane": (add("stripd.example", {"starttls": False, "tlsa": "3 1 1"}),
                               "451 4.7.4"),
            "handshake": (add("shake.example", {"at": {"handshake": Reset()}}, sts="enforce"),
                          "451 4.7.5")}
        cls.config = merge(report_mail.CONFIG, {"policy": {"rule": [
            {"domains": ["ruled.example"], "require": "verified"}]}})

    def each(self, table, tls):
        """Ordinary mail is held back, also while and after report mail gets through."""
        for name, (domain, status) in table.items():
            with self.subTest(name):
                self.refused(domain, self.lmtp(domain.rcpt), status)
                path = self.path_for(domain.rcpt)
                self.delivered(domain, self.lmtp(domain.rcpt, sender=path), tls=tls)
                self.not_counted(domain, tls)
                self.assertIn(f"<{path}>", domain.messages[0].mail)
                self.assertRegex(self.lmtp(domain.rcpt).reply.status, r"451 4\.7\.[45]")
                self.delivered(domain, self.smtp(domain.rcpt, sender=path), tls=tls, count=2)
                self.not_counted(domain, tls, 2)

    def test_over_tls(self):
        self.each(self.held, tls=True)

    def test_in_cleartext(self):
        self.each(self.clear, tls=False)


class Lookalikes(ReportMailCase):
    """What is guessed, old, redirected or another relay's is ordinary mail, and held back."""

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example", {"tlsa": WRONG, "cert": "self"})

    def test_ordinary(self):
        rcpt = self.domain.rcpt
        good, secret = self.path_for(rcpt), report_mail.secret_of(self.sternpost)
        local, _, host = good.partition("@")
        other = report_mail.return_path(bytes(32), rcpt)
        bad = {"guessed": local[:-1] + ("b" if local[-1] == "a" else "a") + "@" + host,
               "redirected": self.path_for("other@d.example"),
               "another domain's": self.path_for("user@e.example"),
               "old": self.path_for(rcpt, age=9),
               "of tomorrow's tomorrow": self.path_for(rcpt, age=-2),
               "another secret": other,
               "another report domain": report_mail.return_path(secret, rcpt, domain="x.lab"),
               "no date": "tlsrpt+." + local.partition(".")[2] + "@" + host,
               "no code": local.partition(".")[0] + "@" + host,
               "null": ""}
        for name, sender in bad.items():
            with self.subTest(name):
                self.refused(self.domain, self.lmtp(rcpt, sender=sender), "451 4.7.5")
        self.delivered(self.domain, self.lmtp(rcpt, sender=self.path_for(rcpt, age=8)))
        self.delivered(self.domain, self.lmtp(rcpt, sender=good.upper()), count=2)


class Together(ReportMailCase):
    """Freed and ordinary recipients in one transaction."""

    @classmethod
    def publish(cls, lab):
        cls.held = lab.domain("held.example", {"tlsa": WRONG, "cert": "self"})
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"})
        cls.shared = lab.domain("shared.example", {"tlsa": "3 1 1"})

    def test_lmtp(self):
        rua = "rua@held.example"
        out = self.lmtp([rua, self.held.rcpt, self.good.rcpt], sender=self.path_for(rua))
        self.assertEqual([r.status for r in out.rcpts][1], "451 4.7.5")
        self.assertEqual([out.rcpts[0].ok, out.rcpts[2].ok], [True, True])
        self.assertEqual([r.status for r in out.final], ["250 2.0.0", "250 2.0.0"])
        self.assertEqual([m.rcpts for m in self.held.messages], [[rua]])
        sessions = self.sternpost.wait_records(domain=self.good.name, event="session")
        self.assertEqual([s["counted"] for s in sessions], [True])

    def test_smtp(self):
        self.held.mx.forget()
        rua = "rua@held.example"
        out = self.smtp([rua, self.held.rcpt], sender=self.path_for(rua))
        self.assertEqual(out.rcpts[1].status, "452 4.5.3")
        self.assertIn("report mail to held.example", out.rcpts[1].text)
        self.assertEqual(out.reply.status, "250 2.0.0")
        self.assertEqual([m.rcpts for m in self.held.messages], [[rua]])

    def test_counted_mail_has_its_own_connection(self):
        """A connection that report mail made is not counted: mail that is needs another."""
        domain = self.shared
        path = self.path_for(domain.rcpt)
        self.delivered(domain, self.lmtp(domain.rcpt, sender=path))
        self.not_counted(domain, True, 1)
        self.delivered(domain, self.lmtp(domain.rcpt), count=2)
        ordinary = self.record(self.handed_on(domain, 2)["id"], "session")
        self.assertEqual(ordinary["counted"], True)
        self.delivered(domain, self.lmtp(domain.rcpt, sender=path), count=3)
        self.not_counted(domain, True, 3)
        self.delivered(domain, self.lmtp(domain.rcpt), count=4)
        self.assertEqual(self.handed_on(domain, 4)["reused"], True)


class Bounces(ReportMailCase):
    """From the null reverse-path to a return path of ours: taken, dropped, told."""

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"})

    def dropped(self, key):
        """The record of a bounce."""
        record = self.sternpost.wait_records(id=key, domain=report_mail.DOMAIN)[-1]
        self.assertEqual((record["verdict"], record["domain"], record["mx"], record["result"]),
                         ("dropped", report_mail.DOMAIN, None, None))
        self.assertRegex(record["reason"], "bounce of report mail")
        self.assertNotIn("tlsrpt+", str(record))

    def test_smtp(self):
        path = self.path_for("rua@gone.example")
        before = len(self.sternpost.records(event="delivery", domain=report_mail.DOMAIN))
        out = self.smtp([path, self.good.rcpt], sender="")
        self.assertEqual([r.status for r in out.rcpts], ["250 2.1.5", "452 4.5.3"])
        self.assertIn("bounces of report mail", out.rcpts[1].text)
        self.assertEqual([r.status for r in out.final], ["250 2.0.0"])
        told = self.sternpost.wait_records(before + 1, event="delivery",
                                           domain=report_mail.DOMAIN)
        self.dropped(told[-1]["id"])

    def test_lmtp(self):
        path = self.path_for("rua@gone.example")
        out = self.lmtp([self.good.rcpt, path, "nobody@gone.example"], sender="")
        self.assertEqual([r.ok for r in out.rcpts], [True, True, False])
        self.assertEqual([r.status for r in out.final], ["250 2.0.0", "250 2.0.0"])
        self.assertIn("LAB", out.final[0].text)
        self.assertIn("dropped", out.final[1].text)
        self.assertEqual(len(self.good.messages), 1)
        self.dropped(self.handed_on(self.good)["id"])

    def test_refused_like_any_message(self):
        path = self.path_for("rua@gone.example")
        out = self.lmtp(path, message().replace(b"Hello\r\n", b"Hello\nthere\r\n"), sender="")
        self.assertEqual(out.reply.status, "550 5.6.11")

    def test_old_or_not_from_null(self):
        """The report domain has no MX in this lab: ordinary mail to it is refused."""
        for sender, age in (("", 9), ("a@front.lab", 0)):
            out = self.lmtp(self.path_for("rua@gone.example", age), sender=sender)
            self.assertFalse(out.reply.ok, str(out.reply))


class ThroughPostfix(ReportMailCase):
    """A real Postfix between the report's sender and the relay: the mark outlives its queue."""

    @classmethod
    def publish(cls, lab):
        cls.held = lab.domain("held.example", {"tlsa": WRONG, "cert": "self"}, sts="enforce")
        cls.gone = lab.domain("gone.example", {"at": {"rcpt": "550 5.1.1 no such user"}})

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.front = cls.lab.add(PostfixFront(cls.lab.path("front"), lmtp=LMTP))

    def test_report_goes_where_other_mail_waits(self):
        other = "other@held.example"
        self.front.submit("a@front.lab", other)
        dsn, status, text = self.front.wait_logged(other)[-1]
        self.assertEqual((dsn, status), ("4.7.5", "deferred"), text)
        self.front.submit(self.path_for(self.held.rcpt), self.held.rcpt)
        dsn, status, text = self.front.wait_logged(self.held.rcpt)[-1]
        self.assertEqual((dsn[0], status), ("2", "sent"), text)
        self.not_counted(self.held, True)

    def test_its_bounce_is_dropped(self):
        path = self.path_for(self.gone.rcpt)
        self.front.submit(path, self.gone.rcpt)
        self.assertEqual(self.front.wait_logged(self.gone.rcpt)[-1][1], "bounced")
        dsn, status, text = self.front.wait_logged(path)[-1]
        self.assertEqual((dsn, status), ("2.0.0", "sent"), text)
        self.assertIn("dropped", text)
        record = self.sternpost.wait_records(domain=report_mail.DOMAIN, event="delivery")[-1]
        self.assertEqual(record["verdict"], "dropped")


class Secret(LabCase):
    """state_dir/report.secret: made once, kept, never replaced."""

    begins = False

    def test_made_kept_and_never_replaced(self):
        relay = self.lab.sternpost(report_mail.CONFIG)
        file = relay.path("state", "report.secret")
        self.assertEqual(stat.S_IMODE(os.stat(file).st_mode), 0o600)
        secret = report_mail.secret_of(relay)
        self.assertEqual(relay.stop(), 0)
        relay.start()
        self.assertEqual(report_mail.secret_of(relay), secret)
        self.assertEqual(relay.stop(), 0)
        with open(file, "w", encoding="ascii") as out:
            out.write("no secret\n")
        with self.assertRaises(LabError):
            relay.start()
        self.assertIn("report.secret: not 64 hex digits", relay.log)
        with open(file, encoding="ascii") as text:
            self.assertEqual(text.read(), "no secret\n")

    def test_none_where_no_report_domain(self):
        relay = self.lab.sternpost()
        self.assertFalse(os.path.exists(relay.path("state", "report.secret")))
        self.assertEqual(relay.stop(), 0)


if __name__ == "__main__":
    main()
