#!/usr/bin/python3
"""Report mail begets no reports: two relays that report to each other for five days stay quiet, and
what bounces, is forged or is redirected does no harm (RFC 8460 §3, §5.3)."""

import time

from lab.case import main
from lab.client import message, send
from lab.postfix import PostfixFront
from lab.procs import wait_for
from lab.sternpost import LMTP, SMTP
from lab.tlsrpt import IDENTITY, RETURN_PATH, SUBMIT, Mail, ReportCase, is_report, record

BETA, BETA_SUBMIT = "127.0.0.2:10024", "127.0.0.37"
ALPHA_SELF = {**IDENTITY, "organization_name": "Alpha", "contact_info": "tls@alpha.example",
              "report_domain": "alpha.example"}
BETA_SELF = {**ALPHA_SELF, "organization_name": "Beta", "contact_info": "tls@beta.example",
             "report_domain": "beta.example", "submit_via": f"{BETA_SUBMIT}:25"}


class TwoRelays(ReportCase):
    """Each has its own MTA, domain and relay; each asks for reports and sends them."""

    identity = ALPHA_SELF

    @classmethod
    def publish(cls, lab):
        cls.alpha = lab.domain("alpha.example", {"cert": "expired"}, sts="testing",
                               extra=[record("mailto:tls@alpha.example")])
        cls.beta = lab.domain("beta.example", {"cert": "expired"}, sts="enforce",
                              extra=[record("mailto:tls@beta.example")])

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.lab.sternpost(
            {"server": {"hostname": "edge.beta.lab"},
             "listen": [{"protocol": "lmtp", "address": BETA}],
             "outbound": {"idle_keepalive": "0s", "host_memory": "1s"},
             "tls_rpt": BETA_SELF}, clocked=cls.sternpost.clock)
        cls.lab.add(PostfixFront(cls.lab.path("pa"), lmtp=LMTP, address=SUBMIT, name="mta.alpha"))
        cls.lab.add(PostfixFront(cls.lab.path("pb"), lmtp=BETA, address=BETA_SUBMIT,
                                 name="mta.beta"))

    @classmethod
    def tearDownClass(cls):
        status, findings = cls.other.stop(), cls.other.sanitizer_findings()
        broken = cls.other.chain_error()
        super().tearDownClass()
        if status or findings or broken:
            raise AssertionError(f"the second relay: {status} {findings} {broken}")

    def reports(self):
        """Report messages at both domains so far."""
        return [m for d in (self.alpha, self.beta) for m in d.messages if is_report(m)]

    def counted(self):
        """Counted session lines of both relays."""
        return sum(len(p.records(event="session", counted=True))
                   for p in (self.sternpost, self.other))

    def test_five_days(self):
        """One report each about the first day, and none ever after."""
        self.reply(send(LMTP, "u@alpha.example", self.beta.rcpt, message(), lmtp=True),
                   "451 4.7.5")
        self.reply(send(BETA, "u@beta.example", self.alpha.rcpt, message(), lmtp=True),
                   "250 2.0.0")
        wait_for(lambda: self.counted() >= 2, "two lines")
        before = self.counted()
        for n in range(1, 6):
            self.clock.at(self.day, 24 * n, 0, 5)
            time.sleep(1.3)
            self.clock.at(self.day, 24 * n + 4, 0, 10)
            if n == 1:
                wait_for(lambda: len(self.reports()) >= 2, "both reports", 30, 0.1)
            time.sleep(1.7)
        self.assertEqual(len(self.reports()), 2)
        self.assertEqual(self.counted(), before)
        for domain, who in ((self.beta, "alpha"), (self.alpha, "beta")):
            mail = Mail(next(m for m in domain.messages if is_report(m)).data)
            self.assertEqual(mail.header("TLS-Report-Submitter"), f"{who}.example")
            self.assertEqual(mail.header("TLS-Report-Domain"), domain.name)
        for part in (self.sternpost, self.other):
            self.assert_counted(part=part)
            for n in range(1, 5):
                listed = self.listed(day=self.clock.today(n - 5), part=part)
                self.assertEqual((listed["state"], listed["reports"]), ("empty", []))


class Freed(ReportCase):
    """The envelope of our own report mail is freed, just that one, and its bounces vanish."""

    attached = {"lmtp": LMTP}
    hand_in = ReportCase.lmtp

    @classmethod
    def publish(cls, lab):
        cls.held = lab.domain("held.example", {"cert": "expired"}, sts="enforce",
                              extra=[record("mailto:tls@held.example")])
        cls.held2 = lab.domain("held2.example", {"cert": "expired"}, sts="enforce",
                               extra=[record("mailto:tls@held2.example")])
        cls.gone = lab.domain("gone.example", {"rcpt": {
            "tls@gone.example": "550 5.1.1 no such mailbox"}},
                              extra=[record("mailto:tls@gone.example")])
        cls.clear = lab.domain("clear.example", {"tlsa": "3 1 1", "starttls": False},
                               extra=[record("mailto:tls@clear.example")])
        cls.own = lab.domain("reporter.example")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.postfix = cls.lab.add(PostfixFront(cls.lab.path("submit"), address=SUBMIT,
                                               **cls.attached))
        domains = (cls.held, cls.held2, cls.gone, cls.clear)
        case = cls()
        for domain in domains:
            case.hand_in(domain.rcpt)
        cls.close_day(*domains)
        cls.send_all()

    def path_to(self, domain):
        """The return path of the report that came to a domain."""
        return RETURN_PATH.match(self.mails(domain)[0].mail)[1]

    def test_delivered_whatever_the_tls(self):
        """RFC 8460 §5.3.1: an expired certificate under enforce; no STARTTLS at all under DANE."""
        self.assertIsNotNone(self.mails(self.held)[0].tls)
        self.assertIsNone(self.mails(self.clear)[0].tls)
        for domain in (self.held, self.clear):
            self.assertEqual(len(domain.messages), 1)

    def test_only_that_pair(self):
        """A sender that was made up, or made for another recipient, is ordinary mail."""
        path = self.path_to(self.held)
        other = self.path_to(self.held2)
        mac = path.partition(".")[2].partition("@")[0]
        swapped = path.replace(mac, ("b" if mac[0] != "b" else "c") + mac[1:])
        for sender, rcpt in ((other, "tls@held.example"), (path, "boss@held.example"),
                             (swapped, "tls@held.example"),
                             (path.replace("reporter.example", "other.example"),
                              "tls@held.example"), ("tlsrpt@reporter.example", "tls@held.example"),
                             ("", "tls@held.example")):
            with self.subTest(sender=sender, rcpt=rcpt):
                self.reply(self.hand_in(rcpt, sender=sender), "451 4.7.5")
        both = self.hand_in(["tls@held.example", "boss@held.example"], sender=path)
        self.assertEqual(both.of(0).code, 250, both)
        self.assertEqual(both.of(1).code // 10, 45, both)
        self.assertEqual([m.rcpts for m in self.held.messages], [["tls@held.example"]] * 2)

    def test_a_bounce_is_dropped(self):
        """The mailbox is gone: the MTA's bounce ends here, at nobody's MX, in no report."""
        log = self.postfix.wait_logged("tls@gone.example")
        self.assertEqual(log[0][1], "bounced", log)
        line = wait_for(lambda: [x for x in self.postfix.maillog.splitlines()
                                 if "to=<tlsrpt+" in x and "status=" in x], "the bounce's outcome")
        self.assertIn("status=sent", line[0])
        self.assertEqual(self.own.mx.sessions, [])
        self.assertEqual(self.sternpost.records(event="session", domain="reporter.example"), [])
        wait_for(lambda: not self.postfix.queue(), "Postfix's queue to be empty", 15)

    def test_mail_of_a_stranger_to_that_address_is_ordinary(self):
        """Only the null reverse-path makes a bounce of it."""
        path = self.path_to(self.held)
        out = self.hand_in(path, sender="somebody@front.lab")
        self.reply(out, "250 2.0.0", "LAB")
        self.assertEqual(len(self.own.messages), 1)
        self.own.mx.forget()

    def test_zz_old_ones_are_ordinary(self):
        """A return path is worth something for as long as an MTA may keep the message."""
        path = self.path_to(self.held)
        self.reply(self.hand_in("tls@held.example", sender=path), "250 2.0.0", "LAB")
        self.clock.forward(days=12)
        self.reply(self.hand_in("tls@held.example", sender=path), "451 4.7.5")


class FreedOverSmtp(Freed):
    """The same where the MTA hands mail on over SMTP."""

    attached = {"smtp": SMTP}
    hand_in = ReportCase.smtp


if __name__ == "__main__":
    main()
