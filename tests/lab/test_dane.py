#!/usr/bin/python3
"""DANE for SMTP (RFC 7672, 7671, 6698) against a real DNSSEC tree: what is demanded of a host and
what becomes of the message."""

import ssl

from lab.actions import Reset
from lab.case import LabCase, main
from lab.pki import tlsa

WRONG = "3 1 1 " + "00" * 32


class Match(LabCase):
    """Records that a host meets, or not."""

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.ee = [add(f"ee{n}.example", {"tlsa": t, "cert": "stranger"})
                  for n, t in enumerate(("3 1 1", "3 0 1", "3 1 2", "3 0 2", "3 0 0", "3 1 0"))]
        cls.nsec3 = add("ee.net", {"tlsa": "3 1 1"}, signing="nsec3")
        cls.dates = [add(f"ee-{w}.example", {"tlsa": "3 1 1", "cert": w})
                     for w in ("expired", "not-yet", "wrong", "self", "cn-only", "old")]
        cls.mismatch = add("mismatch.example", {"tlsa": WRONG})
        cls.second = add("second.example", [{"tlsa": WRONG}, {"tlsa": "3 1 1"}])
        stranger = {"cert": "stranger", "authority": lab.pki.stranger}
        cls.ta = [add(f"ta{n}.example", {"tlsa": t, **stranger})
                  for n, t in enumerate(("2 0 1", "2 1 1", "2 0 2"))]
        cls.ta_full = add("ta-full.example", {"tlsa": "2 0 0", "authority": lab.pki.ca})
        cls.ta_wrong = add("ta-wrong.example", {"tlsa": "2 0 1", "cert": "wrong"})
        cls.ta_expired = add("ta-expired.example", {"tlsa": "2 0 1", "cert": "expired"})
        cls.ta_other = add("ta-other.example", {"tlsa": tlsa("2 0 1", lab.pki.stranger.cert)})
        cls.ta_next_hop = add("ta-hop.example", {
            "tlsa": "2 0 1", "cert": lab.pki.ca.issue("ta-hop.example")})
        cls.ta_wildcard = add("ta-wild.example", {"tlsa": "2 0 1", "cert": "wildcard"})
        cert = lab.cert("self", "mx1.agile.example")
        cls.agile = add("agile.example", {"cert": cert, "tlsa": ["3 1 1", "3 1 2 " + "00" * 64]})
        cls.agile_ok = add("agile2.example", {"cert": "self", "tlsa": [WRONG, "3 1 2"]})
        cls.pairs = add("pairs.example", {"cert": "self", "tlsa": ["3 0 1", "3 1 2 " + "00" * 64]})
        right, other = lab.cert("self", "mx1.sni.example"), lab.cert("wrong", "mx1.sni.example")
        cls.sni = add("sni.example", {"cert": other, "sni": {"mx1.sni.example": right},
                                      "tlsa": tlsa("3 1 1", right)})

    def test_dane_ee(self):
        """RFC 7672 §3.1.1: each selector and matching type."""
        for domain in self.ee:
            with self.subTest(domain.records):
                out = self.lmtp(domain.rcpt)
                self.delivered(domain, out)
        self.assertEqual(self.ee[0].mx.sessions[-1].sni, "mx1.ee0.example")
        log = self.sternpost.wait_records(domain=self.ee[0].name, event="delivery")[0]
        self.assertEqual((log["verdict"], log["requirement"], log["policy_type"]),
                         ("delivered", "dane", "tlsa"))
        self.assertEqual((log["peer_auth"], log["protection"], log["mx_dnssec"], log["result"]),
                         ("dane-ee", "authenticated", "secure", "success"))
        self.assertEqual(log["spki_sha256"], self.ee[0].mx.cert.spki_sha256)
        self.assertEqual(log["cert_sha256"], self.ee[0].mx.cert.sha256)
        self.assertEqual(log["mx"], "mx1.ee0.example")

    def test_nsec3_zone(self):
        self.delivered(self.nsec3, self.lmtp(self.nsec3.rcpt))

    def test_dane_ee_ignores_dates_names_and_strength(self):
        """RFC 7672 §3.1.1: neither name nor expiry count for usage 3."""
        for domain in self.dates:
            with self.subTest(domain.name):
                self.delivered(domain, self.lmtp(domain.rcpt))

    def test_mismatch(self):
        """RFC 7672 §2.2: a certificate of a trusted CA does not rescue a TLSA mismatch."""
        got = self.refused(self.mismatch, self.lmtp(self.mismatch.rcpt), "451 4.7.5",
                           r"mx1\.mismatch\.example", "TLSA|DANE")
        session = self.record(got, "session")
        self.assertEqual((session["verdict"], session["result"], session["counted"]),
                         ("refused", "validation-failure", True))
        log = self.record(got)
        self.assertEqual((log["verdict"], log["policy_type"]), ("deferred", "tlsa"))
        self.assertIn("4.7.5", log["reply"])

    def test_next_host(self):
        out = self.lmtp(self.second.rcpt)
        self.delivered(self.second, out)
        self.assertEqual(len(self.second.hosts[1].accepted), 1)
        self.assertEqual(self.second.hosts[0].complete, [])

    def test_dane_ta(self):
        """RFC 7672 §3.1.2: an anchor that no CA store knows."""
        for domain in self.ta:
            with self.subTest(domain.name):
                self.delivered(domain, self.lmtp(domain.rcpt))
                self.assertEqual(self.last(domain)["peer_auth"], "dane-ta")

    def test_dane_ta_full(self):
        self.delivered(self.ta_full, self.lmtp(self.ta_full.rcpt))

    def test_dane_ta_demands_name_and_dates(self):
        """RFC 7671 §5.2: usage 2 needs a reference identifier and an unexpired path."""
        for domain in (self.ta_wrong, self.ta_expired, self.ta_other):
            with self.subTest(domain.name):
                self.refused(domain, self.lmtp(domain.rcpt), "451 4.7.5", domain.names[0])

    def test_dane_ta_names(self):
        """RFC 7672 §3.2.2: the next-hop domain counts behind a secure MX, and wildcards."""
        for domain in (self.ta_next_hop, self.ta_wildcard):
            with self.subTest(domain.name):
                self.delivered(domain, self.lmtp(domain.rcpt))

    def test_digest_agility(self):
        """RFC 7671 §9: with SHA2-512 for a pair, its SHA2-256 records are not consulted."""
        self.refused(self.agile, self.lmtp(self.agile.rcpt), "451 4.7.5")
        self.delivered(self.agile_ok, self.lmtp(self.agile_ok.rcpt))
        self.delivered(self.pairs, self.lmtp(self.pairs.rcpt))

    def test_sni_chooses_the_certificate(self):
        """RFC 7672 §8.1: SNI is the TLSA base domain."""
        self.delivered(self.sni, self.lmtp(self.sni.rcpt))


class Demands(LabCase):
    """Encryption demanded, however the host behaves."""

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.unusable = [add(f"un{n}.example", {"tlsa": t, "cert": "self"}) for n, t in enumerate(
            ("0 0 1", "1 1 1 " + "11" * 32, "3 1 9 " + "11" * 32, "3 1 1 abcdef",
             "9 1 1 " + "11" * 32))]
        cls.unusable_clear = add("un-clear.example", {"tlsa": "1 1 1 " + "11" * 32,
                                                      "starttls": False})
        cls.stripped = add("stripped.example", {"tlsa": "3 1 1", "starttls": False})
        cls.busy = add("busy.example", {"tlsa": "3 1 1", "at": {"starttls": "454 4.7.0 not now"}})
        cls.reset = add("reset.example", {"tlsa": "3 1 1", "at": {"handshake": Reset()}})
        cls.old = add("tls11.example", {"tlsa": "3 1 1", "tls": {
            "maximum": ssl.TLSVersion.TLSv1_1, "minimum": ssl.TLSVersion.TLSv1}})
        cls.injected = add("inject.example", {"tlsa": "3 1 1", "at": {
            "starttls": lambda s, _: s.send(b"220 go\r\n250 injected\r\n") or "220 again"}})
        cls.none = add("none.example", {"starttls": False})
        cls.insecure = add("insecure.example", {"tlsa": WRONG, "cert": "self"}, signing=None)
        cls.empty = add("absent.example", {"cert": "self"})

    def test_unusable_demands_encryption(self):
        """RFC 7672 §2.2: records of which none is usable demand TLS, unauthenticated."""
        for domain in self.unusable:
            with self.subTest(domain.records):
                self.delivered(domain, self.lmtp(domain.rcpt))
                log = self.last(domain)
                self.assertEqual((log["requirement"], log["peer_auth"]), ("encrypted", "none"))
        self.refused(self.unusable_clear, self.lmtp(self.unusable_clear.rcpt), "451 4.7.4")

    def test_starttls_stripped(self):
        got = self.refused(self.stripped, self.lmtp(self.stripped.rcpt), "451 4.7.4",
                           r"mx1\.stripped\.example", "STARTTLS", "TLSA|DANE")
        self.assertEqual(self.record(got, "session")["result"], "starttls-not-supported")

    def test_starttls_refused(self):
        self.refused(self.busy, self.lmtp(self.busy.rcpt), "451 4.7.4", "454")

    def test_handshake_fails(self):
        self.refused(self.reset, self.lmtp(self.reset.rcpt), "451 4.7.5")

    def test_old_tls(self):
        self.refused(self.old, self.lmtp(self.old.rcpt), "451 4.7.5")

    def test_injected_reply(self):
        """Octets behind the reply to STARTTLS end the session; nothing is sent after them."""
        self.refused(self.injected, self.lmtp(self.injected.rcpt), "451 4.7.5")
        self.assertFalse(any(c.startswith("MAIL") for s in self.injected.mx.sessions
                             for c in s.commands))

    def test_nothing_published(self):
        self.delivered(self.none, self.lmtp(self.none.rcpt), tls=False)
        log = self.last(self.none)
        self.assertEqual((log["policy_type"], log["protection"], log["requirement"]),
                         ("no-policy-found", "cleartext", "opportunistic"))
        self.delivered(self.empty, self.lmtp(self.empty.rcpt))

    def test_insecure_tlsa_is_ignored(self):
        """RFC 7672 §2.2: TLSA records from an unsigned zone demand nothing."""
        self.delivered(self.insecure, self.lmtp(self.insecure.rcpt))
        self.assertEqual(self.last(self.insecure)["mx_dnssec"], "insecure")


class Names(LabCase):
    """Security states and names at each step (RFC 7672 §2.1 to §2.2.3)."""

    config = {"dns": {"timeout": "3s"}}

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        cls.states = [add(f"{s}.example", {"cert": "self"}, signing=s)
                      for s in ("bogus", "expired", "future", "unsigned", "wrong-ds")]
        cls.bad_mx = add("badmx.example", {"tlsa": "3 1 1"}, corrupt={("badmx.example", "MX")})
        cls.bad_address = add("bada.example", [{}, {"tlsa": "3 1 1"}],
                              corrupt={("mx1.bada.example", "A")})
        cls.bad_tlsa = add("badt.example", {"tlsa": "3 1 1"},
                           corrupt={("_25._tcp.mx1.badt.example", "TLSA")})
        cls.lame = add("lame.example", {}, extra=["_tcp.mx1 NS ns.broken.lab."])
        cls.lame_second = add("lame2.example", [{}, {"tlsa": "3 1 1"}],
                              extra=["_tcp.mx1 NS ns.broken.lab."])
        cls.silent = add("silent.example", {}, extra=["_tcp.mx1 NS ns.broken.lab."])
        lab.broken_dns.rules["_tcp.mx1.silent.example"] = "drop"
        cls.plain_lame = add("plain-lame.example", {"cert": "self"}, signing=None,
                             extra=["_tcp.mx1 NS ns.broken.lab."])
        foreign = {"signing": "nsec"}
        cls.hosted = add("hosted.example", {"name": "mx.hoster.example", "tlsa": "3 1 1",
                                            **foreign},
                         signing=None)
        cls.hosted_wrong = add("hosted2.example", {"name": "mx.hoster2.example", "tlsa": WRONG,
                                                   **foreign}, signing=None)
        cls.hosted_name = add("hosted3.example", {
            "name": "mx.hoster3.example", "tlsa": "2 0 1",
            "cert": lab.pki.ca.issue("hosted3.example"), **foreign}, signing=None)
        cls._aliases(lab)
        host, lines = lab.host("implicit.example", {"tlsa": "3 1 1", "cert": "self"})
        cls.implicit = add("implicit.example", [], extra=lines)
        cls.implicit.hosts.append(host)

    @classmethod
    def _aliases(cls, lab):
        """MX names that are aliases: (label, TLSA at target, TLSA at alias, zone of the target)."""
        cls.alias = {}
        for label, at_target, at_alias, zone in (
                ("both", "3 1 1", WRONG, None), ("orig", None, "3 1 1", None),
                ("out", WRONG, "3 1 1", "plainzone.example"),
                ("outnone", None, None, "plainzone.example")):
            name, address = f"{label}.alias.example", lab.address()
            target = f"host-{label}.{zone or name}"
            cert = lab.cert("self", target)
            lines = [f"mx CNAME {target}."]
            if at_alias:
                lines.append(f"_25._tcp.mx TLSA {lab.tlsa(at_alias, cert)}")
            there = [f"{target}. A {address}"]
            if at_target:
                there.append(f"_25._tcp.{target}. TLSA {lab.tlsa(at_target, cert)}")
            if zone:
                old = lab.dns.zones.get(zone)
                lab.dns.add_zone(zone, (old.records if old else []) + there, None)
            else:
                lines += there
            domain = lab.domain(name, {"name": f"mx.{name}", "addresses": [address], "cert": cert,
                                       "no_address": True}, extra=lines)
            cls.alias[label] = domain
        cert = lab.cert("self", "mx1.talias.example")
        cls.tlsa_alias = lab.domain("talias.example", {"cert": cert}, extra=[
            "_25._tcp.mx1 CNAME _shared", f"_shared TLSA {tlsa('3 1 1', cert)}"])

    def test_bogus_domain(self):
        for domain in self.states:
            with self.subTest(domain.name):
                self.refused(domain, self.lmtp(domain.rcpt), "451 4.7.5", "DNSSEC")
                self.assertEqual(domain.mx.sessions, [])

    def test_bogus_mx(self):
        self.refused(self.bad_mx, self.lmtp(self.bad_mx.rcpt), "451 4.7.5", "DNSSEC", "MX")

    def test_bogus_address_next_host(self):
        self.delivered(self.bad_address, self.lmtp(self.bad_address.rcpt))
        self.assertEqual(len(self.bad_address.hosts[1].accepted), 1)

    def test_bogus_tlsa(self):
        """RFC 7672 §2.1.2: a host whose TLSA lookup failed is not used."""
        got = self.refused(self.bad_tlsa, self.lmtp(self.bad_tlsa.rcpt), "451 4.7.5", "TLSA")
        self.assertEqual(self.bad_tlsa.mx.sessions, [])
        session = self.record(got, "session")
        self.assertEqual((session["verdict"], session["result"]), ("refused", "dnssec-invalid"))

    def test_tlsa_lookup_fails(self):
        for domain in (self.lame, self.silent):
            with self.subTest(domain.name):
                self.refused(domain, self.lmtp(domain.rcpt), "451 4.7.5", "TLSA")
                self.assertEqual(domain.mx.sessions, [])
        self.delivered(self.lame_second, self.lmtp(self.lame_second.rcpt))

    def test_no_tlsa_query_in_insecure_zone(self):
        """RFC 7672 §2.2.2: no TLSA is asked for where the address is insecure."""
        self.delivered(self.plain_lame, self.lmtp(self.plain_lame.rcpt))
        self.assertFalse([q for q in self.lab.broken_dns.queries if "plain-lame" in q[0]])

    def test_insecure_mx(self):
        """RFC 7672 §2.2.1: DANE behind an unsigned MX, as `dane.insecure_mx` = "dane" has it."""
        self.delivered(self.hosted, self.lmtp(self.hosted.rcpt))
        log = self.last(self.hosted)
        self.assertEqual((log["peer_auth"], log["mx_dnssec"]), ("dane-ee", "insecure"))
        self.assertEqual(log["protection"], "encrypted")
        self.refused(self.hosted_wrong, self.lmtp(self.hosted_wrong.rcpt), "451 4.7.5")

    def test_insecure_mx_reference_identifier(self):
        """RFC 7672 §3.2.2: behind an unsigned MX the next-hop domain is no reference identifier."""
        self.refused(self.hosted_name, self.lmtp(self.hosted_name.rcpt), "451 4.7.5")

    def test_alias_expanded_first(self):
        """RFC 7672 §2.2.2: the expanded name is tried first, and is the SNI."""
        domain = self.alias["both"]
        self.delivered(domain, self.lmtp(domain.rcpt))
        self.assertEqual(domain.mx.sessions[-1].sni, "host-both.both.alias.example")

    def test_alias_original_second(self):
        domain = self.alias["orig"]
        self.delivered(domain, self.lmtp(domain.rcpt))
        self.assertEqual(domain.mx.sessions[-1].sni, "mx.orig.alias.example")
        self.assertEqual(self.last(domain)["requirement"], "dane")

    def test_alias_into_insecure_zone(self):
        """RFC 7672 §2.2.2: only the original name, when the address is insecure."""
        domain = self.alias["out"]
        self.delivered(domain, self.lmtp(domain.rcpt))
        self.assertEqual(self.last(domain)["requirement"], "dane")
        domain = self.alias["outnone"]
        self.delivered(domain, self.lmtp(domain.rcpt))
        self.assertEqual(self.last(domain)["requirement"], "opportunistic")

    def test_tlsa_alias(self):
        """RFC 7672 §2.2.3: an alias at the TLSA name leaves the base domain as it is."""
        self.delivered(self.tlsa_alias, self.lmtp(self.tlsa_alias.rcpt))
        self.assertEqual(self.tlsa_alias.mx.sessions[-1].sni, "mx1.talias.example")

    def test_implicit_mx(self):
        self.delivered(self.implicit, self.lmtp(self.implicit.rcpt))
        self.assertEqual(self.last(self.implicit)["requirement"], "dane")


class Off(LabCase):
    """dane.insecure_mx = "opportunistic"."""

    config = {"dane": {"insecure_mx": "opportunistic"}}

    @classmethod
    def publish(cls, lab):
        cls.hosted = lab.domain("hosted.example", {"name": "mx.hoster.example", "tlsa": WRONG},
                                signing=None)

    def test_insecure_mx(self):
        self.delivered(self.hosted, self.lmtp(self.hosted.rcpt))
        self.assertEqual(self.last(self.hosted)["requirement"], "opportunistic")


if __name__ == "__main__":
    main()
