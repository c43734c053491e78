#!/usr/bin/python3
"""Real Postfix in front, over LMTP and over SMTP: what it delivers, keeps, bounces, tries again."""

from lab.case import LabCase, main
from lab.client import message
from lab.postfix import PostfixFront, PostfixMx
from lab.procs import wait_for
from lab.sternpost import LMTP, SMTP

WRONG = "3 1 1 " + "00" * 32


class Front(LabCase):
    """Common: Postfix in front over `via`, a real Postfix and scripted hosts as MX."""

    via = {}
    config = {"outbound": {"host_memory": "1s", "connect_timeout": "2s", "lmtp_wait": "5s"}}

    @classmethod
    def publish(cls, lab):
        cert = lab.cert("good", "mx.real.example")
        cls.postfix = PostfixMx(lab.path("mx"), "mx.real.example", ["127.0.0.30"], cert)
        cls.real = lab.domain("real.example", {"name": "mx.real.example", "cert": cert,
                                               "tlsa": "3 1 1", "addresses": ["127.0.0.30"],
                                               "listen": False}, sts="enforce")
        cls.good = [lab.domain(f"g{n}.example", {"tlsa": "3 1 1"}) for n in range(3)]
        cls.mended = lab.domain("mended.example", {"tlsa": WRONG}, ttl=1)
        cls.down = lab.domain("down.example")
        cls.null = lab.domain("null.example", [], extra=["@ MX 0 ."])
        cls.no_user = lab.domain("nouser.example", {"at": {"rcpt": "550 5.1.1 no such user"}})
        cls.dead = lab.domain("dead.example", {"listen": False})

    @classmethod
    def setUpClass(cls):
        if cls is Front:
            return
        super().setUpClass()
        cls.lab.add(cls.postfix)
        cls.front = cls.lab.add(PostfixFront(cls.lab.path("front"), **cls.via))

    @classmethod
    def tearDownClass(cls):
        if cls is not Front:
            super().tearDownClass()

    def run(self, result=None):
        """The base class has no lab and runs nothing."""
        return result if type(self) is Front else super().run(result)

    def logged(self, domain, index=-1, count=1):
        """(dsn, status, text) that Postfix logged for a domain's recipient."""
        return self.front.wait_logged(domain.rcpt, count)[index]

    def test_delivered_to_a_real_mx(self):
        body = b"A line\r\n.\r\n..dots\r\n" + b"x" * 900 + b"\r\n"
        self.front.submit("a@front.lab", self.real.rcpt, message("real", body))
        dsn, status, text = self.logged(self.real)
        self.assertEqual((dsn[0], status), ("2", "sent"), text)
        self.assertIn("queued as", text)
        got = self.postfix.wait_delivered(1)[-1]
        self.assertTrue(got.endswith(b"\n" + body.replace(b"\r\n", b"\n")), got[-200:])
        self.assertIn(b"using TLSv1.3", got)

    def test_mismatch_deferred_then_delivered_when_mended(self):
        self.front.submit("a@front.lab", self.mended.rcpt, message("mended"))
        dsn, status, text = self.logged(self.mended)
        self.assertEqual((dsn, status), ("4.7.5", "deferred"), text)
        self.assertIn("mx1.mended.example", text)
        host = self.mended.mx
        self.mended.records = [r for r in self.mended.records if " TLSA " not in r] + [
            f"_25._tcp.{host.name}. TLSA {self.lab.tlsa('3 1 1', host.cert)}"]
        self.lab.republish(self.mended)
        self.retry_until_sent(self.mended)
        self.assertEqual(len(host.accepted), 1)
        self.assertIn("mended", host.accepted[0].header("Subject"))

    def test_dead_host_deferred_then_delivered_when_back(self):
        self.lab.farm.down(self.down.mx)
        self.front.submit("a@front.lab", self.down.rcpt)
        dsn, status, text = self.logged(self.down)
        self.assertEqual((dsn, status), ("4.4.1", "deferred"), text)
        self.lab.farm.up(self.down.mx)
        self.retry_until_sent(self.down)
        self.assertEqual(len(self.down.mx.accepted), 1)

    def retry_until_sent(self, domain):
        """Flushes the queue as an operator would, until the recipient has its mail."""
        def step():
            if any(status == "sent" for _, status, _ in self.front.log_of(domain.rcpt)):
                return True
            self.front.flush()
            return False
        wait_for(step, f"{domain.rcpt} to be sent: {self.front.log_of(domain.rcpt)}", 40, 1.0)

    def test_permanent_refusals_bounce(self):
        for domain, want in ((self.null, "5.1.10"), (self.no_user, "5.1.1")):
            with self.subTest(domain.name):
                self.front.submit("a@front.lab", domain.rcpt)
                dsn, status, text = self.logged(domain)
                self.assertEqual((dsn, status), (want, "bounced"), text)

    def test_several_domains_in_one_message(self):
        rcpts = [f"many@{d.name}" for d in (*self.good, self.null, self.dead)]
        self.front.submit("a@front.lab", rcpts, message("many"))
        for rcpt in rcpts:
            dsn, status, text = self.front.wait_logged(rcpt)[-1]
            want = {"null": "bounced", "dead": "deferred"}.get(rcpt.split("@")[1].split(".")[0],
                                                               "sent")
            self.assertEqual(status, want, f"{rcpt}: {text}")
        for domain in self.good:
            many = [m for m in domain.messages if f"many@{domain.name}" in m.rcpts]
            self.assertEqual(len(many), 1)

    def test_queue_id_is_in_the_log(self):
        self.front.submit("a@front.lab", f"qid@{self.good[0].name}", message("qid"))
        self.front.wait_logged(f"qid@{self.good[0].name}")
        ids = {r["queue_id"] for r in self.sternpost.records(domain=self.good[0].name,
                                                             event="delivery")}
        self.assertTrue(any(i and i in self.front.maillog for i in ids), ids)

    def test_five_hundred_to_a_dead_host_while_other_mail_flows(self):
        count = 500
        for n in range(count):
            self.front.submit("a@front.lab", f"u{n}@{self.dead.name}", message(f"dead{n}"))
        for n in range(20):
            self.front.submit("a@front.lab", f"flow{n}@{self.good[1].name}", message(f"flow{n}"))
        wait_for(lambda: len([m for m in self.good[1].mx.accepted
                              if m.rcpts[0].startswith("flow")]) == 20,
                 "the other mail to flow", 60, 0.2)
        self.front.flush()
        self.front.submit("a@front.lab", f"flow-last@{self.good[1].name}", message("last"))
        last = self.front.wait_logged(f"flow-last@{self.good[1].name}", 1, 60)[-1]
        self.assertEqual(last[1], "sent")


class OverLmtp(Front):
    """The way to attach Postfix."""

    via = {"lmtp": LMTP}


class OverSmtp(Front):
    """As a relayhost, one recipient a transaction."""

    via = {"smtp": SMTP}


if __name__ == "__main__":
    main()
