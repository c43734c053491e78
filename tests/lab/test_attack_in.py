#!/usr/bin/python3
"""The side of the MTA, attacked: clients that pipeline, lie, vanish, stall, never read or never
end."""

import socket
import ssl
import time

from lab.actions import BodyStall, Hang, Wait
from lab.case import LabCase, main
from lab.client import Client, Lost, message
from lab.memory import bound, rss
from lab.procs import wait_for
from lab.sternpost import LMTP, SMTP, merge


class Pipelining(LabCase):
    """Everything at once, in every mixture: each reply in its place."""

    @classmethod
    def publish(cls, lab):
        cls.a, cls.b = lab.domain("a.example", {"tlsa": "3 1 1"}), lab.domain("b.example")
        cls.slow = lab.domain("slow.example", {"at": {"rcpt": Wait(0.3)}})
        cls.no = lab.domain("no.example", {"at": {"rcpt": "550 5.1.1 none"}})

    def setUp(self):
        for domain in (self.a, self.b, self.slow, self.no):
            domain.mx.forget()

    def test_thousands_of_commands(self):
        with Client(SMTP) as client:
            client.write(b"NOOP\r\nRSET\r\nVRFY x\r\n" * 3000 + b"QUIT\r\n")
            codes = [client.read().code for _ in range(9001)]
        self.assertEqual(codes, [250, 250, 252] * 3000 + [221])

    def test_domains_over_smtp(self):
        """The transaction's domain is that of the recipients accepted so far, pipelined or not."""
        rcpts = ["x@no.example", "1@slow.example", "2@a.example", "3@slow.example", "4@b.example"]
        with Client(SMTP) as client:
            out = client.transaction("s@front.lab", rcpts, message())
        self.assertEqual([r.status for r in out.rcpts],
                         ["550 5.1.1", "250 2.1.5", "452 4.5.3", "250 2.1.5", "452 4.5.3"])
        self.assertTrue(out.final[0].ok)
        self.assertEqual(self.slow.messages[0].rcpts, ["1@slow.example", "3@slow.example"])
        self.assertEqual(self.a.messages + self.b.messages, [])

    def test_commands_behind_the_dot(self):
        """Three transactions in one segment; what is behind each dot is obeyed after it."""
        for address, lmtp in ((SMTP, False), (LMTP, True)):
            with self.subTest(address), Client(address, lmtp) as client:
                self.a.mx.forget()
                one = (b"MAIL FROM:<s@front.lab>\r\nRCPT TO:<u@a.example>\r\nDATA\r\n"
                       b"Subject: x\r\n\r\ntext\r\n.\r\n")
                client.write(one * 3 + b"QUIT\r\n")
                codes = [client.read().code for _ in range(13)]
                self.assertEqual(codes, [250, 250, 354, 250] * 3 + [221])
                self.assertEqual(len(self.a.messages), 3)

    def test_lmtp_order(self):
        """Replies stand in the order of the RCPTs, whoever answers first."""
        rcpts = ["1@slow.example", "2@a.example", "3@no.example", "4@slow.example", "5@b.example"]
        with Client(LMTP, lmtp=True) as client:
            out = client.transaction("s@front.lab", rcpts, message())
        self.assertEqual([r.code for r in out.rcpts], [250, 250, 550, 250, 250])
        self.assertEqual([r.code for r in out.final], [250] * 4)

    def test_refused_mail_and_many_recipients(self):
        """RFC 2920: the RCPTs pipelined behind a refused MAIL end in 503, not in a hang-up."""
        for address, lmtp in ((SMTP, False), (LMTP, True)):
            with self.subTest(address), Client(address, lmtp) as client:
                client.write(b"MAIL FROM:<s@front.lab> SIZE=99999999999\r\n"
                             + b"RCPT TO:<u@a.example>\r\n" * 60 + b"DATA\r\nRSET\r\n")
                codes = [client.read().code for _ in range(63)]
                self.assertEqual(codes, [552] + [503] * 61 + [250])

    def test_many_refused_transactions(self):
        """A session is not ended for DATA behind recipients that were refused."""
        with Client(LMTP, lmtp=True) as client:
            for _ in range(30):
                client.write(b"MAIL FROM:<s@front.lab>\r\nRCPT TO:<u@no.example>\r\nDATA\r\n"
                             b"RSET\r\n")
                self.assertEqual([client.read().code for _ in range(4)], [250, 550, 503, 250])

    def test_thousand_recipients(self):
        rcpts = [f"u{n % 700}@a.example" for n in range(1005)]         # some twice
        with Client(LMTP, lmtp=True) as client:
            out = client.transaction("s@front.lab", rcpts, message())
        self.assertEqual([r.code for r in out.rcpts], [250] * 1000 + [452] * 5)
        self.assertEqual([r.code for r in out.final], [250] * 1000)
        self.assertEqual(self.a.messages[0].rcpts, rcpts[:1000])

    def test_too_many_domains(self):
        """The 101st domain of an LMTP transaction: 452 4.5.3; the others have their own reply."""
        rcpts = [f"u@d{n}.nowhere.example" for n in range(100)] + ["u@a.example"]
        with Client(LMTP, lmtp=True) as client:
            out = client.transaction("s@front.lab", rcpts, message())
        self.assertEqual({r.status for r in out.rcpts[:100]}, {"550 5.1.2"})
        self.assertEqual(out.rcpts[100].status, "452 4.5.3")

    def test_each_octet_alone(self):
        """The whole dialog octet by octet; dots are stuffed on the way and off at the end."""
        body = b".\r\n..\r\n.a\r\n\r\n.\r\n.\r\n"
        with Client(SMTP) as client:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = (b"MAIL FROM:<s@front.lab>\r\nRCPT TO:<u@a.example>\r\nDATA\r\nS: x\r\n\r\n"
                    + body.replace(b"\r\n.", b"\r\n..").replace(b".", b"..", 1) + b".\r\nNOOP\r\n")
            for octet in wire:
                client.write(bytes((octet,)))
            self.assertEqual([client.read().code for _ in range(5)], [250, 250, 354, 250, 250])
        self.assertTrue(self.a.messages[0].data.endswith(b"S: x\r\n\r\n" + body))


class Octets(LabCase):
    """Lines and messages of every kind."""

    config = {"outbound": {"max_message_size": 20000}}

    @classmethod
    def publish(cls, lab):
        cls.d = lab.domain("d.example")
        cls.idn = lab.domain("xn--bcher-kva.example")

    def setUp(self):
        self.d.mx.forget()
        self.idn.mx.forget()

    def code(self, line, address=SMTP):
        """The reply to one line of octets after EHLO; the session goes on after it."""
        with Client(address, lmtp=address == LMTP) as client:
            client.write(line + b"\r\n")
            reply = client.read()
            self.assertEqual(client.cmd("NOOP").code, 250)
            return reply

    def test_lines(self):
        for line in (b"NO\x00OP", b"\x00", b"", b" ", b"NOOP\rRSET", b"NOOP\nRSET x", b"\xff\xfe",
                     b"X" * 2047, b"X" * 5000, b"X" * 300_000, b"EHLO", b"EHLO a b",
                     b"MAIL FROM:<a@b.example", b"MAIL FROM:a@b.example", b"MAIL",
                     b"MAIL FROM:<a@b.example> SIZE=x", b"MAIL FROM:<a@b.example> BODY=BINARYMIME",
                     b"MAIL FROM:<a@b.example>SIZE=3", b"RCPT TO:<>", b"DATA x", b"STARTTLS",
                     b"BDAT 3", b"AUTH PLAIN", b"HELP x", b"\x16\x03\x01\x02\x00\x01"):
            with self.subTest(line[:40]):
                with Client(SMTP) as client:
                    client.write(line + b"\r\n")
                    reply = client.read()
                    if reply.code // 100 == 5:
                        self.assertTrue(reply.id, str(reply))
                    if b"\n" in line:
                        continue
                    self.assertEqual(client.cmd("NOOP").code, 250)

    def test_recipients(self):
        """What is taken, and what the MX sees of it."""
        good = ['"quoted part"@d.example', '"a\\"b>c"@d.example', "@route.example:u@d.example",
                "@a.example,@b.example:v@d.example", "USER+tag@D.EXAMPLE", "a!b%c@d.example"]
        for rcpt in good:
            with self.subTest(rcpt):
                self.d.mx.forget()
                out = self.smtp(rcpt, sender="")
                self.reply(out, "250 2.0.0")
                self.assertEqual(self.d.messages[0].mail.split(" ")[1], "FROM:<>")
        for rcpt, status in (("u@[127.9.9.9", "501 5.1.3"), ("u@", "501 5.1.3"),
                             ("postmaster", "550 5.1.3"), ("a@b@d.example", "501 5.1.3"),
                             ("u@d..example", "501 5.1.3"), ("\u00fc@d.example", "553 5.6.7"),
                             ("u@" + "a" * 64 + ".example", "501 5.1.3"),
                             ("x" * 257 + "@d.example", "501 5.1.3")):
            with self.subTest(rcpt):
                reply = self.smtp(rcpt).rcpts[0]
                self.assertEqual(reply.status, status, str(reply))
                self.assertTrue(reply.id)

    def test_literal(self):
        host = self.d.mx.address
        self.reply(self.smtp(f"u@[{host}]"), "250 2.0.0")
        self.assertEqual(self.smtp("u@[192.168.1.1]").rcpts[0].status, "451 4.4.4")

    def test_idn(self):
        out = self.smtp("u@b\u00fccher.example", params="SMTPUTF8")
        self.assertIn(out.reply.status, ("250 2.0.0", "553 5.6.7"), str(out))
        self.assertEqual(self.smtp("u@b\u00fccher.example").rcpts[0].status, "553 5.6.7")

    def test_size(self):
        """Exactly max_message_size passes, one octet more does not, whatever SIZE said."""
        for extra, want in ((0, "250 2.0.0"), (1, "552 5.3.4")):
            for params in ("", "SIZE=1", "SIZE=20000"):
                with self.subTest(f"{extra} {params}"):
                    self.d.mx.forget()
                    head = b"Subject: x\r\n\r\n.dot\r\n"
                    data = head + b"x" * (20000 + extra - len(head) - 2) + b"\r\n"
                    self.assertEqual(len(data), 20000 + extra)
                    out = self.smtp(self.d.rcpt, data, params=params)
                    self.reply(out, want)
                    self.assertEqual(len(self.d.messages), 1 if not extra else 0)
        self.assertEqual(self.smtp(self.d.rcpt, params="SIZE=20001").mail.status, "552 5.3.4")

    def test_bare_line_ends(self):
        """Refused, the session goes on, and nothing of what is behind is taken for a command."""
        for bad in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n",
                    b"\r\n\r.\r\n", b"\x00\r\n.\n", b"\r\r\n.\r\r\n", b"\n"):
            for address, lmtp in ((SMTP, False), (LMTP, True)):
                with self.subTest(bad), Client(address, lmtp) as client:
                    self.d.mx.forget()
                    client.cmd("MAIL FROM:<s@front.lab>")
                    client.cmd("RCPT TO:<u@d.example>")
                    client.cmd("DATA")
                    client.write(b"a: b\r\n\r\nx" + bad + b"MAIL FROM:<evil@x.example>\r\n"
                                 b"RCPT TO:<evil@d.example>\r\nDATA\r\nevil\r\n.\r\n")
                    reply = client.read()
                    self.assertEqual(reply.status, "550 5.6.11", str(reply))
                    self.assertTrue(reply.id)
                    self.assertEqual(client.cmd("NOOP").code, 250)
                    self.assertEqual(self.d.messages, [])

    def test_binary(self):
        """NUL, all octets, a line of a megabyte's tenth: untouched."""
        octets = bytes(set(range(256)) - {10, 13})
        data = b"Subject: x\r\n\r\n" + octets + b"\r\n" + b"y" * 15000 + b"\r\n\x00\r\n"
        out = self.smtp(self.d.rcpt, data, params="BODY=8BITMIME")
        self.reply(out, "250 2.0.0")
        self.assertTrue(self.d.messages[0].data.endswith(data))

    def test_empty_message(self):
        out = self.smtp(self.d.rcpt, b"")
        self.reply(out, "250 2.0.0")
        self.assertTrue(self.d.messages[0].data.startswith(b"Received: "))


class Leaving(LabCase):
    """Clients that leave: nothing is finished that was not."""

    @classmethod
    def publish(cls, lab):
        cls.d = lab.domain("d.example")
        cls.e = lab.domain("e.example", {"at": {"dot": Wait(1.5)}})
        cls.hang = lab.domain("hang.example", {"at": {"rcpt": Hang()}})

    def setUp(self):
        for domain in (self.d, self.e):
            domain.mx.forget()

    def quiet(self):
        """Until no session is left."""
        def none():
            path = f"/proc/{self.sternpost.pid}/net/tcp"
            with open(path, encoding="ascii") as file:
                rows = [x.split() for x in file.read().splitlines()[1:]]
            ports = ("2728", "2729")
            return not [r for r in rows if r[1].split(":")[1] in ports and r[3] == "01"]
        wait_for(none, "sessions to end")

    def test_half_close_after_the_dot(self):
        """A client that shuts down its writing side still gets the reply."""
        for address, lmtp in ((SMTP, False), (LMTP, True)):
            with self.subTest(address), Client(address, lmtp) as client:
                for line in ("MAIL FROM:<s@front.lab>", "RCPT TO:<u@e.example>", "DATA"):
                    client.cmd(line)
                client.write(b"a: b\r\n\r\nx\r\n.\r\n")
                client.sock.shutdown(socket.SHUT_WR)
                self.assertEqual(client.read().code, 250)
        self.assertEqual(len(self.e.messages), 2)

    def test_half_close_behind_everything(self):
        """All of a session in one segment and no more: every reply comes."""
        with Client(SMTP) as client:
            client.write(b"MAIL FROM:<s@front.lab>\r\nRCPT TO:<u@d.example>\r\nDATA\r\n"
                         b"a: b\r\n\r\nx\r\n.\r\nQUIT\r\n")
            client.sock.shutdown(socket.SHUT_WR)
            self.assertEqual([client.read().code for _ in range(5)], [250, 250, 354, 250, 221])

    def test_leaves_between_two_final_replies(self):
        """LMTP: the first domain answered, the second not yet: both are finished, one uncertain."""
        client = Client(LMTP, lmtp=True)
        client.cmd("MAIL FROM:<s@front.lab>")
        client.cmd("RCPT TO:<u@d.example>")
        client.cmd("RCPT TO:<u@e.example>")
        client.cmd("DATA")
        client.write(message() + b".\r\n")
        self.assertEqual(client.read().code, 250)
        client.close()
        wait_for(lambda: self.e.messages and self.e.messages[0].accepted, "the second MX")
        got = self.sternpost.wait_records(event="delivery", domain="e.example", verdict="uncertain")
        self.assertEqual(got[-1]["recipients"], 1)
        got = self.sternpost.records(event="delivery", domain="d.example")
        self.assertEqual(got[-1]["verdict"], "delivered")

    def test_reset_at_every_step(self):
        """RST after each step and at several points of the data: no MX has a whole message."""
        steps = [b"MAIL FROM:<s@front.lab>\r\n", b"RCPT TO:<u@d.example>\r\n",
                 b"RCPT TO:<u@e.example>\r\n", b"DATA\r\n", b"a: b\r\n\r\nline\r\n" * 4000,
                 b"x\r\n", b"\r\n", b".", b"\r"]
        for address, lmtp in ((SMTP, False), (LMTP, True)):
            for end in range(len(steps) + 1):
                for linger in (False, True):
                    with self.subTest(f"{address} {end} {linger}"):
                        client = Client(address, lmtp)
                        for step in steps[:end]:
                            client.write(step)
                            if step[:4] in (b"MAIL", b"RCPT", b"DATA"):
                                client.read()
                        if linger:
                            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                   b"\1\0\0\0\0\0\0\0")
                        client.close()
        self.quiet()
        self.assertEqual(self.d.messages + self.e.messages, [])

    def test_leaves_while_the_mx_is_asked(self):
        """The MX's connection is not held for a client that is gone."""
        client = Client(LMTP, lmtp=True)
        client.write(b"MAIL FROM:<s@front.lab>\r\nRCPT TO:<u@hang.example>\r\n")
        self.assertEqual(client.read().code, 250)
        seen = self.hang.mx.sessions
        wait_for(lambda: any("RCPT" in c for s in seen for c in s.commands), "RCPT")
        client.close()
        self.quiet()


class Memory(LabCase):
    """What a client can make the relay hold."""

    config = {"outbound": {"max_message_size": "300MiB"}}
    MESSAGE = 100 << 20

    @classmethod
    def publish(cls, lab):
        cls.d = lab.domain("d.example", {"tlsa": "3 1 1"})
        cls.e = lab.domain("e.example")
        cls.stalled = lab.domain("stalled.example", {"at": {"body": BodyStall(100_000)}})

    def test_message_in_flight(self):
        """100 MiB to two MXs: resident memory grows by a small part of it."""
        self.reply(self.lmtp(self.d.rcpt), "250 2.0.0")
        chunk = (b"0123456789abcdef" * 4 + b"\r\n") * 4000
        before, highest = rss(self.sternpost.pid), 0
        client = Client(LMTP, lmtp=True, timeout=120)
        for line in ("MAIL FROM:<s@front.lab>", "RCPT TO:<u@d.example>", "RCPT TO:<u@e.example>",
                     "DATA"):
            client.cmd(line)
        sent = 0
        while sent < self.MESSAGE:
            client.write(chunk)
            sent += len(chunk)
            highest = max(highest, rss(self.sternpost.pid))
        client.write(b".\r\n")
        self.assertEqual([client.read().code for _ in range(2)], [250, 250])
        client.close()
        self.assertGreaterEqual(len(self.d.messages[-1].wire), self.MESSAGE)
        self.assertLess(highest - before, bound(self.sternpost.pid, self.MESSAGE))
        for domain in (self.d, self.e):
            domain.mx.forget()

    def test_mx_that_takes_nothing(self):
        """The client is held up; what it sends is not piled up here."""
        before = rss(self.sternpost.pid)
        client = Client(SMTP, timeout=3)
        for line in ("MAIL FROM:<s@front.lab>", "RCPT TO:<u@stalled.example>", "DATA"):
            client.cmd(line)
        with self.assertRaises(Lost):
            client.write(b"0123456789\r\n" * (self.MESSAGE // 12))
        self.assertLess(rss(self.sternpost.pid) - before, bound(self.sternpost.pid, self.MESSAGE))
        client.close()

    def test_client_that_never_reads(self):
        """Commands pipelined without an end and no reply read: the relay stops reading too."""
        socks = []
        before = rss(self.sternpost.pid)
        for _ in range(40):
            sock = socket.create_connection(("127.0.0.1", 10025), 20)
            sock.setblocking(False)
            socks.append(sock)
        quiet = 0
        octets = b"EHLO a\r\n" * 8000
        while quiet < 20:
            moved = 0
            for sock in socks:
                try:
                    moved += sock.send(octets)
                except BlockingIOError:
                    pass
            quiet = 0 if moved else quiet + 1
            time.sleep(0.05)
        grown = rss(self.sternpost.pid) - before
        for sock in socks:
            sock.close()
        self.assertLess(grown, bound(self.sternpost.pid, len(socks) << 20))


class Tls(LabCase):
    """STARTTLS towards the MTA, attacked."""

    config = {"server": {"drain": "1s"}}

    @classmethod
    def publish(cls, lab):
        cls.d = lab.domain("d.example")
        cert = lab.pki.ca.issue("edge.lab")
        cls.config = merge(cls.config, {"listen": [
            {"protocol": "lmtp", "address": LMTP, "tls_certificate": cert.pem,
             "tls_key": cert.key},
            {"protocol": "smtp", "address": SMTP, "tls_certificate": cert.pem,
             "tls_key": cert.key}]})

    def test_stalled_handshakes(self):
        """Clients that stop in the handshake hold up neither the others nor the end."""
        stalled = []
        for n in range(60):
            client = Client(SMTP)
            self.assertEqual(client.cmd("STARTTLS").code, 220)
            client.write(b"\x16\x03\x01\x02\x00\x01\x00"[:n % 8])
            stalled.append(client)
        self.reply(self.lmtp(self.d.rcpt), "250 2.0.0")
        part = self.sternpost
        part.term()
        self.assertEqual(part.daemon.wait(), 0)
        for client in stalled:
            client.close()
        part.start()

    def test_pipelined_under_tls(self):
        """Several records, commands cut anywhere, a transaction behind the dot; half-closed."""
        with Client(LMTP, lmtp=True) as client:
            client.starttls(ssl._create_unverified_context())
            one = (b"MAIL FROM:<s@front.lab>\r\nRCPT TO:<u@d.example>\r\nDATA\r\n"
                   b"Subject: x\r\n\r\n" + b"text\r\n" * 20000 + b".\r\n")
            self.d.mx.forget()
            client.write(one * 2 + one[:30])
            client.write(one[30:] + b"QUIT\r\n")
            self.assertEqual([client.read().code for _ in range(13)],
                             [250, 250, 354, 250] * 3 + [221])
        self.assertEqual(len(self.d.messages), 3)
        self.assertIn("with LMTPS", self.d.messages[0].header("Received")[0])

    def test_garbage_for_tls(self):
        for octets in (b"EHLO a\r\n" * 50, b"\x80" * 1000, b"\x16\x03\x01\xff\xff" + b"x" * 70000):
            with Client(SMTP) as client:
                self.assertEqual(client.cmd("STARTTLS").code, 220)
                try:
                    client.write(octets)
                    while client.sock.recv(1000):
                        pass
                except (Lost, ConnectionResetError):
                    pass
        self.reply(self.smtp(self.d.rcpt), "250 2.0.0")


class Words(LabCase):
    """Replies of the relay's own end in the ID, whatever they are about."""

    @classmethod
    def publish(cls, lab):
        cls.d = lab.domain("d.example")

    def test_code_that_no_mx_may_send(self):
        for stage in ("mail", "rcpt", "data", "dot"):
            for text in ("150 hm", "354 hm", "650 hm"):
                if (stage, text) == ("data", "354 hm"):
                    continue
                with self.subTest(f"{stage} {text}"):
                    self.d.mx.at = {stage: text}
                    reply = self.lmtp(self.d.rcpt).reply
                    self.d.mx.at = {}
                    self.assertEqual(reply.status, "451 4.4.2", str(reply))
                    self.assertTrue(reply.id, str(reply))

    def test_xforward(self):
        """The MTA's queue id is in the log of its own transaction alone."""
        with Client(SMTP) as client:
            named = client.cmd("XFORWARD IDENT=4ABC+2B NAME=a ADDR=[UNAVAILABLE]")
            self.assertEqual(named.code, 250)
            client.transaction("s@front.lab", [self.d.rcpt], message())
            client.transaction("s@front.lab", [self.d.rcpt], message())
            self.assertEqual(client.cmd("XFORWARD IDENT=+0D+0A").code, 250)
            self.assertEqual(client.cmd("XFORWARD FOO=1").code, 501)
            self.assertEqual(client.cmd("XFORWARD").code, 501)
            client.cmd("MAIL FROM:<s@front.lab>")
            self.assertEqual(client.cmd("XFORWARD IDENT=x").code, 503)

        def got():
            return [r["queue_id"] for r in self.sternpost.records(event="delivery")[-2:]]
        wait_for(lambda: got() == ["4ABC+", None], "both in the log")


if __name__ == "__main__":
    main()
