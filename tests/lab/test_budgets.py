#!/usr/bin/python3
"""Budgets of [outbound] over several tries, and the address that connections come from."""

from lab.actions import Hang
from lab.case import LabCase, main


class Budget(LabCase):
    """outbound.recipient_wait ends; the next try goes on with the hosts not yet tried."""

    config = {"outbound": {"recipient_wait": "3s"}}

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("two.example", [{"at": {"greeting": Hang()}}, {}])

    def test_goes_on_where_it_stopped(self):
        first = self.lmtp(self.domain.rcpt)
        self.reply(first, "451 4.4.1", "recipient_wait|greeting|answer")
        self.reply(self.lmtp(self.domain.rcpt), "250 2.0.0")
        self.assertEqual(self.last(self.domain)["mx"], "mx2.two.example")


class Source(LabCase):
    """outbound.source_ipv4 and source_ipv6."""

    config = {"outbound": {"source_ipv4": "127.0.0.77", "source_ipv6": "::1"}}

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example")

    def test_source(self):
        self.delivered(self.domain, self.lmtp(self.domain.rcpt))
        self.assertEqual(self.last(self.domain)["source_ip"], "127.0.0.77")
        self.assertEqual(self.domain.mx.sessions[-1].peer[0], "127.0.0.77")


if __name__ == "__main__":
    main()
