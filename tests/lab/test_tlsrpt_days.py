#!/usr/bin/python3
"""What a day's TLS-RPT reports count: every session line of the enforcement log of that day, once,
whatever happened to the process, at midnight under load as at any other time."""

import datetime
import os
import random
import threading
import time

from lab.actions import Reset
from lab.case import main
from lab.client import Client, Lost, message
from lab.procs import wait_for
from lab.receiver import SCRIPTED, Receiver
from lab.sternpost import LMTP
from lab.tlsrpt import ReportCase, tally

WRONG = "3 1 1 " + "00" * 32


class Load(ReportCase):
    """Common: clients that send to domains with every kind of outcome, a new connection each."""

    CLIENTS = 6

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.domains = [add("dane.example", {"tlsa": "3 1 1"}),
                       add("both.example", {"tlsa": "3 1 1", "cert": "self"}, sts="enforce"),
                       add("sts.example", sts="enforce"),
                       add("wrong.example", [{"cert": "wrong"}, {}], sts="enforce"),
                       add("testing.example", {"cert": "expired"}, sts="testing"),
                       add("plain.example"), add("clear.example", {"starttls": False}),
                       add("reset.example", {"at": {"handshake": Reset()}}),
                       add("mixed.example", [{"tlsa": WRONG}, {"tlsa": "3 1 1"}]),
                       add("foreign.example", sts={"mx": ["mx.else.example"]})]

    def load(self, stop):
        """One client that sends until it is told to stop."""
        while not stop.is_set():
            try:
                with Client(LMTP, lmtp=True, timeout=30) as client:
                    while not stop.is_set():
                        some = random.sample(self.domains, random.randint(1, 4))
                        out = client.transaction("a@front.lab", [d.rcpt for d in some], message())
                        if out.lost:
                            break
            except (OSError, Lost):
                time.sleep(0.02)

    def under_load(self, action):
        """Runs `action` while the clients send."""
        stop = threading.Event()
        threads = [threading.Thread(target=self.load, args=(stop,)) for _ in range(self.CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            action()
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        self.settle()

    def lines(self):
        """How many session lines are counted so far."""
        return len(self.sternpost.records(event="session", counted=True))

    def sums(self, day):
        """Waits until the day's files are there and add up to the log."""
        names = {domain for domain, _ in tally(self.sternpost.records(), day)}
        for name in names:
            wait_for(lambda n=name: os.path.exists(self.path_of(n, day)),
                     f"the report about {name}", 20, 0.05)
        return self.assert_counted(day)


class Killed(Load):
    """kill -9 and restarts under load: nothing is missing, nothing is counted twice."""

    ROUNDS = 5

    def test_kill(self):
        def kills():
            for n in range(self.ROUNDS):
                before, end = self.lines(), time.monotonic() + 20
                while self.lines() < before + 60 and time.monotonic() < end:
                    time.sleep(random.uniform(0.05, 0.5))
                if n == 2:
                    self.sternpost.stop()
                else:
                    self.sternpost.kill()
                if n == 3:
                    with open(self.sternpost.enforcement, "ab") as file:
                        file.write(b'{"time":"2026-01-01T00:00:00.000Z","event":"sess')
                self.sternpost.start()
            time.sleep(1)
        self.under_load(kills)
        self.assert_running(15)
        self.sternpost.kill()               # with nobody sending: all that was counted is there
        self.sternpost.start()
        self.assert_running()
        self.clock.at(self.day, 24, 0, 5)
        self.assertGreater(self.sums(self.day), 300)
        self.assertIsNone(self.sternpost.chain_error())


class Midnight(Load):
    """The day changes while mail flows."""

    def test_midnight(self):
        self.clock.at(self.day, 23, 59, 57)

        def cross():
            wait_for(lambda: self.clock.today() > self.day, "midnight", 10)
            time.sleep(4)
        self.under_load(cross)
        both = self.day, self.day + datetime.timedelta(days=1)
        first, second = (sum(sum(x) for x in tally(self.sternpost.records(), d).values())
                         for d in both)
        self.assertGreater(min(first, second), 50)
        self.assertEqual(self.sums(both[0]), first)
        self.assert_running()
        self.clock.at(both[1], 24, 0, 5)
        self.assertEqual(self.sums(both[1]), second)


class KilledAtMidnight(Load):
    """kill -9 in the seconds around midnight, the process back on the other side."""

    def test_kill(self):
        day = self.day
        for n, (hours, minutes, seconds) in enumerate(((23, 59, 58), (23, 59, 59), (24, 0, 0))):
            with self.subTest(n):
                self.clock.at(day, hours, minutes, seconds)

                def kill():
                    time.sleep(random.uniform(1.0, 2.5))
                    self.sternpost.kill()
                    self.sternpost.start()
                    time.sleep(1)
                self.under_load(kill)
                self.clock.at(day, 24, 0, 10)
                self.sums(day)
                day = self.clock.today()
        self.clock.at(day, 24, 0, 5)
        self.sums(day)


class Enabled(Load):
    """tls_rpt.enabled comes late in the day: the day's report has the whole day."""

    config = {"tls_rpt": {"enabled": False}}

    def test_the_lines_before_count(self):
        for domain in self.domains:
            self.lmtp(domain.rcpt)
        wait_for(lambda: self.lines() >= len(self.domains), "the lines")
        self.settle()
        self.sternpost.stop()
        self.sternpost.configure({"tls_rpt": {"enabled": True}})
        self.sternpost.start()
        self.lmtp(self.domains[0].rcpt)
        self.settle()
        self.assert_running()
        self.clock.at(self.day, 24, 0, 5)
        self.assertGreaterEqual(self.sums(self.day), len(self.domains) + 1)
        for domain in self.domains[:3]:     # the strings of the policies are there as well
            for row in self.report_of(domain)["policies"]:
                self.assertTrue(row["policy"]["policy-string"])


class Many(ReportCase):
    """kill -9 while the reports about many domains are composed, and while they are sent."""

    COUNT = 400
    config = {"outbound": {"max_connections_per_mx": 100}}

    @classmethod
    def publish(cls, lab):
        lab.domain("many.example", [], extra=[
            "*.a MX 10 mx.many.example.", f"mx A {cls.address(lab)}",
            '*.a TXT "v=TLSRPTv1; rua=https://py.collect.example/"'])
        lab.dns.add_zone("collect.example", [f"py A {SCRIPTED}"])
        cls.names = [f"d{n}.a.many.example" for n in range(cls.COUNT)]
        cls.py = Receiver(lab.cert("good", "py.collect.example"))
        cls.py.set("py.collect.example", 200)

    @classmethod
    def address(cls, lab):
        """Of the one MX for all."""
        host, _ = lab.host("mx.many.example", {})
        return host.address

    def test_kill(self):
        self.lab.add(self.py)
        for begin in range(0, self.COUNT, 50):
            out = self.lmtp([f"u@{n}" for n in self.names[begin:begin + 50]])
            self.assertTrue(all(r.ok for r in out.final) and len(out.final) == 50, out)
        self.settle()
        self.clock.at(self.day, 24, 0, 2)
        for _ in range(4):
            time.sleep(random.uniform(0.5, 2))
            self.sternpost.kill()
            self.sternpost.start()
        wait_for(lambda: all(os.path.exists(self.path_of(n)) for n in self.names), "the files", 60,
                 0.2)
        self.assertEqual(self.assert_counted(), self.COUNT)
        before = {n: self.octets_of(n) for n in self.names}
        self.send_all()
        for _ in range(3):
            wait_for(lambda n=len(self.py.posts()): len(self.py.posts()) > n + 40 or
                     len({p.body for p in self.py.complete()}) == self.COUNT, "some POSTs", 40)
            self.sternpost.kill()
            self.sternpost.start()

        def sent():
            self.clock.forward(seconds=301)
            return all(r["state"] == "sent" for r in self.listed()["reports"])
        wait_for(sent, "all to be sent", 60, 1.2)
        self.assertEqual({n: self.octets_of(n) for n in self.names}, before)
        bodies = [p.body for p in self.py.complete()]
        self.assertEqual(set(bodies), set(before.values()))
        # What a kill leaves unknown is sent again: so many are under way at a time.
        self.assertLessEqual(len(bodies), self.COUNT + 3 * 32)


class Away(Load):
    """Days pass while the process is not there: each is closed when it comes back."""

    def test_days_later(self):
        for domain in self.domains[:4]:
            self.lmtp(domain.rcpt)
        wait_for(lambda: self.lines() >= 4, "the lines")
        self.settle()
        self.sternpost.kill()
        self.clock.forward(days=3)
        self.sternpost.start()
        self.assertGreaterEqual(self.sums(self.day), 4)
        self.assertEqual(self.listed()["state"], "composed")
        self.lmtp(self.domains[0].rcpt)
        self.settle()
        self.clock.at(self.clock.today(), 24, 0, 5)
        self.assertEqual(self.sums(self.clock.today(-1)), 1)


class Backwards(Load):
    """A clock that is set back a few minutes over midnight: the line's time is what counts."""

    def test_back_and_forth(self):
        today = self.day
        self.clock.at(today, 23, 59, 50)
        self.lmtp(self.domains[0].rcpt)
        self.clock.at(today, 24, 0, 1)
        self.lmtp(self.domains[0].rcpt)
        self.clock.at(today, 23, 59, 55)
        self.lmtp(self.domains[0].rcpt)
        wait_for(lambda: self.lines() >= 3, "the lines")
        time.sleep(2)
        self.clock.at(today, 24, 0, 30)
        self.sums(today)
        self.clock.at(today, 48, 0, 5)
        self.sums(self.day + datetime.timedelta(days=1))


if __name__ == "__main__":
    main()
