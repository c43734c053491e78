#!/usr/bin/python3
"""`sternpost own`: the operator's own domain as senders see it, good and bad in each part."""

import json
import ssl

from lab.case import LabCase, main
from lab.check import on_terminal
from lab.pki import DAY, tlsa

RPT = '_smtp._tls TXT "v=TLSRPTv1; rua=mailto:reports@front.lab"'
WEEKS = 14 * DAY
NEXT = "3 1 1 " + "ab" * 32


class Own(LabCase):
    """No daemon is asked; one runs all the same, and is left as it was."""

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.good = cls.two_keys(lab, "good.example", ("ec", "rsa"), [RPT])
        cls.half = cls.two_keys(lab, "half.example", ("ec",), [RPT])
        cls.bad = add("bad.example", {"cert": "expired"},
                      sts={"mx": ["mx9.bad.example"], "max_age": WEEKS},
                      extra=['_smtp._tls TXT "v=TLSRPTv1; rua=ftp://x.example"'])
        ending = lab.pki.ca.issue("mx1.soon.example", begin=-DAY, end=5 * DAY)
        cls.soon = add("soon.example", {"cert": ending},
                       sts={"mode": "testing", "max_age": WEEKS})
        ending = lab.pki.ca.issue("mta-sts.late.example", begin=-DAY, end=5 * DAY)
        cls.late = add("late.example", {}, sts={"max_age": WEEKS, "cert": ending}, extra=[RPT])
        cls.typo = add("typo.example", {}, signing=None,
                       sts={"text": "version: STSv1\nmode: enforced\nmx: mx1.typo.example\n"
                                    "max_age: 86400\n"})
        cls.nothing = add("nothing.example", {"cert": "self"}, signing=None)
        cls.stripped = add("stripped.example", {"starttls": False}, sts="enforce")
        cls.next = add("next.example", {"tlsa": ["3 1 1", NEXT]}, extra=[RPT])
        cls.mismatch = add("mismatch.example", {"tlsa": NEXT}, extra=[RPT])
        cls.forgotten = add("forgotten.example", {}, sts={"txt": False})
        cls.modern = cls.versions(lab, "modern.example", key="ed25519")
        cls.new_one = cls.versions(lab, "newone.example")
        cls.aged = cls.versions(lab, "aged.example", ssl.TLSVersion.TLSv1_2)
        cls.old = cls.versions(lab, "old.example", ssl.TLSVersion.TLSv1_1)
        cls.twice = add("twice.example", {}, sts={"txt": ["v=STSv1; id=1;", "v=STSv1; id=2;"]})
        cls.forged = add("forged.example", {}, signing="bogus")
        cls.parked = lab.domain("parked.example", [], extra=["@ MX 0 ."], signing=None)
        lab.domain("lame.example", [], extra=["mxfail NS ns.broken.lab."])
        lab.broken_dns.rules["mxfail.lame.example"] = "servfail"

    @staticmethod
    def two_keys(lab, name, published, extra):
        """A host with an ECDSA and an RSA key, and TLSA records of those published."""
        host = f"mx1.{name}"
        certs = {"ec": lab.pki.ca.issue(host), "rsa": lab.pki.ca.issue(host, key="rsa2048")}
        second = (certs["rsa"].pem, certs["rsa"].key)
        return lab.domain(name, {"cert": certs["ec"], "tls": {"second": second},
                                 "tlsa": [tlsa("3 1 1", certs[k]) for k in published]},
                          sts={"max_age": WEEKS}, extra=extra)

    @staticmethod
    def versions(lab, name, newest=ssl.TLSVersion.TLSv1_3, key="ec"):
        """A host that speaks no newer TLS than that, with one key and its TLSA record."""
        cert = lab.pki.ca.issue(f"mx1.{name}", key=key)
        return lab.domain(name, {"cert": cert, "tlsa": [tlsa("3 1 1", cert)], "tls": {
            "minimum": ssl.TLSVersion.TLSv1, "maximum": newest}}, extra=[RPT])

    def own(self, domain, status, *options):
        """The document of `own DOMAIN --json`."""
        name = getattr(domain, "name", domain)
        got, out, err = self.sternpost.run("own", name, "--json", *options)
        self.assertEqual(got, status, f"{out}{err}")
        self.assertTrue(out.isascii())
        found = json.loads(out)
        for finding in found["findings"]:
            self.assertEqual(finding["todo"] is None, finding["level"] == "pass", finding)
        return found

    def codes(self, found, *levels):
        """Codes of the findings of these levels."""
        return [f["code"] for f in found["findings"] if f["level"] in levels]

    def advice(self, found):
        """Codes of the advice."""
        return [a["code"] for a in found["advice"]]

    def test_good(self):
        found = self.own(self.good, 0)
        self.assertEqual(self.codes(found, "warn", "fail"), [])
        self.assertEqual(found["worst"], "pass")
        self.assertEqual(self.codes(found, "pass"), ["mx", "sts-record", "policy", "approved",
                                                     "starttls", "starttls", "tls-rpt"])
        keys = [f["text"] for f in found["findings"] if f["code"] == "starttls"]
        self.assertIn("RSA key", keys[0])
        self.assertIn("ECDSA key", keys[1])
        self.assertEqual(self.advice(found), ["policy-before-id", "policy-before-mx", "removal",
                                              "tlsa-before-key"])
        self.assertEqual(self.good.messages, [])

    def test_one_key_without_tlsa(self):
        """Every key type against TLSA: a sender that gets the other one is refused."""
        found = self.own(self.half, 1)
        self.assertEqual(self.codes(found, "fail"), ["tlsa-mismatch"])
        text = [f["text"] for f in found["findings"] if f["level"] == "fail"][0]
        self.assertIn("RSA key", text)

    def test_types_of_key(self):
        """Ed25519 is seen, judged, and said to be not enough; the others are no news."""
        found = self.own(self.modern, 0)
        self.assertEqual(self.codes(found, "warn"), ["eddsa-alone"])
        text = [f["text"] for f in found["findings"] if f["code"] == "starttls"]
        self.assertEqual(len(text), 1)
        self.assertIn("EdDSA key: TLSv1.3", text[0])
        self.assertIn("a TLSA record matches", text[0])
        self.assertEqual(self.codes(self.own(self.new_one, 0), "warn"), [])

    def test_versions(self):
        """TLS 1.2 alone is a pass that says so; below it nobody's policy is met."""
        found = self.own(self.aged, 0)
        self.assertEqual(self.codes(found, "warn", "fail"), [])
        self.assertIn("tls-1.2", self.codes(found, "pass"))
        self.assertNotIn("tls-1.2", self.codes(self.own(self.new_one, 0), "pass"))
        found = self.own(self.old, 1)
        self.assertEqual(self.codes(found, "fail"), ["tls-old"])
        text = [f["text"] for f in found["findings"] if f["code"] == "tls-old"]
        self.assertIn("TLSv1.1 at most", text[0])

    def test_bad(self):
        found = self.own(self.bad, 1)
        self.assertEqual(self.codes(found, "fail"),
                         ["not-approved", "certificate-expired", "tls-rpt-nowhere"])
        self.assertEqual(self.codes(found, "warn"), ["pattern-unused", "tls-rpt-ignored"])
        self.assertNotIn("starttls", self.codes(found, "pass"))

    def test_certificate_that_ends(self):
        found = self.own(self.soon, 0)
        self.assertEqual(self.codes(found, "warn"),
                         ["sts-testing", "certificate-ends", "tls-rpt-none"])
        self.assertIn("testing-to-enforce", self.advice(found))
        later = self.own(self.soon, 0, "--expire-within", "1d")
        self.assertNotIn("certificate-ends", self.codes(later, "warn"))

    def test_policy_host_certificate_that_ends(self):
        found = self.own(self.late, 0)
        self.assertEqual(self.codes(found, "warn"), ["policy-certificate-ends"])
        later = self.own(self.late, 0, "--expire-within", "1d")
        self.assertEqual(self.codes(later, "warn"), [])

    def test_policy_file(self):
        found = self.own(self.typo, 1)
        invalid = [f["text"] for f in found["findings"] if f["code"] == "policy-invalid"]
        self.assertEqual(len(invalid), 1)
        self.assertIn("line 2, column 7", invalid[0])
        self.assertIn("policy-without-record", self.codes(self.own(self.forgotten, 0), "warn"))
        self.assertIn("sts-record", self.codes(self.own(self.twice, 1), "fail"))

    def test_nothing_published(self):
        found = self.own(self.nothing, 0)
        self.assertEqual(self.codes(found, "warn"), ["no-policy", "tls-rpt-none"])
        self.assertEqual(self.advice(found), ["first-policy"])
        self.assertIn("the TLS-RPT record first", found["advice"][0]["text"])
        found = self.own(self.new_one, 0)           # it has that record
        self.assertEqual(self.advice(found)[0], "first-policy")
        self.assertNotIn("TLS-RPT record first", found["advice"][0]["text"])

    def test_takes_no_mail(self):
        """A null MX is meant so, and nobody reports on mail that does not come."""
        found = self.own(self.parked, 0)
        self.assertEqual([f["code"] for f in found["findings"]], ["null-mx"])
        found = self.own("nowhere.example", 1)
        self.assertEqual([f["code"] for f in found["findings"]], ["no-such-domain"])

    def test_no_address(self):
        """Without an MX record none can be removed."""
        found = self.own("lame.example", 1)
        todo = [f["todo"] for f in found["findings"] if f["code"] == "no-address"]
        self.assertEqual(todo, ["give lame.example an address"])

    def test_stripped(self):
        found = self.own(self.stripped, 1)
        self.assertEqual(self.codes(found, "fail"), ["no-starttls"])

    def test_next_key(self):
        found = self.own(self.next, 0)
        unused = [f["text"] for f in found["findings"] if f["code"] == "tlsa-unused"]
        self.assertEqual(len(unused), 1)
        self.assertIn(NEXT, unused[0])
        self.assertEqual(self.codes(found, "fail"), [])
        found = self.own(self.mismatch, 1)
        self.assertEqual(self.codes(found, "fail"), ["tlsa-mismatch"])

    def test_bogus(self):
        """Bad signatures do not mend themselves: 1, not 75, as for `check`."""
        found = self.own(self.forged, 1)
        self.assertTrue(found["certain"])
        todo = {f["todo"] for f in found["findings"] if f["level"] == "fail"}
        self.assertEqual(len(todo), 1)
        self.assertIn("sign the zone of forged.example anew", todo.pop())

    def test_not_found_out(self):
        self.assertFalse(self.own("mxfail.lame.example", 75)["certain"])
        status, out, _ = self.sternpost.run("own", "no domain")
        self.assertEqual((status, out), (2, ""))

    def test_terminal_and_pipe(self):
        status, out, err = self.sternpost.run("own", self.half.name)
        self.assertEqual((status, err), (1, ""))
        self.assertIn("fail  dane", out)
        self.assertIn("      -> publish the TLSA record", out)
        self.assertIn("In which order to change things:", out)
        self.assertNotIn("\x1b", out)
        status, shown = on_terminal(self.sternpost, "own", self.good.name)
        self.assertEqual(status, 0)
        self.assertIn("\x1b[32mpass", shown)
        self.assertIn("fetching the policy of good.example", shown)


if __name__ == "__main__":
    main()
