#!/usr/bin/python3
"""When the sending of TLS-RPT reports is tried again, and when it ends (RFC 8460 §5.5): by POST and
by mail; a repeat is byte for byte the same."""

import os
import time

from lab.actions import Each, Hang
from lab.case import main
from lab.mx import Mx
from lab.procs import wait_for
from lab.tlsrpt import IDENTITY, Mail, ReportCase, SendingCase, record

MINUTES = [5, 10, 20, 40, 80, 160, 240, 240, 240, 240]     # from one try to the next


class BackOff(SendingCase):
    """When tries are repeated, and when they end."""

    names = ("once", "never", "redirect", "closes", "slow", "created", "raw", "early")

    def set_answers(self):
        """How each behaves."""
        target = "https://other.collect.example/taken"
        for name, *actions in (("once", 500, 200), ("never", 503),
                               ("redirect", ("redirect", target), 200), ("closes", "close", 200),
                               ("slow", ("slow", 2)), ("created", 201), ("early", "early", 204),
                               ("raw", "HTTP/1.1 200", "garbage\r\n\r\n", 200), ("other", 200)):
            self.py.set(self.host(name), *actions)

    def test_back_off(self):
        self.set_answers()
        self.night()
        for name in self.names:
            self.wait_tries(name, 1)
        self.assertEqual(self.wait_state(self.domains["created"], "sent")["state"], "sent")
        self.wait_state(self.domains["slow"], "sent")
        for name in ("once", "never", "redirect", "closes", "raw", "early"):
            with self.subTest(name):
                self.wait_attempts(name, 1)
                self.assertEqual(self.listed(self.domains[name])["state"], "sending")
        self.assertRegex(self.endpoint("once")["answer"], "500")
        self.assertRegex(self.endpoint("redirect")["answer"], "307")
        self.second_try()
        self.last_try()

    def second_try(self):
        """Not before five minutes have passed; then the same octets."""
        self.clock.forward(seconds=4 * 60)
        for name in self.names:
            self.quiet(name, 1, 0.3)
        self.clock.forward(seconds=90)
        for name in ("once", "never", "redirect", "closes", "raw", "early"):
            self.wait_tries(name, 2)
        for name in ("once", "redirect", "closes", "early"):
            entry = self.wait_state(self.domains[name], "sent")
            self.assertEqual(entry["endpoints"][0]["attempts"], 2)
        for name in ("never", "raw"):
            self.wait_attempts(name, 2)
        for name in ("once", "never", "redirect", "closes"):
            bodies = {p.body for p in self.posts(name)}
            self.assertEqual(bodies, {self.octets_of(self.domains[name])})
        self.assertEqual(self.posts("other"), [], "a redirect was followed")

    def last_try(self):
        """Doubling, at most four hours apart, until 24 hours after the first."""
        tries = 2
        for minutes in MINUTES[1:]:
            self.clock.forward(seconds=minutes * 60 - 60)
            self.quiet("never", tries, 1.2)
            self.clock.forward(seconds=120)
            tries += 1
            self.wait_tries("never", tries)
            self.wait_attempts("never", tries)
        self.clock.forward(seconds=3 * 3600)        # the rest of the 24 hours
        tries += 1
        self.wait_tries("never", tries)
        self.assertEqual(tries, 12)
        entry = self.wait_state(self.domains["never"], "failed")
        self.assertEqual((entry["endpoints"][0]["state"], entry["endpoints"][0]["attempts"]),
                         ("given-up", tries))
        self.assertRegex(entry["endpoints"][0]["answer"], "503")
        self.clock.forward(days=2)
        self.quiet("never", tries)
        self.assertEqual(len({p.body for p in self.posts("never")}), 1)
        for name, count in (("once", 2), ("redirect", 2), ("closes", 2), ("slow", 1),
                            ("created", 1), ("early", 2), ("raw", 3)):
            self.assertEqual(len(self.posts(name)), count, name)


class ByMail(ReportCase):
    """submit_via answers 4yz, breaks off, hangs, refuses for good: RFC 8460 §5.5 for mail."""

    identity = {**IDENTITY, "submit_via": "127.0.0.38:25"}

    @classmethod
    def publish(cls, lab):
        cls.submit = Mx("submit.lab", ["127.0.0.38"], starttls=False)
        cls.domains = {n: lab.domain(f"{n}.example", extra=[record(f"mailto:tls@{n}.example")])
                       for n in ("later", "fine", "never")}

    def of(self, name):
        """Messages about a domain that the submission host accepted."""
        return [m for m in self.submit.accepted if m.rcpts == [f"tls@{name}.example"]]

    def test_mail(self):
        for domain in self.domains.values():
            self.lmtp(domain.rcpt)
        self.close_day(*self.domains.values())
        self.send_all()                     # nobody listens at submit_via

        def tried():
            entries = [self.listed(d)["endpoints"] for d in self.domains.values()]
            return all(e and e[0]["attempts"] == 1 for e in entries)
        wait_for(tried, "a first try for each", 20, 0.3)
        self.submit.rcpt["tls@later.example"] = Each("451 4.3.0 later", None)
        self.submit.rcpt["tls@never.example"] = "550 5.1.1 no such mailbox"
        self.lab.farm.add(self.submit)
        self.clock.forward(seconds=5 * 60 + 30)
        self.wait_state(self.domains["fine"], "sent")
        self.assertEqual(len(self.of("fine")), 1)
        wait_for(lambda: self.listed(self.domains["later"])["endpoints"][0]["attempts"] == 2,
                 "the second try to be recorded", 15, 0.2)
        self.clock.forward(seconds=10 * 60 + 30)
        entry = self.wait_state(self.domains["later"], "sent")
        self.assertEqual(entry["endpoints"][0]["attempts"], 3)
        self.assertEqual(len(self.of("later")), 1)
        self.assertEqual(Mail(self.of("later")[0].data).gzipped,
                         self.octets_of(self.domains["later"]))
        for _ in range(12):
            self.clock.forward(seconds=4 * 3600)
            time.sleep(1.1)
        entry = self.wait_state(self.domains["never"], "failed")
        self.assertRegex(entry["endpoints"][0]["answer"], "550 5.1.1")
        self.assertEqual((len(self.of("fine")), len(self.of("later")), len(self.of("never"))),
                         (1, 1, 0))
        for session in self.submit.sessions:    # who is greeted is greeted by our own name
            self.assertEqual(session.helo, "edge.lab")

    def test_zz_a_repeat_is_byte_for_byte_the_same(self):
        """The reply to the dot is lost: nobody knows whether it was taken, so it is sent again."""
        day, domain = self.clock.today(), self.domains["fine"]
        self.submit.at["dot"] = Each(Hang(), None)
        self.lmtp(domain.rcpt)
        before = len(self.submit.messages)
        self.settle()
        self.clock.at(day, 24, 0, 5)
        wait_for(lambda: os.path.exists(self.path_of(domain, day)), "the file", 20, 0.05)
        self.clock.at(day, 24 + 4, 0, 10)
        wait_for(lambda: len(self.submit.messages) == before + 1 and
                 self.submit.messages[-1].complete, "the first copy", 20)
        self.sternpost.kill()
        self.sternpost.start()
        self.clock.forward(seconds=5 * 60 + 30)
        wait_for(lambda: len(self.submit.messages) == before + 2 and
                 self.submit.messages[-1].accepted, "the second copy", 30)
        one, two = self.submit.messages[before:]
        self.assertEqual((one.mail, one.rcpts, one.wire), (two.mail, two.rcpts, two.wire))
        entry = self.listed(domain, day)
        self.wait_state(domain, "sent", day=day)
        self.assertEqual(Mail(two.data).report["report-id"], entry["report_id"])


if __name__ == "__main__":
    main()
