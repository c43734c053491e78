#!/usr/bin/python3
"""MX hosts out of step with the dialog, and recipient domains that would harm others."""

import threading
import time

from lab.actions import Close, Drop, Hang, Wait
from lab.case import LabCase, main
from lab.client import Client
from lab.procs import wait_for
from lab.sternpost import LMTP


def later(data, seconds=0.1):
    """The usual reply, and `data` a moment after it."""
    def act(session, _):
        threading.Timer(seconds, session.sock.sendall, [data]).start()
    return act


def slowly(domain, pause=0.6):
    """One message, its body `pause` after 354; the final reply."""
    with Client(LMTP, lmtp=True) as client:
        client.cmd("MAIL FROM:<a@front.lab>")
        client.cmd(f"RCPT TO:<{domain.rcpt}>")
        assert client.cmd("DATA").code == 354
        time.sleep(pause)
        client.write(b"Subject: x\r\n\r\nbody\r\n.\r\n")
        return client.read()


class OutOfStep(LabCase):
    """Replies that nobody asked for answer nothing."""

    config = {"outbound": {"recipient_wait": "8s", "data_wait": "2s", "host_memory": "1s"}}

    @classmethod
    def publish(cls, lab):
        early = later(b"250 2.0.0 LAB early\r\n")
        cls.early = lab.domain("early.example", {"tlsa": "3 1 1", "at": {
            "data": early, "dot": "554 5.7.1 refused in truth"}})
        cls.plain = lab.domain("early-plain.example", {"starttls": False, "at": {
            "data": early, "dot": "554 5.7.1 refused in truth"}})
        cls.early_no = lab.domain("early-no.example", {"tlsa": "3 1 1", "at": {
            "data": later(b"552 5.3.4 too much\r\n")}})
        cls.closed = lab.domain("closed.example", {"tlsa": "3 1 1", "at": {
            "data": lambda s, _: threading.Timer(0.1, s.cut).start()}})
        cls.double = lab.domain("double.example", {"tlsa": "3 1 1", "at": {
            "rcpt": later(b"354 go on\r\n", 0)}})
        cls.named = lab.domain("named.example", {"at": {
            "mail": "550 5.7.1 Grace.Hopper is not welcome"}})
        cls.silent = lab.domain("silent.example", {"tlsa": "3 1 1", "at": {"data": Hang()}})
        cls.lost = lab.domain("lost.example", [
            {"tlsa": "3 1 1", "rcpt": {"b@lost.example": Drop()}}, {"tlsa": "3 1 1"}])
        cls.lost_421 = lab.domain("lost421.example", [
            {"tlsa": "3 1 1", "rcpt": {"b@lost421.example": Close("421 4.3.2 bye")}},
            {"tlsa": "3 1 1"}])

    def test_a_reply_before_the_dot_is_not_the_reply_to_the_dot(self):
        for domain in (self.early, self.plain):
            with self.subTest(domain.name):
                got = slowly(domain)
                self.assertEqual(got.status, "451 4.4.2", str(got))
                self.assertEqual(domain.messages, [])

    def test_a_refusal_before_the_dot_is_passed_on(self):
        got = slowly(self.early_no)
        self.assertEqual(got.status, "552 5.3.4", str(got))
        self.assertEqual(self.early_no.messages, [])

    def test_closed_before_the_dot_is_not_uncertain(self):
        self.sent_at = time.strftime("%Y")
        self.assertEqual(slowly(self.closed).status, "451 4.4.2")
        self.assertEqual(self.last(self.closed)["verdict"], "deferred")

    def test_the_sender_is_not_in_the_log(self):
        """An MX may name it without its domain."""
        self.lmtp(self.named.rcpt, sender="grace.hopper@front.lab")
        line = self.last(self.named)
        self.assertEqual(line["verdict"], "rejected")
        self.assertNotIn("hopper", str(line).lower())

    def test_354_before_data(self):
        got = self.lmtp(self.double.rcpt).reply
        self.assertEqual(got.status, "451 4.4.2", str(got))
        self.assertEqual([m.wire for m in self.double.mx.messages], [])

    def test_silence_at_data_is_told_as_such(self):
        got = self.lmtp(self.silent.rcpt).reply
        self.assertEqual(got.status, "451 4.4.2", str(got))
        self.assertNotIn("recipient_wait", got.text)

    def test_a_connection_lost_between_recipients_loses_none(self):
        """Whoever was told 250 is a recipient of the message that the MX took."""
        for domain in (self.lost, self.lost_421):
            with self.subTest(domain.name):
                rcpts = [f"{x}@{domain.name}" for x in "abc"]
                out = self.lmtp(rcpts)
                told = [r for i, r in enumerate(rcpts) if out.of(i) and out.of(i).ok]
                have = [r for h in domain.hosts for m in h.accepted for r in m.rcpts]
                self.assertEqual(sorted(told), sorted(have))


class Harm(LabCase):
    """What one domain publishes or its hosts do says nothing about others."""

    config = {"outbound": {"recipient_wait": "6s", "connect_timeout": "2s"}}

    @classmethod
    def publish(cls, lab):
        cls.victim = lab.domain("victim.example", {"at": {"greeting": Wait(0.5)}, "tlsa": "3 1 1"})
        cls.evil = lab.domain("evil.example", [
            {"at": {"greeting": Wait(5.8, Close("421 4.3.2 no"))}},
            {"listen": False, "addresses": cls.victim.mx.addresses}])
        cls.slow_tls = lab.domain("slow.example", {"at": {"handshake": Wait(0.8)},
                                                   "tlsa": "3 1 1"})
        cls.evil_tls = lab.domain("evil.net", [
            {"at": {"greeting": Wait(5.6, Close("421 4.3.2 no"))}},
            {"name": "mx.slow.org", "addresses": cls.slow_tls.mx.addresses, "listen": False,
             "cert": cls.slow_tls.mx.cert, "tlsa": "3 1 1"}])
        cls.second = lab.domain("second.example", [
            {"listen": False}, {}], sts={"mx": ["mx1.second.example"]})

    def test_a_wait_cut_short_by_the_budget_marks_nobody(self):
        got = self.lmtp(self.evil.rcpt).reply
        self.assertEqual(got.code, 451, str(got))
        self.delivered(self.victim, self.lmtp(self.victim.rcpt))

    def test_a_handshake_cut_short_by_the_budget_is_no_verdict(self):
        got = self.lmtp(self.evil_tls.rcpt).reply
        self.assertEqual(got.code, 451, str(got))
        records = self.sternpost.records(domain="evil.net", event="session", mx="mx.slow.org")
        self.assertEqual([r for r in records if r["counted"]], [])

    def test_a_dead_host_before_one_ruled_out(self):
        """The log's line is about the host that it names."""
        got = self.lmtp(self.second.rcpt).reply
        self.assertEqual(got.status, "451 4.7.5", str(got))
        line = self.last(self.second)
        self.assertEqual(line["policy_type"], "sts")
        self.assertIn(line["requirement"], (None, "verified"))
        self.assertIn(line["mx"], (None, "mx1.second.example"))


class Reuse(LabCase):
    """What was proved to one domain is not told of another."""

    config = {"outbound": {"idle_keepalive": "30s"}, "server": {"threads": 1}}

    @classmethod
    def publish(cls, lab):
        cls.vouched = lab.domain("vouched.example", {"name": "mx.shared.net"},
                                 sts={"mode": "testing"})
        cls.forged = lab.domain("forged.example", {
            "name": "mx.shared.net", "addresses": cls.vouched.mx.addresses, "listen": False,
            "cert": cls.vouched.mx.cert}, signing=None, sts={"mode": "testing"})

    def test_a_reused_connection_is_judged_anew(self):
        self.lmtp(self.vouched.rcpt)
        self.assertEqual(self.last(self.vouched)["protection"], "authenticated")
        self.lmtp(self.forged.rcpt)
        line = self.last(self.forged)
        self.assertTrue(line["reused"])
        self.assertEqual((line["mx_dnssec"], line["protection"]), ("insecure", "encrypted"))


class Reload(LabCase):
    """A session keeps its configuration, and keeps it to itself."""

    config = {"dane": {"enabled": False}, "server": {"threads": 1}}

    @classmethod
    def publish(cls, lab):
        cls.wrong = lab.domain("wrong.example", {"tlsa": "3 1 1 " + "00" * 32})

    def test_facts_of_an_old_configuration(self):
        with Client(LMTP, lmtp=True) as old:
            self.sternpost.configure({"dane": {"enabled": True}})
            self.sternpost.reload()
            out = old.transaction("a@front.lab", [self.wrong.rcpt], b"Subject: x\r\n\r\nx\r\n")
            self.assertTrue(out.reply.ok)
            got = self.lmtp(self.wrong.rcpt).reply
            self.assertEqual(got.status, "451 4.7.5", str(got))


class Drain(LabCase):
    """What has not seen its final dot is waited for `server.drain`, wherever the MX hangs."""

    config = {"server": {"drain": "1s"}, "outbound": {"recipient_wait": "200s"}}

    @classmethod
    def publish(cls, lab):
        cls.hang = [lab.domain(f"{stage}.example", {"tlsa": "3 1 1", "at": {stage: Hang()}})
                    for stage in ("mail", "rcpt", "data")]

    def test_sigterm(self):
        clients = []
        for domain in self.hang:
            client = Client(LMTP, lmtp=True)
            client.cmd("MAIL FROM:<a@front.lab>")
            client.write(f"RCPT TO:<{domain.rcpt}>\r\nDATA\r\n".encode())
            clients.append(client)
        for domain in self.hang:
            stage = domain.name.partition(".")[0].upper()
            wait_for(lambda d=domain, s=stage: any(
                c.startswith(s) for x in d.mx.sessions for c in x.commands), "the MX to hang")
        self.assertEqual(self.sternpost.stop(grace=20), 0)
        for client in clients:
            client.close()


if __name__ == "__main__":
    main()
