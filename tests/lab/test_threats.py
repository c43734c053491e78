#!/usr/bin/python3
"""What an attacker at a peer, in the DNS, on the disk or on the socket may try and no other file of
the lab tests: docs/threats.md names each."""

import json
import os
import re
import socket
import ssl
import stat
import subprocess
import threading

from lab.actions import Wait
from lab.case import LabCase, main
from lab.client import Client, Lost, message
from lab.procs import wait_for
from lab.sternpost import LMTP, SMTP

WRONG = "3 1 1 " + "00" * 32
CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]")


class OnlyNewTls(LabCase):
    """tls.min_version = "1.3" is for sessions that a policy asks for."""

    config = {"tls": {"min_version": "1.3"}}

    @classmethod
    def publish(cls, lab):
        old = {"tls": {"maximum": ssl.TLSVersion.TLSv1_2}}
        cls.plain = lab.domain("plain.example", dict(old))
        cls.strict = lab.domain("strict.example", {**old, "tlsa": "3 1 1"})

    def test_an_old_version_does_not_mean_cleartext(self):
        self.delivered(self.plain, self.lmtp(self.plain.rcpt), tls=True)
        self.refused(self.strict, self.lmtp(self.strict.rcpt), "451 4.7.5")


class Terms(LabCase):
    """What was proven once is not taken for proof under other terms, or later."""

    config = {"server": {"threads": 1}, "outbound": {"idle_keepalive": "0s"}}

    @classmethod
    def publish(cls, lab):
        cls.rolled = lab.domain("rolled.example", {"tlsa": "3 1 1"}, ttl=1)
        cls.plain = lab.domain("plain.example", {"name": "mx.shared.example"})
        cls.strict = lab.domain("strict.example", [], extra=["@ MX 10 mx.shared.example."],
                                sts={"mx": ["mx.shared.example"]})
        cls.blocked = lab.domain("blocked.example", {"cert": "self"}, sts="enforce", signing=None,
                                 ttl=1)

    def test_a_resumed_session_is_judged_by_the_records_of_today(self):
        """The key is withdrawn from the DNS: the ticket of yesterday's session is worth nothing."""
        host = self.rolled.mx
        for _ in range(2):
            self.reply(self.lmtp(self.rolled.rcpt), "250 2.0.0")
        self.assertTrue(host.sessions[-1].resumed)
        records = [r for r in self.rolled.records if " TLSA " not in r]
        self.lab.republish(self.rolled, [*records, f"_25._tcp.{host.name}. TLSA {WRONG}"])

        def refused():
            got = self.lmtp(self.rolled.rcpt).reply
            return got if not got.ok else None
        got = wait_for(refused, "the new record to count", 20, 0.5)
        self.assertEqual(got.status, "451 4.7.5", str(got))

    def test_a_session_without_a_policy_is_not_resumed_under_one(self):
        host = self.plain.mx
        for _ in range(2):
            self.reply(self.lmtp(self.plain.rcpt), "250 2.0.0")
        self.assertTrue(host.sessions[-1].resumed)
        self.reply(self.lmtp(self.strict.rcpt), "250 2.0.0")
        self.assertFalse(host.sessions[-1].resumed)

    def test_tls_required_no_turns_nothing_off(self):
        """RFC 8689 §3's field stands on ordinary list mail: it is passed on and not acted on."""
        data = b"TLS-Required: No\r\n" + message()
        got = self.lmtp([self.blocked.rcpt, self.plain.rcpt], data)
        self.assertEqual([got.of(0).status, got.of(1).status], ["451 4.7.5", "250 2.0.0"])
        self.assertEqual(self.plain.messages[-1].header("TLS-Required"), ["No"])
        self.assertEqual(self.blocked.messages, [])

    def test_a_new_id_and_a_policy_host_that_is_blocked(self):
        """RFC 8461 §3.3: the unexpired policy stays in force."""
        self.refused(self.blocked, self.lmtp(self.blocked.rcpt), "451 4.7.5")
        self.lab.sts(self.blocked, id="2", bad="reset")
        self.lab.republish(self.blocked)
        for _ in range(3):
            threading.Event().wait(0.7)
            self.refused(self.blocked, self.lmtp(self.blocked.rcpt), "451 4.7.5", "MTA-STS")


class Words(LabCase):
    """Hostile words of an MX and of a client end up in no log, terminal or record as control."""

    @classmethod
    def publish(cls, lab):
        hostile = b"550 5.1.1 \x1b]0;x\x07\x1b[2J \x00\x9b {\"seq\":1}\x0b nul\r\n"
        cls.domain = lab.domain("d.example", {"at": {"rcpt": hostile}})
        cls.greets = lab.domain("greets.example", {"at": {"greeting": b"554 \x1b[31m\x08no\r\n"}})

    def clean(self):
        """No control character but line ends, each record one line and JSON."""
        with open(self.sternpost.enforcement, "rb") as file:
            self.assertIsNone(CONTROL.search(file.read()))
        self.assertTrue(self.sternpost.records())
        with open(self.sternpost.daemon.log, "rb") as file:
            self.assertIsNone(CONTROL.search(file.read()))
        self.assertIsNone(self.sternpost.chain_error())

    def test_of_an_mx(self):
        for domain in (self.domain, self.greets):
            self.assertFalse(self.lmtp(domain.rcpt).reply.ok)
            self.last(domain)
        self.clean()

    def test_of_a_client(self):
        with Client(LMTP, lmtp=True, hello=False) as client:
            client.write(b"LHLO \x1b[2J\x07.lab\r\n")
            client.read()
            client.hello()
            client.cmd("XFORWARD IDENT=A+0A+1B[2J")
            client.write(b"MAIL FROM:<\x1b]0;x\x07@front.lab>\r\n")
            client.read()
            client.cmd("RSET")
            client.cmd("MAIL FROM:<a@front.lab>")
            client.cmd(f"RCPT TO:<{self.domain.rcpt}>")
        self.last(self.domain)
        self.clean()


class Sizes(LabCase):
    """Memory follows neither the message nor what a client never ends."""

    config = {"server": {"threads": 1}}

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example", {"tlsa": "3 1 1"})
        cls.many = lab.domain("many.example")

    @classmethod
    def setUpClass(cls):
        # AddressSanitizer keeps freed memory in quarantine; 1 MiB of it is enough here.
        options = [os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=1"]
        os.environ["ASAN_OPTIONS"] = ":".join(filter(None, options))
        super().setUpClass()

    def peak(self):
        """Most memory that the process ever had, in KiB."""
        with open(f"/proc/{self.sternpost.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])

    def test_message(self):
        self.reply(self.lmtp(self.domain.rcpt, message(size=1 << 20)), "250 2.0.0")
        before = self.peak()
        self.reply(self.lmtp(self.domain.rcpt, message(size=48 << 20), timeout=120), "250 2.0.0")
        self.assertLess(self.peak() - before, 16 << 10)

    def test_line_without_end(self):
        """Of a command: refused or ended, never kept."""
        self.reply(self.lmtp(self.domain.rcpt), "250 2.0.0")
        before = self.peak()
        with Client(SMTP) as client:
            try:
                for _ in range(512):
                    client.write(b"x" * 65536)
                client.write(b"\r\n")
                self.assertEqual(client.read().code // 100, 5)
            except Lost:
                pass
        self.assertLess(self.peak() - before, 16 << 10)
        self.reply(self.lmtp(self.domain.rcpt), "250 2.0.0")

    def test_commands_that_are_none(self):
        """A session of nonsense ends."""
        with Client(SMTP) as client:
            with self.assertRaises(Lost):
                for _ in range(200):
                    client.cmd("NONSENSE")

    def test_recipients_of_one_transaction(self):
        """The 1001st waits for the next one."""
        out = self.smtp([f"u{n}@{self.many.name}" for n in range(1001)])
        self.assertTrue(all(r.ok for r in out.rcpts[:1000]))
        self.assertEqual(out.rcpts[1000].code, 452, str(out.rcpts[1000]))
        self.assertTrue(out.final[0].ok)


class Local(LabCase):
    """The control socket, the store's disk, and a client that goes while its message is taken."""

    @classmethod
    def publish(cls, lab):
        cls.patient = lab.domain("patient.example", {"at": {"dot": Wait(2)}})
        cls.first = lab.domain("first.example", {"cert": "self"}, sts="enforce")
        cls.good = lab.domain("good.example", sts="enforce")
        cls.small = lab.path("small")
        os.makedirs(cls.small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "lab", cls.small], check=True)
        cls.config = {"store": {"url": f"sqlite:{cls.small}/state.db"}}

    def ask(self, line):
        """One line to the control socket, and its reply."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(self.sternpost.config["server"]["control"])
            sock.sendall(line + b"\n")
            return json.loads(sock.makefile("rb").readline())

    def test_control_socket(self):
        path = self.sternpost.config["server"]["control"]
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        for line in (b"", b"{", b"[]", b"{\"command\": 1}", b"{\"command\": \"no such\"}",
                     b"{\"command\": \"policy purge\"}", b"[" * 60000, b"\xff\x00"):
            with self.subTest(line[:30]):
                self.assertFalse(self.ask(line)["ok"])
        self.assertTrue(self.ask(b"{\"command\": \"status\"}")["ok"])

    def test_client_goes_behind_the_dot(self):
        """The MX has the message, the client has no reply: uncertain, and told as such, in a
        second record behind the one of the delivery."""
        with Client(LMTP, lmtp=True) as client:
            client.cmd("MAIL FROM:<a@front.lab>")
            client.cmd(f"RCPT TO:<{self.patient.rcpt}>")
            client.cmd("DATA")
            client.write(message() + b".\r\n")
            wait_for(lambda: self.patient.messages, "the message at the MX", 20)
        records = self.sternpost.wait_records(2, domain=self.patient.name, event="delivery")
        self.assertEqual([r["verdict"] for r in records], ["delivered", "uncertain"])
        self.assertEqual(len(self.patient.messages), 1)

    def test_zz_disk_of_the_store_is_full(self):
        """A policy that cannot be kept is enforced all the same, and mail goes on."""
        filler = os.open(os.path.join(self.small, "filler"), os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(filler, b"x" * 512):
                pass
        except OSError:
            os.close(filler)
        self.refused(self.first, self.lmtp(self.first.rcpt), "451 4.7.5")
        self.refused(self.first, self.lmtp(self.first.rcpt), "451 4.7.5")
        self.delivered(self.good, self.lmtp(self.good.rcpt))


if __name__ == "__main__":
    main()
