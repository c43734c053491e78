#!/usr/bin/python3
"""The milter: by the octets of its protocol, inside Postfix 3.7, inside Sendmail 8.17."""

import os
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

from lab import snippet
from lab.actions import Hang
from lab.case import LabCase, main
from lab.client import Lost, message
from lab.milter import ADDHDRS, CHGHDRS, QUARANTINE, Milter
from lab.postfix import PostfixFront
from lab.procs import wait_for
from lab.sendmail import SendmailFront

WRONG = "3 1 1 " + "00" * 32
PORT = 8891             # that of the lines that snippet prints
ADDRESS = f"127.0.0.1:{PORT}"
FIELD = "X-Sternpost-Outlook"
SECRET = ("X-Classification", "confidential")
RULE = {"header": SECRET[0], "value": SECRET[1], "require": "verified"}


def main_cf(action="tempfail"):
    """What snippet prints for main.cf, with that default_action."""
    lines = snippet.usual("postfix", "--version", "3.7", "--via", "milter")["/etc/postfix/main.cf"]
    return snippet.main_cf(lines.replace("default_action=tempfail", f"default_action={action}"))


def milter_config(**changes):
    """[milter] of the lab."""
    return {"milter": {"socket": f"inet:{PORT}@127.0.0.1", "own_domains": ["front.lab"],
                       **changes}}


class MilterCase(LabCase):
    """Common: domains in each state."""

    config = milter_config()

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"})
        cls.sts = lab.domain("sts.example", signing=None, sts="enforce")
        cls.open = lab.domain("open.example", signing=None)
        cls.bad = lab.domain("bad.example", {"tlsa": WRONG}, ttl=1)
        cls.unlisted = lab.domain("unlisted.example", signing=None,
                                  sts={"mode": "enforce", "mx": ["mx.other.example"]}, ttl=1)
        cls.plain = lab.domain("plain.example", {"starttls": False}, signing=None, sts="enforce")
        cls.null = lab.domain("null.example", [], extra=["@ MX 0 ."])
        cls.dead = lab.domain("dead.example", {"listen": False, "tlsa": WRONG})
        cls.many = lab.domain("many.example", {
            "addresses": [f"127.0.99.{n}" for n in range(1, 11)], "listen": False, "tlsa": WRONG})
        cls.marked = lab.domain("marked.example", {"tlsa": WRONG})
        cls.inside = lab.domain("inside.example", {"addresses": ["10.9.8.7"], "listen": False,
                                                   "tlsa": WRONG})
        cls.slow = lab.domain("slow.example", {"tlsa": "3 1 1", "at": {"greeting": Hang()}})

    def milter(self, **options):
        """A connection of an MTA, with its client."""
        conn = Milter(ADDRESS, **options)
        self.addCleanup(conn.close)
        conn.connect()
        return conn

    def outlook(self, address, host=None, sender="a@front.lab"):
        """(verdict of RCPT, what the header says) for one recipient."""
        conn = self.milter()
        conn.mail(sender)
        verdict = conn.rcpt(address, host=host)
        end = conn.message() if verdict.ok else None
        conn.close()
        return verdict, dict(end.added).get(FIELD) if end else None

    def known(self, domain, want, timeout=15):
        """Asks until the handshake has told; the verdict."""
        def step():
            verdict, words = self.outlook(domain.rcpt)
            return (verdict, words) if want in (verdict.status, words) else None
        return wait_for(step, f"{domain.name} to be {want}: {self.outlook(domain.rcpt)}", timeout,
                        0.1)

    def policy_lines(self, domain, count=1):
        """What the enforcement log says of the milter's acts."""
        return [r for r in self.sternpost.wait_records(count, domain=domain.name, event="policy")
                if r["reason"].startswith("milter: ")]


class Protocol(MilterCase):
    """The client speaks the protocol itself."""

    def test_negotiation_asks_for_what_it_uses(self):
        conn = Milter(ADDRESS)
        self.addCleanup(conn.close)
        self.assertEqual(conn.actions & 0xFF, ADDHDRS | CHGHDRS | QUARANTINE)
        self.assertEqual(conn.symbols[3], "i {rcpt_mailer} {rcpt_host} {rcpt_addr}")
        for step in (0x2, 0x10, 0x40, 0x100, 0x200):        # helo, body, eoh, unknown, data
            self.assertTrue(conn.steps & step, hex(conn.steps))
        for step in (0x1, 0x4, 0x8, 0x20):                  # connect, mail, rcpt, header
            self.assertFalse(conn.steps & step, hex(conn.steps))

    def test_outlook_of_each_state(self):
        self.assertEqual(self.outlook(self.open.rcpt)[1], "open.example: opportunistic")
        self.known(self.good, "good.example: verified (DANE)")
        self.known(self.sts, "sts.example: verified (MTA-STS)")
        self.assertEqual(self.good.messages, [])
        line = self.sternpost.wait_records(domain=self.good.name, event="session")[-1]
        self.assertIn("without mail", line["reason"])
        self.assertEqual((line["counted"], line["verdict"], line["result"]),
                         (False, "usable", "success"))
        self.assertIsNone(line["queue_id"])
        status, out, _ = self.sternpost.run("report", "list", "--json")
        self.assertNotIn("good.example", out, f"counted by TLS-RPT ({status})")

    def test_dane_mismatch_is_refused_once_it_was_seen(self):
        verdict, _ = self.known(self.bad, "451 4.7.5")
        self.assertIn("TLSA records (DANE) of mx1.bad.example", verdict.reply.text)
        self.assertRegex(verdict.reply.text, r" \[\w{13}\]$")
        self.assertLess(len(str(verdict.reply)), 512)
        line = [r for r in self.policy_lines(self.bad) if r["id"] == verdict.reply.id][0]
        self.assertEqual(line["verdict"], "deferred")
        self.assertEqual(line["policy_type"], "tlsa")
        self.assertTrue(line["reply"].startswith("451 4.7.5 "), line["reply"])
        self.assertIn(verdict.reply.id, self.sternpost.log)

    def test_what_needs_no_handshake_is_refused_at_once(self):
        verdict, _ = self.outlook(self.unlisted.rcpt)
        self.assertEqual(verdict.status, "451 4.7.5")
        self.assertIn("does not list mx1.unlisted.example", verdict.reply.text)
        verdict, _ = self.outlook(self.null.rcpt)
        self.assertEqual(verdict.status, "556 5.1.10")

    def test_missing_starttls_is_4_7_4(self):
        self.known(self.plain, "451 4.7.4")

    def test_dead_and_silent_hosts_are_no_evidence(self):
        for domain in (self.dead, self.slow):
            for _ in range(3):
                verdict, words = self.outlook(domain.rcpt)
                self.assertTrue(verdict.ok, verdict.status)
                self.assertEqual(words,
                                 f"{domain.name}: verified (DANE) demanded, not seen lately")
        wait_for(lambda: self.sternpost.records(domain=self.dead.name, event="session"),
                 "the attempt to be logged")
        time.sleep(0.3)
        attempts = self.sternpost.records(domain=self.dead.name, event="session")
        self.assertEqual(len(attempts), 1, "not tried again at once")
        self.assertFalse(attempts[0]["counted"])

    def test_private_addresses_are_not_connected_to(self):
        for _ in range(3):
            _, words = self.outlook(self.inside.rcpt)
            self.assertIn("not seen lately", words)
        time.sleep(0.5)
        self.assertEqual(self.sternpost.records(domain=self.inside.name, event="session"), [])

    def test_every_address_that_a_delivery_would_try_is_tried(self):
        self.outlook(self.many.rcpt)
        tried = self.sternpost.wait_records(10, domain=self.many.name, event="session")
        self.assertEqual(len(tried), 10)

    def test_address_that_just_failed_a_delivery_is_not_connected_to(self):
        self.refused(self.marked, self.lmtp(self.marked.rcpt), "451 4.7.5")
        for _ in range(3):
            self.assertEqual(self.outlook(self.marked.rcpt)[0].status, "451 4.7.5")
        time.sleep(0.5)
        lines = self.sternpost.records(domain=self.marked.name, event="session")
        self.assertEqual([r for r in lines if "without mail" in r["reason"]], [])

    def test_one_handshake_for_many_questions(self):
        conns = [self.milter() for _ in range(20)]
        threads = [threading.Thread(target=c.begin, args=(self.good.rcpt,)) for c in conns]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        self.known(self.good, "good.example: verified (DANE)")
        self.assertEqual(len(self.sternpost.records(domain=self.good.name, event="session")), 1)

    def test_unknown_domain_is_left_to_the_mta(self):
        verdict, words = self.outlook("u@nosuchdomain.example")
        self.assertTrue(verdict.ok)
        self.assertEqual(words, "nosuchdomain.example: not known")

    def test_forged_fields_go_from_the_last_to_the_first(self):
        conn = self.milter()
        conn.begin(self.open.rcpt)
        end = conn.message([("Subject", "x"), (FIELD, "a"), (FIELD.lower(), "b"),
                            (FIELD.upper(), "c"), (FIELD + "2", "d")])
        self.assertEqual([(i, body) for i, _, body in end.changed], [(3, ""), (2, ""), (1, "")])
        self.assertEqual(end.added, [(FIELD, "open.example: opportunistic")])

    def test_own_local_and_relayed_recipients_are_not_looked_at(self):
        conn = self.milter()
        conn.mail()
        self.assertTrue(conn.rcpt("u@front.lab").ok)
        self.assertTrue(conn.rcpt("u@bad.example", mailer="local", host="").ok)
        self.assertTrue(conn.rcpt("u@bad.example", host="[smart.example]").ok)
        self.assertEqual(conn.message().added, [])

    def test_behind_our_own_listener_the_recipients_domain_counts(self):
        conn = self.milter()
        conn.mail()
        verdict = conn.rcpt(self.unlisted.rcpt, mailer="lmtp", host="inet:127.0.0.1:10024")
        self.assertEqual(verdict.status, "451 4.7.5")

    def test_played_session_is_never_refused(self):
        conn = Milter(ADDRESS)
        self.addCleanup(conn.close)
        conn.connect("localhost", "127.0.0.1")
        conn.mail()
        for domain in (self.unlisted, self.null):
            self.assertTrue(conn.rcpt(domain.rcpt, mailer=None).ok)
        end = conn.message()
        self.assertTrue(end.ok)
        self.assertIn("unlisted.example: TLS as demanded is not to be had", end.added[0][1])

    def test_session_without_next_hop_is_never_refused_whoever_the_client(self):
        conn = self.milter()        # QMQP and `postsuper -r` give the client of old
        conn.mail()
        self.assertTrue(conn.rcpt(self.unlisted.rcpt, mailer=None).ok)
        conn.abort()
        conn.mail()
        self.assertEqual(conn.rcpt(self.unlisted.rcpt).status, "451 4.7.5")

    def test_abort_and_several_messages_on_a_connection(self):
        conn = self.milter()
        for _ in range(3):
            conn.begin(self.open.rcpt, self.unlisted.rcpt)
            conn.abort()
        self.assertTrue(conn.begin(self.open.rcpt)[0].ok)
        self.assertEqual(conn.message().added, [(FIELD, "open.example: opportunistic")])
        conn.begin(self.sts.rcpt)
        self.assertNotIn("open.example", conn.message().added[0][1])

    def test_many_recipients(self):
        conn = self.milter()
        conn.mail()
        for number in range(1000):
            self.assertTrue(conn.rcpt(f"u{number}@open.example").ok)
        self.assertEqual(conn.message().added, [(FIELD, "open.example: opportunistic")])

    def test_huge_headers(self):
        conn = self.milter()
        conn.begin(self.open.rcpt)
        fields = [("X-Long", "x" * 60000), (SECRET[0], "=?utf-8?Q?" + "=41" * 15000 + "?="),
                  (SECRET[0], "=?a?q?" * 10000)] + [("X", "y")] * 500
        self.assertTrue(conn.message(fields).ok)

    def test_garbage_and_cut_connections_harm_nobody(self):
        junk = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x01R",
                struct.pack(">I", 13) + b"O" + b"\xff" * 12, b"\0\0\0\x05Lab\0c", os.urandom(500)]
        for octets in junk:
            with socket.create_connection(("127.0.0.1", PORT), 5) as sock:
                sock.sendall(octets)
        for stop in range(1, 5):
            conn = Milter(ADDRESS)
            steps = [conn.connect, conn.mail, lambda c=conn: c.rcpt(self.open.rcpt),
                     lambda c=conn: c.header("Subject", "x")]
            for step in steps[:stop]:
                step()
            conn.sock.close()
        for word, data in (("R", b"<u@open.example>\0"), ("E", b""), ("L", b"a\0b\0"), ("M", b""),
                           ("R", b"\0"), ("R", b""), ("C", b""), ("C", b"x\0" + b"L\0\0")):
            conn = Milter(ADDRESS)
            conn.send(word, data)
            conn.sock.close()
        self.assertTrue(self.outlook(self.open.rcpt)[0].ok)

    def test_slow_client_does_not_hold_others(self):
        conn = self.milter()
        packet = struct.pack(">I", 18) + b"M<slow@front.lab>\0"
        for octet in packet[:10]:
            conn.sock.sendall(bytes([octet]))
            self.assertTrue(self.outlook(self.open.rcpt)[0].ok)

    def test_three_hundred_connections_at_once(self):
        conns = [self.milter() for _ in range(300)]
        failed = []

        def ask(conn):
            verdicts = conn.begin(self.open.rcpt, self.unlisted.rcpt)
            if (verdicts[0].ok, verdicts[1].status) != (True, "451 4.7.5"):
                failed.append(verdicts)
        threads = [threading.Thread(target=ask, args=(c,)) for c in conns]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        self.assertEqual(failed, [])

    def test_mta_that_offers_less(self):
        conn = self.milter(actions=ADDHDRS)
        conn.begin(self.open.rcpt)
        self.assertTrue(conn.message([(FIELD, "forged")]).ok)
        self.assertIn("does not take all changes", self.sternpost.log)


class Mended(MilterCase):
    """A refusal ends when its cause does."""

    def test_refusal_ends_when_the_mx_is_mended(self):
        self.known(self.bad, "451 4.7.5")
        host = self.bad.mx
        self.bad.records = [r for r in self.bad.records if " TLSA " not in r] + [
            f"_25._tcp.{host.name}. TLSA {self.lab.tlsa('3 1 1', host.cert)}"]
        self.lab.republish(self.bad)
        # Other records are other terms: what was seen says nothing of them.
        self.known(self.bad, "bad.example: verified (DANE)", 40)

    def test_refusal_ends_when_the_host_changes_and_nothing_is_published(self):
        self.known(self.plain, "451 4.7.4")
        began = time.monotonic()
        self.lab.farm.down(self.plain.mx)
        self.plain.mx.starttls = True
        self.lab.farm.up(self.plain.mx)
        self.known(self.plain, "plain.example: verified (MTA-STS)", 60)
        self.assertLess(time.monotonic() - began, 50)


    def test_refusal_ends_when_the_mta_sts_policy_is_corrected(self):
        self.assertEqual(self.outlook(self.unlisted.rcpt)[0].status, "451 4.7.5")
        self.lab.sts(self.unlisted, id="2", mx=[self.unlisted.mx.name])
        self.lab.republish(self.unlisted)
        self.known(self.unlisted, "unlisted.example: verified (MTA-STS)", 60)


class Rules(MilterCase):
    """[[milter.rule]]"""

    config = milter_config(rule=[{**RULE, "action": "reject"}])

    def send(self, *rcpts, fields=(SECRET,), **options):
        """The end of a message with these fields."""
        conn = self.milter()
        for verdict in conn.begin(*rcpts):
            self.assertTrue(verdict.ok, verdict.status)
        return conn.message(fields, **options)

    def test_verified_domains_pass(self):
        end = self.send(self.good.rcpt, self.sts.rcpt)
        self.assertTrue(end.ok, end.status)
        # The handshake was waited for.
        self.assertIn("good.example: verified (DANE)", self.send(self.good.rcpt).added[0][1])

    def test_any_unverified_domain_refuses_the_message(self):
        end = self.send(self.good.rcpt, self.open.rcpt, queue_id="4QUEUE")
        self.assertEqual(end.status, "554 5.7.5")
        self.assertIn("X-Classification", end.reply.text)
        self.assertIn("open.example", end.reply.text)
        line = self.policy_lines(self.open)[-1]
        self.assertEqual((line["verdict"], line["queue_id"]), ("rejected", "4QUEUE"))

    def test_other_values_and_none_pass(self):
        for fields in ((("X-Classification", "public"),), (("Subject", "confidential"),)):
            self.assertTrue(self.send(self.open.rcpt, fields=fields).ok)

    def test_written_otherwise_it_is_the_same(self):
        for body in (" Confidential\t", "=?utf-8?B?Y29uZmlkZW50aWFs?=",
                     "=?us-ascii?Q?confidential?="):
            end = self.send(self.open.rcpt, fields=(("x-classification", "x"),
                                                    ("X-CLASSIFICATION", body)))
            self.assertEqual(end.status, "554 5.7.5", body)

    def test_what_cannot_be_found_out_passes_in_time_and_says_so(self):
        began = time.monotonic()
        end = self.send(self.dead.rcpt)
        self.assertTrue(end.ok)
        self.assertIn("what a rule demands not known", end.added[0][1])
        self.assertLess(time.monotonic() - began, 25)
        self.assertIn("is not known", self.sternpost.log)

    def test_silent_host_is_waited_for_within_bounds(self):
        began = time.monotonic()
        self.assertTrue(self.send(self.slow.rcpt).ok)
        self.assertLess(time.monotonic() - began, 30)

    def test_played_session_is_quarantined(self):
        conn = Milter(ADDRESS)
        self.addCleanup(conn.close)
        conn.connect("localhost", "127.0.0.1")
        conn.mail()
        conn.rcpt(self.open.rcpt, mailer=None)
        end = conn.message((SECRET,))
        self.assertTrue(end.ok)
        self.assertIn("X-Classification", end.quarantine)


    def test_silent_domain_does_not_hide_another(self):
        self.assertEqual(self.send(self.slow.rcpt, self.open.rcpt).status, "554 5.7.5")

    def test_address_literal_is_not_verified(self):
        conn = self.milter()
        conn.mail()
        self.assertTrue(conn.rcpt("u@[127.0.0.1]", host="[127.0.0.1]").ok)
        self.assertEqual(conn.message((SECRET,)).status, "554 5.7.5")

    def test_quarantine_that_the_mta_does_not_take_is_no_way_through(self):
        conn = self.milter(actions=ADDHDRS | CHGHDRS)
        conn.mail()
        conn.rcpt(self.open.rcpt, mailer=None)      # a played session: quarantine
        self.assertEqual(conn.message((SECRET,)).word, "t")
        self.assertIn("does not take all changes", self.sternpost.log)


    def test_connections_over_the_limit_are_deferred_where_there_are_rules(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        idle = [Milter(ADDRESS) for _ in range(2000)]       # negotiated, and nothing more
        over = Milter(ADDRESS)
        self.assertEqual(over.connect().word, "t")
        for one in [*idle, over]:
            one.close()
        wait_for(lambda: self.outlook(self.open.rcpt)[0].ok, "connections to be free again")


class Reload(MilterCase):
    """SIGHUP and SIGTERM: the daemon's, not libmilter's."""

    def test_hup_changes_the_next_message_and_nothing_else(self):
        conn = self.milter()
        conn.mail()
        self.assertEqual(conn.rcpt(self.unlisted.rcpt).status, "451 4.7.5")
        for action, want in (("reject", "554 5.7.5"), ("header", "c"), ("tempfail", "451 4.7.5")):
            self.sternpost.configure({"milter": {"on_unenforceable": action}})
            self.sternpost.reload()
            conn.abort()
            conn.mail()
            self.assertEqual(conn.rcpt(self.unlisted.rcpt).status, want)
        self.assertTrue(self.outlook(self.open.rcpt)[0].ok)
        self.sternpost.configure({"milter": {"socket": "inet:8892@127.0.0.1"}})
        self.sternpost.reload()
        self.assertIn("changes only at a restart: milter.socket", self.sternpost.log)
        self.sternpost.configure(milter_config())
        self.sternpost.reload()


class Ending(MilterCase):
    """How it ends and begins."""

    begins = False

    def test_term_ends_in_time_with_connections_open(self):
        daemon = self.lab.sternpost(milter_config())
        conn = self.milter()
        conn.begin(self.open.rcpt)
        idle = self.milter()
        began = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 8)
        self.assertEqual(daemon.sanitizer_findings(), [])
        for one in (conn, idle):
            with self.assertRaises((Lost, OSError)):
                one.rcpt(self.open.rcpt)
                one.rcpt(self.open.rcpt)

    def test_unix_socket_is_made_anew_with_its_mode_and_goes(self):
        path = self.lab.path("milter.sock")
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        daemon = self.lab.sternpost(milter_config(socket=f"unix:{path}"))
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)
        with Milter(path) as conn:
            conn.connect()
            self.assertTrue(conn.begin(self.open.rcpt)[0].ok)
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(path))

    def test_socket_that_cannot_be_opened_ends_it_with_69(self):
        with socket.create_server(("127.0.0.1", PORT)):
            daemon = self.lab.sternpost({}, clocked=False)
            daemon.stop()
            daemon.configure(milter_config())
            done = subprocess.run([daemon.binary(), "serve", "-c", daemon.config_file],
                                  capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn("milter.socket inet:8891@127.0.0.1 cannot be opened", done.stderr)


class Observed(MilterCase):
    """policy.mode = "observe": told, never acted upon."""

    config = {**milter_config(rule=[{**RULE, "action": "reject"}]), "policy": {"mode": "observe"}}

    def test_nothing_is_refused(self):
        verdict, words = self.outlook(self.unlisted.rcpt)
        self.assertTrue(verdict.ok)
        self.assertIn("only observed", words)
        self.assertEqual(self.policy_lines(self.unlisted)[-1]["would_be"], "deferred")

    def test_no_rule_holds_a_message(self):
        conn = self.milter()
        self.assertTrue(conn.begin(self.open.rcpt)[0].ok)
        end = conn.message((SECRET,))
        self.assertTrue(end.ok)
        self.assertIsNone(end.quarantine)
        self.assertEqual(self.policy_lines(self.open)[-1]["would_be"], "rejected")


class InPostfix(MilterCase):
    """Postfix 3.7 in front: smtpd_milters and non_smtpd_milters."""

    config = milter_config(rule=[{**RULE, "action": "reject"}])

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.settings = main_cf()
        cls.front = cls.lab.add(PostfixFront(cls.lab.path("front"), lmtp="127.0.0.1:10024",
                                             settings=cls.settings))

    def sendmail(self, rcpt, data):
        """Hands a message in by sendmail(1)."""
        done = subprocess.run(["/usr/sbin/sendmail", "-C", self.front.path("conf"), "-f",
                               "a@front.lab", rcpt], input=data, check=False, timeout=30,
                              capture_output=True,
                              env={**os.environ, "MAIL_CONFIG": self.front.path("conf")})
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_smtpd_mail(self):
        outcome = self.front.submit("a@front.lab", self.unlisted.rcpt)
        got = self.reply(outcome, "451 4.7.5", "does not list mx1.unlisted.example")
        self.assertRegex(got.text, r" \[\w{13}\]$")
        outcome = self.front.submit(
            "a@front.lab", [self.open.rcpt, self.unlisted.rcpt],
            message("header", fields=[(FIELD, "open.example: verified (DANE)")]))
        self.assertTrue(outcome.of(0).ok, outcome)
        self.assertEqual(outcome.of(1).status, "451 4.7.5")
        got = wait_for(lambda: [m for m in self.open.messages if m.header("Subject") == ["header"]],
                       "the message")[0]
        self.assertEqual(got.data.lower().count(FIELD.lower().encode() + b":"), 1, got.data)
        self.assertEqual(got.header(FIELD), ["open.example: opportunistic"])

    def test_local_mail_is_annotated_and_never_refused(self):
        self.sendmail(self.unlisted.rcpt, b"Subject: local\n\nx\n")
        dsn, status, _ = self.front.wait_logged(self.unlisted.rcpt)[-1]
        self.assertEqual((dsn, status), ("4.7.5", "deferred"))      # by the relay itself
        self.sendmail("local@open.example", b"Subject: local\n\nx\n")
        got = wait_for(lambda: [m for m in self.open.messages if m.header("Subject") == ["local"]],
                       "the message")[0]
        self.assertEqual(got.header(FIELD), ["open.example: opportunistic"])
        self.assertNotIn("milter configuration error", self.front.maillog)
        self.assertNotIn("can't reject", self.front.maillog)

    def test_rule_refuses_and_local_mail_goes_on_hold(self):
        data = message("secret", fields=[SECRET])
        outcome = self.front.submit("a@front.lab", "secret@open.example", data)
        self.reply(outcome, "554 5.7.5", "X-Classification")
        self.sendmail("held@open.example", b"Subject: s\nX-Classification: confidential\n\nx\n")
        wait_for(lambda: [m for m in self.front.queue() if m["queue_name"] == "hold"
                          and m["recipients"][0]["address"] == "held@open.example"],
                 "the message in the hold queue")
        self.assertTrue(self.front.submit("a@front.lab", self.good.rcpt, data).reply.ok)

    def test_quarantine_holds_the_whole_message(self):
        self.sternpost.configure({"milter": {"on_unenforceable": "quarantine"}})
        self.sternpost.reload()
        try:
            rcpts = [f"q@{self.open.name}", f"q@{self.unlisted.name}"]
            self.assertTrue(self.front.submit("a@front.lab", rcpts, message("q")).reply.ok)
            held = wait_for(lambda: [m for m in self.front.queue() if m["queue_name"] == "hold"
                                     and len(m["recipients"]) == 2], "the held message")
            queue_id = held[0]["queue_id"]
            self.assertIn("unlisted.example", self.front.maillog)
            lines = [r for r in self.policy_lines(self.unlisted) if "quarantine" in r["reason"]]
            self.assertIn(queue_id, [r["queue_id"] for r in lines])
        finally:
            self.sternpost.configure({"milter": {"on_unenforceable": "tempfail"}})
            self.sternpost.reload()

    def test_reload_while_postfix_is_connected(self):
        for _ in range(3):
            self.sternpost.reload()
            outcome = self.front.submit("a@front.lab", self.unlisted.rcpt)
            self.reply(outcome, "451 4.7.5", "does not list")


class InPostfixDead(MilterCase):
    """Without the daemon, Postfix's default action holds, and no more than that."""

    begins = False

    def test_default_action(self):
        settings = main_cf()
        front = self.lab.add(PostfixFront(self.lab.path("front"), lmtp="127.0.0.1:10024",
                                          settings=settings))
        daemon = self.lab.sternpost(milter_config())
        self.reply(front.submit("a@front.lab", "u@null.example"), "556 5.1.10")
        daemon.kill()
        self.reply(front.submit("a@front.lab", self.open.rcpt), "451 4.7.1")
        front.configure(**main_cf("accept"))
        front.reload()
        wait_for(lambda: front.submit("a@front.lab", self.open.rcpt).reply.ok,
                 "mail to be accepted without the milter", 20, 0.5)
        daemon.daemon.start(lambda: True)
        daemon.stop()

    def test_stopped_daemon_costs_no_more_than_the_time_limit(self):
        settings = {"smtpd_milters": f"{{ inet:{ADDRESS}, command_timeout=2s, connect_timeout=2s,"
                                     " default_action=accept }"}
        front = self.lab.add(PostfixFront(self.lab.path("front2"), lmtp="127.0.0.1:10024",
                                          address="127.0.0.32", settings=settings))
        daemon = self.lab.sternpost(milter_config())
        daemon.daemon.signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            self.assertTrue(front.submit("a@front.lab", self.open.rcpt).reply.ok)
            self.assertLess(time.monotonic() - began, 10)
        finally:
            daemon.daemon.signal(signal.SIGCONT)
            daemon.stop()


def mc(*words):
    """What snippet prints for sendmail.mc."""
    return snippet.usual("sendmail", "--version", "8.17", *words)["/etc/mail/sendmail.mc"]


class InSendmail(MilterCase):
    """Sendmail 8.17 in front: INPUT_MAIL_FILTER."""

    config = milter_config(rule=[{**RULE, "action": "quarantine"}])

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.front = cls.lab.add(SendmailFront(
            cls.lab.path("sendmail"), mc("--via", "milter") + mc()))

    def test_reply_header_and_forged_field(self):
        outcome = self.front.submit("a@front.lab", self.unlisted.rcpt)
        self.reply(outcome, "451 4.7.5", "does not list mx1.unlisted.example")
        outcome = self.front.submit(
            "a@front.lab", [self.open.rcpt, self.unlisted.rcpt, self.null.rcpt],
            message("sendmail", fields=[(FIELD, "forged"), (FIELD.lower(), "twice")]))
        self.assertTrue(outcome.of(0).ok, outcome)
        self.assertEqual(outcome.of(1).status, "451 4.7.5")
        self.assertEqual(outcome.of(2).status, "556 5.1.10")
        got = wait_for(lambda: [m for m in self.open.messages
                                if m.header("Subject") == ["sendmail"]], "the message", 30)[0]
        self.assertEqual(got.data.lower().count(FIELD.lower().encode() + b":"), 1, got.data)
        self.assertEqual(got.header(FIELD), ["open.example: opportunistic"])

    def test_rule_quarantines(self):
        data = message("held", fields=[SECRET])
        self.assertTrue(self.front.submit("a@front.lab", "held@open.example", data).reply.ok)
        wait_for(lambda: "X-Classification" in self.front.command("-bp", "-qQ"),
                 "the quarantined message", 20, 0.3)
        self.assertFalse([m for m in self.open.messages if m.header("Subject") == ["held"]])


if __name__ == "__main__":
    main()
