#!/usr/bin/python3
"""MX hosts that vanish at every possible point, and clients that do: what each side keeps."""

import time

from lab.actions import BodyDrop, Close, Drip, Drop, Each, Endless, Hang, Reset
from lab.case import LabCase, main
from lab.client import Client, Lost, message
from lab.procs import wait_for
from lab.sternpost import LMTP, SMTP

STAGES = ("greeting", "ehlo", "starttls", "handshake", "tls-ehlo", "mail", "rcpt", "data", "dot")


class Vanish(LabCase):
    """One domain for each point, so that the memory of one does not help the other."""

    config = {"outbound": {"recipient_wait": "8s", "connect_timeout": "2s", "host_memory": "1s"}}

    @classmethod
    def publish(cls, lab):
        cls.single, cls.double = {}, {}
        for stage in STAGES:
            for word, action in (("drop", Drop()), ("reset", Reset())):
                name = f"{stage}-{word}"
                cls.single[name] = lab.domain(f"{name}.example", {"tlsa": "3 1 1",
                                                                  "at": {stage: action}})
                cls.double[name] = lab.domain(f"{name}.net", [
                    {"tlsa": "3 1 1", "at": {stage: action}}, {"tlsa": "3 1 1"}])
        cls.body = {n: lab.domain(f"body{n}.example", {"at": {"body": BodyDrop(n)}})
                    for n in (1, 5000, 200_000)}
        cls.close = {s: lab.domain(f"close-{s}.example", {
            "tlsa": "3 1 1", "at": {s: Close("421 4.3.2 bye")}})
                     for s in STAGES if s != "handshake"}
        cls.octet = lab.domain("octet.example", [{"tlsa": "3 1 1",
                                                  "at": {"greeting": Drip("220 " + "x" * 60, 1)}}])
        cls.endless = lab.domain("endless.example", {"at": {"greeting": Endless("220-hello")}})
        cls.garbage = lab.domain("garbage.example", {"at": {"handshake": b"220 not TLS\r\n"}})
        cls.quit = lab.domain("quit.example", {"at": {"quit": Drop()}})
        cls.greylisted = lab.domain("grey.example", {"at": {"rcpt": Each("450 4.2.0 grey", None)}})
        cls.patient = lab.domain("patient.example", {"at": {"rcpt": Hang()}})
        cls.plain = lab.domain("plain.example")

    def test_single_host(self):
        """Never 2xx, never 5xx: the MTA keeps it."""
        for name, domain in self.single.items():
            with self.subTest(name):
                got = self.lmtp(domain.rcpt, timeout=60).reply
                self.assertIsNotNone(got)
                self.assertEqual(got.code, 451, str(got))
                self.assertEqual(domain.mx.accepted, [])

    def test_next_host_before_data(self):
        """Lost before MAIL was accepted: the next MX has it. Later: deferred, never doubled."""
        for name, domain in self.double.items():
            with self.subTest(name):
                got = self.lmtp(domain.rcpt, timeout=60).reply
                stage = name.split("-dr")[0].split("-res")[0]
                if stage in ("data", "dot", "mail", "rcpt"):
                    self.assertIn(got.code, (250, 451), str(got))
                else:
                    self.assertEqual(got.code, 250, str(got))
                accepted = sum(len(h.accepted) for h in domain.hosts)
                self.assertEqual(accepted, 1 if got.code == 250 else 0)

    def test_in_the_body(self):
        for size, domain in self.body.items():
            with self.subTest(size):
                out = self.lmtp(domain.rcpt, message(size=2_000_000), timeout=60)
                self.assertEqual(out.reply.status, "451 4.4.2", str(out.reply))
                self.assertEqual(self.last(domain)["verdict"], "deferred")

    def test_after_the_dot_is_uncertain(self):
        domain = self.single["dot-drop"]
        self.lmtp(domain.rcpt, timeout=60)
        self.assertEqual(self.last(domain)["verdict"], "uncertain")

    def test_421_everywhere(self):
        for stage, domain in self.close.items():
            with self.subTest(stage):
                got = self.lmtp(domain.rcpt, timeout=60).reply
                self.assertEqual(got.code, 451, str(got))

    def test_one_octet_a_second(self):
        begin = time.monotonic()
        got = self.lmtp(self.octet.rcpt, timeout=60).reply
        self.assertEqual(got.code, 451)
        self.assertLess(time.monotonic() - begin, 25)

    def test_greeting_without_end(self):
        self.assertEqual(self.lmtp(self.endless.rcpt, timeout=60).reply.code, 451)

    def test_garbage_for_tls(self):
        """Nothing published: cleartext on a fresh connection, in the same transaction."""
        self.delivered(self.garbage, self.lmtp(self.garbage.rcpt), tls=False)

    def test_lost_at_quit_is_no_matter(self):
        self.delivered(self.quit, self.lmtp(self.quit.rcpt))

    def test_greylisting(self):
        self.assertEqual(self.lmtp(self.greylisted.rcpt).reply.status, "450 4.2.0")
        self.delivered(self.greylisted, self.lmtp(self.greylisted.rcpt))

    def test_clients_that_vanish(self):
        """A client gone at any line leaves nothing at the MX and nothing behind in the relay."""
        lines = [b"EHLO x.lab\r\n", b"MAIL FROM:<a@front.lab>\r\n",
                 f"RCPT TO:<{self.plain.rcpt}>\r\n".encode(), b"DATA\r\n", message(), b".\r"]
        for count in range(len(lines) + 1):
            for lmtp in (True, False):
                with self.subTest(f"{count} {lmtp}"):
                    client = Client(LMTP if lmtp else SMTP, lmtp=lmtp, hello=False)
                    try:
                        for number, line in enumerate(lines[:count]):
                            client.write(line.replace(b"EHLO", b"LHLO") if lmtp else line)
                            if number < 4:
                                client.read()
                    except Lost:
                        pass
                    client.close()
        wait_for(lambda: all(s.closed.is_set() for s in self.plain.mx.sessions),
                 "the sessions at the MX to end", 15)
        self.assertEqual(self.plain.messages, [])

    def test_client_vanishes_while_the_mx_thinks(self):
        client = Client(LMTP, lmtp=True)
        client.write(f"MAIL FROM:<a@front.lab>\r\nRCPT TO:<{self.patient.rcpt}>\r\n".encode())
        wait_for(lambda: any(c.startswith("RCPT") for s in self.patient.mx.sessions
                             for c in s.commands), "RCPT at the MX")
        client.close()
        wait_for(lambda: self.patient.mx.sessions[-1].closed.is_set(), "the MX to be left", 30)


class Memory(LabCase):
    """Hosts that did not answer are remembered, tried after the others, and probed again."""

    config = {"outbound": {"connect_timeout": "2s", "host_memory": "5m"}}

    @classmethod
    def publish(cls, lab):
        cls.dead = lab.domain("dead.example", {"listen": False, "addresses": [lab.address()]})
        cls.broken = lab.domain("broken.example", [
            {"preference": 10, "at": {"handshake": Drop()}, "tlsa": "3 1 1"},
            {"preference": 10, "tlsa": "3 1 1"}])

    def test_dead_address_answers_at_once(self):
        self.refused(self.dead, self.lmtp(self.dead.rcpt), "451 4.4.1")
        begin = time.monotonic()
        for _ in range(20):
            self.refused(self.dead, self.lmtp(self.dead.rcpt), "451 4.4.1")
        self.assertLess(time.monotonic() - begin, 10)

    def test_host_with_broken_tls_is_tried_last(self):
        for _ in range(12):
            self.assertTrue(self.lmtp(self.broken.rcpt).reply.ok)
        self.assertLessEqual(len(self.broken.hosts[0].sessions), 3)


if __name__ == "__main__":
    main()
