#!/usr/bin/python3
"""The SMTP listener: one recipient domain a transaction, LIMITS, STARTTLS, PROXY, reuse."""

import concurrent.futures
import contextlib
import socket
import ssl
import subprocess
import time

from lab.actions import Close, Drop, Each, Wait
from lab.case import LabCase, main
from lab.client import Client, Lost, message, send
from lab.procs import run, wait_for
from lab.sternpost import LMTP, SMTP, binary


class Transactions(LabCase):
    """Domains, recipients, pipelining."""

    @classmethod
    def publish(cls, lab):
        cls.one, cls.two = lab.domain("one.example"), lab.domain("two.example")
        cls.bad = lab.domain("bad.example", {"tlsa": "3 1 1 " + "00" * 32})
        cls.fallback = lab.domain("fallback.example", {"at": {"handshake": Drop()}})
        cls.old = lab.domain("old.example", {"cert": "old"})
        cls.slow = lab.domain("slow.example", {"at": {"rcpt": Wait(2), "data": Wait(2)}})
        cls.each = lab.domain("each.example", {"at": {"rcpt": Wait(0.03)}})
        cls.soon = lab.domain("soon.example", {"at": {"dot": Wait(0.01)}})

    def test_keywords(self):
        with Client(SMTP) as client:
            self.assertIn("edge.lab", client.greeting.text)
            for word in ("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES",
                         "XFORWARD", "LIMITS"):
                self.assertIn(word, client.keywords)
            self.assertIn("RCPTDOMAINMAX=1", client.keywords["LIMITS"])
            for word in ("STARTTLS", "DSN", "CHUNKING", "BINARYMIME", "AUTH", "VRFY", "ETRN"):
                self.assertNotIn(word, client.keywords)

    def test_second_domain(self):
        """452 for another domain than that of those accepted so far (RFC 9422)."""
        out = self.smtp(["a@one.example", "b@two.example", "c@one.example"])
        self.assertEqual([r.status for r in out.rcpts], ["250 2.1.5", "452 4.5.3", "250 2.1.5"])
        self.reply(out, "250 2.0.0")
        self.assertEqual(self.one.messages[-1].rcpts, ["a@one.example", "c@one.example"])

    def test_domain_is_that_of_the_accepted(self):
        out = self.smtp(["a@bad.example", "b@two.example", "c@one.example"])
        self.assertEqual([r.status for r in out.rcpts], ["451 4.7.5", "250 2.1.5", "452 4.5.3"])
        self.assertTrue(out.final[0].ok)

    def test_all_refused(self):
        self.refused(self.bad, self.smtp(self.bad.rcpt), "451 4.7.5")
        with Client(SMTP) as client:
            client.cmd("MAIL FROM:<a@front.lab>")
            client.cmd(f"RCPT TO:<{self.bad.rcpt}>")
            self.assertIn(client.cmd("DATA").code, (503, 554))

    def test_pipelined_to_the_end(self):
        """The whole transaction in one write; DATA's reply and what follows stay in step."""
        with Client(SMTP) as client:
            client.write(f"MAIL FROM:<a@front.lab>\r\nRCPT TO:<{self.one.rcpt}>\r\n"
                         "DATA\r\n".encode())
            self.assertEqual([client.read().code for _ in range(3)], [250, 250, 354])
            client.write(message() + b".\r\nNOOP\r\nQUIT\r\n")
            self.assertEqual([client.read().code for _ in range(3)], [250, 250, 221])

    def test_a_slow_mx_keeps_no_other_reply_back(self):
        """RFC 2920 §3.2: replies go together, but not at the cost of the client's patience."""
        with Client(SMTP) as client:
            client.write(f"MAIL FROM:<a@front.lab>\r\nRCPT TO:<{self.slow.rcpt}>\r\n"
                         "DATA\r\n".encode())
            for code in (250, 250, 354):
                self.assertEqual(client.read().code, code)
                self.assertEqual(client.buffer, b"")    # the next one takes two seconds
            client.write(message() + b".\r\n")
            self.assertEqual(client.read().code, 250)

    def test_many_recipients_of_a_slow_mx(self):
        """What is held is held for all waits together, not for each of them."""
        with Client(SMTP) as client:
            rcpts = "".join(f"RCPT TO:<r{n}@each.example>\r\n" for n in range(40))
            client.write(f"MAIL FROM:<a@front.lab>\r\n{rcpts}NOOP\r\n".encode())
            self.assertEqual(client.read().code, 250)       # The last one takes over a second.
            self.assertLess(client.buffer.count(b"\n"), 40)
            for _ in range(41):
                self.assertEqual(client.read().code, 250)

    def test_a_client_that_went_behind_the_dot_of_a_fast_mx(self):
        """The MX has the message and the client does not know: uncertain, however soon it was."""
        for lmtp in (False, True):
            with self.subTest(lmtp=lmtp):
                self.soon.mx.forget()
                with Client(LMTP if lmtp else SMTP, lmtp=lmtp) as client:
                    client.cmd("MAIL FROM:<a@front.lab>")
                    rcpt = client.cmd(f"RCPT TO:<{self.soon.rcpt}>")
                    self.assertEqual(rcpt.code, 250)
                    client.cmd("DATA")
                    client.write(message() + b".\r\n")
                wait_for(lambda: self.soon.messages, "the message at the MX")
                want = ["delivered", "uncertain"] * (1 + lmtp)
                wait_for(lambda: [r["verdict"] for r in self.sternpost.records(
                    domain="soon.example", event="delivery")] == want, f"{want} in the log")

    def test_tls_failure_falls_back_in_the_same_transaction(self):
        """Nothing published: broken TLS means cleartext, at once; an old certificate does not."""
        self.delivered(self.fallback, self.smtp(self.fallback.rcpt), tls=False)
        self.delivered(self.old, self.smtp(self.old.rcpt), tls=True)

    def test_swaks(self):
        done = subprocess.run(["swaks", "--server", "127.0.0.1:10025", "--from", "a@front.lab",
                               "--to", "swaks@two.example", "--helo", "front.lab", "--hide-all"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("swaks@two.example", self.two.messages[-1].rcpts)


class OneConnection(LabCase):
    """max_connections_per_mx = 1."""

    config = {"server": {"threads": 1, "drain": "1s"}, "outbound": {"max_connections_per_mx": 1}}

    @classmethod
    def publish(cls, lab):
        cls.plain = lab.domain("plain.example", {"name": "mx.shared.example"})
        cls.strict = lab.domain("strict.example", [], extra=["@ MX 10 mx.shared.example."],
                                sts={"mx": ["mx.shared.example"]})
        cls.one_each = lab.domain("single.example", {"at": {
            "mail": lambda session, _: Close("421 4.3.2 one a day") if session.messages else None}})
        cls.leaves = lab.domain("leaves.example", {"at": {"dot": Close("250 2.0.0 taken, bye")}})
        cls.refuses = lab.domain("no.example", {"at": {"mail": "550 5.7.1 not you"}})

    def test_an_idle_connection_gives_way(self):
        """One that waits for mail under other terms does not keep this mail out."""
        self.reply(self.smtp(self.plain.rcpt), "250 2.0.0")
        self.reply(self.smtp(self.strict.rcpt), "250 2.0.0")

    def test_who_waits_for_a_place_has_the_connection_that_gets_free(self):
        with Client(SMTP) as first, Client(SMTP) as second:
            self.assertTrue(first.transaction("a@front.lab", [self.plain.rcpt], message())
                            .reply.ok)
            before = len(self.plain.mx.sessions)
            for code, line in ((250, "MAIL FROM:<a@front.lab>"),
                               (250, f"RCPT TO:<{self.plain.rcpt}>"), (354, "DATA")):
                self.assertEqual(first.cmd(line).code, code)
            second.cmd("MAIL FROM:<b@front.lab>")
            second.write(f"RCPT TO:<{self.plain.rcpt}>\r\n".encode())  # Its host is in use.
            time.sleep(0.3)
            first.write(message() + b".\r\n")
            self.assertEqual(first.read().code, 250)
            self.assertEqual(second.read().code, 250)
            self.assertEqual(len(self.plain.mx.sessions), before)

    def hold(self, client, sender="a@front.lab"):
        """The only connection to the MX is busy with this client's message."""
        for code, line in ((250, f"MAIL FROM:<{sender}>"),
                           (250, f"RCPT TO:<{self.plain.rcpt}>"), (354, "DATA")):
            self.assertEqual(client.cmd(line).code, code)

    def stand_in_line(self, client, sender):
        self.assertEqual(client.cmd(f"MAIL FROM:<{sender}>").code, 250)
        client.write(f"RCPT TO:<{self.plain.rcpt}>\r\n".encode())

    def test_who_hangs_up_in_line_is_passed_over(self):
        with Client(SMTP) as first, Client(SMTP) as third:
            self.hold(first)
            with Client(SMTP) as second:
                self.stand_in_line(second, "gone@front.lab")
                time.sleep(0.3)
                self.stand_in_line(third, "stays@front.lab")
            time.sleep(0.3)
            first.write(message() + b".\r\n")
            self.assertEqual(first.read().code, 250)
            self.assertEqual(third.read().code, 250)
            asked = str([session.commands for session in self.plain.mx.sessions])
            self.assertIn("stays@front.lab", asked)
            self.assertNotIn("gone@front.lab", asked)

    def test_in_line_at_an_mx_that_takes_one_message_a_connection(self):
        """Whoever is handed a connection that is dead, or of no use any more, has its turn."""
        for domain in (self.one_each, self.leaves):
            with concurrent.futures.ThreadPoolExecutor(8) as crowd:
                replies = list(crowd.map(lambda _, to=domain.rcpt: self.smtp(to), range(24)))
            for reply in replies:
                self.reply(reply, "250 2.0.0")
            self.assertEqual(len(domain.mx.messages), 24)

    def test_a_reload_while_one_waits(self):
        """What was used under the old configuration ends, and its place is the next one's."""
        with Client(SMTP) as first, Client(SMTP) as second:
            self.hold(first)
            before = len(self.plain.mx.sessions)
            self.stand_in_line(second, "b@front.lab")
            time.sleep(0.3)
            self.sternpost.reload()
            first.write(message() + b".\r\n")
            self.assertEqual(first.read().code, 250)
            self.assertEqual(second.read().code, 250)
            self.assertEqual(len(self.plain.mx.sessions), before + 1)

    def test_the_end_while_some_wait(self):
        """Nobody waits on, nothing is left behind (AddressSanitizer would tell)."""
        with Client(SMTP) as first, contextlib.ExitStack() as line:
            self.hold(first)
            for n in range(5):
                client = line.enter_context(Client(SMTP))
                self.stand_in_line(client, f"w{n}@front.lab")
            time.sleep(0.3)
            self.assertEqual(self.sternpost.stop(), 0)
        # Called off, and not at the end of their wait.
        reasons = [str(record["reason"]) for record in self.sternpost.records(event="delivery")]
        self.assertFalse([r for r in reasons if "are in use" in r], reasons)
        self.assertEqual(len([r for r in reasons if "before its turn came" in r]), 5, reasons)
        self.sternpost.start()
        self.reply(self.smtp(self.plain.rcpt), "250 2.0.0")

    def test_the_log_says_who_refused(self):
        self.reply(self.smtp(self.refuses.rcpt), "550 5.7.1", "not you")
        record = self.last(self.refuses)
        self.assertEqual(record["verdict"], "rejected")
        self.assertEqual(record["ip"], self.refuses.mx.address)
        self.assertIsNone(record["reason"])


class OnePlaceForTwoThreads(LabCase):
    """The only connection to an MX that it may have rests with one thread, and is kept long."""

    config = {"server": {"threads": 2},
              "outbound": {"max_connections_per_mx": 1, "idle_keepalive": "10m"}}

    @classmethod
    def publish(cls, lab):
        cls.plain = lab.domain("plain.example", {})

    def test_one_after_the_other(self):
        for _ in range(8):
            self.reply(self.smtp(self.plain.rcpt), "250 2.0.0")

    def test_all_at_once(self):
        with concurrent.futures.ThreadPoolExecutor(12) as crowd:
            for reply in crowd.map(lambda _: self.smtp(self.plain.rcpt), range(36)):
                self.reply(reply, "250 2.0.0")


class OwnMx(LabCase):
    """This machine is itself an MX host: only better ones may have the mail (RFC 5321 §5.1)."""

    name, address = "mx2.backup.example", "198.18.7.1"
    config = {"server": {"hostname": name},
              "outbound": {"private_destinations": ["127.0.0.0/8", "198.18.0.0/15"]}}

    @classmethod
    def publish(cls, lab):
        run("ip", "link", "add", "own0", "type", "veth", "peer", "name", "own1")
        run("ip", "addr", "add", f"{cls.address}/32", "dev", "own0")
        own = {"addresses": [cls.address], "listen": False}
        cls.backup = lab.domain("backup.example", [{"preference": 10}, {}, {"preference": 30}])
        cls.down = lab.domain("down.example", [{"listen": False}, {"preference": 30}],
                              extra=[f"@ MX 20 {cls.name}."])
        cls.best = lab.domain("best.example", {"preference": 30}, extra=[f"@ MX 20 {cls.name}."])
        cls.mapped = lab.domain("mapped.example", [{}, {**own, "preference": 20},
                                                   {"preference": 20}])
        cls.itself = lab.domain("itself.example", [{**own, "preference": 10}, {"preference": 10}])
        cls.nowhere = lab.domain("nowhere.example", [{"no_address": True, "listen": False}],
                                 extra=[f"@ MX 20 {cls.name}."])

    def test_the_better_host_has_it(self):
        self.delivered(self.backup, self.smtp(self.backup.rcpt))
        self.assertEqual(len(self.backup.hosts[0].messages), 1)
        self.delivered(self.mapped, self.smtp(self.mapped.rcpt))
        self.assertEqual(len(self.mapped.hosts[0].messages), 1)

    def test_the_better_host_is_down(self):
        """Neither this machine nor a worse host is asked."""
        self.refused(self.down, self.smtp(self.down.rcpt), "451 4.4.1", "mx1.down.example")
        self.assertEqual(self.down.mx.sessions, [])

    def test_the_best_host_by_name(self):
        self.refused(self.best, self.smtp(self.best.rcpt), "451 4.4.4", "machine itself, " +
                     self.name)
        self.assertEqual(self.best.mx.sessions, [])

    def test_the_best_host_by_address(self):
        """Nor is an equal host asked, whichever comes first by chance."""
        for _ in range(4):
            self.refused(self.itself, self.smtp(self.itself.rcpt), "451 4.4.4", "machine itself")
        self.assertEqual(self.itself.mx.sessions, [])

    def test_a_better_host_without_address_is_no_reason_to_bounce(self):
        got = self.smtp(self.nowhere.rcpt).reply
        self.assertEqual(got.code, 451, str(got))


class Reuse(LabCase):
    """MX connections are kept for `idle_keepalive` and used again under the same terms."""

    config = {"server": {"threads": 1}}         # each thread keeps connections of its own

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example", {"tlsa": "3 1 1"})
        cls.shared = [lab.domain(f"s{n}.example", {"name": "mx.shared.example"} if n == 0 else [],
                                 extra=[] if n == 0 else ["@ MX 10 mx.shared.example."])
                      for n in range(2)]
        cls.strict = lab.domain("strict.example", [], extra=["@ MX 10 mx.shared.example."],
                                sts={"mx": ["mx.shared.example"]})
        cls.limited = lab.domain("limited.example")
        cls.trusted = lab.domain("trusted.example", sts={"mx": ["mx1.trusted.example"]})
        cls.wrong = [lab.domain(f"w{n}.example",
                                {"name": "mx.wrong.example", "tlsa": "3 1 1 " + "00" * 32}
                                if n == 0 else [],
                                extra=[] if n == 0 else ["@ MX 10 mx.wrong.example."])
                     for n in range(2)]
        cls.hosted = [lab.domain(f"h{n}.example",
                                 {"name": "mx.host.example", "tlsa": "3 1 1"} if n == 0 else [],
                                 extra=[] if n == 0 else ["@ MX 10 mx.host.example."])
                      for n in range(3)]

    def test_dane_ee_shares_among_the_domains_of_a_host(self):
        """RFC 7672 §3.1.1: no name is looked at, so that a host shows the same to each domain."""
        for domain in self.hosted:
            self.reply(self.smtp(domain.rcpt), "250 2.0.0")
            line = self.last(domain)
            self.assertEqual((line["domain"], line["protection"], line["peer_auth"]),
                             (domain.name, "authenticated", "dane-ee"))
            self.assertEqual(line["reused"], domain is not self.hosted[0])
        self.assertEqual(len(self.hosted[0].mx.sessions), 1)

    def test_one_connection_for_two_messages(self):
        for n in range(3):
            self.reply(self.smtp(self.domain.rcpt, message(f"n{n}")), "250 2.0.0")
        self.assertEqual(len(self.domain.mx.sessions), 1)
        self.assertEqual([r["reused"] for r in
                          self.sternpost.wait_records(3, domain="d.example", event="delivery")],
                         [False, True, True])

    def test_stale_connection_is_replaced_in_silence(self):
        self.reply(self.smtp(self.domain.rcpt), "250 2.0.0")
        self.lab.farm.cut(self.domain.mx)
        self.reply(self.smtp(self.domain.rcpt), "250 2.0.0")

    def test_first_command_refused_on_a_reused_connection(self):
        self.limited.mx.at = {"mail": Each(None, "421 4.7.0 too many messages", None)}
        self.reply(self.smtp(self.limited.rcpt), "250 2.0.0")
        self.reply(self.smtp(self.limited.rcpt), "250 2.0.0")

    def test_not_for_another_configuration(self):
        """What an MX proved to the CAs of before is nothing to those of now."""
        self.reply(self.smtp(self.trusted.rcpt), "250 2.0.0")
        before = self.sternpost.config["tls"]
        self.addCleanup(self.sternpost.reload)
        self.addCleanup(self.sternpost.configure, {"tls": before})
        with Client(SMTP) as client:
            for line in ("MAIL FROM:<a@front.lab>", f"RCPT TO:<{self.trusted.rcpt}>", "DATA"):
                self.assertLess(client.cmd(line).code, 400)
            self.sternpost.configure({"tls": {"ca_file": self.lab.pki.stranger.cert.alone}})
            self.sternpost.reload()
            client.write(message() + b".\r\n")
            self.assertEqual(client.read().code, 250)
        self.reply(self.smtp(self.trusted.rcpt), "451 4.7.5", "certificate")

    def test_a_refusal_names_the_domain_itself(self):
        """Domains at one host, whose records do not fit: each has its own words and session."""
        for domain in self.wrong:
            got = self.smtp(domain.rcpt).reply
            self.assertEqual(got.status, "451 4.7.5", str(got))
            self.assertEqual(self.record(got, "session")["domain"], domain.name)

    def test_not_for_a_stricter_policy(self):
        """A connection made without a policy is not used for mail that has one."""
        host = self.shared[0].mx
        self.reply(self.smtp(self.shared[0].rcpt), "250 2.0.0")
        before = len(host.sessions)
        self.reply(self.smtp(self.strict.rcpt), "250 2.0.0")
        self.assertGreater(len(host.sessions), before)
        self.assertEqual(self.last(self.strict)["protection"], "authenticated")

    def test_resumption(self):
        self.reply(self.smtp(self.domain.rcpt), "250 2.0.0")
        count = len(self.domain.mx.sessions)
        wait_for(lambda: self.domain.mx.sessions[-1].closed.is_set(), "the idle connection to end",
                 15)
        self.reply(self.smtp(self.domain.rcpt), "250 2.0.0")
        self.assertEqual(len(self.domain.mx.sessions), count + 1)
        self.assertTrue(self.domain.mx.sessions[-1].resumed)
        self.assertTrue(self.last(self.domain)["resumed"])


class Tls(LabCase):
    """STARTTLS towards the MTA, and client certificates."""

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example")
        cls.cert = lab.pki.ca.issue("edge.lab")
        cls.config = {"listen": [
            {"protocol": "smtp", "address": SMTP, "tls_certificate": cls.cert.pem,
             "tls_key": cls.cert.key},
            {"protocol": "lmtp", "address": LMTP, "tls_certificate": cls.cert.pem,
             "tls_key": cls.cert.key, "client_ca": lab.pki.ca_file}]}

    def context(self, cert=None):
        """A verifying client context, with a certificate of its own if given."""
        context = ssl.create_default_context(cafile=self.lab.pki.ca_file)
        context.check_hostname = False
        if cert:
            context.load_cert_chain(cert.pem, cert.key)
        return context

    def test_starttls(self):
        with Client(SMTP) as client:
            self.assertIn("STARTTLS", client.keywords)
            self.assertTrue(client.starttls(self.context()).ok)
            self.assertNotIn("STARTTLS", client.keywords)
            out = client.transaction("a@front.lab", [self.domain.rcpt], message())
            self.assertTrue(out.reply.ok, out)

    def test_injection(self):
        """Octets behind STARTTLS are not obeyed inside TLS."""
        with Client(SMTP) as client:
            client.write(b"STARTTLS\r\nMAIL FROM:<evil@x.lab>\r\n")
            first = client.read()
            if first.code == 220:
                client.sock = self.context().wrap_socket(client.sock)
                self.assertEqual(client.cmd("NOOP").code, 250)

    def test_client_certificate(self):
        with Client(LMTP, lmtp=True) as client:
            client.starttls(self.context(self.lab.pki.ca.issue("front.lab")))
            out = client.transaction("a@front.lab", [self.domain.rcpt], message())
            self.assertTrue(out.reply.ok, out)
        before = len(self.domain.messages)
        try:
            with Client(LMTP, lmtp=True) as client:
                client.starttls(self.context())
                out = client.transaction("a@front.lab", [self.domain.rcpt], message())
                self.assertFalse(out.reply and out.reply.ok, out)
        except (OSError, Lost):
            pass                         # TLS 1.3 tells the missing certificate at the first read
        self.assertEqual(len(self.domain.messages), before)


class Proxy(LabCase):
    """PROXY v1 and v2; `clients` holds for the address inside."""

    config = {"listen": [{"protocol": "smtp", "address": SMTP, "clients": ["192.0.2.0/24"],
                          "proxy_clients": ["127.0.0.1/32"]}]}

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example")

    def talk(self, header):
        """RCPT's reply after a header; None when the connection ended before."""
        sock = socket.create_connection(("127.0.0.1", 10025), 20)
        client = Client.__new__(Client)
        client.lmtp, client.helo, client.sock, client.buffer = False, "front.lab", sock, b""
        client.keywords = {}
        with client:
            client.write(header)
            try:
                client.read()
                client.hello()
                client.cmd("MAIL FROM:<a@front.lab>")
                return client.cmd(f"RCPT TO:<{self.domain.rcpt}>")
            except (OSError, Lost, ValueError):
                return None

    def test_version_1(self):
        self.assertTrue(self.talk(b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 25\r\n").ok)
        got = self.talk(b"PROXY TCP4 198.51.100.7 192.0.2.1 1 25\r\n")
        self.assertEqual(got.status, "451 4.7.1")
        got = self.talk(b"PROXY UNKNOWN\r\n")
        self.assertFalse(got and got.ok)

    def test_version_2(self):
        head = b"\r\n\r\n\x00\r\nQUIT\n"
        inside = bytes([192, 0, 2, 7, 192, 0, 2, 1, 4, 210, 0, 25])
        self.assertTrue(self.talk(head + b"\x21\x11\x00\x0c" + inside).ok)
        local = self.talk(head + b"\x20\x00\x00\x00")
        self.assertFalse(local and local.ok)

    def test_none(self):
        got = self.talk(b"EHLO x.lab\r\n")
        self.assertFalse(got and got.ok)


class Process(LabCase):
    """Reload, drain, mistakes in the configuration."""

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example")

    def test_reload(self):
        self.sternpost.configure({"server": {"hostname": "other.lab"}})
        self.sternpost.reload()
        with Client(SMTP) as client:
            self.assertIn("other.lab", client.greeting.text)
        with open(self.sternpost.config_file, "a", encoding="utf-8") as file:
            file.write("\n[outbund]\nport = 25\n")
        before = len(self.sternpost.log)
        self.sternpost.daemon.signal(1)
        wait_for(lambda: "outbund" in self.sternpost.log[before:], "the mistake in the log")
        with Client(SMTP) as client:
            self.assertIn("other.lab", client.greeting.text)
        self.reply(self.smtp(self.domain.rcpt), "250 2.0.0")
        self.sternpost.configure({"server": {"hostname": "edge.lab"}})
        self.sternpost.reload()

    def test_config_check(self):
        status, out, err = self.sternpost.run("config", "check")
        self.assertEqual(status, 0, out + err)
        path = self.sternpost.path("wrong.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write('[[listen]]\nprotocol = "smpt"\naddress = "127.0.0.1:1"\n\n'
                       '[outbound]\nconect_timeout = "1s"\nstall = "soon"\n')
        done = subprocess.run([binary(), "config", "check", "-c", path], capture_output=True,
                              text=True, check=False)
        text = done.stdout + done.stderr
        self.assertEqual(done.returncode, 78, text)
        for want in (rf"{path}:2:\d+: error:", rf"{path}:6:\d+: error:.*connect_timeout",
                     rf"{path}:7:\d+: error:"):
            self.assertRegex(text, want)

    def test_drain(self):
        """SIGTERM: what is inside its data is finished, new sessions are not taken."""
        with Client(SMTP) as client:
            client.cmd("MAIL FROM:<a@front.lab>")
            client.cmd(f"RCPT TO:<{self.domain.rcpt}>")
            self.assertEqual(client.cmd("DATA").code, 354)
            client.write(message())
            self.sternpost.term()
            wait_for(lambda: _refused(SMTP), "the listener to close")
            client.write(b".\r\n")
            self.assertTrue(client.read().ok)
        self.assertEqual(self.sternpost.daemon.wait(20), 0)
        self.sternpost.start()
        self.reply(send(SMTP, "a@front.lab", [self.domain.rcpt]), "250 2.0.0")


def _refused(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
        return False
    except OSError:
        return True


if __name__ == "__main__":
    main()
