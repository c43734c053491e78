#!/usr/bin/python3
"""Operator rules, exceptions, defaults, observe mode, on_downgrade, and the log's failure."""

import datetime
import os
import subprocess
import time

from lab.case import LabCase, main
from lab.client import message
from lab.procs import wait_for

WRONG = "3 1 1 " + "00" * 32
SOON = datetime.date.today() + datetime.timedelta(days=30)
PAST = datetime.date.today() - datetime.timedelta(days=2)


def exception(domain, allow, until=SOON, **more):
    """A [[policy.exception]]."""
    return {"domains": [domain], "allow": allow, "until": until, "owner": "postmaster@edge.lab",
            "reason": "ticket 4711", **more}


class Rules(LabCase):
    """[[policy.rule]]: stricter, never weaker."""

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.encrypted = add("enc.example", {"cert": "self"})
        cls.clear = add("clear.example", {"starttls": False})
        cls.listed = add("listed.example", signing=None)
        cls.unlisted = add("unlisted.example", signing=None)
        cls.pinned = add("pinned.example", {"cert": "self"}, signing=None)
        cls.unpinned = add("unpinned.example", signing=None)
        cls.dane = add("dane.example", {"tlsa": "3 1 1"})
        cls.no_dane = add("nodane.example")
        cls.own_ca = add("ownca.example", {"cert": "stranger"}, signing=None)
        cert = lab.pki.ca.issue("vouched.example", ["vouched.example", "mx.elsewhere.example"])
        cls.vouched = add("vouched.example", {"name": "mx.elsewhere.example", "cert": cert},
                          signing=None)
        cls.unvouched = add("unvouched.example", {"name": "mx.elsewhere2.example"}, signing=None)
        cls.signed = add("signed.example")
        cls.sub = add("a.subs.example", {"starttls": False})
        cls.top = add("subs.example", {"starttls": False})
        cls.first = add("first.example", {"starttls": False})
        cls.weaker = add("weaker.example", {"tlsa": WRONG})
        cls.config = {"policy": {"rule": [
            {"domains": ["enc.example", "clear.example", ".subs.example"], "require": "encrypted"},
            {"domains": ["listed.example"], "require": "verified", "mx": ["*.listed.example"]},
            {"domains": ["unlisted.example"], "require": "verified", "mx": ["mx.else.example"]},
            {"domains": ["pinned.example"], "require": "verified",
             "spki_sha256": [cls.pinned.mx.cert.pin]},
            {"domains": ["unpinned.example"], "require": "verified",
             "spki_sha256": [cls.pinned.mx.cert.pin]},
            {"domains": ["dane.example", "nodane.example"], "require": "dane"},
            {"domains": ["ownca.example"], "require": "verified", "mx": ["mx1.ownca.example"],
             "ca_file": lab.pki.stranger.cert.alone},
            {"domains": ["vouched.example", "unvouched.example", "signed.example"],
             "require": "verified"},
            {"domains": ["first.example"], "require": "encrypted"},
            {"domains": ["first.example"], "require": "verified"},
            {"domains": ["weaker.example"], "require": "encrypted"}]}}

    def test_encrypted(self):
        self.delivered(self.encrypted, self.lmtp(self.encrypted.rcpt))
        log = self.last(self.encrypted)
        self.assertEqual((log["policy_type"], log["requirement"]), ("operator", "encrypted"))
        self.refused(self.clear, self.lmtp(self.clear.rcpt), "451 4.7.4", "own requirement")

    def test_approved_hosts(self):
        self.delivered(self.listed, self.lmtp(self.listed.rcpt))
        self.refused(self.unlisted, self.lmtp(self.unlisted.rcpt), "451 4.7.5",
                     r"mx1\.unlisted\.example")

    def test_pins(self):
        self.delivered(self.pinned, self.lmtp(self.pinned.rcpt))
        self.assertEqual(self.last(self.pinned)["peer_auth"], "pin")
        self.refused(self.unpinned, self.lmtp(self.unpinned.rcpt), "451 4.7.5")

    def test_dane_required(self):
        self.delivered(self.dane, self.lmtp(self.dane.rcpt))
        self.refused(self.no_dane, self.lmtp(self.no_dane.rcpt), "451 4.7.5")
        self.assertEqual(self.last(self.no_dane, "session")["result"], "dane-required")

    def test_own_ca(self):
        self.delivered(self.own_ca, self.lmtp(self.own_ca.rcpt))

    def test_verified_needs_a_voucher(self):
        """PKIX for a name out of unsigned DNS alone is not verified."""
        self.delivered(self.vouched, self.lmtp(self.vouched.rcpt))
        self.refused(self.unvouched, self.lmtp(self.unvouched.rcpt), "451 4.7.5")
        self.delivered(self.signed, self.lmtp(self.signed.rcpt))
        self.assertEqual(self.last(self.signed)["protection"], "authenticated")

    def test_leading_dot(self):
        self.refused(self.sub, self.lmtp(self.sub.rcpt), "451 4.7.4")
        self.delivered(self.top, self.lmtp(self.top.rcpt), tls=False)

    def test_first_match_wins(self):
        self.refused(self.first, self.lmtp(self.first.rcpt), "451 4.7.4")

    def test_never_weaker(self):
        self.refused(self.weaker, self.lmtp(self.weaker.rcpt), "451 4.7.5")


class Exceptions(LabCase):
    """[[policy.exception]]: the only way to make one domain weaker."""

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.opportunistic = add("opp.example", {"starttls": False, "tlsa": WRONG}, sts="enforce")
        cls.encrypted = add("enc.example", {"cert": "expired"}, sts="enforce")
        cls.encrypted_clear = add("encclear.example", {"starttls": False}, sts="enforce")
        cls.past = add("past.example", {"cert": "expired"}, sts="enforce")
        cls.bogus = add("bogus.example", signing="bogus")
        cls.bogus_kept = add("bogus2.example", signing="bogus")
        cls.ruled = add("ruled.example", {"starttls": False})
        rule = {"domains": ["ruled.example"], "require": "verified"}
        cls.config = {"policy": {"rule": [rule], "exception": [
            exception("opp.example", "opportunistic"), exception("enc.example", "encrypted"),
            exception("encclear.example", "encrypted"),
            exception("past.example", "opportunistic", PAST),
            exception("bogus.example", "opportunistic", dnssec="ignore"),
            exception("bogus2.example", "opportunistic"),
            exception("ruled.example", "opportunistic")]}}

    def test_opportunistic(self):
        self.delivered(self.opportunistic, self.lmtp(self.opportunistic.rcpt), tls=False)
        self.assertTrue(self.sternpost.wait_records(domain="opp.example", event="exception"))

    def test_encrypted(self):
        self.delivered(self.encrypted, self.lmtp(self.encrypted.rcpt))
        self.refused(self.encrypted_clear, self.lmtp(self.encrypted_clear.rcpt), "451 4.7.4")

    def test_past_its_day(self):
        self.refused(self.past, self.lmtp(self.past.rcpt), "451 4.7.5")
        self.assertIn("past.example", self.sternpost.log)

    def test_dnssec_ignored(self):
        self.delivered(self.bogus, self.lmtp(self.bogus.rcpt))
        self.refused(self.bogus_kept, self.lmtp(self.bogus_kept.rcpt), "451 4.7.5")

    def test_above_rules(self):
        self.delivered(self.ruled, self.lmtp(self.ruled.rcpt), tls=False)


class Observe(LabCase):
    """policy.mode = "observe": delivered all the same; what enforce would have done is logged."""

    config = {"policy": {"mode": "observe"}}

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.good = add("good.example", {"tlsa": "3 1 1"})
        cls.mismatch = add("mismatch.example", {"tlsa": WRONG})
        cls.stripped = add("stripped.example", {"starttls": False}, sts="enforce")
        cls.second = add("second.example", [{"tlsa": WRONG}, {"tlsa": "3 1 1"}])
        cls.bogus = add("bogus.example", signing="bogus")
        cls.dead = add("dead.example", {"listen": False})

    def test_as_in_enforce_where_it_can_be_met(self):
        self.delivered(self.good, self.lmtp(self.good.rcpt))
        self.assertEqual(self.last(self.good)["would_be"], "delivered")
        self.delivered(self.second, self.lmtp(self.second.rcpt))
        self.assertEqual(len(self.second.hosts[1].accepted), 1)

    def test_delivered_all_the_same(self):
        self.delivered(self.mismatch, self.lmtp(self.mismatch.rcpt))
        log = self.last(self.mismatch)
        self.assertEqual((log["verdict"], log["would_be"]), ("delivered", "deferred"))
        self.delivered(self.stripped, self.lmtp(self.stripped.rcpt), tls=False)

    def test_what_holds_in_both_modes(self):
        self.refused(self.bogus, self.lmtp(self.bogus.rcpt), "451 4.7.5")
        self.refused(self.dead, self.lmtp(self.dead.rcpt), "451 4.4.1")

    def test_said_at_start(self):
        self.assertIn("observe", self.sternpost.log)


class Defaults(LabCase):
    """policy.default = "encrypted"."""

    config = {"policy": {"default": "encrypted"}}

    @classmethod
    def publish(cls, lab):
        cls.tls = lab.domain("tls.example", {"cert": "self"})
        cls.clear = lab.domain("clear.example", {"starttls": False})

    def test_default(self):
        self.delivered(self.tls, self.lmtp(self.tls.rcpt))
        self.refused(self.clear, self.lmtp(self.clear.rcpt), "451 4.7.4")


class Verified(LabCase):
    """policy.default = "verified"."""

    config = {"policy": {"default": "verified"}}

    @classmethod
    def publish(cls, lab):
        cls.plain = lab.domain("plain.example", signing=None)
        cls.signed = lab.domain("signed.example")

    def test_default(self):
        self.refused(self.plain, self.lmtp(self.plain.rcpt), "451 4.7.5")
        self.delivered(self.signed, self.lmtp(self.signed.rcpt))


class Log(LabCase):
    """The enforcement log: its keys, its silence about people, its chain, and a full disk."""

    KEYS = ("time event id queue_id seq prev domain recipients policy_type policy_mode policy_id "
            "policy_source counted results requirement mx ip source_ip helo mx_dnssec tls_version "
            "cipher group sni resumed reused peer_auth protection cert_sha256 spki_sha256 result "
            "reason verdict would_be reply").split()

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example", {"tlsa": "3 1 1"}, sts="enforce")
        cls.refuses = lab.domain("no.example", {"at": {"rcpt": lambda _, line:
                                                       f"550 5.1.1 {line[9:-1]} is unknown here"}})
        cls.null = lab.domain("null.example", [], extra=["@ MX 0 ."])
        cls.small = lab.path("small")
        os.makedirs(cls.small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "lab", cls.small], check=True)
        cls.config = {"log": {"enforcement": os.path.join(cls.small, "enforcement.jsonl")}}

    def test_keys(self):
        self.reply(self.lmtp([self.domain.rcpt, f"b@{self.domain.name}"]), "250 2.0.0")
        for log in (self.last(self.domain), self.last(self.domain, "session")):
            self.assertEqual([k for k in self.KEYS if k not in log], [])
        log = self.last(self.domain)
        self.assertEqual(log["recipients"], 2)
        self.assertRegex(log["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual((log["tls_version"], log["ip"]), ("TLSv1.3", self.domain.mx.address))

    def test_own_words_stay_readable(self):
        """A local part that is a word of the relay's own reason does not tear holes into it."""
        self.lmtp(f"mail@{self.null.name}")
        self.assertIn("accepts no mail", self.last(self.null)["reason"])

    def test_nobody_is_named(self):
        secret = "very.private.person"
        got = self.lmtp(f"{secret}@{self.refuses.name}", message("secret subject"),
                        sender=f"{secret}@front.lab").reply
        self.assertIn(secret, got.text)
        self.last(self.refuses)
        with open(self.sternpost.enforcement, encoding="utf-8") as file:
            text = file.read()
        self.assertNotIn(secret, text)
        self.assertNotIn("secret subject", text)
        self.assertIn("\u2026@", self.last(self.refuses)["reply"])

    def test_start_is_logged(self):
        self.assertTrue(self.sternpost.records(event="start"))

    def test_zz_full_disk(self):
        """log.on_failure = "defer": 451 4.3.0, nothing lost, nothing doubled."""
        filler = os.open(os.path.join(self.small, "filler"), os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(filler, b"x" * 512):
                pass
        except OSError:
            os.close(filler)
        host = self.domain.mx
        # What was reserved on the disk before may still be used; and the reservation of mail that
        # was just accepted stands until its line is written, some milliseconds later.
        for _ in range(1000):
            out = self.lmtp(self.domain.rcpt)
            if not out.reply.ok:
                time.sleep(0.1)
                out = self.lmtp(self.domain.rcpt)
                if not out.reply.ok:
                    break
        self.assertEqual(out.reply.status, "451 4.3.0", str(out.reply))
        accepted = len(host.accepted)
        again = self.lmtp(self.domain.rcpt)
        self.assertEqual(again.reply.status, "451 4.3.0")
        self.assertEqual(len(host.accepted), accepted)
        subprocess.run(["mount", "-o", "remount,size=8m", self.small], check=True)
        wait_for(lambda: self.lmtp(self.domain.rcpt).reply.ok, "mail to flow again", 20, 0.5)
        self.assertIsNone(self.sternpost.chain_error())


if __name__ == "__main__":
    main()
