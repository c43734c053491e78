#!/usr/bin/python3
"""Real Exim in front, over SMTP (smarthost) and over LMTP, and real Exim as an MX."""

from lab.case import LabCase, main
from lab.client import message
from lab.exim import EximFront, EximMx
from lab.procs import wait_for
from lab.sternpost import LMTP, SMTP


class Front(LabCase):
    """Common: Exim in front over `via`; a real Exim and scripted hosts as MX."""

    via = {}
    config = {"outbound": {"host_memory": "1s", "connect_timeout": "2s"}}

    @classmethod
    def publish(cls, lab):
        cert = lab.cert("good", "mx.real.example")
        cls.exim = EximMx(lab.path("mx"), "mx.real.example", "127.0.0.40", cert)
        cls.real = lab.domain("real.example", {"name": "mx.real.example", "cert": cert,
                                               "tlsa": "3 1 1", "addresses": ["127.0.0.40"],
                                               "listen": False}, sts="enforce")
        cls.one, cls.two = lab.domain("one.example", {"tlsa": "3 1 1"}), lab.domain("two.example")
        cls.mended = lab.domain("mended.example", {"cert": "expired"},
                                sts={"mx": ["mx1.mended.example"]})
        cls.null = lab.domain("null.example", [], extra=["@ MX 0 ."])

    @classmethod
    def setUpClass(cls):
        if cls is Front:
            return
        super().setUpClass()
        cls.lab.add(cls.exim)
        cls.front = cls.lab.add(EximFront(cls.lab.path("front"), **cls.via))

    @classmethod
    def tearDownClass(cls):
        if cls is not Front:
            super().tearDownClass()

    def run(self, result=None):
        """The base class has no lab and runs nothing."""
        return result if type(self) is Front else super().run(result)

    def test_delivered_to_a_real_mx(self):
        body = b"A line\r\n.\r\n..dots\r\n"
        self.front.submit("a@front.lab", self.real.rcpt, message("real", body))
        self.assertEqual(self.front.wait_logged(self.real.rcpt)[-1][0], "=>")
        got = self.exim.wait_delivered(1)[-1]
        self.assertTrue(got.endswith(b"\n" + body.replace(b"\r\n", b"\n")), got[-200:])

    def test_deferred_then_delivered_when_mended(self):
        self.front.submit("a@front.lab", self.mended.rcpt, message("mended"))
        sign, text = self.front.wait_logged(self.mended.rcpt)[-1]
        self.assertEqual(sign, "==", text)
        self.assertIn("4.7.5", text)
        self.assertIn("mx1.mended.example", text)
        self.mended.mx.cert = self.lab.cert("good", "mx1.mended.example")

        def step():
            self.front.flush()
            return any(s == "=>" for s, _ in self.front.log_of(self.mended.rcpt))
        wait_for(step, "the mended host to get its mail", 40, 1.0)
        self.assertEqual(len(self.mended.mx.accepted), 1)

    def test_permanent_refusal(self):
        self.front.submit("a@front.lab", self.null.rcpt)
        sign, text = self.front.wait_logged(self.null.rcpt)[-1]
        self.assertEqual(sign, "**", text)
        self.assertIn("5.1.10", text)

    def test_several_domains_in_one_message(self):
        rcpts = ["m@one.example", "m@two.example", "n@one.example"]
        self.front.submit("a@front.lab", rcpts, message("many"))
        for rcpt in rcpts:
            wait_for(lambda r=rcpt: any(s in ("=>", "->") for s, _ in self.front.log_of(r)),
                     f"{rcpt}: {self.front.mainlog[-1500:]}", 30)
        got = [r for d in (self.one, self.two) for m in d.messages for r in m.rcpts]
        self.assertEqual(sorted(r for r in got if r in rcpts), sorted(rcpts))


class OverSmtp(Front):
    """A smarthost, with multi_domain = false."""

    via = {"smtp": SMTP}


class OverLmtp(Front):
    """The LMTP protocol of Exim's smtp transport."""

    via = {"lmtp": LMTP}


if __name__ == "__main__":
    main()
