#!/usr/bin/python3
"""What the MTA sees: the table of replies, one case after the other, on real connections."""

import socket
import time

from lab.actions import BodyStall, Close, Drip, Drop, Endless, Hang
from lab.case import LabCase, main
from lab.client import Client, message, send
from lab.sternpost import LMTP, SMTP


class FromTheMx(LabCase):
    """What the MX answered is passed on: code, enhanced code, text."""

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("mx.example")
        cls.mx = cls.domain.mx
        cls.two = lab.domain("two.example", [{}, {}])

    def setUp(self):
        self.mx.at, self.mx.rcpt = {}, {}
        self.mx.forget()

    def ask(self, at=None, rcpt=None, **options):
        """One message with the MX's actions set; the reply."""
        self.mx.at = at or {}
        if rcpt:
            self.mx.rcpt = {self.domain.rcpt: rcpt}
        return self.lmtp(self.domain.rcpt, **options).reply

    def test_each_stage(self):
        for stage in ("mail", "rcpt", "data", "dot"):
            for text, want in (("550 5.1.1 No such user", "550 5.1.1"),
                               ("450 4.2.0 Greylisted", "450 4.2.0"),
                               ("554 Refused", "554 5.0.0"), ("451 Later", "451 4.0.0"),
                               ("552 5.2.2 Over quota", "552 5.2.2")):
                with self.subTest(f"{stage}: {text}"):
                    got = self.ask({stage: text})
                    self.assertEqual(got.status, want, str(got))
                    self.assertIn(text.split(" ", 2)[-1].split(" ", 1)[-1], got.text)

    def test_multi_line(self):
        got = self.ask({"rcpt": "550-5.7.1 first\n550 5.7.1 second"})
        self.assertEqual(got.code, 550)
        self.assertIn("first", got.text)
        self.assertIn("second", got.text)

    def test_421_becomes_451(self):
        for stage in ("mail", "rcpt", "data", "dot"):
            with self.subTest(stage):
                got = self.ask({stage: Close("421 4.3.2 going down")})
                self.assertEqual(got.status, "451 4.3.2", str(got))

    def test_552_too_many_recipients(self):
        """RFC 5321 §4.5.3.1.10."""
        got = self.ask({"rcpt": "552 5.5.3 Too many recipients"})
        self.assertEqual(got.code, 452, str(got))

    def test_530_in_cleartext(self):
        mx = self.mx
        mx.starttls = False
        try:
            got = self.ask({"mail": "530 5.7.0 Must issue a STARTTLS command first"})
        finally:
            mx.starttls = True
        self.assertEqual(got.status, "451 4.7.4", str(got))

    def test_code_out_of_range(self):
        for text in ("650 hm", "150 hm", "999 hm"):
            with self.subTest(text):
                got = self.ask({"mail": text})
                self.assertEqual(got.status, "451 4.4.2", str(got))

    def test_no_reply_at_all(self):
        for raw in (b"garbage\r\n", b"2\r\n", b"\x00\x01\x02\r\n"):
            with self.subTest(raw):
                got = self.ask({"mail": raw})
                self.assertEqual(got.status, "451 4.4.2", str(got))

    def test_control_characters(self):
        got = self.ask({"rcpt": b"550 5.1.1 a\x00b\x1bc\x7fd\re\r\n"})
        self.assertEqual(got.status, "550 5.1.1", str(got))
        self.assertRegex(got.text, r"a\?b\?c\?d\?e")

    def test_long_line(self):
        got = self.ask({"rcpt": "550 5.1.1 " + "x" * 3000})
        self.assertEqual(got.status, "550 5.1.1")
        self.assertLessEqual(len(got.lines[0]) + 4, 510)

    def test_endless_reply(self):
        """A reply without end is bounded; the session ends, the client is told."""
        for line in ("250-more", "250-" + "x" * 2000):
            with self.subTest(len(line)):
                got = self.ask({"mail": Endless(line)})
                self.assertEqual(got.code, 451, str(got))

    def test_data_refused_with_several_recipients(self):
        self.mx.at = {"data": "554 5.5.1 no"}
        out = self.lmtp([f"a@{self.domain.name}", f"b@{self.domain.name}"])
        codes = {r.status for r in out.final} or {out.data.status}
        self.assertEqual(codes, {"554 5.5.1"})

    def test_greeting_refused_next_host(self):
        for at in ({"greeting": "554 5.3.2 no"}, {"greeting": "421 busy"}, {"greeting": Drop()},
                   {"ehlo": "550 5.7.1 go away", "helo": "550 5.7.1 go away"},
                   {"greeting": "521 never"}):
            with self.subTest(at):
                self.two.hosts[0].at = at
                before = len(self.two.hosts[1].accepted)
                self.reply(self.lmtp(self.two.rcpt), "250 2.0.0")
                self.assertEqual(len(self.two.hosts[1].accepted), before + 1)

    def test_greeting_refused(self):
        got = self.ask({"greeting": "554 5.3.2 we are closed"})
        self.assertEqual(got.status, "451 4.4.1", str(got))
        self.assertIn("we are closed", got.text)

    def test_helo_where_ehlo_is_unknown(self):
        """RFC 5321 §3.2: HELO, where nothing forbids cleartext."""
        self.mx.starttls = False
        try:
            got = self.ask({"ehlo": "502 5.5.1 what?"})
        finally:
            self.mx.starttls = True
        self.assertTrue(got.ok, str(got))

    def test_broken_off(self):
        for stage in ("mail", "rcpt", "data", "dot"):
            with self.subTest(stage):
                got = self.ask({stage: Drop()})
                self.assertEqual(got.status, "451 4.4.2", str(got))
                verdict = "uncertain" if stage == "dot" else "deferred"
                self.assertEqual(self.record(got)["verdict"], verdict)

    def test_own_replies_end_in_an_id(self):
        got = self.ask({"greeting": "554 no"})
        self.assertRegex(got.lines[-1], r" \[[A-Za-z0-9-]+\]$")
        self.assertEqual(self.record(got)["verdict"], "deferred")


class FromTheRelay(LabCase):
    """No MX answered: the relay's own replies."""

    config = {"outbound": {"connect_timeout": "2s", "max_message_size": "1MiB"},
              "dns": {"timeout": "3s"}}

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.good = add("good.example")
        cls.dead = add("dead.example", [{"listen": False}, {"listen": False}])
        cls.null = add("null.example", [], extra=["@ MX 0 ."])
        cls.null_plain = add("nullplain.example", [], extra=["@ MX 0 ."], signing=None)
        cls.empty = add("empty.example", [], extra=['@ TXT "nothing here"'])
        cls.empty_plain = add("emptyplain.example", [], extra=['@ TXT "nothing"'], signing=None)
        cls.no_address = add("noaddr.example", {"no_address": True, "listen": False})
        cls.lame = add("lame.example", [], delegated=False)
        cls.lame_mx = add("lamemx.example", {"name": "mx.broken.lamemx.example", "no_address": True,
                                             "listen": False},
                          extra=["broken NS ns.broken.lab."])
        cls.small = add("small.example", {"keywords": ["SIZE 1000", "PIPELINING", "8BITMIME"]})
        cls.small_then_big = add("small2.example", [{"keywords": ["SIZE 1000"]}, {}])
        cls.ascii, cls.ascii2, cls.ascii3 = [
            add(f"ascii{n}.example", {"keywords": ["8BITMIME", "PIPELINING"]}) for n in range(3)]
        cls.seven = add("seven.example", {"keywords": ["PIPELINING"]})
        cls.private = add("private.example", {"addresses": ["10.1.2.3"], "listen": False})
        cls.ipv6 = add("six.example", {"addresses": ["fd00:25::5"]})
        cls.wild = add("wild.example", [], extra=["* MX 10 mx1.good.example."])

    def test_no_such_domain(self):
        for name in ("nope.example", "nope.net"):
            got = self.reply(self.lmtp(f"a@{name}"), "550 5.1.2", name)
            self.assertEqual(self.record(got)["verdict"], "rejected")

    def test_nothing_there(self):
        for domain in (self.empty, self.empty_plain, self.no_address):
            with self.subTest(domain.name):
                self.refused(domain, self.lmtp(domain.rcpt), "550 5.4.4")

    def test_null_mx(self):
        """RFC 7505 §4."""
        for domain in (self.null, self.null_plain):
            with self.subTest(domain.name):
                self.refused(domain, self.lmtp(domain.rcpt), "556 5.1.10")

    def test_no_mx_reachable(self):
        got = self.refused(self.dead, self.lmtp(self.dead.rcpt), "451 4.4.1", "dead.example")
        self.assertEqual(self.record(got)["verdict"], "deferred")
        begin = time.monotonic()
        self.refused(self.dead, self.lmtp(self.dead.rcpt), "451 4.4.1")
        self.assertLess(time.monotonic() - begin, 20)

    def test_dns_gives_no_answer(self):
        self.lab.broken_dns.rules["broken.lamemx.example"] = "servfail"
        self.refused(self.lame_mx, self.lmtp(self.lame_mx.rcpt), "451 4.4.3")

    def test_private_address(self):
        self.refused(self.private, self.lmtp(self.private.rcpt), "451 4.4.4", r"10\.1\.2\.3",
                     "private_destinations")

    def test_ipv6(self):
        self.delivered(self.ipv6, self.lmtp(self.ipv6.rcpt))
        self.assertEqual(self.last(self.ipv6)["ip"], "fd00:25::5")

    def test_wildcard_mx(self):
        self.reply(self.lmtp("a@any.wild.example"), "250 2.0.0")

    def test_loop(self):
        data = b"Received: from x by y; Mon, 1 Jun 2026 10:00:00 +0000\r\n" * 120 + message()
        self.refused(self.null, self.lmtp(f"loop@{self.good.name}", data), "554 5.4.6")

    def test_too_big(self):
        big = message(size=1_300_000)
        out = self.lmtp(f"big@{self.good.name}", big)
        self.reply(out, "552 5.3.4")
        with Client(LMTP, lmtp=True) as client:
            self.assertEqual(client.keywords["SIZE"], str(1024 * 1024))
            got = client.cmd("MAIL FROM:<a@front.lab> SIZE=5000000")
            self.assertEqual(got.status, "552 5.3.4", str(got))

    def test_over_the_size_of_every_mx(self):
        out = self.lmtp(self.small.rcpt, message(size=5000), params="SIZE=5000")
        self.refused(self.small, out, "552 5.3.4")
        self.delivered(self.small_then_big, self.lmtp(self.small_then_big.rcpt, message(size=5000),
                                                      params="SIZE=5000"))

    def test_smtputf8_by_the_envelope(self):
        out = self.lmtp(f"\u00fcser@{self.ascii.name}", params="SMTPUTF8")
        self.refused(self.ascii, out, "553 5.6.7")
        self.reply(self.lmtp("\u00fcser@good.example", params="SMTPUTF8"), "250 2.0.0")

    def test_smtputf8_by_a_header(self):
        data = message().replace(b"Subject: test", "Subject: gr\u00fc\u00df".encode())
        self.refused(self.ascii2, self.lmtp(self.ascii2.rcpt, data, params="SMTPUTF8"), "554 5.6.9")

    def test_smtputf8_not_needed(self):
        self.delivered(self.ascii3, self.lmtp(self.ascii3.rcpt, params="SMTPUTF8"))

    def test_eight_bits_without_8bitmime(self):
        """No conversion: it goes as it is."""
        data = message(body=b"gr\xfc\xdf\r\n")
        self.reply(self.lmtp(self.seven.rcpt, data, params="BODY=8BITMIME"), "250 2.0.0")
        self.assertTrue(self.seven.messages[-1].data.endswith(b"gr\xfc\xdf\r\n"))

    def test_bare_cr_and_lf(self):
        """Smuggling: a bare LF or CR in the data is refused, whatever stands around it."""
        for body in (b"a\nb\r\n", b"a\rb\r\n", b"a\n.\nMAIL FROM:<x@y>\r\n", b"a\r.\r\nb\r\n",
                     b"a\n.\r\nb\r\n", b"a\r\n.\nb\r\n", b"a\r\n.\rb\r\n"):
            with self.subTest(body):
                before = len(self.good.messages)
                with Client(LMTP, lmtp=True) as client:
                    client.cmd("MAIL FROM:<a@front.lab>")
                    client.cmd(f"RCPT TO:<{self.good.rcpt}>")
                    self.assertEqual(client.cmd("DATA").code, 354)
                    client.write(message(body=body) + b"\r\n.\r\n")
                    self.assertEqual(client.read().status, "550 5.6.11")
                self.assertEqual(len(self.good.messages), before)

    def test_address_literal(self):
        got = self.lmtp(f"a@[{self.good.mx.address}]").reply
        self.assertTrue(got.ok, str(got))

    def test_syntax(self):
        with Client(SMTP) as client:
            for line, codes in (("RCPT TO:<a@b.example>", (503,)), ("DATA", (503,)),
                                ("MAIL FROM:", (500, 501)), ("HELP", (214, 500, 502)),
                                ("MAIL FROM:<a@b.example> FOO=BAR", (501, 504, 555)),
                                ("NOPE", (500, 502)), ("NOOP", (250,)), ("VRFY a", (252, 502)),
                                ("RSET", (250,))):
                with self.subTest(line):
                    self.assertIn(client.cmd(line).code, codes)
            client.cmd("MAIL FROM:<a@front.lab>")
            for rcpt in ("<>", "<a>", "<a@>", "<a@b..example>", "<a@-b.example>", "a@b c"):
                with self.subTest(rcpt):
                    self.assertGreaterEqual(client.cmd(f"RCPT TO:{rcpt}").code, 500)


class Clients(LabCase):
    """A client that may not relay is greeted, and every RCPT deferred."""

    config = {"listen": [{"protocol": "lmtp", "address": LMTP, "clients": ["127.0.0.77/32"]},
                         {"protocol": "smtp", "address": SMTP, "clients": ["127.0.0.77/32"]}]}

    @classmethod
    def publish(cls, lab):
        cls.domain, cls.other = lab.domain("d.example"), lab.domain("other.example")

    def test_not_in_clients(self):
        for address, lmtp in ((LMTP, True), (SMTP, False)):
            with self.subTest(address):
                out = send(address, "a@front.lab", [self.domain.rcpt], lmtp=lmtp)
                self.refused(self.domain, out, "451 4.7.1")
        self.assertIn("127.0.0.1", self.sternpost.log)

    def test_in_clients(self):
        out = send(LMTP, "a@front.lab", [self.other.rcpt], lmtp=True, source="127.0.0.77")
        self.reply(out, "250 2.0.0")


class Budgets(LabCase):
    """Each budget of [outbound] ends a wait with a 451 that says why, before the MTA gives up."""

    config = {"outbound": {"recipient_wait": "4s", "data_wait": "2s", "stall": "2s",
                           "final_wait": "3s", "lmtp_wait": "3s", "connect_timeout": "2s",
                           "host_memory": "1s"},
              "dns": {"timeout": "2s"}}

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("slow.example")
        cls.mx = cls.domain.mx

    def setUp(self):
        self.mx.at = {}

    def waits(self, at, limit):
        """The reply, which must come within `limit` seconds, long before the client's time-out."""
        self.mx.at = at
        begin = time.monotonic()
        got = self.lmtp(self.domain.rcpt, timeout=90).reply
        self.assertIsNotNone(got)
        self.assertEqual(got.code, 451, str(got))
        self.assertLess(time.monotonic() - begin, limit)
        return got

    def test_recipient_wait(self):
        for stage in ("greeting", "ehlo", "starttls", "handshake", "mail", "rcpt"):
            with self.subTest(stage):
                self.waits({stage: Hang()}, 30)

    def test_data_wait(self):
        self.waits({"data": Hang()}, 30)

    def test_final_wait(self):
        got = self.waits({"dot": Hang()}, 30)
        self.assertEqual(got.status, "451 4.4.2")
        self.assertEqual(self.last(self.domain)["verdict"], "uncertain")

    def test_one_octet_at_a_time(self):
        for stage in ("greeting", "mail", "rcpt"):
            with self.subTest(stage):
                self.waits({stage: Drip("220 " + "slow" * 50, 0.2)}, 30)

    def test_stalled_body(self):
        self.mx.at = {"body": BodyStall(10000)}
        begin = time.monotonic()
        out = self.lmtp(self.domain.rcpt, message(size=60_000_000), timeout=90)
        self.assertEqual(out.reply.code, 451, str(out))
        self.assertLess(time.monotonic() - begin, 60)


class Listeners(LabCase):
    """Listeners on a Unix socket and on IPv6."""

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example")
        cls.config = {"listen": [
            {"protocol": "lmtp", "address": f"unix:{lab.path('lmtp.sock')}", "mode": "0660"},
            {"protocol": "smtp", "address": "[::1]:10025"},
            {"protocol": "lmtp", "address": LMTP}]}

    def test_unix_socket(self):
        out = send(self.lab.path("lmtp.sock"), "a@front.lab", [self.domain.rcpt], lmtp=True)
        self.reply(out, "250 2.0.0")

    def test_ipv6(self):
        out = send("[::1]:10025", "a@front.lab", [self.domain.rcpt])
        self.reply(out, "250 2.0.0")

    def test_two_at_once(self):
        with socket.create_connection(("::1", 10025)), Client(LMTP, lmtp=True) as client:
            self.assertIn("PIPELINING", client.keywords)


if __name__ == "__main__":
    main()
