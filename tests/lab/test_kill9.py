#!/usr/bin/python3
"""kill -9 at any moment under load: every message that a client was told 250 for is at the MX, the
policy cache survives, the log's chain is whole and a torn last line is repaired and noted."""

import random
import threading
import time

from lab.case import LabCase, main
from lab.client import Client, Lost, message
from lab.sternpost import LMTP


class Kill(LabCase):
    """Load from several clients, kills in between."""

    ROUNDS = 6
    CLIENTS = 8

    @classmethod
    def publish(cls, lab):
        cls.domains = [lab.domain("dane.example", {"tlsa": "3 1 1"}),
                       lab.domain("sts.example", sts="enforce"), lab.domain("plain.example")]
        cls.policy = lab.domain("cached.example", {"cert": "self"}, sts="enforce", signing=None)

    def load(self, number, told, stop):
        """One client that sends until told to stop; `told` gets (domain, subject) of each 250."""
        count = 0
        while not stop.is_set():
            try:
                with Client(LMTP, lmtp=True, timeout=30) as client:
                    while not stop.is_set():
                        count += 1
                        subject = f"c{number}-{count}-{time.monotonic_ns()}"
                        domains = random.sample(self.domains, random.randint(1, 3))
                        out = client.transaction(
                            "a@front.lab", [d.rcpt for d in domains],
                            message(subject, size=random.choice((0, 4096, 300_000))))
                        for n, domain in enumerate(domains):
                            reply = out.of(n) if n < len(out.rcpts) else None
                            if out.final and out.lost:      # LMTP: those that came count
                                place = sum(1 for r in out.rcpts[:n] if r.ok)
                                reply = out.final[place] if place < len(out.final) else None
                            if reply is not None and reply.ok and reply.code != 354:
                                told.append((domain.name, subject))
                        if out.lost:
                            break
            except (OSError, Lost):
                time.sleep(0.02)

    def test_nothing_told_is_missing(self):
        self.refused(self.policy, self.lmtp(self.policy.rcpt), "451 4.7.5")
        told, stop = [], threading.Event()
        threads = [threading.Thread(target=self.load, args=(n, told, stop))
                   for n in range(self.CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(self.ROUNDS):
                before = len(told)
                end = time.monotonic() + 20
                while len(told) < before + 20 and time.monotonic() < end:
                    time.sleep(random.uniform(0.05, 0.4))
                self.sternpost.kill()
                self.sternpost.start()
        finally:
            time.sleep(1)
            stop.set()
            for thread in threads:
                thread.join(60)
        at_mx = {(d.name, m.header("Subject")[0]) for d in self.domains for m in d.messages}
        missing = [t for t in told if t not in at_mx]
        self.assertGreater(len(told), 100)
        self.assertEqual(missing, [], f"{len(missing)} of {len(told)} are missing")
        for domain in self.domains:
            for got in domain.messages:
                self.assertTrue(got.data.endswith(b"\r\n"), got.header("Subject"))
        self.assertIsNone(self.sternpost.chain_error())
        fetches = len(self.lab.nginx.requests("mta-sts.cached.example"))
        got = self.lmtp(self.policy.rcpt)
        self.reply(got, "451 4.7.5", "MTA-STS")
        self.assertEqual(self.last(self.policy)["policy_source"], "cached")
        self.assertGreaterEqual(fetches, 1)

    def test_torn_last_line(self):
        """A half-written record is repaired at start, the chain goes on, and that is noted."""
        plain = self.domains[2]
        self.reply(self.lmtp(plain.rcpt), "250 2.0.0")
        self.sternpost.kill()
        with open(self.sternpost.enforcement, "ab") as file:
            file.write(b'{"time":"2026-01-01T00:00:00.000Z","event":"deliv')
        self.sternpost.start()
        self.reply(self.lmtp(plain.rcpt), "250 2.0.0")
        self.sternpost.wait_records(domain="plain.example", event="delivery")
        self.assertIsNone(self.sternpost.chain_error())
        self.assertRegex(self.sternpost.log.lower(), "torn|incomplete|half-written|repaired")


if __name__ == "__main__":
    main()
