#!/usr/bin/python3
"""The lab's own parts, without the program under test: a lab that lies makes tests worthless."""

import subprocess

from lab import https
from lab.actions import BodyDrop, Close, Drop, Each, Reset, Wait
from lab.case import LabCase, main
from lab.client import Client, Lost, message, send
from lab.exim import EximFront, EximMx
from lab.pki import tlsa
from lab.postfix import PostfixFront, PostfixMx
from lab.procs import run, wait_for
from lab.resolver import Resolver


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
