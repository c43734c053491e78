#!/usr/bin/python3
"""DATA that the client sent with its only RCPT goes to the MX with it (RFC 2920 §3.1): whatever the
MX answers, the replies stay in step, nobody gets a message twice, and none goes to nobody."""

from lab.actions import Close, Drop, Each, Hang, Wait
from lab.case import LabCase, main
from lab.client import Client, message
from lab.procs import wait_for
from lab.sternpost import LMTP, SMTP


class Early(LabCase):
    """One write of the client up to DATA."""

    config = {"server": {"threads": 1}}

    @classmethod
    def publish(cls, lab):
        cls.seen = {}

        def look(session, _):
            cls.seen.setdefault(session.mx.name, []).append(bytes(session._buffer))

        def add(name, at=None, **options):
            spec = {"tlsa": "3 1 1", "at": {"rcpt": look, **(at or {})}, **options}
            return lab.domain(name, spec)
        cls.good = add("good.example")
        cls.single = add("single.example", keywords=["8BITMIME"])
        cls.no_data = add("nodata.example", {"data": Each("450 4.2.0 later", "550 5.7.1 never",
                                                          None)})
        cls.drops = add("drops.example", {"data": Each(Drop(), None)})
        cls.ends = add("ends.example", {"data": Each(None, Close("421 4.3.2 going"), None)})
        cls.never = add("never.example", {"data": Drop()})
        cls.no_rcpt = add("norcpt.example", {"rcpt": Each("550 5.1.1 who", None)})
        cls.eager = add("eager.example", {"rcpt": Each("450 4.2.0 grey", "550 5.1.1 who", None),
                                          "data": "354 always"})
        cls.no_dot = add("nodot.example", {"rcpt": Each("550 5.1.1 who", None), "data": "354 go",
                                           "dot": Each(Drop(), None)})
        cls.no_mail = add("nomail.example", {"mail": Each("550 5.7.1 not you", None)})
        cls.loose = add("loose.example", {"mail": Each("450 4.7.0 later", None),
                                          "rcpt": "250 2.1.5 ok", "data": "354 always"})
        cls.again = [add(f"again{n}.example", {"rcpt": Each("550 5.1.1 who", None), "data": data})
                     for n, data in enumerate(("354 always", Each(Drop(), None),
                                               Each("300 what", None), None))]

        def lingers(session, _):
            session.send(b"421 4.3.2 bye\r\n")
            return Hang()
        cls.lingers = add("lingers.example", {"rcpt": lingers})
        cls.bye = add("bye.example", {"rcpt": Each(Close("421 4.3.2 bye"), None)})
        cls.slow = add("slow.example", {"data": Wait(0.3, None)})

    def early(self, client, rcpt, more=b"DATA\r\n"):
        """MAIL, RCPT and DATA in one write; the replies to MAIL and RCPT."""
        client.write(f"MAIL FROM:<a@front.lab>\r\nRCPT TO:<{rcpt}>\r\n".encode() + more)
        return client.read(), client.read()

    def passes(self, domain, count=1):
        """A whole message to a domain in that way, and that the MX has it once."""
        with Client(SMTP) as client:
            mail, rcpt = self.early(client, domain.rcpt)
            self.assertEqual((mail.code, rcpt.status), (250, "250 2.1.5"))
            self.assertEqual(client.read().code, 354)
            client.write(message("early") + b".\r\n")
            self.assertRegex(str(client.read()), "^250 2.0.0 .*LAB")
        whole = [m for m in domain.mx.accepted if m.rcpts == [domain.rcpt]]
        self.assertEqual(len(whole), count)
        self.assertIn(b"early", whole[-1].data)

    def fails(self, domain, replies):
        """The replies to RCPT and DATA, in one transaction that goes no further."""
        with Client(SMTP) as client:
            _, rcpt = self.early(client, domain.rcpt)
            self.assertEqual([rcpt.status, client.read().status], replies)
            self.assertEqual(client.cmd("NOOP").code, 250)
            client.quit()

    def test_it_goes_with_rcpt(self):
        self.passes(self.good)
        self.assertEqual(self.seen["mx1.good.example"], [b"DATA\r\n"])
        self.passes(self.good, 2)
        self.assertEqual(len(self.good.mx.sessions), 1)

    def test_not_without_pipelining(self):
        self.passes(self.single)
        self.assertEqual(self.seen["mx1.single.example"], [b""])

    def test_not_before_the_client_said_it(self):
        """Half of the word, another word, a second recipient: the MX is asked in turn."""
        name = "mx1.slow.example"
        for more, codes in ((b"DAT", [354]), (b"NOOP\r\n", [250, 354]),
                            (b"RCPT TO:<second@slow.example>\r\n", [250, 354])):
            with self.subTest(more=more), Client(SMTP) as client:
                self.early(client, self.slow.rcpt, more)
                wait_for(lambda: self.seen.get(name), "the MX to be asked")
                client.write(b"A\r\n" if more == b"DAT" else b"DATA\r\n")
                self.assertEqual([client.read().code for _ in codes], codes)
                client.write(message() + b".\r\n")
                self.assertEqual(client.read().code, 250)
                self.assertEqual(set(self.seen.pop(name)), {b""})

    def test_data_refused(self):
        """It is the MX's word to the client's DATA, and the connection serves the next."""
        self.fails(self.no_data, ["250 2.1.5", "450 4.2.0"])
        self.fails(self.no_data, ["250 2.1.5", "550 5.7.1"])
        self.passes(self.no_data)
        self.assertEqual(len(self.no_data.mx.sessions), 1)

    def test_the_connection_is_lost_at_data(self):
        """Once more over a fresh one: nothing of the message had gone out."""
        self.passes(self.drops)
        self.assertEqual(len(self.drops.mx.sessions), 2)
        self.passes(self.ends)
        self.passes(self.ends, 2)
        self.fails(self.never, ["250 2.1.5", "451 4.4.2"])
        self.assertEqual(self.never.mx.messages, [])

    def test_rcpt_refused(self):
        self.fails(self.no_rcpt, ["550 5.1.1", "503 5.5.1"])
        self.passes(self.no_rcpt)
        self.assertEqual(len(self.no_rcpt.mx.sessions), 1)

    def test_rcpt_refused_and_data_taken(self):
        """RFC 2920 §3.1: a single dot, and no octet of the message."""
        self.fails(self.eager, ["450 4.2.0", "503 5.5.1"])
        self.fails(self.eager, ["550 5.1.1", "503 5.5.1"])
        self.passes(self.eager)
        self.assertEqual(len(self.eager.mx.sessions), 1)
        self.assertEqual([m.data for m in self.eager.mx.messages if not m.rcpts], [b"", b""])
        self.fails(self.no_dot, ["550 5.1.1", "503 5.5.1"])
        self.passes(self.no_dot)

    def test_mail_refused(self):
        with Client(SMTP) as client:
            mail, rcpt = self.early(client, self.no_mail.rcpt)
            self.assertEqual((mail.code, rcpt.status), (250, "550 5.7.1"))
            self.assertEqual(client.read().status, "503 5.5.1")
        self.passes(self.no_mail)
        self.assertEqual(len(self.no_mail.mx.sessions), 1)

    def test_mail_refused_but_not_the_rest(self):
        """A dot would be a message to somebody, which nobody sent."""
        self.fails_at_mail(self.loose)
        self.assertEqual(self.loose.mx.accepted, [])
        self.passes(self.loose)

    def fails_at_mail(self, domain):
        """RCPT has the MX's answer to MAIL."""
        with Client(SMTP) as client:
            _, rcpt = self.early(client, domain.rcpt)
            self.assertEqual(rcpt.status, "450 4.7.0")
            self.assertEqual(client.read().status, "503 5.5.1")

    def test_another_recipient_behind_a_refused_one(self):
        """Whatever DATA in vain did to the MX's transaction, the client's own goes on."""
        for domain in self.again:
            with self.subTest(domain=domain.name), Client(SMTP) as client:
                _, rcpt = self.early(client, domain.rcpt)
                self.assertEqual([rcpt.status, client.read().status], ["550 5.1.1", "503 5.5.1"])
                self.assertEqual(client.cmd(f"RCPT TO:<second@{domain.name}>").code, 250)
                self.assertEqual(client.cmd("DATA").code, 354)
                client.write(message() + b".\r\n")
                self.assertEqual(client.read().code, 250)
                self.assertEqual([m.rcpts for m in domain.mx.accepted if m.rcpts],
                                 [[f"second@{domain.name}"]])

    def test_421_is_the_end(self):
        """Nothing is waited for behind it: else this ended in the client's time-out."""
        with Client(SMTP, timeout=30) as client:
            _, rcpt = self.early(client, self.lingers.rcpt)
            self.assertEqual([rcpt.status, client.read().status], ["451 4.3.2", "503 5.5.1"])

    def test_the_mx_ends_at_rcpt(self):
        self.fails(self.bye, ["451 4.3.2", "503 5.5.1"])
        self.passes(self.bye)

    def test_the_client_goes_before_the_message(self):
        """The MX sees the connection end without a dot; the next message is in step again."""
        before = len(self.good.mx.messages)
        with Client(SMTP) as client:
            self.early(client, self.good.rcpt)
        self.assertIn("250", self.smtp(self.good.rcpt).reply.status)
        with Client(SMTP) as client:
            client.write(f"MAIL FROM:<a@front.lab>\r\nRCPT TO:<{self.slow.rcpt}>\r\n"
                         "DATA\r\n".encode())
            client.read()
        wait_for(lambda: self.slow.mx.sessions[-1].closed.is_set(), "the MX to see the end", 20)
        self.assertEqual([m for m in self.slow.mx.complete if not m.accepted], [])
        for one in self.good.mx.messages[before:]:
            self.assertEqual(one.complete, one.accepted)

    def test_lmtp(self):
        with Client(LMTP, lmtp=True) as client:
            self.early(client, self.good.rcpt)
            self.assertEqual(client.read().code, 354)
            client.write(message() + b".\r\n")
            self.assertEqual(client.read().code, 250)
            _, refused = self.early(client, self.never.rcpt)
            self.assertEqual(refused.code, 250)
            self.assertEqual(client.read().code, 354)   # what the MX says is the final reply
            client.write(message() + b".\r\n")
            self.assertEqual(client.read().status, "451 4.4.2")


if __name__ == "__main__":
    main()
