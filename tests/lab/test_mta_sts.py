#!/usr/bin/python3
"""MTA-STS as a sender has it (RFC 8461): discovery, fetch, cache, modes, and DANE."""

import threading

from lab import https
from lab.case import LabCase, main
from lab.https import policy

WRONG = "3 1 1 " + "00" * 32


class Modes(LabCase):
    """What a policy demands of a host."""

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.good = add("good.example", sts="enforce", signing=None)
        cls.signed = add("signed.example", sts="enforce")
        cls.certs = {w: add(f"{w}.example", {"cert": w}, sts="enforce")
                     for w in ("expired", "not-yet", "wrong", "self", "stranger", "cn-only")}
        cls.fine = [add(f"{w}.example", {"cert": w}, sts="enforce")
                    for w in ("wildcard", "intermediate")]
        cls.foreign = add("foreign.example", {"name": "mx.evil.example"}, signing=None,
                          sts={"mx": ["mx1.foreign.example", "*.foreign.example"]})
        cls.foreign_dane = add("foreign2.example", {"name": "mx.evil2.example", "tlsa": "3 1 1"},
                               signing=None, sts={"mx": ["mx1.foreign2.example"]})
        cls.second = add("second.example", [{"name": "mx.evil3.example"}, {}], signing=None,
                         sts={"mx": ["mx2.second.example"]})
        cls.one_label = add("label.example", {"name": "a.b.label.example"},
                            sts={"mx": ["*.label.example"]})
        cls.pattern = add("pattern.example", sts={"mx": ["*.pattern.example"]})
        cls.pattern_cert = add("pcert.example", {"cert": lab.pki.ca.issue("other.pcert.example")},
                               sts={"mx": ["*.pcert.example"]})
        cls.stripped = add("stripped.example", {"starttls": False}, sts="enforce")
        cls.testing = [add("t-expired.example", {"cert": "expired"}, sts="testing"),
                       add("t-foreign.example", sts={"mode": "testing", "mx": ["mx.else.example"]})]
        cls.testing_clear = add("t-clear.example", {"starttls": False}, sts="testing")
        cls.none = add("none.example", {"cert": "self"}, sts={"mode": "none", "mx": []})
        cls.zero = add("zero.example", {"cert": "self"}, sts={"max_age": 0})
        cls.parent = add("parent.example", sts="enforce")
        cls.child = add("child.parent.example", {"cert": "self"})
        host, lines = lab.host("implicit.example", {})
        cls.implicit = add("implicit.example", [], extra=lines, sts={"mx": ["implicit.example"]})
        cls.implicit.hosts.append(host)
        cls.idn = add("xn--bcher-kva.example", sts="enforce")

    def test_good(self):
        self.delivered(self.good, self.lmtp(self.good.rcpt))
        log = self.last(self.good)
        self.assertEqual((log["policy_type"], log["policy_mode"], log["policy_id"]),
                         ("sts", "enforce", "1"))
        self.assertEqual((log["peer_auth"], log["protection"], log["requirement"]),
                         ("pkix", "authenticated", "verified"))
        self.assertEqual(log["policy_source"], "fetched")
        self.assertEqual(self.good.mx.sessions[-1].sni, "mx1.good.example")
        self.lmtp(self.good.rcpt)
        self.assertEqual(self.last(self.good)["policy_source"], "cached")
        self.assertEqual(len(self.lab.nginx.requests("mta-sts.good.example")), 1)

    def test_good_signed_zone(self):
        self.delivered(self.signed, self.lmtp(self.signed.rcpt))

    def test_idn_recipient(self):
        out = self.lmtp("user@b\u00fccher.example", params="SMTPUTF8")
        self.delivered(self.idn, out)
        self.assertEqual(self.last(self.idn)["domain"], "xn--bcher-kva.example")

    def test_certificates(self):
        """RFC 8461 §4.2: chain, dates and a DNS-ID for the MX name, the CN never."""
        for word, domain in self.certs.items():
            with self.subTest(word):
                self.refused(domain, self.lmtp(domain.rcpt), "451 4.7.5", domain.names[0],
                             "MTA-STS")
                want = {"expired": "certificate-expired", "wrong": "certificate-host-mismatch",
                        "stranger": "certificate-not-trusted"}.get(word)
                if want:
                    self.assertEqual(self.last(domain, "session")["result"], want)
        for domain in self.fine:
            with self.subTest(domain.name):
                self.delivered(domain, self.lmtp(domain.rcpt))

    def test_mx_not_in_policy(self):
        """A spoofed MX with a perfect certificate of its own, and with perfect DANE as well."""
        self.refused(self.foreign, self.lmtp(self.foreign.rcpt), "451 4.7.5", r"mx\.evil\.example",
                     r"mx1\.foreign\.example", "MTA-STS")
        self.assertEqual(self.foreign.mx.sessions, [])
        self.refused(self.foreign_dane, self.lmtp(self.foreign_dane.rcpt), "451 4.7.5",
                     r"mx\.evil2\.example")

    def test_next_host(self):
        self.delivered(self.second, self.lmtp(self.second.rcpt))
        self.assertEqual(self.second.hosts[0].complete, [])

    def test_patterns(self):
        """RFC 8461 §4.1: a wildcard stands for one label; the certificate is for the MX name."""
        self.refused(self.one_label, self.lmtp(self.one_label.rcpt), "451 4.7.5",
                     r"a\.b\.label\.example")
        self.delivered(self.pattern, self.lmtp(self.pattern.rcpt))
        self.refused(self.pattern_cert, self.lmtp(self.pattern_cert.rcpt), "451 4.7.5")

    def test_starttls_stripped(self):
        self.refused(self.stripped, self.lmtp(self.stripped.rcpt), "451 4.7.4", "STARTTLS",
                     "MTA-STS", r"mx1\.stripped\.example")

    def test_testing_delivers_and_reports(self):
        for domain in self.testing:
            with self.subTest(domain.name):
                self.delivered(domain, self.lmtp(domain.rcpt))
                log = self.last(domain, "session")
                self.assertEqual(log["policy_mode"], "testing")
                sts = [r for r in log["results"] if r["policy_type"] == "sts"]
                self.assertTrue(sts and sts[0]["result_types"], log["results"])
        self.delivered(self.testing_clear, self.lmtp(self.testing_clear.rcpt), tls=False)

    def test_none(self):
        self.delivered(self.none, self.lmtp(self.none.rcpt))

    def test_max_age_zero_holds_for_this_delivery(self):
        self.refused(self.zero, self.lmtp(self.zero.rcpt), "451 4.7.5")

    def test_parent_policy_is_not_asked(self):
        """RFC 8461 §3.4: no policy is inherited."""
        self.delivered(self.child, self.lmtp(self.child.rcpt))

    def test_implicit_mx(self):
        self.delivered(self.implicit, self.lmtp(self.implicit.rcpt))


class WithDane(LabCase):
    """DANE and a policy at once, combine = "dane-first"."""

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.both = add("both.example", {"tlsa": "3 1 1"}, sts="enforce")
        cls.dane_only = add("dane-only.example", {"tlsa": "3 1 1", "cert": "self"}, sts="enforce")
        cls.pkix_only = add("pkix-only.example", {"tlsa": WRONG}, sts="enforce")
        cls.not_listed = add("unlisted.example", {"tlsa": "3 1 1"}, sts={"mx": ["mx.else.example"]})
        cls.mixed = add("mixed.example", [{"tlsa": WRONG}, {"cert": "expired"}, {}], sts="enforce")
        cls.unusable = add("unusable.example", {"tlsa": "1 1 1 " + "11" * 32, "cert": "self"},
                           sts="enforce")
        cls.insecure = add("insecure-mx.example", {"name": "mx.hoster.example", "tlsa": "3 1 1",
                                                   "cert": "self"}, signing=None, sts="enforce")

    def test_both(self):
        self.delivered(self.both, self.lmtp(self.both.rcpt))
        kinds = {r["policy_type"] for r in self.last(self.both, "session")["results"]}
        self.assertEqual(kinds, {"tlsa", "sts"})

    def test_dane_authenticates(self):
        self.delivered(self.dane_only, self.lmtp(self.dane_only.rcpt))

    def test_pkix_never_rescues(self):
        """RFC 8461 §2: a policy never overrides a failing DANE validation."""
        self.refused(self.pkix_only, self.lmtp(self.pkix_only.rcpt), "451 4.7.5", "TLSA|DANE")

    def test_policy_still_approves(self):
        self.refused(self.not_listed, self.lmtp(self.not_listed.rcpt), "451 4.7.5", "MTA-STS")

    def test_hosts_one_by_one(self):
        self.delivered(self.mixed, self.lmtp(self.mixed.rcpt))
        self.assertEqual(len(self.mixed.hosts[2].accepted), 1)

    def test_unusable_tlsa_leaves_the_policy(self):
        self.refused(self.unusable, self.lmtp(self.unusable.rcpt), "451 4.7.5")

    def test_dane_behind_insecure_mx_never_replaces_the_policy(self):
        self.refused(self.insecure, self.lmtp(self.insecure.rcpt), "451 4.7.5", "MTA-STS")


class Both(LabCase):
    """combine = "both"."""

    config = {"policy": {"combine": "both"}}

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"}, sts="enforce")
        cls.self = lab.domain("self.example", {"tlsa": "3 1 1", "cert": "self"}, sts="enforce")

    def test_both(self):
        self.delivered(self.good, self.lmtp(self.good.rcpt))
        self.refused(self.self, self.lmtp(self.self.rcpt), "451 4.7.5", "MTA-STS")


class Alone(LabCase):
    """combine = "dane-alone"."""

    config = {"policy": {"combine": "dane-alone"}}

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example", {"tlsa": "3 1 1", "cert": "self"},
                                sts={"mx": ["mx.else.example"]})

    def test_alone(self):
        self.delivered(self.domain, self.lmtp(self.domain.rcpt))


class Fetch(LabCase):
    """Policy hosts that misbehave: as if there were no policy, and in bounded time."""

    config = {"mta_sts": {"fetch_timeout": "2s", "first_contact_wait": "3s"}}
    FAILS = sorted(set(https.BEHAVIOURS) - {"ok", "charset"})

    @classmethod
    def publish(cls, lab):
        cls.bad = {w: lab.domain(f"{w}.example", {"cert": "self"}, signing=None,
                                 sts={"bad": w, "mx": ["mx.else.example"]}) for w in cls.FAILS}
        cls.fine = [lab.domain(f"{w}.example", {"cert": "self"}, signing=None, sts={"bad": w})
                    for w in ("ok", "charset")]
        cls.certs = [lab.domain(f"host-{w}.example", {"cert": "self"}, signing=None,
                                sts={"cert": w, "mx": ["mx.else.example"]})
                     for w in ("expired", "wrong", "self", "stranger", "cn-only")]
        good = "version: STSv1\nmode: enforce\nmx: mx.else.example\nmax_age: 86400\n"
        cls.texts = [lab.domain(f"text{n}.example", {"cert": "self"}, signing=None, sts={"text": t})
                     for n, t in enumerate((
                         good.replace("STSv1", "STSv2"), good.replace("enforce", "Enforce"),
                         good.replace("mx: mx.else.example\n", ""),
                         good.replace("max_age", "Max_age"),
                         good.replace("mx.else.example", "b\u00fccher.example"),
                         good.replace("mx:", "nmx:"), good.replace("mode", " mode")))]
        long_pad = "".join(f"x{n}: {'y' * 60}\n" for n in range(1200))
        cls.long = lab.domain("long.example", {"cert": "self"}, signing=None,
                              sts={"text": good + long_pad})
        cls.records = [lab.domain(f"txt{n}.example", {"cert": "self"}, signing=None, sts={
            "txt": t, "mx": ["mx.else.example"]}) for n, t in enumerate((
                False, ["v=STSv1; id=1;", "v=STSv1; id=2;"], "v=STSv1;", "v=STSv1; id=2016-08-31;",
                "v=stsv1; id=1;", "v=STSv1; id=" + "a" * 33 + ";", "id=1; v=STSv1;"))]
        cls.split = [lab.domain(f"split{n}.example", {"cert": "self"}, signing=None, sts={
            "txt": t, "mx": ["mx.else.example"]}) for n, t in enumerate((
                'v=STS" "v1; id=1;', ["v=STSv1; id=1;", "hello"], "v=STSv1; x=y; id=abc"))]
        cls.alias = lab.domain("aliased.example", {"cert": "self"}, signing=None, extra=[
            "_mta-sts CNAME _mta-sts.split2.example."],
            sts={"txt": False, "mx": ["mx.else.example"]})
        cls.lookup = lab.domain("lookup.example", {"cert": "self"}, signing=None,
                                extra=["_mta-sts NS ns.broken.lab."],
                                sts={"txt": False, "mx": ["mx.else.example"]})

    def test_failing_fetch_is_no_policy(self):
        """RFC 8461 §3.3: only a 200 with text/plain, whole, in time, from a host with its name."""
        for word, domain in self.bad.items():
            with self.subTest(word):
                self.delivered(domain, self.lmtp(domain.rcpt))

    def test_redirect_target_is_not_asked(self):
        self.assertFalse(self.lab.nginx.requests("mta-sts.redirect-target.example"))

    def test_fine_answers_count(self):
        for domain in self.fine:
            with self.subTest(domain.name):
                self.refused(domain, self.lmtp(domain.rcpt), "451 4.7.5", "MTA-STS")

    def test_certificate_of_the_policy_host(self):
        for domain in self.certs:
            with self.subTest(domain.name):
                self.delivered(domain, self.lmtp(domain.rcpt))

    def test_invalid_policies(self):
        for domain in [*self.texts, self.long]:
            with self.subTest(domain.policy_text[:80]):
                self.delivered(domain, self.lmtp(domain.rcpt))

    def test_records_that_are_none(self):
        """RFC 8461 §3.1: not exactly one good record is no policy, and nothing is fetched."""
        for domain in self.records:
            with self.subTest(domain.records):
                self.delivered(domain, self.lmtp(domain.rcpt))
                self.assertFalse(self.lab.nginx.requests(f"mta-sts.{domain.name}"))

    def test_records_that_count(self):
        for domain in [*self.split, self.alias]:
            with self.subTest(domain.records):
                self.refused(domain, self.lmtp(domain.rcpt), "451 4.7.5", "MTA-STS")

    def test_lookup_error(self):
        """on_lookup_error = "deliver", the default."""
        self.delivered(self.lookup, self.lmtp(self.lookup.rcpt))


class Defer(LabCase):
    """on_lookup_error and on_fetch_error = "defer"."""

    config = {"mta_sts": {"fetch_timeout": "2s", "first_contact_wait": "3s",
                          "on_lookup_error": "defer", "on_fetch_error": "defer"}}

    @classmethod
    def publish(cls, lab):
        cls.fetch = lab.domain("fetch.example", signing=None, sts={"bad": "500"})
        cls.lookup = lab.domain("lookup.example", signing=None, sts={"txt": False},
                                extra=["_mta-sts NS ns.broken.lab."])
        cls.none = lab.domain("none.example", signing=None)

    def test_defer(self):
        for domain in (self.fetch, self.lookup):
            with self.subTest(domain.name):
                got = self.lmtp(domain.rcpt).reply
                self.assertEqual(got.code, 451, str(got))
                self.assertEqual(domain.messages, [])
        self.delivered(self.none, self.lmtp(self.none.rcpt))


class Cache(LabCase):
    """What is kept, what replaces it, and what does not."""

    config = {"mta_sts": {"fetch_timeout": "2s", "first_contact_wait": "5s"}}

    @classmethod
    def publish(cls, lab):
        add, plain = lab.domain, {"signing": None, "ttl": 1}
        cls.moved = add("moved.example", sts={"mx": ["mx.else.example"]}, **plain)
        cls.same_id = add("sameid.example", [{}, {}], sts={"mx": ["mx1.sameid.example"]}, **plain)
        cls.gone = add("gone.example", {"cert": "self"}, sts="enforce", **plain)
        cls.kept = add("kept.example", {"cert": "self"}, sts="enforce", **plain)
        cls.invalid = add("invalid.example", {"cert": "self"}, sts="enforce", **plain)
        cls.weaker = add("weaker.example", {"cert": "self"}, sts="enforce", **plain)
        cls.once = add("once.example", sts="enforce", **plain)

    def test_new_id_is_fetched(self):
        """RFC 8461 §5.1: a new id is looked for before giving up."""
        self.refused(self.moved, self.lmtp(self.moved.rcpt), "451 4.7.5")
        self.lab.sts(self.moved, id="2")
        self.lab.republish(self.moved)
        self.until_delivered(self.moved)

    def test_same_id_is_fetched_again_after_a_failure(self):
        """The domain moves to another MX and forgets to change the id: one fetch finds it out."""
        domain = self.same_id
        self.delivered(domain, self.lmtp(domain.rcpt))
        self.lab.nginx.set("mta-sts.sameid.example", policy(mx=["mx2.sameid.example"]))
        self.lab.republish(domain, [r for r in domain.records if not r.startswith("@ MX 10")])
        self.lab.farm.down(domain.hosts[0])
        domain.hosts.pop(0)
        self.until_delivered(domain)

    def until_delivered(self, domain, tries=8):
        """Sends as an MTA would, until the records' old TTL has passed."""
        for _ in range(tries):
            out = self.lmtp(domain.rcpt)
            if out.reply.ok:
                break
            threading.Event().wait(1)
        self.delivered(domain, out)

    def test_policy_outlives_its_record_and_host(self):
        """RFC 8461 §3.3: nothing discoverable, an unexpired policy cached: it applies."""
        self.refused(self.gone, self.lmtp(self.gone.rcpt), "451 4.7.5")
        self.gone.records = [r for r in self.gone.records if not r.startswith(("_mta-sts", "mta-"))]
        self.lab.republish(self.gone)
        threading.Event().wait(1.5)
        self.refused(self.gone, self.lmtp(self.gone.rcpt), "451 4.7.5", "MTA-STS")

    def test_policy_outlives_kill_9(self):
        self.refused(self.kept, self.lmtp(self.kept.rcpt), "451 4.7.5")
        self.kept.records = [r for r in self.kept.records if not r.startswith(("_mta-sts", "mta-"))]
        self.lab.republish(self.kept)
        self.sternpost.kill()
        self.sternpost.start()
        self.refused(self.kept, self.lmtp(self.kept.rcpt), "451 4.7.5", "MTA-STS")
        self.assertEqual(self.last(self.kept)["policy_source"], "cached")

    def test_invalid_never_replaces(self):
        self.refused(self.invalid, self.lmtp(self.invalid.rcpt), "451 4.7.5")
        self.lab.sts(self.invalid, id="2", text="garbage")
        self.lab.republish(self.invalid)
        threading.Event().wait(1.5)
        self.refused(self.invalid, self.lmtp(self.invalid.rcpt), "451 4.7.5")

    def test_weaker_replaces(self):
        """RFC 8461 §10.2: what was fetched properly counts, also when it asks for less."""
        self.refused(self.weaker, self.lmtp(self.weaker.rcpt), "451 4.7.5")
        self.lab.sts(self.weaker, mode="testing", id="2")
        self.lab.republish(self.weaker)
        self.until_delivered(self.weaker)

    def test_one_fetch_for_many_requests(self):
        outs = []
        threads = [threading.Thread(target=lambda: outs.append(self.lmtp(self.once.rcpt)))
                   for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertTrue(all(o.reply.ok for o in outs), outs)
        self.assertEqual(len(self.lab.nginx.requests("mta-sts.once.example")), 1)


if __name__ == "__main__":
    main()
