#!/usr/bin/python3
"""DNS that fails, lies, or does not validate: errors are never absence; and the start-up test."""

import threading

from lab.case import LabCase, main
from lab.client import Client, Lost
from lab.procs import LabError
from lab.resolver import Resolver
from lab.sternpost import LMTP

WRONG = "3 1 1 " + "00" * 32


class Failures(LabCase):
    """Each look-up failing in each way."""

    config = {"dns": {"timeout": "3s"}}
    WAYS = ("servfail", "refused", "drop", "formerr", "garbage", "truncate")

    @classmethod
    def publish(cls, lab):
        cls.mx, cls.address, cls.tlsa = {}, {}, {}
        for way in cls.WAYS:
            cls.mx[way] = f"user@mxfail.{way}.example"
            lab.domain(f"{way}.example", [], extra=["mxfail NS ns.broken.lab."])
            lab.broken_dns.rules[f"mxfail.{way}.example"] = way
            cls.address[way] = lab.domain(f"{way}.net", [
                {"name": f"mx.afail.{way}.net", "no_address": True, "listen": False}, {}],
                extra=["afail NS ns.broken.lab."])
            lab.broken_dns.rules[f"afail.{way}.net"] = way
            cls.tlsa[way] = lab.domain(f"{way}.org", {}, extra=["_tcp.mx1 NS ns.broken.lab."])
            lab.broken_dns.rules[f"_tcp.mx1.{way}.org"] = way
        cls.slow = lab.domain("slow.example", {}, extra=["_tcp.mx1 NS ns.broken.lab."])
        lab.broken_dns.rules["_tcp.mx1.slow.example"] = 30
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"})
        cls.one_family = lab.domain("family.example", {"tlsa": "3 1 1"},
                                    corrupt={("mx1.family.example", "A")})

    def each(self, table, check):
        """All ways at once: those that wait for a time-out wait together."""
        errors = []

        def one(way, item):
            try:
                check(way, item)
            except AssertionError as error:
                errors.append(f"{way}: {error}")
        threads = [threading.Thread(target=one, args=x) for x in table.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])

    def test_mx(self):
        def check(_, rcpt):
            self.reply(self.lmtp(rcpt, timeout=60), "451 4.4.3", rcpt.split("@")[1])
        self.each(self.mx, check)

    def test_address_of_the_first_host(self):
        def check(_, domain):
            self.delivered(domain, self.lmtp(domain.rcpt, timeout=60))
        self.each(self.address, check)

    def test_tlsa(self):
        def check(_, domain):
            self.refused(domain, self.lmtp(domain.rcpt, timeout=60), "451 4.7.5", "TLSA")
            self.assertEqual(domain.mx.sessions, [])
        self.each(self.tlsa, check)

    def test_a_slow_look_up_holds_nobody_else(self):
        done = []
        thread = threading.Thread(
            target=lambda: done.append(self.lmtp(self.slow.rcpt, timeout=60).reply))
        thread.start()
        for _ in range(5):
            self.assertTrue(self.lmtp(self.good.rcpt).reply.ok)
        self.assertEqual(done, [])
        thread.join()
        self.assertEqual(done[0].status, "451 4.7.5")

    def test_bogus_address(self):
        got = self.lmtp(self.one_family.rcpt).reply
        self.assertEqual(got.status, "451 4.7.5", str(got))
        self.assertEqual(self.one_family.messages, [])


class NotValidating(LabCase):
    """A resolver that does not validate: said loudly, not ready, and no session is called DANE."""

    begins = False

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example", {"tlsa": WRONG, "cert": "self"})

    def test_forwarder_that_does_not_validate(self):
        """The anchor is of another root, so that nothing can be secure."""
        anchor = self.lab.path("other.key")
        with open(anchor, "w", encoding="ascii") as file:
            file.write(". IN DS 1 13 2 " + "ab" * 32 + "\n")
        changes = {"dns": {"trust_anchor_file": anchor}}
        try:
            sternpost = self.lab.sternpost(changes)
        except LabError as error:
            self.assertRegex(str(error), "(?i)validat")
            return
        self.assertRegex(sternpost.log, "(?i)validat")
        try:
            with Client(LMTP, lmtp=True) as client:
                out = client.transaction("a@front.lab", [self.domain.rcpt], b"x\r\n")
                self.assertFalse(out.reply.ok and
                                 sternpost.records()[-1].get("peer_auth", "").startswith("dane"))
        except (OSError, Lost):
            pass
        finally:
            sternpost.stop()


class Forwarders(LabCase):
    """dns.forwarders on loopback: validation is still done here."""

    begins = False

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1", "cert": "self"})
        cls.mismatch = lab.domain("mismatch.example", {"tlsa": WRONG})
        cls.bogus = lab.domain("bogus.example", signing="bogus")
        cls.plain = lab.domain("plain.example", signing=None)

    def test_forwarder(self):
        self.lab.add(Resolver(self.lab.path("resolver"), self.lab.dns, validating=False))
        type(self).sternpost = self.lab.sternpost({"dns": {
            "forwarders": ["127.0.0.53"],
            "unbound_config": self.lab.dns.unbound_config(extra=["module-config: \"validator "
                                                                 "iterator\""])}})
        self.delivered(self.good, self.lmtp(self.good.rcpt))
        self.assertEqual(self.last(self.good)["peer_auth"], "dane-ee")
        self.refused(self.mismatch, self.lmtp(self.mismatch.rcpt), "451 4.7.5")
        self.refused(self.bogus, self.lmtp(self.bogus.rcpt), "451 4.7.5")
        self.delivered(self.plain, self.lmtp(self.plain.rcpt))


if __name__ == "__main__":
    main()
