#!/usr/bin/python3
"""Sending TLS-RPT reports to receivers that err (RFC 8460 §3, §5.4): nobody waits for another, and
no report goes twice to who accepted it, whatever happens to the process in between."""

import collections
import os
import random
import time

from lab.case import main
from lab.procs import wait_for
from lab.receiver import SCRIPTED, Receiver
from lab.tlsrpt import SendingCase, record


class Hanging(SendingCase):
    """A receiver that never answers delays nobody else, nor the end of the process."""

    names = ("hang", *(f"fine{n}" for n in range(5)))

    def test_hang(self):
        for name in self.names:
            self.py.set(self.host(name), "hang" if name == "hang" else 200)
        self.night()
        for name in self.names:
            self.wait_tries(name, 1)
        self.wait_all_sent(self.domains[n] for n in self.names[1:])
        self.assertIn(self.listed(self.domains["hang"])["state"], ("waiting", "sending"))
        begin = time.monotonic()
        self.assertEqual(self.sternpost.stop(), 0)
        self.assertLess(time.monotonic() - begin, 15)
        self.py.set(self.host("hang"), 200)
        self.sternpost.start()
        self.clock.forward(seconds=5 * 60 + 30)
        self.wait_state(self.domains["hang"], "sent", timeout=30)
        self.assertEqual({p.body for p in self.posts("hang")},
                         {self.octets_of(self.domains["hang"])})
        for name in self.names[1:]:
            self.assertEqual(len(self.posts(name)), 1)


class SilentDns(SendingCase):
    """The process ends in peace while nobody has told it yet where a report goes."""

    names = ("fine",)
    config = {"tls_rpt": {"collector": "/nonexistent/collector.sock"}}

    @classmethod
    def publish(cls, lab):
        super().publish(lab)
        cls.silent = lab.domain("silent.example", extra=["_tls NS ns.broken.lab."], ttl=1)
        lab.broken_dns.rules["_tls.silent.example"] = "drop"

    def asked(self):
        """Whether somebody waits for the name server."""
        return any("_tls.silent" in name.lower() for name, _ in self.lab.broken_dns.queries)

    def test_stop(self):
        self.py.set(self.host("fine"), 200)
        self.lmtp(self.silent.rcpt)
        wait_for(self.asked, "the collector's question", 15)
        self.assertEqual(self.sternpost.stop(), 0)
        self.sternpost.start()
        self.night()
        self.wait_all_sent(self.domains.values())
        self.lab.broken_dns.queries.clear()
        self.clock.forward(seconds=3600)
        wait_for(self.asked, "the sender's question", 30)
        begin = time.monotonic()
        self.assertEqual(self.sternpost.stop(), 0)
        self.assertLess(time.monotonic() - begin, 15)
        self.assertEqual(self.sternpost.sanitizer_findings(), [])
        self.sternpost.start()
        self.assertEqual(self.listed(self.silent)["state"], "waiting")


class Certificates(SendingCase):
    """RFC 8460 §3, §7: who has broken TLS shall hear of it: certificates of receivers are not
    looked at."""

    names = ("self", "expired", "wrong", "stranger")

    @classmethod
    def publish(cls, lab):
        super().publish(lab)
        zone = lab.dns.zones["collect.example"]
        zone.records += ["v6 AAAA fd00:25::1f", 'text TXT "v=TLSRPTv1; " "rua=https://tex" '
                         '"t.collect.example/"', f"text A {SCRIPTED}"]
        cls.v6 = lab.domain("v6.example", extra=[record("https://v6.collect.example/")])
        cls.alias = lab.domain("alias.example",
                               extra=["_smtp._tls CNAME text.collect.example."])
        cls.six = Receiver(lab.cert("good", "v6.collect.example"), "fd00:25::1f")

    def test_records_and_addresses(self):
        """RFC 8460 §3: a record in pieces behind an alias; a receiver with IPv6 alone."""
        day = self.clock.today()
        self.lab.add(self.six)
        self.six.set("v6.collect.example", 204)
        self.py.set("text.collect.example", 202)
        for domain in (self.v6, self.alias):
            self.lmtp(domain.rcpt)
        self.settle()
        self.clock.at(day, 24, 0, 5)
        # A day that is composed later than that has its four hours from then on.
        wait_for(lambda: all(os.path.exists(self.path_of(d, day)) for d in (self.v6, self.alias)),
                 "the files", 20, 0.05)
        self.clock.at(day, 24 + 4, 0, 10)
        for receiver, host, domain in ((self.six, "v6", self.v6), (self.py, "text", self.alias)):
            posts = receiver.wait_posts(f"{host}.collect.example")
            self.assertEqual([p.body for p in posts], [self.octets_of(domain, day)])
            self.wait_state(domain, "sent", day=day)

    def test_taken(self):
        type(self).day = self.clock.today()
        for name in self.names:
            self.py.set(self.host(name), 201, cert=self.lab.cert(name, self.host(name)))
        self.night()
        for name in self.names:
            self.wait_state(self.domains[name], "sent")
            self.assertEqual(self.wait_tries(name, 1)[0].body, self.octets_of(self.domains[name]))


class Refused(SendingCase):
    """A private address is no receiver, whoever publishes it (outbound.private_destinations)."""

    names = ("inside", "outside")
    config = {"outbound": {"private_destinations": ["127.1.0.0/16", "127.0.0.10/31",
                                                    "127.0.0.23/32"]}}

    @classmethod
    def publish(cls, lab):
        super().publish(lab)
        cls.literal = lab.domain("literal.example", extra=[record(f"https://{SCRIPTED}/")])

    def test_refused(self):
        self.lmtp(self.literal.rcpt)
        self.night()
        for domain in (*self.domains.values(), self.literal):
            def tried(one=domain):
                entry = self.listed(one)
                return entry["endpoints"] and entry["endpoints"][0]["attempts"] == 1
            wait_for(tried, f"a try for {domain.name}", 15, 0.3)
            self.assertRegex(self.listed(domain)["endpoints"][0]["answer"],
                             "private_destinations|private")
        self.assertEqual(self.py.hits, {})


class AtOnce(SendingCase):
    """`report send` while the daemon sends the same day: everybody gets one."""

    names = tuple(f"s{n}" for n in range(24))

    def test_send(self):
        for name in self.names:
            self.py.set(self.host(name), ("slow", 0.4))
        for domain in self.domains.values():
            self.lmtp(domain.rcpt)
        self.close_day(*self.domains.values())
        self.send_all()
        wait_for(lambda: len(self.py.posts()) >= 5, "the first POSTs", 15)
        status, _, err = self.sternpost.run("report", "send", "--date", self.day.isoformat())
        self.assertIn(status, (0, 1), err)          # 1: some were under way
        self.wait_all_sent(self.domains.values())
        counts = collections.Counter(p.host for p in self.py.posts())
        self.assertEqual(counts, {self.host(n): 1 for n in self.names})


class Killed(SendingCase):
    """kill -9 while forty reports go out: whose acceptance was recorded gets nothing more."""

    names = tuple(f"k{n}" for n in range(40))

    def test_kill(self):
        for name in self.names:
            self.py.set(self.host(name), ("slow", round(random.uniform(0.2, 1.0), 2)))
        for domain in self.domains.values():
            self.lmtp(domain.rcpt)
        self.close_day(*self.domains.values())
        self.send_all()
        recorded, kills = {}, 5             # {name: when its acceptance was on the disk}
        for _ in range(kills):
            done = len(self.answered())
            wait_for(lambda n=done: len(self.answered()) >= n + 5 or
                     len(set(self.answered())) == 40, "some answers", 20)
            time.sleep(random.uniform(0, 0.3))
            self.sternpost.kill()
            for entry in self.listed()["reports"]:
                if entry["state"] == "sent":
                    recorded.setdefault(entry["domain"].partition(".")[0], time.monotonic())
            self.sternpost.start()
            self.clock.forward(seconds=5 * 60 + 30)
        for _ in range(6):
            if all(r["state"] == "sent" for r in self.listed()["reports"]):
                break
            time.sleep(1.5)
            self.clock.forward(seconds=1800)
        self.wait_all_sent(self.domains.values())
        counts = collections.Counter(p.host for p in self.py.posts())
        self.assertEqual(len(counts), 40)
        for name, domain in self.domains.items():
            bodies = {p.body for p in self.py.complete() if p.host == self.host(name)}
            self.assertEqual(bodies, {self.octets_of(domain)}, name)
        self.assertLessEqual(max(counts.values()), 1 + kills)
        self.assertTrue(recorded)
        for name, when in recorded.items():
            self.assertLess(max(p.at for p in self.posts(name)), when, name)
        self.nothing_comes_after()

    def answered(self):
        """Who was answered so far, for each time."""
        return [p.host for p in self.py.posts() if p.answer]

    def nothing_comes_after(self):
        """A restart and half a day later nobody was asked again."""
        before = len(self.py.posts())
        self.sternpost.kill()
        self.sternpost.start()
        self.clock.forward(seconds=12 * 3600)
        time.sleep(2)
        self.assertEqual(len(self.py.posts()), before)


if __name__ == "__main__":
    main()
