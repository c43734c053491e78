#!/usr/bin/python3
"""Sending TLS-RPT reports to receivers that err (RFC 8460 §5.4, §5.5): back-off, 24 hours, no
report twice to who accepted it, whatever happens to the process in between."""

import collections
import os
import random
import time

from lab.actions import Each, Hang
from lab.case import main
from lab.mx import Mx
from lab.procs import wait_for
from lab.receiver import SCRIPTED, Receiver
from lab.tlsrpt import IDENTITY, Mail, ReportCase, record

MINUTES = [5, 10, 20, 40, 80, 160, 240, 240, 240, 240]     # from one try to the next


class Sending(ReportCase):
    """Common: a scripted receiver; each domain's report goes to a host name of its own."""

    names = ()

    @classmethod
    def publish(cls, lab):
        cls.py = Receiver(lab.cert("good", "py.collect.example"))
        lab.dns.add_zone("collect.example", [f"{n} A {SCRIPTED}" for n in ("other", *cls.names)])
        cls.domains = {n: lab.domain(f"{n}.example", extra=[
            record(f"https://{n}.collect.example/")]) for n in cls.names}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab.add(cls.py)

    def host(self, name):
        """The receiver's name for a domain."""
        return f"{name}.collect.example"

    def posts(self, name):
        """What came about a domain."""
        return self.py.posts(self.host(name))

    def night(self):
        """Mail to every domain, midnight, the end of the jitter."""
        for domain in self.domains.values():
            self.lmtp(domain.rcpt)
        self.close_day(*self.domains.values())
        self.send_all()

    def wait_tries(self, name, count, timeout=15):
        """Waits for that many answered requests; there are not more."""
        got = self.py.wait_posts(self.host(name), count, timeout)
        self.assertEqual(len(got), count)
        return got

    def wait_attempts(self, name, count, timeout=15):
        """Waits until so many tries are recorded: a clock that is moved before misdates one."""
        def step():
            endpoints = self.listed(self.domains[name])["endpoints"]
            return endpoints and endpoints[0]["attempts"] >= count
        wait_for(step, f"{count} tries for {name}", timeout, 0.2)
        self.assertEqual(self.endpoint(name)["attempts"], count)

    def quiet(self, name, count, seconds=1.5):
        """For some seconds nothing comes beyond so many requests."""
        time.sleep(seconds)
        self.assertEqual(len(self.posts(name)), count)

    def endpoint(self, name):
        """The one endpoint of a domain's report, as `report list` has it."""
        return self.listed(self.domains[name])["endpoints"][0]


class BackOff(Sending):
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


class Hanging(Sending):
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


class Certificates(Sending):
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


class Refused(Sending):
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


class AtOnce(Sending):
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


class Killed(Sending):
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
