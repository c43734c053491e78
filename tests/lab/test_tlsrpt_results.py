#!/usr/bin/python3
"""Each result type of RFC 8460 §4.3, produced with real servers: in the enforcement log's `results`
and in the report, with a failure-reason-code that says what happened."""

import re
import ssl
import time

from lab.actions import Reset
from lab.case import main
from lab.pki import Ca, tlsa
from lab.procs import wait_for
from lab.tlsrpt import OF_THE_POLICY, ReportCase, digest, domain_of, is_success, tally

WRONG = "3 1 1 " + "00" * 32
PLACES = ("receiving-mx-hostname", "receiving-ip", "sending-mta-ip")
RULES = {"rule": [{"domains": ["need-dane.example", "need-unsigned.example",
                               "need-unusable.example"], "require": "dane"}]}


class Results(ReportCase):
    """Common: what is asserted of a session line is asserted of the report at the end."""

    seen = {}   # {domain name: [(policy type, policy domain, result type, reasons, line)]}

    @classmethod
    def setUpClass(cls):
        if cls is Results:
            return
        cls.seen = {}
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        if cls is not Results:
            super().tearDownClass()

    def run(self, result=None):
        """The base class has no lab and runs nothing."""
        return result if type(self) is Results else super().run(result)

    def rows(self, domain, count, index=-1):
        """The results of a session line about a domain, as {policy type: result}; so many."""
        line = wait_for(lambda: self.sternpost.records(domain=domain.name, event="session",
                                                       counted=True),
                        f"a counted session line about {domain.name}")[index]
        rows = {r["policy_type"]: r for r in line["results"]}
        self.assertEqual((len(rows), len(line["results"])), (count, count), line["results"])
        return line, rows

    def failed(self, domain, kind, result, *reasons, of=None, count=1, success=False, index=-1):
        """The policy `kind` of the last session failed so, or not, and says why; the line.

        of: the policy domain; default the recipient domain, for tlsa its first MX.
        """
        line, rows = self.rows(domain, count, index)
        row = rows[kind]
        of = of or (domain.names[0] if kind == "tlsa" else domain.name)
        self.assertEqual((row["result_types"], row["policy_domain"]), ([result], of), row)
        self.assertEqual(is_success(row), success, row)
        for reason in reasons:
            self.assertRegex(row["reason"], re.compile(reason, re.I))
        self.assertNotRegex(row["reason"], r"user|@")
        self.seen.setdefault(domain.name, []).append((kind, of, result, reasons, line))
        return line

    def fine(self, domain, kind, of=None, count=1):
        """The policy `kind` of the last session was met; the line."""
        line, rows = self.rows(domain, count)
        of = of or (domain.names[0] if kind == "tlsa" else domain.name)
        self.assertEqual((rows[kind]["result_types"], rows[kind]["policy_domain"]), ([], of))
        self.seen.setdefault(domain.name, []).append((kind, of, None, (), line))
        return line

    def in_report(self, report, wanted):
        """What was asserted of a line stands in the domain's report."""
        for kind, of, result, reasons, line in wanted:
            rows = [r for r in report["policies"] if r["policy"]["policy-type"] == kind and
                    r["policy"]["policy-domain"] == of]
            self.assertTrue(rows, report)
            if result is None:
                self.assertTrue(any(r["summary"]["total-successful-session-count"] for r in rows))
                continue
            # What fetches a policy knows no MX.
            places = [None] * 3 if result in OF_THE_POLICY else [
                line["mx"], line["ip"], line["source_ip"]]
            details = [d for r in rows for d in r.get("failure-details", [])
                       if d["result-type"] == result and
                       all(re.search(x, d["failure-reason-code"], re.I) for x in reasons) and
                       [d.get(k) for k in PLACES] == places]
            self.assertTrue(details, f"{result} {reasons} of {line['mx']} in {report}")
            self.assertTrue(all(d["failed-session-count"] >= 1 for d in details))

    def test_zz_everything_is_in_the_reports(self):
        """RFC 8460 §4.4: counts, type, reason, both addresses and the MX of each failure."""
        self.assertTrue(self.seen)
        self.assert_running()
        reports = {domain_of(r): r for r in self.shown()}
        for name, wanted in self.seen.items():
            with self.subTest(name):
                self.in_report(reports[name], wanted)


class Sts(Results):
    """Sessions under MTA-STS."""

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.good = add("good.example", sts="enforce")
        cls.certs = {w: add(f"{w}.example", {"cert": w}, sts="enforce")
                     for w in ("expired", "wrong", "self", "stranger", "not-yet", "cn-only")}
        cls.clear = add("clear.example", {"starttls": False}, sts="enforce")
        cls.busy = add("busy.example", {"at": {"starttls": "454 4.7.0 not now"}}, sts="enforce")
        cls.reset = add("reset.example", {"at": {"handshake": Reset()}}, sts="enforce")
        cls.old = add("old.example", {"tls": {"maximum": ssl.TLSVersion.TLSv1_1,
                                              "minimum": ssl.TLSVersion.TLSv1}}, sts="enforce")
        cls.foreign = add("foreign.example", {"name": "mx.evil.example"},
                          sts={"mx": ["mx.foreign.example", "*.foreign.example"]})
        cls.testing = {
            "certificate-expired": add("t-expired.example", {"cert": "expired"}, sts="testing"),
            "certificate-host-mismatch": add("t-wrong.example", {"cert": "wrong"}, sts="testing"),
            "starttls-not-supported": add("t-clear.example", {"starttls": False}, sts="testing"),
            "validation-failure": add("t-foreign.example",
                                      sts={"mode": "testing", "mx": ["mx.else.example"]})}
        cls.none = add("none.example", {"cert": "self"}, sts={"mode": "none", "mx": []})

    def test_success(self):
        self.delivered(self.good, self.lmtp(self.good.rcpt))
        line = self.fine(self.good, "sts")
        text = self.good.policy_text.rstrip("\r\n").split("\r\n")
        self.assertEqual(line["results"][0]["policy_digest"], digest("sts", "good.example", text))

    def test_certificates(self):
        for word, result, *reasons in (
                ("expired", "certificate-expired", "expired"),
                ("wrong", "certificate-host-mismatch", r"for somebody\.else\.lab",
                 r"not for mx1\.wrong\.example"),
                ("cn-only", "certificate-host-mismatch", "names no host"),
                ("self", "certificate-not-trusted", "self.signed"),
                ("stranger", "certificate-not-trusted", "issuer"),
                ("not-yet", "certificate-not-trusted", "not yet valid")):
            with self.subTest(word):
                domain = self.certs[word]
                self.refused(domain, self.lmtp(domain.rcpt), "451 4.7.5")
                self.failed(domain, "sts", result, *reasons)

    def test_starttls_not_supported(self):
        self.refused(self.clear, self.lmtp(self.clear.rcpt), "451 4.7.4")
        self.failed(self.clear, "sts", "starttls-not-supported", "not offered")
        self.refused(self.busy, self.lmtp(self.busy.rcpt), "451 4.7.4")
        self.failed(self.busy, "sts", "starttls-not-supported", "454 4.7.0 not now")

    def test_handshake_failures(self):
        self.refused(self.reset, self.lmtp(self.reset.rcpt), "451 4.7.5")
        self.failed(self.reset, "sts", "validation-failure", "reset|closed|lost|eof")
        self.refused(self.old, self.lmtp(self.old.rcpt), "451 4.7.5")
        self.failed(self.old, "sts", "validation-failure", "version|protocol")

    def test_mx_not_in_policy(self):
        """No session came to be: the host is named, and no address is made up (RFC 8460 §4.4)."""
        self.refused(self.foreign, self.lmtp(self.foreign.rcpt), "451 4.7.5")
        line = self.failed(self.foreign, "sts", "validation-failure", "sts-mx-mismatch")
        self.assertEqual((line["mx"], line["ip"]), ("mx.evil.example", None))

    def test_testing_failures_count(self):
        """RFC 8461 §5: in testing the mail goes out, and the failure is reported."""
        for result, domain in self.testing.items():
            with self.subTest(result):
                tls = result != "starttls-not-supported"
                self.delivered(domain, self.lmtp(domain.rcpt), tls=tls)
                line = self.failed(domain, "sts", result)
                self.assertEqual(line["policy_mode"], "testing")

    def test_mode_none_is_no_policy(self):
        self.delivered(self.none, self.lmtp(self.none.rcpt))
        self.fine(self.none, "no-policy-found")


class Fetch(Results):
    """Policies that cannot be had."""

    config = {"mta_sts": {"fetch_timeout": "2s", "first_contact_wait": "5s"}}

    @classmethod
    def publish(cls, lab):
        def add(name, mx=None, **sts):
            return lab.domain(name, mx or {}, signing=None, ttl=1, sts=sts or "enforce")
        cls.errors = {
            "500": add("f500.example", bad="500"), "404": add("f404.example", bad="404"),
            "301": add("f301.example", bad="301"), "text/html": add("html.example", bad="html"),
            "timed? ?out|no time": add("silent.example", bad="silent")}
        cls.nowhere = lab.domain("nowhere.example", signing=None,
                                 extra=['_mta-sts TXT "v=STSv1; id=1;"'])
        cls.invalid = {
            "version": add("v.example", text="version: STSv2\nmode: enforce\nmx: a.example\n"
                                             "max_age: 86400\n"),
            "mx": add("m.example", text="version: STSv1\nmode: enforce\nmax_age: 86400\n"),
            "max_age": add("a.example", text="version: STSv1\nmode: enforce\nmx: a.example\n")}
        cls.webpki = {w: add(f"pki-{w}.example", cert=w)
                      for w in ("self", "wrong", "expired", "stranger")}
        cls.cached = add("cached.example")
        cls.cached_bad = add("cachedbad.example", {"cert": "expired"})
        cls.cached_pki = add("cachedpki.example")

    def test_fetch_error(self):
        """RFC 8460 §4.3.2.1: nothing is cached, the mail goes out, the policy has no strings."""
        for reason, domain in {**self.errors, "address": self.nowhere}.items():
            with self.subTest(domain.name):
                self.delivered(domain, self.lmtp(domain.rcpt))
                line = self.failed(domain, "sts", "sts-policy-fetch-error", reason)
                self.assertEqual(line["results"][0]["policy_digest"], digest("sts", domain.name))

    def test_policy_invalid(self):
        for reason, domain in self.invalid.items():
            with self.subTest(domain.name):
                self.delivered(domain, self.lmtp(domain.rcpt))
                self.failed(domain, "sts", "sts-policy-invalid", reason)

    def test_webpki_invalid(self):
        for word, reason in (("self", "self.signed"), ("wrong", r"for somebody\.else\.lab"),
                             ("expired", "expired"), ("stranger", "issuer")):
            with self.subTest(word):
                domain = self.webpki[word]
                self.delivered(domain, self.lmtp(domain.rcpt))
                self.failed(domain, "sts", "sts-webpki-invalid", reason)

    def until_the_new_id_is_known(self, domain, bad, cert="good"):
        """The policy host fails from now on and a new id is published; sends until it is seen."""
        outcome = self.lmtp(domain.rcpt)
        self.lab.sts(domain, id="2", bad=bad, cert=cert)
        self.lab.republish(domain)
        for _ in range(20):
            outcome = self.lmtp(domain.rcpt)
            _, rows = self.rows(domain, 1)
            if any(t.startswith("sts-") for t in rows["sts"]["result_types"]):
                break
            time.sleep(0.3)
        return outcome

    def test_with_a_cached_policy(self):
        """RFC 8461 §6: the cached policy is applied, and its strings stand with the failure."""
        text = self.cached.policy_text.rstrip("\r\n").split("\r\n")
        out = self.until_the_new_id_is_known(self.cached, "500")
        self.reply(out, "250 2.0.0")
        line = self.failed(self.cached, "sts", "sts-policy-fetch-error", "500", success=True)
        self.assertEqual(line["results"][0]["policy_digest"],
                         digest("sts", self.cached.name, text))
        out = self.until_the_new_id_is_known(self.cached_pki, "ok", cert="self")
        self.reply(out, "250 2.0.0")
        self.failed(self.cached_pki, "sts", "sts-webpki-invalid", "self.signed", success=True)

    def test_with_a_cached_policy_that_is_not_met(self):
        """Both failures belong to the one session, and each has its own reason."""
        domain = self.cached_bad
        self.refused(domain, self.until_the_new_id_is_known(domain, "404"), "451 4.7.5")
        line, rows = self.rows(domain, 1)
        self.assertEqual(rows["sts"]["result_types"],
                         ["certificate-expired", "sts-policy-fetch-error"])
        self.assertFalse(is_success(rows["sts"]))
        for result, reason in (("certificate-expired", "expired"),
                               ("sts-policy-fetch-error", "404")):
            self.assertRegex(rows["sts"]["reason"], reason)
            self.seen.setdefault(domain.name, []).append(
                ("sts", domain.name, result, [reason], line))


class Observe(Results):
    """policy.mode = "observe": what the policy says is reported, once, and the mail goes out."""

    config = {"policy": {"mode": "observe"}}

    @classmethod
    def publish(cls, lab):
        cls.expired = lab.domain("expired.example", {"cert": "expired"}, sts="enforce")
        cls.foreign = lab.domain("foreign.example", sts={"mx": ["mx.else.example"]})
        cls.clear = lab.domain("clear.example", {"tlsa": "3 1 1", "starttls": False})

    def test_counted_once(self):
        for domain, kind, result, tls in (
                (self.expired, "sts", "certificate-expired", True),
                (self.foreign, "sts", "validation-failure", True),
                (self.clear, "tlsa", "starttls-not-supported", False)):
            with self.subTest(domain.name):
                self.delivered(domain, self.lmtp(domain.rcpt), tls=tls)
                self.failed(domain, kind, result)
                self.assertEqual(self.last(domain)["would_be"], "deferred")
                sums = tally(self.sternpost.records(domain=domain.name), self.day)
                self.assertEqual(list(sums.values()), [[0, 1]])


class Dane(Results):
    """Sessions under DANE, and domains that publish nothing."""

    config = {"dns": {"timeout": "3s"}, "policy": RULES}

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.good = add("good.example", {"tlsa": ["3 1 1", "3 1 1 " + "ee" * 32, "3 0 1"]})
        cls.mismatch = add("mismatch.example", {"tlsa": WRONG})
        cls.anchors = {
            "certificate-host-mismatch": add("ta-wrong.example", {"tlsa": "2 0 1",
                                                                  "cert": "wrong"}),
            "certificate-expired": add("ta-expired.example", {"tlsa": "2 0 1",
                                                              "cert": "expired"}),
            "certificate-not-trusted": add("ta-chain.example", {
                "tlsa": "2 0 1", "cert": cls.by_no_authority(lab, "mx1.ta-chain.example")}),
            "validation-failure": add("ta-other.example", {
                "tlsa": tlsa("2 0 1", lab.pki.stranger.cert)})}
        cls.clear = add("clear.example", {"tlsa": "3 1 1", "starttls": False})
        cls.reset = add("reset.example", {"tlsa": "3 1 1", "at": {"handshake": Reset()}})
        cls.unusable = add("unusable.example", {"tlsa": ["1 1 1 " + "11" * 32, "3 1 9 22"],
                                                "cert": "self"})
        cls.bad_tlsa = add("badt.example", {"tlsa": "3 1 1"},
                           corrupt={("_25._tcp.mx1.badt.example", "TLSA")})
        cls.lame = add("lame.example", {}, extra=["_tcp.mx1 NS ns.broken.lab."])
        cls.bad_address = add("bada.example", {"tlsa": "3 1 1"},
                              corrupt={("mx1.bada.example", "A")})
        cls.bad_mx = add("badmx.example", {"tlsa": "3 1 1"}, corrupt={("badmx.example", "MX")})
        cls.bogus = add("bogus.example", signing="bogus")
        cls.need = [add("need-dane.example"), add("need-unsigned.example", signing=None),
                    add("need-unusable.example", {"tlsa": "1 1 1 " + "11" * 32})]
        cls.plain = add("plain.example", {"cert": "self"})
        cls.literal = add("literal.example")
        cls.plain_clear = add("p-clear.example", {"starttls": False})
        cls.plain_reset = add("p-reset.example", {"at": {"handshake": Reset()}})
        cls.both = add("both.example", {"tlsa": "3 1 1"}, sts="enforce")
        cls.dane_only = add("dane-only.example", {"tlsa": "3 1 1", "cert": "self"}, sts="enforce")
        cls.pkix_only = add("pkix-only.example", {"tlsa": WRONG}, sts="enforce")
        cls.neither = add("neither.example", {"tlsa": WRONG, "cert": "expired"}, sts="testing")
        name, address = "alias.example", lab.address()
        cert = lab.cert("self", f"host.{name}")
        cls.alias = add(name, {"name": f"mx.{name}", "addresses": [address], "cert": cert,
                               "no_address": True},
                        extra=["mx CNAME host", f"host A {address}",
                               f"_25._tcp.host TLSA {lab.tlsa('3 1 1', cert)}"])

    @staticmethod
    def by_no_authority(lab, name):
        """A certificate whose issuer stands below the anchor, but may not issue."""
        issuer = Ca(lab.path("no-ca"), "No CA", lab.pki.ca)
        issuer.cert = lab.pki.ca.issue("leaf.lab")
        return issuer.issue(name)

    def test_success(self):
        """RFC 8460 §4.4, §4.5: the policy domain is the TLSA base domain, one string a record."""
        self.delivered(self.good, self.lmtp(self.good.rcpt))
        line = self.fine(self.good, "tlsa")
        records = sorted(r.split(" TLSA ")[1] for r in self.good.records if " TLSA " in r)
        self.assertEqual(line["results"][0]["policy_digest"],
                         digest("tlsa", "mx1.good.example", records))

    def test_the_base_domain_behind_an_alias(self):
        self.delivered(self.alias, self.lmtp(self.alias.rcpt))
        self.fine(self.alias, "tlsa", of="host.alias.example")

    def test_mismatch(self):
        self.refused(self.mismatch, self.lmtp(self.mismatch.rcpt), "451 4.7.5")
        self.failed(self.mismatch, "tlsa", "validation-failure", "dane-no-match")

    def test_anchors(self):
        """RFC 7672 §3.1.2: names, dates and chains count with usage 2."""
        for result, domain in self.anchors.items():
            with self.subTest(result):
                self.refused(domain, self.lmtp(domain.rcpt), "451 4.7.5")
                self.failed(domain, "tlsa", result, "dane-no-match")

    def test_no_tls(self):
        self.refused(self.clear, self.lmtp(self.clear.rcpt), "451 4.7.4")
        self.failed(self.clear, "tlsa", "starttls-not-supported", "not offered")
        self.refused(self.reset, self.lmtp(self.reset.rcpt), "451 4.7.5")
        self.failed(self.reset, "tlsa", "validation-failure", "reset|closed|lost|eof")

    def test_tlsa_invalid(self):
        """None of the records is usable: TLS without authentication, and the domain is told."""
        self.delivered(self.unusable, self.lmtp(self.unusable.rcpt))
        self.failed(self.unusable, "tlsa", "tlsa-invalid", "all-unusable")

    def test_dnssec_invalid(self):
        for domain in (self.bad_tlsa, self.lame, self.bad_address):
            with self.subTest(domain.name):
                self.refused(domain, self.lmtp(domain.rcpt), "451 4.7.5")
                self.failed(domain, "tlsa", "dnssec-invalid", "bogus|signature|servfail|valid")
        for domain in (self.bad_mx, self.bogus):
            with self.subTest(domain.name):
                self.refused(domain, self.lmtp(domain.rcpt), "451 4.7.5")
                line = self.failed(domain, "no-policy-found", "dnssec-invalid",
                                   "bogus|signature|valid")
                self.assertIsNone(line["mx"])

    def test_dane_required(self):
        signed, unsigned, unusable = self.need
        for domain in self.need:
            self.refused(domain, self.lmtp(domain.rcpt), "451 4.7.5")
        self.failed(signed, "no-policy-found", "dane-required", "no-tlsa")
        self.failed(unsigned, "no-policy-found", "dane-required", "insecure-mx")
        self.failed(unusable, "tlsa", "dane-required", "all-unusable")

    def test_no_policy_found(self):
        """RFC 8460 §4.3: success where TLS came to be, whoever the peer is."""
        self.delivered(self.plain, self.lmtp(self.plain.rcpt))
        self.fine(self.plain, "no-policy-found")
        self.delivered(self.plain_clear, self.lmtp(self.plain_clear.rcpt), tls=False)
        self.failed(self.plain_clear, "no-policy-found", "starttls-not-supported", "not offered")

    def test_an_address_literal_is_no_domain(self):
        """Nothing can be published for it, and nobody asks for its report."""
        out = self.lmtp(f"user@[{self.literal.mx.address}]")
        self.reply(out, "250 2.0.0")
        lines = wait_for(lambda: self.sternpost.records(event="session",
                                                        ip=self.literal.mx.address), "a line")
        self.assertEqual([(r["domain"], r["counted"]) for r in lines], [(None, False)])

    def test_a_second_connection_in_cleartext_is_not_counted(self):
        """The handshake fails, nothing forbids cleartext: one failed session, one message."""
        self.delivered(self.plain_reset, self.lmtp(self.plain_reset.rcpt), tls=False)
        self.failed(self.plain_reset, "no-policy-found", "validation-failure",
                    "reset|closed|lost|eof")
        counts = tally(self.sternpost.records(domain=self.plain_reset.name), self.day)
        self.assertEqual(list(counts.values()), [[0, 1]])

    def test_both_policies(self):
        """RFC 8460 §4.4: a host may have two policies, each with its own result."""
        self.delivered(self.both, self.lmtp(self.both.rcpt))
        self.fine(self.both, "tlsa", count=2)
        self.fine(self.both, "sts", count=2)
        self.delivered(self.dane_only, self.lmtp(self.dane_only.rcpt))
        self.fine(self.dane_only, "tlsa", count=2)
        self.failed(self.dane_only, "sts", "certificate-not-trusted", "self.signed", count=2)
        self.refused(self.pkix_only, self.lmtp(self.pkix_only.rcpt), "451 4.7.5")
        self.failed(self.pkix_only, "tlsa", "validation-failure", "dane-no-match", count=2)
        self.fine(self.pkix_only, "sts", count=2)
        self.refused(self.neither, self.lmtp(self.neither.rcpt), "451 4.7.5")
        self.failed(self.neither, "tlsa", "validation-failure", "dane-no-match", count=2)
        self.failed(self.neither, "sts", "certificate-expired", "expired", count=2)


if __name__ == "__main__":
    main()
