#!/usr/bin/python3
"""The LMTP listener: any number of domains in a transaction, a reply for each (RFC 2033)."""

import time

from lab.actions import BodyDrop, BodyStall, Drop, Hang, Wait
from lab.case import LabCase, main
from lab.client import Client, message
from lab.procs import wait_for
from lab.sternpost import LMTP


class Transactions(LabCase):
    """Several domains, several fates."""

    config = {"outbound": {"max_connections_per_mx": 200, "lmtp_wait": "2s",
                           "recipient_wait": "20s", "host_memory": "1s"}}

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.one, cls.two = add("one.example", {"tlsa": "3 1 1"}), add("two.example", sts="enforce")
        cls.bad = add("bad.example", {"tlsa": "3 1 1 " + "00" * 32})
        cls.null = add("null.example", [], extra=["@ MX 0 ."])
        cls.dot5 = add("dot5.example", {"at": {"dot": "550 5.7.1 not wanted"}})
        cls.data4 = add("data4.example", {"at": {"data": "451 4.3.0 later"}})
        cls.slow = add("slow.example", {"at": {"rcpt": Hang()}})
        cls.stall = add("stall.example", {"at": {"body": BodyStall(20000)}})
        cls.cut = add("cut.example", {"at": {"body": BodyDrop(20000)}})
        cls.late = add("late.example", {"at": {"dot": Wait(1.5)}})
        cls.mute = add("mute.example", {"at": {"dot": Drop()}})
        cls.many = [add(f"m{n}.example") for n in range(12)]
        cls.picky = add("picky.example", {"rcpt": {"no@picky.example": "550 5.1.1 no such user"}})

    def setUp(self):
        for domain in self.lab.domains.values():
            for host in domain.hosts:
                host.forget()

    def test_keywords(self):
        with Client(LMTP, lmtp=True) as client:
            self.assertEqual(client.greeting.code, 220)
            for word in ("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES",
                         "XFORWARD"):
                self.assertIn(word, client.keywords)
            for word in ("LIMITS", "STARTTLS", "DSN", "CHUNKING", "REQUIRETLS", "AUTH"):
                self.assertNotIn(word, client.keywords)
            self.assertEqual(client.cmd("EHLO x.lab").code // 100, 5)

    def test_every_recipient_has_its_own_fate(self):
        rcpts = [d.rcpt for d in (self.one, self.bad, self.two, self.null, self.dot5, self.data4)]
        out = self.lmtp(rcpts)
        got = [out.of(n).status for n in range(len(rcpts))]
        self.assertEqual(got, ["250 2.0.0", "451 4.7.5", "250 2.0.0", "556 5.1.10", "550 5.7.1",
                               "451 4.3.0"])
        self.assertEqual([r.code for r in out.rcpts], [250, 451, 250, 556, 250, 250])
        for domain in (self.one, self.two):
            self.assertEqual(len(domain.mx.accepted), 1)
        self.assertEqual(self.one.messages[0].data, self.two.messages[0].data)

    def test_replies_in_order_of_rcpt(self):
        rcpts = ["a@one.example", "no@picky.example", "b@two.example", "c@one.example",
                 "yes@picky.example", "a@one.example"]
        out = self.lmtp(rcpts)
        self.assertEqual([r.code for r in out.rcpts], [250, 550, 250, 250, 250, 250])
        self.assertEqual(len(out.final), 5)
        self.assertTrue(all(r.ok for r in out.final))
        self.assertEqual(self.one.messages[0].rcpts.count("a@one.example") +
                         self.one.messages[0].rcpts.count("c@one.example"), 3)

    def test_a_slow_domain_costs_lmtp_wait(self):
        begin = time.monotonic()
        out = self.lmtp([self.one.rcpt, self.slow.rcpt, self.two.rcpt])
        self.assertEqual(out.of(0).status, "250 2.0.0")
        self.assertEqual(out.of(1).code, 451)
        self.assertEqual(out.of(2).status, "250 2.0.0")
        self.assertLess(time.monotonic() - begin, 15)

    def test_a_host_that_stalls_is_dropped(self):
        """An MX that takes no data for 30 s is dropped; the others have the message."""
        out = self.lmtp([self.one.rcpt, self.stall.rcpt], message(size=40_000_000), timeout=120)
        self.assertEqual(out.of(0).status, "250 2.0.0")
        self.assertEqual(out.of(1).code, 451)

    def test_a_host_that_breaks_off(self):
        out = self.lmtp([self.cut.rcpt, self.one.rcpt, self.mute.rcpt], message(size=3_000_000))
        self.assertEqual([out.of(n).status for n in range(3)],
                         ["451 4.4.2", "250 2.0.0", "451 4.4.2"])
        self.assertEqual(self.last(self.mute)["verdict"], "uncertain")
        self.assertEqual(self.last(self.cut)["verdict"], "deferred")

    def test_final_replies_are_flushed_as_they_come(self):
        with Client(LMTP, lmtp=True) as client:
            client.cmd("MAIL FROM:<a@front.lab>")
            for domain in (self.one, self.late):
                self.assertTrue(client.cmd(f"RCPT TO:<{domain.rcpt}>").ok)
            self.assertEqual(client.cmd("DATA").code, 354)
            client.write(message() + b".\r\n")
            self.assertTrue(client.read().ok)
            self.assertFalse(self.late.mx.accepted)
            self.assertTrue(client.read().ok)

    def test_many_domains(self):
        out = self.lmtp([d.rcpt for d in self.many], message(size=200_000))
        self.assertEqual([r.status for r in out.final], ["250 2.0.0"] * len(self.many))
        for domain in self.many:
            self.assertEqual(len(domain.mx.accepted), 1)

    def test_over_a_hundred_domains(self):
        rcpts = [f"a@x{n}.many.example" for n in range(103)]
        self.lab.domain("many.example", [], extra=["* MX 10 mx1.one.example."])
        self.lab.commit()
        with Client(LMTP, lmtp=True, timeout=60) as client:
            client.cmd("MAIL FROM:<a@front.lab>")
            got = [client.cmd(f"RCPT TO:<{r}>").status for r in rcpts]
            self.assertEqual(got[100:], ["452 4.5.3"] * 3)
            self.assertEqual(set(got[:100]), {"250 2.1.5"})

    def test_data_without_a_recipient(self):
        """RFC 2033 §4.2."""
        with Client(LMTP, lmtp=True) as client:
            client.cmd("MAIL FROM:<a@front.lab>")
            client.cmd(f"RCPT TO:<{self.null.rcpt}>")
            self.assertEqual(client.cmd("DATA").code, 503)

    def test_next_transaction_on_the_same_connection(self):
        with Client(LMTP, lmtp=True) as client:
            for n in range(3):
                out = client.transaction("a@front.lab", [self.one.rcpt, self.bad.rcpt],
                                         message(f"n{n}"))
                self.assertEqual([out.of(0).code, out.of(1).code], [250, 451])
        self.assertEqual(len(self.one.messages), 3)

    def test_client_goes_before_the_dot(self):
        """The MX never sees a finished message of a client that went."""
        for data in (b"", b"Subject: x\r\n", message(size=500_000), message() + b"\r\n.\r"):
            with self.subTest(len(data)):
                client = Client(LMTP, lmtp=True)
                client.cmd("MAIL FROM:<a@front.lab>")
                client.cmd(f"RCPT TO:<{self.one.rcpt}>")
                client.cmd("DATA")
                client.write(data)
                client.close()
                wait_for(lambda: all(s.closed.is_set() or not s.messages or
                                     not s.messages[-1].wire for s in self.one.mx.sessions),
                         "the session at the MX to end")
                time.sleep(0.2)
                self.assertEqual(self.one.messages, [])

    def test_queue_id_in_the_log(self):
        with Client(LMTP, lmtp=True) as client:
            self.assertTrue(client.cmd("XFORWARD IDENT=4AbCdEfGh").ok)
            self.assertTrue(client.transaction("a@front.lab", [self.one.rcpt], message()).reply.ok)
        ids = {r["queue_id"] for r in
               self.sternpost.wait_records(1, domain="one.example", queue_id="4AbCdEfGh")}
        self.assertEqual(ids, {"4AbCdEfGh"})
        data = (b"Received: from a (b [127.0.0.1])\r\n\tby front.lab (Postfix) with ESMTP id "
                b"9XyZ12\r\n\tfor <a@b>; Mon, 1 Jun 2026 10:00:00 +0000\r\n" + message())
        self.lmtp(self.one.rcpt, data)
        self.assertEqual(self.last(self.one)["queue_id"], "9XyZ12")


class Octets(LabCase):
    """The message at the MX is the message handed in, under one Received field."""

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example")

    def check(self, data, **options):
        """Sends and compares; the message at the MX."""
        out = self.lmtp(self.domain.rcpt, data, **options)
        self.reply(out, "250 2.0.0")
        got = self.domain.messages[-1]
        self.assertEqual(got.without_received(), data)
        self.assertTrue(got.data.startswith(b"Received: "))
        return got

    def test_bodies(self):
        head = message(body=b"")
        for body in (b"", b".\r\n", b"..\r\n", b"\r\n.\r\n", b"...\r\n.a\r\n", b"\x00\x01\xff\r\n",
                     b"a" * 5000 + b"\r\n", b"\r\n" * 50, bytes(range(14, 256)) + b"\r\n",
                     b"x" * 65535 + b"\r\n", (b"." * 70 + b"\r\n") * 3000):
            with self.subTest(body[:30]):
                self.check(head + body, params="BODY=8BITMIME")

    def test_no_header(self):
        self.check(b"\r\nbody only\r\n")
        self.check(b"neither header nor body\r\n")

    def test_received(self):
        got = self.check(message(), helo="client.lab")
        received = got.header("Received")[0]
        self.assertRegex(received, r"from client\.lab .*127\.0\.0\.1")
        self.assertRegex(received, r"by edge\.lab .*with LMTP")
        self.assertRegex(received, r";\s.* [+-]\d{4}")

    def test_large(self):
        data = message(size=30_000_000)
        got = self.check(data, timeout=120)
        self.assertEqual(len(got.without_received()), len(data))

    def test_mail_parameters(self):
        self.check(message(), params="SIZE=1000 BODY=8BITMIME", pipeline=False)
        self.assertIn("BODY=8BITMIME", self.domain.messages[-1].mail)
        self.assertIn("MAIL FROM:<a@front.lab>", self.domain.messages[-1].mail)

    def test_null_sender(self):
        self.reply(self.lmtp(self.domain.rcpt, sender=""), "250 2.0.0")
        self.assertTrue(self.domain.messages[-1].mail.startswith("MAIL FROM:<>"))

    def test_split_writes(self):
        """The end of data is found wherever the network cuts it."""
        data = message(body=b".\r\n..x\r\n")
        wire = b"".join(b"." + x + b"\r\n" if x.startswith(b".") else x + b"\r\n"
                        for x in data.split(b"\r\n")[:-1]) + b".\r\n"
        with Client(LMTP, lmtp=True) as client:
            client.cmd("MAIL FROM:<a@front.lab>")
            client.cmd(f"RCPT TO:<{self.domain.rcpt}>")
            client.cmd("DATA")
            for i in range(len(wire)):
                client.write(wire[i:i + 1])
            self.assertTrue(client.read().ok)
        self.assertEqual(self.domain.messages[-1].without_received(), data)


if __name__ == "__main__":
    main()
