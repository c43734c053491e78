#!/usr/bin/python3
"""The policy map: what postmap -q is told, and what a real Postfix that follows it delivers,
keeps, and says why."""

import contextlib
import datetime
import json
import socket
import subprocess
import time

from lab import snippet
from lab.case import LabCase, main
from lab.client import message
from lab.postfix import Postfix
from lab.procs import wait_for
from lab.resolver import Resolver

MAP = ("127.0.0.1", 8461)
TABLE = "socketmap:inet:127.0.0.1:8461:QUERY"
WRONG = "3 1 1 " + "00" * 32


def netstring(text):
    """One question or answer as it goes over the wire."""
    octets = text.encode()
    return b"%d:%s," % (len(octets), octets)


class Client:
    """A client of the protocol, octet by octet."""

    def __init__(self, address=MAP):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(address)
        self.got = b""

    def send(self, octets):
        """Raw octets."""
        self.sock.sendall(octets)

    def read(self):
        """The next answer; None at the end of the connection."""
        while True:
            head, colon, rest = self.got.partition(b":")
            if colon and len(rest) > int(head):
                answer, self.got = rest[:int(head)], rest[int(head) + 1:]
                return answer.decode()
            more = self.sock.recv(65536)
            if not more:
                return None
            self.got += more

    def ask(self, key, table="QUERY"):
        """The answer to one question."""
        self.send(netstring(f"{table} {key}"))
        return self.read()

    def close(self):
        """Ends the connection."""
        self.sock.close()


def ask(key, table="QUERY"):
    """One question on a connection of its own."""
    with contextlib.closing(Client()) as client:
        return client.ask(key, table)


def postmap(key, table=TABLE):
    """postmap -q: (status, what it printed, what it complained of)."""
    done = subprocess.run(["postmap", "-q", key, table], check=False, capture_output=True,
                          text=True, timeout=60)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def main_cf():
    """What snippet prints for main.cf."""
    printed = snippet.usual("postfix", "--version", "3.7", "--via", "map")
    return snippet.main_cf(printed["/etc/postfix/main.cf"])


class MapFront(Postfix):
    """Postfix that delivers to MX hosts itself, by the levels of the map."""

    def __init__(self, directory, **settings):
        super().__init__(directory, "front.lab", ["127.0.0.31"], {
            "smtpd_relay_restrictions": "permit_mynetworks,reject", "smtp_tls_loglevel": "1",
            "smtp_connect_timeout": "3s", "smtp_address_preference": "ipv4",
            "lmtp_tls_security_level": "none", **main_cf(), **settings})

    def submit(self, rcpt, sender="a@front.lab"):
        """Hands a message in; waits for what became of it: (dsn, status, text)."""
        from lab.client import send
        count = len(self.log_of(rcpt))
        send("127.0.0.31:25", sender, rcpt, message("map"))
        return self.wait_logged(rcpt, count + 1)[-1]


class Map(LabCase):
    """One lab for all that is asked and delivered."""

    config = {"socketmap": {"listen": "127.0.0.1:8461", "sendmail_listen": "127.0.0.1:5461"}}

    @classmethod
    def publish(cls, lab):
        def domain(name, *args, **options):
            return lab.domain(name, *args, **options)
        cls.plain = domain("plain.example", signing=None)
        cls.testing = domain("testing.example", signing=None, sts="testing")
        cls.sts = domain("sts.example", signing=None, sts="enforce")
        cls.wide = domain("wide.example", {"name": "mx.wide.example"}, signing=None,
                          sts={"mx": ["*.wide.example", "mx.elsewhere.example"]})
        cls.dane = domain("dane.example", {"tlsa": "3 1 1"})
        cls.both = domain("both.example", {"tlsa": "3 1 1"}, sts="enforce")
        cls.null = domain("null.example", [], extra=["@ MX 0 ."])
        cls.bad_cert = domain("badcert.example", {"cert": "self"}, signing=None,
                              sts="enforce")
        cls.bad_name = domain("badname.example", {"name": "mx.badname.example",
                                                  "cert": "wrong"}, signing=None,
                              sts="enforce")
        cls.stripped = domain("stripped.example", {"starttls": False}, signing=None, sts="enforce")
        cls.unlisted = domain("unlisted.example", signing=None, sts={"mx": ["mx.other.example"]})
        cls.mismatch = domain("mismatch.example", {"tlsa": WRONG})
        cls.mismatch_sts = domain("mismatchsts.example", {"tlsa": WRONG}, sts="enforce")
        cls.excepted = domain("excepted.example", {"cert": "self"}, signing=None,
                              sts="enforce")
        cls.partner = domain("partner.example", signing=None)
        cls.must = domain("must.example", {"tlsa": "3 1 1"})
        cls.mustnot = domain("mustnot.example")
        cls.late = domain("late.example", signing=None, sts={"bad": "silent"})
        cls.changing = domain("changing.example", signing=None, sts="enforce")
        cls.config = {**cls.config, "policy": {
            "rule": [{"domains": ["partner.example"], "require": "encrypted"},
                     {"domains": ["must.example", "mustnot.example"], "require": "dane"}],
            "exception": [{"domains": ["excepted.example"], "allow": "opportunistic",
                           "until": datetime.date.today() + datetime.timedelta(days=60),
                           "owner": "o@front.lab", "reason": "ticket 1"}]}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab.add(Resolver(cls.lab.path("resolver"), cls.lab.dns))
        cls.front = cls.lab.add(MapFront(cls.lab.path("front"),
                                         smtp_tls_CAfile=cls.lab.pki.ca_file))

    # -- postmap -------------------------------------------------------------------------------

    def test_postmap(self):
        for key, answer in (("sts.example", f"secure match={self.sts.names[0]} "
                             "servername=hostname"),
                            ("wide.example", "secure match=.wide.example:mx.elsewhere.example "
                             "servername=hostname"),
                            ("dane.example", "dane"), ("both.example", "dane"),
                            ("excepted.example", "may"), ("partner.example", "encrypt"),
                            ("must.example", "dane-only"),
                            ("sts.example:25", f"secure match={self.sts.names[0]} "
                             "servername=hostname"),
                            ("DANE.Example", "dane")):
            self.assertEqual(postmap(key), (0, answer, ""), key)
        for key in ("plain.example", "testing.example", "null.example", "nxdomain.example",
                    ".sts.example", ".example", "[sts.example]", "[sts.example]:25", "[127.0.0.1]",
                    "192.0.2.1", "x y", "a@sts.example"):
            self.assertEqual(postmap(key), (1, "", ""), key)
        for key in ("unlisted.example", "mustnot.example"):
            status, out, err = postmap(key)
            self.assertEqual((status, out), (1, ""), key)
            self.assertIn("temporary error", err, key)

    def test_with_tlsrpt(self):
        got = ask("sts.example", "QUERYwithTLSRPT")
        mx = self.sts.names[0]
        self.assertEqual(got, f"OK secure match={mx} servername=hostname policy_type=sts "
                         f"policy_domain=sts.example mx_host_pattern={mx} "
                         "{ policy_string = version: STSv1 } { policy_string = mode: enforce } "
                         f"{{ policy_string = mx: {mx} }} {{ policy_string = max_age: 86400 }}")
        self.assertEqual(ask("dane.example", "QUERYwithTLSRPT"), "OK dane")

    # -- deliveries ----------------------------------------------------------------------------

    def sent(self, domain, *words):
        dsn, status, text = self.front.submit(domain.rcpt)
        self.assertEqual((dsn[0], status), ("2", "sent"), text)
        self.assertEqual(len(domain.messages), 1)
        for word in words:
            self.assertIn(word, self.front.maillog)
        return domain.messages[0]

    def kept(self, domain, *words):
        dsn, status, text = self.front.submit(domain.rcpt)
        self.assertEqual((dsn[0], status), ("4", "deferred"), text)
        self.assertEqual(domain.messages, [])
        for word in words:
            self.assertIn(word, text)

    def test_good_hosts_get_their_mail(self):
        for domain, level in ((self.sts, "Verified"), (self.wide, "Verified"),
                              (self.dane, "Verified"), (self.both, "Verified"),
                              (self.must, "Verified")):
            with self.subTest(domain.name):
                got = self.sent(domain, f"{level} TLS connection established to "
                                f"{domain.names[0]}[")
                self.assertIsNotNone(got.tls)
        self.assertIsNotNone(self.sent(self.plain).tls)
        self.assertIsNotNone(self.sent(self.partner).tls)
        self.assertIsNotNone(self.sent(self.testing).tls)

    def test_exception(self):
        self.sent(self.excepted)
        seen = self.sternpost.wait_records(event="exception", domain="excepted.example")
        self.assertIn("ticket 1", seen[0]["reason"])

    def test_wrong_certificate_under_an_enforce_policy(self):
        self.kept(self.bad_cert, "not verified")
        self.kept(self.bad_name, "not verified")
        self.kept(self.stripped, "TLS is required, but was not offered")

    def test_host_that_the_policy_does_not_list(self):
        self.kept(self.unlisted, "TLS configuration problem")
        self.assertIn("does not list mx1.unlisted.example", self.sternpost.log)

    def test_dane_mismatch(self):
        self.kept(self.mismatch, "not verified")
        # A certificate that the policy would take does not rescue it.
        self.kept(self.mismatch_sts, "not verified")

    def test_rule_that_cannot_be_met(self):
        self.kept(self.mustnot, "TLS configuration problem")

    def test_policy_host_that_is_silent_makes_mail_wait(self):
        begun = time.monotonic()
        answer = ask("late.example")
        self.assertLess(time.monotonic() - begun, 18)
        self.assertTrue(answer.startswith("TEMP "), answer)
        self.assertIn("not fetched yet", answer)

    # -- the protocol --------------------------------------------------------------------------

    def test_pipelined_and_in_order(self):
        keys = ["sts.example", "plain.example", "dane.example", "[x]", ".example"] * 200
        with contextlib.closing(Client()) as client:
            client.send(b"".join(netstring(f"QUERY {key}") for key in keys))
            wanted = {"sts.example": "OK secure", "dane.example": "OK dane"}
            for key in keys:
                self.assertTrue(client.read().startswith(wanted.get(key, "NOTFOUND ")), key)

    def test_octet_by_octet(self):
        with contextlib.closing(Client()) as client:
            for octet in netstring("QUERY dane.example"):
                client.send(bytes([octet]))
                time.sleep(0.002)
            self.assertEqual(client.read(), "OK dane")

    def test_wrong_questions(self):
        self.assertTrue(ask("dane.example", "other").startswith("PERM "))
        self.assertTrue(ask("dane.example", "sts").startswith("PERM "))
        for octets in (b"99999:QUERY", b"05:QUERY", b"EHLO x\r\n", b"5:QUERY;",
                       b"18446744073709551616:"):
            with contextlib.closing(Client()) as client:
                client.send(netstring("QUERY dane.example") + octets)
                self.assertEqual(client.read(), "OK dane")
                self.assertTrue(client.read().startswith("PERM "), octets)
                self.assertIsNone(client.read())

    def test_slow_reader_is_cut(self):
        client = Client()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sock.settimeout(1)
        batch = b"".join(netstring("QUERYwithTLSRPT sts.example") for _ in range(500))
        client.send(netstring("QUERY sts.example"))
        client.read()
        begun = time.monotonic()
        with self.assertRaises((ConnectionError, BrokenPipeError)):
            while time.monotonic() - begun < 40:
                with contextlib.suppress(TimeoutError):
                    client.sock.sendall(batch)
        self.assertEqual(ask("dane.example"), "OK dane")
        client.close()

    def test_many_clients(self):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(contextlib.closing(Client())) for _ in range(300)]
            for client in clients:
                client.send(netstring("QUERY dane.example"))
            for client in clients:
                self.assertEqual(client.read(), "OK dane")

    def command(self, **request):
        """The control socket's answer."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as control:
            control.connect(self.sternpost.config["server"]["control"])
            control.sendall(json.dumps(request).encode() + b"\n")
            return control.makefile().readline()

    def test_status_tells_the_listeners(self):
        got = self.command(command="status")
        self.assertIn("127.0.0.1:8461", got)
        self.assertIn("socketmap for Sendmail", got)

    def test_purge_and_refresh_are_seen_at_once(self):
        mx = self.changing.names[0]
        self.assertEqual(ask("changing.example"), f"OK secure match={mx} servername=hostname")
        self.lab.sts(self.changing, "testing", id="2")
        self.lab.republish(self.changing)
        self.assertEqual(ask("changing.example"), f"OK secure match={mx} servername=hostname")
        self.assertIn("testing", self.command(command="policy refresh",
                                              domain="changing.example"))
        wait_for(lambda: ask("changing.example") == "NOTFOUND ", "the new policy's answer", 2)


class Gone(LabCase):
    """Nobody answers where the map should be."""

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"})

    def test_mail_waits(self):
        self.lab.add(Resolver(self.lab.path("resolver"), self.lab.dns))
        front = self.lab.add(MapFront(self.lab.path("front"), smtp_tls_CAfile=self.lab.pki.ca_file))
        dsn, status, text = front.submit(self.good.rcpt)
        self.assertEqual((dsn, status), ("4.7.5", "deferred"), text)
        self.assertEqual(self.good.messages, [])


class Unix(LabCase):
    """A Unix socket, a configuration that changes, a default of the operator's."""

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example")
        cls.config = {"socketmap": {"listen": f"unix:{lab.path('map.sock')}"},
                      "policy": {"default": "encrypted"}}

    def test_reload_changes_the_answers(self):
        path = self.lab.path("map.sock")
        with contextlib.closing(Client(path)) as client:
            self.assertEqual(client.ask("good.example"), "OK encrypt")
            self.sternpost.configure({"policy": {"default": "verified"},
                                      "socketmap": {"listen": "127.0.0.1:8462"}})
            self.sternpost.reload()
            self.assertEqual(client.ask("good.example"),
                             "OK verify match=hostname servername=hostname")
            self.assertIn("changes only at a restart: socketmap.listen", self.sternpost.log)
            self.sternpost.configure({"policy": {"default": "opportunistic"},
                                      "socketmap": {"listen": f"unix:{path}"}})
            self.sternpost.reload()
            self.assertEqual(client.ask("good.example"), "NOTFOUND ")


if __name__ == "__main__":
    main()
