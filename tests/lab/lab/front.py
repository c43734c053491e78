"""What holds for every MTA in front of Sternpost, configured by the lines that `snippet` prints.

A test file imports this module, not the class, which would be run as a case of its own. A class of
`FrontCase` names the command's words and the class of its MTA. That one takes (directory, parts)
and has submit(), outcomes(), flush(), purge() and `log`.
"""

import concurrent.futures
import os
import re

from .actions import Hang
from .case import LabCase
from .client import message
from .postfix import PostfixMx
from .procs import wait_for
from .procs import wait_for
from .snippet import parts

WRONG = "3 1 1 " + "00" * 32
BODY = b"A line\r\n.\r\n..dots\r\n" + b"x" * 900 + b"\r\n"


class FrontCase(LabCase):
    """An MTA in front, a real MX and scripted ones behind, and what becomes of mail."""

    words = ()              # of `snippet`
    kind = None             # class of the MTA
    utf8 = True             # whether the MTA speaks SMTPUTF8
    at_a_time = 20          # submissions; Exim answers QUIT late
    silent_messages = 30    # more than the MTA's usual limit for one next hop
    config = {"outbound": {"host_memory": "1s", "connect_timeout": "2s",
                           "max_connections_per_mx": 40}}

    @classmethod
    def real_mx(cls, lab, cert):
        """(a real MX, its address); it is started with the lab."""
        return PostfixMx(lab.path("mx"), "mx.real.example", ["127.0.0.30"], cert), "127.0.0.30"

    @classmethod
    def publish(cls, lab):
        cert = lab.cert("good", "mx.real.example")
        cls.receiver, address = cls.real_mx(lab, cert)
        cls.real = lab.domain("real.example", {"name": "mx.real.example", "cert": cert,
                                               "tlsa": "3 1 1", "addresses": [address],
                                               "listen": False}, sts="enforce")
        cls.good = [lab.domain(f"g{n}.example", {"tlsa": "3 1 1"}) for n in range(8)]
        cls.mended = lab.domain("mended.example", {"tlsa": WRONG}, ttl=1)
        cls.renewed = lab.domain("renewed.example", {"cert": "expired"},
                                 sts={"mx": ["mx1.renewed.example"]})
        cls.bad = lab.domain("bad.example", {"tlsa": WRONG})
        cls.down = lab.domain("down.example")
        cls.null = lab.domain("null.example", [], extra=["@ MX 0 ."])
        cls.no_user = lab.domain("nouser.example", {"at": {"rcpt": "550 5.1.1 no such user"}})
        cls.dead = lab.domain("dead.example", {"listen": False})
        cls.silent = lab.domain("silent.example", {"at": {"greeting": Hang()}})
        cls.back = lab.domain("back.example")
        # 150 recipient domains, fifteen at each of ten hosts.
        names = [f"d{n}.many.example" for n in range(150)]
        cls.many = lab.domain("many.example", [{} for _ in range(10)], extra=[
            f"{name}. MX 10 mx{n % 10 + 1}.many.example." for n, name in enumerate(names)])
        cls.many_rcpts = [f"user@{name}" for name in names]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab.add(cls.receiver)
        printed = parts(cls.sternpost, *cls.words)
        own = [file for file in printed if file.startswith("/etc/sternpost/")]
        for file in own:
            path = cls.sternpost.path(os.path.relpath(file, "/etc/sternpost"))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as target:
                target.write(printed.pop(file))
        if own:
            cls.sternpost.stop()
            cls.sternpost.start()
        cls.front = cls.lab.add(cls.kind(cls.lab.path("front"), printed))

    # -- asking --------------------------------------------------------------------------------

    def submit(self, rcpts, subject="test", body=b"Hello\r\n", sender="a@front.lab", **options):
        """Hands a message in, which must be taken."""
        out = self.front.submit(sender, rcpts, message(subject, body), **options)
        self.assertTrue(out.final and out.final[0].ok, str(out))

    def submit_each(self, rcpts, subject):
        """A message of its own for each recipient."""
        with concurrent.futures.ThreadPoolExecutor(self.at_a_time) as pool:
            for job in [pool.submit(self.submit, rcpt, subject) for rcpt in rcpts]:
                job.result()

    def outcome(self, rcpt, timeout=30):
        """(status, text) of the last try for a recipient: sent, deferred or bounced."""
        wait_for(lambda: self.front.outcomes(rcpt),
                 lambda: f"an outcome for {rcpt}: {self.front.log[-3000:]}", timeout, 0.05)
        return self.front.outcomes(rcpt)[-1]

    def status(self, rcpt, want, *patterns, timeout=30):
        """The outcome has this status, and these words."""
        status, text = self.outcome(rcpt, timeout)
        self.assertEqual(status, want, f"{rcpt}: {text}")
        for pattern in patterns:
            self.assertRegex(text, pattern)

    def got(self, subject, domains=None):
        """Recipients of accepted messages with that subject, at these domains' hosts."""
        return sorted(r for d in domains or self.good for h in d.hosts for m in h.accepted
                      if m.header("Subject") == [subject] for r in m.rcpts)

    def retry_until_sent(self, domain):
        """Flushes the queue as an operator would, until the recipient has its mail."""
        def step():
            if any(status == "sent" for status, _ in self.front.outcomes(domain.rcpt)):
                return True
            self.front.flush()
            return False
        wait_for(step, lambda: f"{domain.rcpt} to be sent: {self.front.outcomes(domain.rcpt)}", 40,
                 1.0)
        self.assertEqual(len(domain.mx.accepted), 1)

    # -- one message ---------------------------------------------------------------------------

    def test_delivered_to_a_real_mx_over_verified_tls(self):
        self.submit(self.real.rcpt, "real", BODY)
        self.status(self.real.rcpt, "sent")
        got = self.receiver.wait_delivered(1)[-1]
        self.assertTrue(got.endswith(b"\n" + BODY.replace(b"\r\n", b"\n")), got[-200:])
        record = self.sternpost.wait_records(domain=self.real.name, event="delivery")[-1]
        self.assertEqual((record["verdict"], record["protection"], record["peer_auth"]),
                         ("delivered", "authenticated", "dane-ee"))
        self.assertEqual(record["tls_version"], "TLSv1.3")

    def test_queue_id_is_in_the_log(self):
        rcpt = f"qid@{self.good[0].name}"
        self.submit(rcpt, "qid")
        self.status(rcpt, "sent")
        wait_for(lambda: any(r["queue_id"] and r["queue_id"] in self.front.log
                             for r in self.sternpost.records(domain=self.good[0].name,
                                                             event="delivery")),
                 "its queue id in the log")

    def test_smtputf8(self):
        rcpt = f"käthe@{self.good[1].name}"
        if not self.utf8:
            out = self.front.submit("a@front.lab", [rcpt], message("utf8"), params="SMTPUTF8")
            self.assertFalse(out.mail.ok and out.rcpts[0].ok, str(out))
            return
        self.submit(rcpt, "grüße", sender="ä@front.lab", params="SMTPUTF8")
        wait_for(lambda: self.got("grüße") == [rcpt], "the message", 30, 0.1)
        self.assertIn("SMTPUTF8", self.good[1].mx.accepted[-1].mail.upper())

    # -- refusals ------------------------------------------------------------------------------

    def test_deferred_for_dane_then_delivered_when_mended(self):
        self.submit(self.mended.rcpt, "mended")
        self.status(self.mended.rcpt, "deferred", r"4\.7\.5", r"TLSA", r"mx1\.mended\.example")
        host = self.mended.mx
        self.assertEqual(host.accepted, [])
        self.mended.records = [r for r in self.mended.records if " TLSA " not in r] + [
            f"_25._tcp.{host.name}. TLSA {self.lab.tlsa('3 1 1', host.cert)}"]
        self.lab.republish(self.mended)
        self.retry_until_sent(self.mended)
        self.assertIn("mended", host.accepted[0].header("Subject"))

    def test_deferred_for_mta_sts_then_delivered_when_renewed(self):
        self.submit(self.renewed.rcpt, "renewed")
        self.status(self.renewed.rcpt, "deferred", r"4\.7\.5", r"mx1\.renewed\.example")
        self.renewed.mx.cert = self.lab.cert("good", "mx1.renewed.example")
        self.retry_until_sent(self.renewed)

    def test_host_down_deferred_then_delivered_when_back(self):
        self.lab.farm.down(self.down.mx)
        self.submit(self.down.rcpt)
        self.status(self.down.rcpt, "deferred", r"4\.4\.1")
        self.lab.farm.up(self.down.mx)
        self.retry_until_sent(self.down)

    def test_permanent_refusals_bounce(self):
        for domain, code, word in ((self.null, "5.1.10", "null MX"),
                                   (self.no_user, "5.1.1", "no such user")):
            with self.subTest(domain.name):
                self.submit(domain.rcpt, sender=f"me@{self.back.name}")
                self.status(domain.rcpt, "bounced", re.escape(code) + r"\b")

                def bounces(rcpt=domain.rcpt):
                    return [m for m in self.back.messages if rcpt.encode() in m.data]
                wait_for(bounces, f"a bounce for {domain.rcpt}", 30, 0.1)
                bounce = bounces()[0]
                self.assertIn("<>", bounce.mail)
                self.assertEqual(bounce.rcpts, [f"me@{self.back.name}"])
                self.assertIn(code.encode(), bounce.data)
                self.assertIn(word.encode(), bounce.data)

    # -- several recipients --------------------------------------------------------------------

    def test_every_domain_has_the_message_once(self):
        rcpts = [f"every{n}@{d.name}" for d in self.good for n in range(2)]
        self.submit(rcpts, "every", b".\r\n..\r\nend\r\n")
        wait_for(lambda: len(self.got("every")) >= len(rcpts), "the message everywhere", 30, 0.1)
        self.assertEqual(self.got("every"), sorted(rcpts))
        for domain in self.good:
            for one in domain.messages:
                self.assertIsNotNone(one.tls)

    def test_several_fates_in_one_message(self):
        sent = [f"fate@{d.name}" for d in self.good[:3]]
        null, dead, bad = (f"fate@{d.name}" for d in (self.null, self.dead, self.bad))
        self.submit([bad, *sent, null, dead], "fate")
        for rcpt in sent:
            self.status(rcpt, "sent")
        self.status(null, "bounced")
        self.status(dead, "deferred")
        self.status(bad, "deferred", r"4\.7\.5")
        self.assertEqual(self.got("fate"), sent)
        self.assertEqual(self.bad.messages, [])

    def test_hundred_and_fifty_domains_in_one_message(self):
        self.submit(self.many_rcpts, "many")
        wait_for(lambda: len(self.got("many", [self.many])) >= 150,
                 lambda: f"150 domains: {len(self.got('many', [self.many]))}; "
                         f"{self.front.log[-3000:]}", 60, 0.2)
        self.assertEqual(self.got("many", [self.many]), sorted(self.many_rcpts))
        self.assertNotRegex(self.front.log, r"\b452[ -]")
        self.assertNotRegex(self.sternpost.log, r"\b452[ -]")
        self.assertEqual([r for r in self.sternpost.records(event="delivery")
                          if (r["reply"] or "").startswith("452")], [])

    # -- other people's servers ----------------------------------------------------------------

    def test_other_mail_flows_beside_messages_to_a_silent_host(self):
        silent = [f"s{n}@{self.silent.name}" for n in range(self.silent_messages)]
        self.submit_each(silent, "silent")
        wait_for(lambda: len(self.silent.mx.sessions) >= len(silent),
                 lambda: f"all to wait for a greeting: {len(self.silent.mx.sessions)}", 30, 0.1)
        flow = [f"beside{n}@{self.good[2].name}" for n in range(5)]
        self.submit_each(flow, "beside")
        wait_for(lambda: self.got("beside") == flow, "the other mail", 30, 0.1)
        self.assertEqual([rcpt for rcpt in silent if self.front.outcomes(rcpt)], [])
        self.lab.farm.down(self.silent.mx)
        for rcpt in silent:
            self.status(rcpt, "deferred")
        self.front.purge()

    def test_five_hundred_to_a_dead_host_wait_and_other_mail_flows(self):
        rcpts = [f"u{n}@{self.dead.name}" for n in range(500)]
        self.submit_each(rcpts, "dead")
        flow = [f"flow{n:02}@{self.good[3].name}" for n in range(20)]
        self.submit_each(flow, "flow")
        wait_for(lambda: self.got("flow") == flow, "the other mail", 60, 0.2)
        for rcpt in rcpts[::50]:
            self.status(rcpt, "deferred", timeout=60)
        self.front.flush(wait=False)
        last = f"last@{self.good[3].name}"
        self.submit(last, "last")
        self.status(last, "sent", timeout=60)
        wait_for(lambda: self.front.waiting(self.dead.name) == 500,
                 lambda: f"500 in the queue: {self.front.waiting(self.dead.name)}", 20, 0.5)
        self.front.purge()
