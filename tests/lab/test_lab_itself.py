#!/usr/bin/python3
"""The lab's own parts, without the program under test: a lab that lies makes tests worthless."""

import http.client
import socket
import ssl
import subprocess

from lab import https
from lab.actions import BodyDrop, Close, Drop, Each, Reset, Wait
from lab.case import LabCase, main
from lab.client import Client, Lost, message, send
from lab.clock import Clock
from lab.collector import Collector
from lab.exim import EximFront, EximMx
from lab.pki import tlsa
from lab.postfix import PostfixFront, PostfixMx
from lab.procs import run, wait_for
from lab.receiver import NGINX, SCRIPTED, NginxReceiver, Receiver
from lab.resolver import Resolver
from lab.sternpost import LMTP


class Names(LabCase):
    """DNS: each state of DNSSEC, seen by a validating resolver."""

    begins = False

    @classmethod
    def publish(cls, lab):
        lab.domain("sec.example")
        lab.domain("sec3.net", signing="nsec3")
        lab.domain("plain.example", signing=None)
        for state in ("bogus", "expired", "future", "unsigned", "wrong-ds"):
            lab.domain(f"{state}.example", signing=state)
        lab.domain("part.example", corrupt={("mx1.part.example", "A")})
        lab.domain("lame.example", extra=["_tcp.mx1 NS ns.broken.lab."])
        lab.domain("xn--bcher-kva.example", extra=["* A 127.9.9.9"])
        lab.domain("alias.example", mx=[], extra=["www CNAME mx1.sec.example.",
                                                  "out CNAME mx1.plain.example."])

    def host(self, kind, name):
        """What unbound-host says."""
        conf = getattr(self, "_conf", None) or self.lab.dns.unbound_config()
        return subprocess.run(["unbound-host", "-v", "-f", self.lab.dns.trust_anchor, "-C", conf,
                               "-t", kind, name], capture_output=True, text=True,
                              check=False).stdout

    def test_secure(self):
        self.assertIn("(secure)", self.host("MX", "sec.example"))
        self.assertIn("(secure)", self.host("MX", "sec3.net"))
        self.assertIn("(secure)", self.host("MX", "xn--bcher-kva.example"))

    def test_insecure(self):
        self.assertIn("(insecure)", self.host("MX", "plain.example"))

    def test_bogus(self):
        for state in ("bogus", "expired", "future", "unsigned", "wrong-ds"):
            self.assertIn("BOGUS", self.host("MX", f"{state}.example"), state)
        self.assertIn("(secure)", self.host("MX", "part.example"))
        self.assertIn("BOGUS", self.host("A", "mx1.part.example"))

    def test_denial(self):
        self.assertRegex(self.host("A", "nope.sec.example"), r"NXDOMAIN\). \(secure\)")
        self.assertRegex(self.host("A", "nope.sec3.net"), r"NXDOMAIN\). \(secure\)")
        self.assertRegex(self.host("TXT", "mx1.sec.example"), r"no TXT record \(secure\)")
        self.assertIn("127.9.9.9", self.host("A", "any.xn--bcher-kva.example"))

    def test_lookup_that_fails(self):
        self.assertIn("SERVFAIL", self.host("TLSA", "_25._tcp.mx1.lame.example"))
        self.assertTrue(self.lab.broken_dns.queries)

    def test_alias(self):
        self.assertIn("(secure)", self.host("A", "www.alias.example"))
        self.assertIn("(insecure)", self.host("A", "out.alias.example"))

    def test_update_at_run_time(self):
        domain = self.lab.domain("late.example", mx=[], extra=['@ TXT "one"'])
        self.lab.commit()
        self.assertIn("one", self.host("TXT", "late.example"))
        self.lab.republish(domain, ['@ TXT "two"'])
        self.assertRegex(self.host("TXT", "late.example"), r'"two" \(secure\)')

    def test_resolver(self):
        resolver = self.lab.add(Resolver(self.lab.path("resolver"), self.lab.dns))
        got = subprocess.run(["unbound-host", "-r", "-v", "-f", self.lab.dns.trust_anchor, "-t",
                              "MX", "sec.example"], capture_output=True, text=True, check=False)
        self.assertIn("mx1.sec.example", got.stdout, resolver.daemon.tail())


class Certificates(LabCase):
    """Certificates and TLSA data, compared with what openssl says."""

    begins = False

    def verify(self, cert, *options):
        """openssl verify; its output."""
        return subprocess.run(["openssl", "verify", "-CAfile", self.lab.pki.ca_file, *options,
                               "-untrusted", cert.pem, cert.alone], capture_output=True, text=True,
                              check=False)

    def test_words(self):
        name = "mx.c.example"
        for word, want in (("good", "OK"), ("intermediate", "OK"), ("wildcard", "OK"),
                           ("expired", "has expired"), ("not-yet", "not yet valid"),
                           ("self", "self-signed"), ("stranger", "unable to get local issuer"),
                           ("wrong", "hostname mismatch")):
            got = self.verify(self.lab.cert(word, name), "-verify_hostname", name)
            self.assertIn(want, got.stdout + got.stderr, word)

    def test_tlsa(self):
        cert = self.lab.cert("good", "mx.c.example")
        spki = run("sh", "-c", f"openssl x509 -in {cert.alone} -noout -pubkey | "
                               "openssl pkey -pubin -outform DER | sha256sum")
        self.assertEqual(tlsa("3 1 1", cert).split()[3], spki.decode().split()[0])
        whole = run("sh", "-c", f"openssl x509 -in {cert.alone} -outform DER | sha512sum")
        self.assertEqual(tlsa("3 0 2", cert).split()[3], whole.decode().split()[0])
        self.assertEqual(tlsa("3 0 0", cert).split()[3], cert.der.hex())

    def test_dane_with_openssl(self):
        domain = self.lab.domain("dane.example", mx={"tlsa": ["3 1 1", "2 0 1"], "cert": "stranger",
                                                     "authority": self.lab.pki.stranger})
        rrs = [r.split(" TLSA ")[1] for r in domain.records if " TLSA " in r]
        for rr in rrs:
            got = subprocess.run(
                ["openssl", "s_client", "-brief", "-connect", f"{domain.mx.address}:25",
                 "-starttls", "smtp", "-dane_tlsa_domain", domain.mx.name, "-dane_tlsa_rrdata", rr],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            self.assertIn("Verification: OK", got.stderr, rr)


class Policies(LabCase):
    """NGINX and the misbehaving host, seen by curl."""

    begins = False

    def get(self, host, address, *options):
        """curl; its output and the status, or its error."""
        done = subprocess.run(["curl", "-sS", "-m", "2", "--cacert", self.lab.pki.ca_file,
                               "--resolve", f"{host}:443:{address}", "-w", "%{http_code}",
                               f"https://{host}{https.PATH}", *options], capture_output=True,
                              check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def test_good(self):
        domain = self.lab.domain("p.example", sts="enforce")
        self.lab.commit()
        got = self.get("mta-sts.p.example", https.GOOD)
        self.assertTrue(got.endswith("200"), got)
        self.assertIn("mx: mx1.p.example", got)
        self.lab.sts(domain, mode="testing", id="2")
        self.lab.republish(domain)
        self.assertIn("mode: testing", self.get("mta-sts.p.example", https.GOOD))
        self.assertEqual(len(self.lab.nginx.requests("mta-sts.p.example")), 2)

    def test_certificates(self):
        for word, want in (("expired", "expired"), ("wrong", "no alternative certificate"),
                           ("self", "self-signed")):
            self.lab.domain(f"p-{word}.example", sts={"cert": word})
            self.lab.commit()
            self.assertIn(want, self.get(f"mta-sts.p-{word}.example", https.GOOD))

    def test_bad(self):
        for word in https.BEHAVIOURS:
            self.lab.bad_https.set(f"mta-sts.{word}.example", word,
                                   self.lab.cert("good", f"mta-sts.{word}.example"))
        for word, want in (("302", "302"), ("404", "404"), ("204", "204"), ("reset", "reset"),
                           ("cut", "200"), ("alert", "unrecognized name"), ("hang", "timed out")):
            self.assertIn(want, self.get(f"mta-sts.{word}.example", https.BAD), word)


def post(address, host, body, timeout=3, target="/v1?x=1"):
    """A POST as a sender of reports makes it; the status and Location."""
    context = ssl._create_unverified_context()
    raw = socket.create_connection((address, 443), timeout)
    with context.wrap_socket(raw, server_hostname=host) as sock:
        connection = http.client.HTTPConnection(host)
        connection.sock = sock
        connection.request("POST", target, body, {"Content-Type": "application/tlsrpt+gzip"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location")


class Receivers(LabCase):
    """Who takes reports: the scripted server, NGINX, a collector's socket."""

    begins = False

    def test_scripted(self):
        receiver = self.lab.add(Receiver(self.lab.cert("good", "r.example")))
        receiver.set("r.example", 500, ("redirect", "https://s.example/x"), 201, ("slow", 0.2))
        body = bytes(range(256)) * 300
        got = [post(SCRIPTED, "r.example", body) for _ in range(4)]
        self.assertEqual(got, [(500, None), (307, "https://s.example/x"), (201, None),
                               (200, None)])
        seen = receiver.wait_posts("r.example", 4)
        self.assertEqual([p.answer for p in seen], ["500", "307", "201", "200"])
        self.assertTrue(all(p.body == body and p.complete for p in seen))
        self.assertEqual((seen[0].method, seen[0].target), ("POST", "/v1?x=1"))
        self.assertEqual(seen[0].header("content-type"), ["application/tlsrpt+gzip"])
        for action in ("hang", "close", "reset"):
            receiver.set("bad.example", action)
            with self.assertRaises((OSError, http.client.HTTPException), msg=action):
                post(SCRIPTED, "bad.example", b"x", timeout=0.5)
        receiver.set("bad.example", "early")
        self.assertEqual(post(SCRIPTED, "bad.example", b"x")[0], 500)
        receiver.down("down.example")
        with self.assertRaises(ssl.SSLError):
            post(SCRIPTED, "down.example", b"x")
        self.assertEqual(receiver.posts("down.example"), [])
        self.assertEqual(len(receiver.complete("bad.example")), 2)

    def test_nginx(self):
        cert = self.lab.cert("good", "n.example")
        nginx = self.lab.add(NginxReceiver(self.lab.path("receiver"), ["n.example"], cert))
        bodies = [b"small", bytes(range(256)) * 4000]
        for body in bodies:
            self.assertEqual(post(NGINX, "n.example", body)[0], 201)
        self.assertEqual(nginx.wait_kept(2), [("application/tlsrpt+gzip", b) for b in bodies])

    def test_collector(self):
        collector = self.lab.add(Collector(self.lab.path("collect.sock")))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b'{"dpv":"1","d":"x.example"}', collector.path)
            sock.sendto(b'{"dpv":"1","d":"y.example"}', collector.path)
        self.assertEqual(collector.wait_of("y.example"), [{"dpv": "1", "d": "y.example"}])

    def test_clock(self):
        clock = Clock(self.lab.path("clock"))
        clock.set("2026-12-31T23:59:59Z")
        self.assertTrue(clock.text().startswith(("2026-12-31T23:59:59", "2027-01-01T00:00:00")))
        clock.forward(seconds=3600, days=2)
        self.assertTrue(clock.text().startswith(("2027-01-03T00:59:59", "2027-01-03T01:00:00")))
        clock.at(clock.today(1), hours=4)
        self.assertTrue(clock.text().startswith("2027-01-04T04:00:00."), clock.text())


class Clocked(LabCase):
    """The program under test with a clock that is moved while it runs; two programs at once."""

    clocked = True

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example", {"tlsa": "3 1 1"})

    def test_the_log_has_its_time_and_goes_on_over_rotations(self):
        self.clock.set("2027-03-04T05:06:07Z")
        self.reply(self.lmtp(self.domain.rcpt), "250 2.0.0")
        self.assertTrue(self.last(self.domain)["time"].startswith("2027-03-04T05:06:"))
        self.sternpost.set_clock(days=2)
        self.reply(self.lmtp(self.domain.rcpt), "250 2.0.0")
        self.assertTrue(self.last(self.domain)["time"].startswith("2027-03-06T05:06:"))
        days = [r["time"][:10] for r in self.sternpost.records(event="delivery")]
        self.assertEqual(days, ["2027-03-04", "2027-03-06"])

    def test_two_programs_share_a_clock(self):
        other = self.lab.sternpost({"listen": [{"protocol": "lmtp",
                                                "address": "127.0.0.2:10024"}]},
                                   clocked=self.clock)
        self.clock.set("2028-01-01T00:00:00Z")
        for address, part in ((LMTP, self.sternpost), ("127.0.0.2:10024", other)):
            self.assertTrue(send(address, "a@b.lab", self.domain.rcpt, lmtp=True).reply.ok)
            wait_for(lambda p=part: any(r["time"].startswith("2028-01-01T00:00:0")
                                        for r in p.records(event="delivery")),
                     "a delivery at the time of the shared clock")


class Scripted(LabCase):
    """The scripted MX: each action does what it says."""

    begins = False

    def test_actions(self):
        domain = self.lab.domain("s.example")
        mx, where = domain.mx, f"{domain.mx.address}:25"
        for at, want in (({"rcpt": "550 5.1.1 no"}, "550 5.1.1"),
                         ({"dot": "451 4.3.0 x"}, "451 4.3.0"),
                         ({"mail": Each("450 4.3.0 later", None)}, "450 4.3.0"),
                         ({"dot": Wait(0.05)}, "250 2.0.0")):
            mx.at = at
            self.assertEqual(send(where, "a@b.lab", "c@s.example").reply.status, want)
        for at in ({"data": Drop()}, {"dot": Drop()}, {"dot": Reset()}, {"body": BodyDrop(1000)}):
            mx.at = at
            self.assertTrue(send(where, "a@b.lab", "c@s.example", message(size=500000)).lost, at)
        mx.at = {"greeting": Close("421 4.3.2 no")}
        with self.assertRaises(Lost):
            client = Client(where, hello=False)
            self.assertEqual(client.greeting.code, 421)
            client.read()

    def test_record(self):
        domain = self.lab.domain("r.example")
        body = b"X: y\r\n\r\n.\r\n..dots\r\n\x00\xff" + b"z" * 5000 + b"\r\n"
        with Client(f"{domain.mx.address}:25") as client:
            client.starttls()
            self.assertTrue(client.transaction("a@b.lab", ["c@r.example"], body).reply.ok)
        got = domain.messages[0]
        self.assertEqual(got.data, body)
        self.assertTrue(got.accepted)
        self.assertEqual(got.session.tls_version, "TLSv1.3")

    def test_down_and_up(self):
        domain = self.lab.domain("d.example")
        self.lab.farm.down(domain.mx)
        with self.assertRaises(ConnectionRefusedError):
            send(f"{domain.mx.address}:25", "a@b.lab", "c@d.example")
        self.lab.farm.up(domain.mx)
        self.assertTrue(send(f"{domain.mx.address}:25", "a@b.lab", "c@d.example").reply.ok)


class Mtas(LabCase):
    """Real Postfix and Exim, as MX and in front."""

    begins = False

    def test_postfix(self):
        cert = self.lab.cert("good", "mx.postfix.example")
        mx = self.lab.add(PostfixMx(self.lab.path("pmx"), "mx.postfix.example", ["127.0.0.30"],
                                    cert))
        with Client("127.0.0.30:25") as client:
            self.assertTrue(client.starttls().ok)
            self.assertTrue(client.transaction("a@b.lab", ["c@d.example"],
                                               message("direct")).reply.ok)
        self.assertIn(b"Subject: direct", mx.wait_delivered(1)[0])
        front = self.lab.add(PostfixFront(self.lab.path("pfront"), smtp="127.0.0.30:25"))
        self.assertTrue(front.submit("a@b.lab", "e@f.example", message("through")).reply.ok)
        self.assertTrue(any(b"Subject: through" in m for m in mx.wait_delivered(2)))
        mx.stop()
        front.submit("a@b.lab", "g@h.example", message("waits"))
        self.assertEqual(front.wait_logged("g@h.example")[0][1], "deferred")
        self.assertIn("g@h.example", wait_for(front.deferred, "the queue"))
        mx.start()
        front.flush_until_empty()
        self.assertEqual(len(mx.wait_delivered(3)), 3)

    def test_two_in_front(self):
        cert = self.lab.cert("good", "mx.two.example")
        mx = self.lab.add(PostfixMx(self.lab.path("mx2"), "mx.two.example", ["127.0.0.33"], cert))
        fronts = [self.lab.add(PostfixFront(self.lab.path(f"front{n}"), smtp="127.0.0.33:25",
                                            address=f"127.0.0.{35 + n}", name=f"front{n}.lab"))
                  for n in range(2)]
        for n, front in enumerate(fronts):
            self.assertTrue(front.submit("a@b.lab", "e@f.example", message(f"n{n}")).reply.ok)
        got = b"".join(mx.wait_delivered(2))
        for n in range(2):
            self.assertIn(f"Subject: n{n}".encode(), got)
            self.assertIn(f"by front{n}.lab".encode(), got)

    def test_exim(self):
        cert = self.lab.cert("good", "mx.exim.example")
        mx = self.lab.add(EximMx(self.lab.path("emx"), "mx.exim.example", "127.0.0.40", cert))
        with Client("127.0.0.40:25") as client:
            self.assertTrue(client.starttls().ok)
            self.assertTrue(client.transaction("a@b.lab", ["c@d.example"],
                                               message("direct")).reply.ok)
        self.assertIn(b"Subject: direct", mx.wait_delivered(1)[0])
        front = self.lab.add(EximFront(self.lab.path("efront"), smtp="127.0.0.40:25"))
        self.assertTrue(front.submit("a@b.lab", "e@f.example", message("through")).reply.ok)
        self.assertTrue(any(b"Subject: through" in m for m in mx.wait_delivered(2)))
        mx.stop()
        front.submit("a@b.lab", "g@h.example", message("waits"))
        self.assertEqual(front.wait_logged("g@h.example")[0][0], "==")
        self.assertEqual(len(front.queue()), 1)
        mx.start()
        front.flush()
        self.assertEqual(len(mx.wait_delivered(3)), 3)


if __name__ == "__main__":
    main()
