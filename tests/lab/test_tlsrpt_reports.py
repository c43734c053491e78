#!/usr/bin/python3
"""TLS-RPT reports from the first session to the receiver (RFC 8460 §4, §5): files, messages, POSTs,
commands, identity, retention. Postfix takes the report mail and hands it to the relay again."""

import datetime
import email.utils
import gzip
import os
import re
import shutil
import subprocess
import time
from unittest import mock

from lab.case import main
from lab.clock import midnight
from lab.collector import Collector
from lab.dkim import verify
from lab.pki import DAY
from lab.postfix import PostfixFront
from lab.procs import run, wait_for
from lab.receiver import NGINX, SCRIPTED, NginxReceiver, Receiver
from lab.sternpost import LMTP, merge
from lab.tlsrpt import (RETURN_PATH, SUBMIT, Mail, ReportCase, domain_of, is_report, range_of,
                        record)

SUBJECT = re.compile(r"Report Domain: (\S+) Submitter: reporter\.example "
                     r"Report-ID: <([^@<>\s]+@reporter\.example)>")


class Whole(ReportCase):
    """One day with mail to domains that ask for their reports in every way, then the night."""

    @classmethod
    def publish(cls, lab):
        add = lab.domain
        lab.dns.add_zone("collect.example", [f"nginx A {NGINX}", f"py A {SCRIPTED}"])
        cls.mail = add("mail.example", {"tlsa": "3 1 1"},
                       extra=[record("mailto:tls@mail.example")])
        cls.post = add("post.example", sts="enforce", extra=[record("https://nginx.collect.example/"
                                                                    "v1/reports?for=post")])
        cls.several = add("several.example", {"cert": "self"}, extra=[
            record("mailto:one@several.example,https://py.collect.example/several",
                   "ftp://py.collect.example/x,mailto:two%21%2bthree@several.example,urn:x:y")])
        cls.unknown = add("unknown.example", extra=[record("ftp://py.collect.example/a")])
        cls.silent = add("silent.example", {"starttls": False})
        cls.two = add("twotxt.example", extra=[record("mailto:a@twotxt.example"),
                                               record("mailto:b@twotxt.example")])
        cls.broken = add("broken.example", extra=["_tls NS ns.broken.lab."], ttl=1)
        cls.held = add("held.example", {"cert": "expired"}, sts="enforce",
                       extra=[record("mailto:tls@held.example")])
        cls.domains = [cls.mail, cls.post, cls.several, cls.unknown, cls.silent, cls.two,
                       cls.broken, cls.held]
        cls.nginx = NginxReceiver(lab.path("receiver"), ["nginx.collect.example"],
                                  lab.cert("good", "nginx.collect.example"))
        cls.py = Receiver(lab.cert("good", "py.collect.example"))
        cls.py.set("py.collect.example", 200)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.postfix = cls.lab.add(PostfixFront(cls.lab.path("submit"), lmtp=LMTP, address=SUBMIT))
        cls.lab.add(cls.nginx)
        cls.lab.add(cls.py)
        case = cls()
        for domain in cls.domains:
            for n in range(2):
                case.lmtp(domain.rcpt, helo=f"n{n}.lab")
        cls.before = case.records_by_domain()
        cls.running = case.running_reports()
        cls.close_day(*cls.domains)
        cls.send_all()

    def running_reports(self):
        """`report show` before midnight, once it has everything."""
        wait_for(lambda: len(self.shown()) == len(self.domains), "reports of the running day", 8,
                 0.5)
        self.assert_running()
        return {domain_of(r): r for r in self.shown()}

    def records_by_domain(self):
        """Counted session lines so far, a number for each domain."""
        return {d.name: len(self.sternpost.records(domain=d.name, event="session", counted=True))
                for d in self.domains}

    # -- files -----------------------------------------------------------------------------------

    def test_files_add_up_to_the_log(self):
        """RFC 8460 §4: one report for each domain that mail was tried for, asked for or not."""
        self.assertGreaterEqual(self.assert_counted(), 2 * len(self.domains) - 1)

    def test_the_running_day_is_the_same_report(self):
        for domain in self.domains:
            with self.subTest(domain.name):
                self.assertEqual(self.running[domain.name], self.report_of(domain))
                self.assertEqual(self.shown(domain), self.report_of(domain))

    def test_json(self):
        """RFC 8460 §4.4: members, the range of a day, who reports; I-JSON."""
        for domain in self.domains:
            report = self.report_of(domain)
            self.assertEqual(set(report), {"organization-name", "date-range", "contact-info",
                                           "report-id", "policies"})
            self.assertEqual(report["date-range"], range_of(self.day))
            self.assertEqual((report["organization-name"], report["contact-info"]),
                             ("Lab Corp", "tls@reporter.example"))
            self.assertEqual(domain_of(report), domain.name)
            self.assertTrue(report["report-id"].endswith("@reporter.example"))
            self.assertIsInstance(report["policies"], list)
        sts = self.report_of(self.post)["policies"][0]["policy"]
        self.assertEqual(sts["mx-host"], self.post.names)
        self.assertEqual(sts["policy-string"], self.post.policy_text.strip().split("\r\n"))

    def test_no_local_part_is_anywhere(self):
        for domain in self.domains:
            text = gzip.decompress(self.octets_of(domain)).decode()
            self.assertNotIn("user@", text)
            self.assertNotIn("a@front.lab", text)

    # -- mail ------------------------------------------------------------------------------------

    def test_mail(self):
        """RFC 8460 §5.3: multipart/report, all fields, the octets of the file in base64."""
        got = self.mails(self.mail)[0]
        mail = Mail(got.data)
        self.assertEqual(got.rcpts, ["tls@mail.example"])
        found = RETURN_PATH.match(got.mail)
        self.assertTrue(found, got.mail)
        self.assertIn(found[2], (self.day.strftime("%Y%m%d"),
                                 self.clock.today().strftime("%Y%m%d")))
        self.assertEqual(mail.message.get_content_type(), "multipart/report")
        self.assertEqual(mail.message.get_param("report-type"), "tlsrpt")
        self.assertEqual(mail.header("TLS-Report-Domain"), "mail.example")
        self.assertEqual(mail.header("TLS-Report-Submitter"), "reporter.example")
        subject = SUBJECT.fullmatch(mail.header("Subject"))
        self.assertTrue(subject, mail.header("Subject"))
        self.assertEqual((subject[1], subject[2]), ("mail.example", mail.report["report-id"]))
        self.assertIn("reporter.example", mail.header("From"))
        self.assertIn("tls@mail.example", mail.header("To"))
        self.assertRegex(mail.header("Message-ID"), r"^<[^<>\s]+@\S+>$")
        self.assertEqual(mail.header("MIME-Version"), "1.0")
        date = email.utils.parsedate_to_datetime(mail.header("Date"))
        self.assertLess(abs(date - midnight(self.clock.today())), datetime.timedelta(hours=5))
        self.assertEqual(mail.part.get_content_type(), "application/tlsrpt+gzip")
        self.assertEqual(mail.part["Content-Transfer-Encoding"].lower(), "base64")
        begin = int(midnight(self.day).timestamp())
        self.assertRegex(mail.part.get_filename(),
                         rf"^reporter\.example!mail\.example!{begin}!{begin + DAY - 1}"
                         r"(![A-Za-z0-9]+)?\.json\.gz$")
        self.assertEqual(mail.gzipped, self.octets_of(self.mail))
        self.assertIn("mail.example", mail.text)
        head = got.data.partition(b"\r\n\r\n")[0]
        self.assertTrue(head.isascii())
        self.assertLessEqual(max(len(x) for x in got.data.split(b"\r\n")), 998)

    def test_policy_does_not_hold_report_mail_back(self):
        """RFC 8460 §3, §5.3: delivered despite the very failure that it tells of, not counted."""
        self.assertEqual([m for m in self.held.messages if not is_report(m)], [])
        got = self.mails(self.held)[0]
        self.assertEqual(Mail(got.data).gzipped, self.octets_of(self.held))
        types = [d["result-type"] for p in Mail(got.data).report["policies"]
                 for d in p["failure-details"]]
        self.assertEqual(types, ["certificate-expired"])
        self.refused_as_ever()

    def refused_as_ever(self):
        """Ordinary mail to the same domain and mailbox is still held back."""
        out = self.lmtp("tls@held.example")
        self.reply(out, "451 4.7.5")
        self.assertEqual(len(self.held.messages), 1)

    def test_report_mail_is_not_counted(self):
        """RFC 8460 §5.3: the sessions that carried it are in no report."""
        for domain in (self.mail, self.several):
            self.mails(domain, 2 if domain is self.several else 1)
            lines = self.sternpost.records(domain=domain.name, event="session")
            self.assertEqual(len([x for x in lines if x["counted"]]), self.before[domain.name])
            self.assertGreater(len(lines), self.before[domain.name])

    # -- HTTPS -----------------------------------------------------------------------------------

    def test_nginx_takes_the_file(self):
        """RFC 8460 §5.4: the file's octets, its media type, no Content-Encoding."""
        kept = self.nginx.wait_kept(1)
        self.assertEqual(kept, [("application/tlsrpt+gzip", self.octets_of(self.post))])
        self.assertIn(" /v1/reports?for=post ", self.nginx.log()[0][4])

    def test_several_endpoints(self):
        """RFC 8460 §3: each of those that can be used gets the same report, once."""
        posts = self.py.wait_posts("py.collect.example")
        self.assertEqual([(p.method, p.target) for p in posts], [("POST", "/several")])
        self.assertEqual(posts[0].body, self.octets_of(self.several))
        self.assertEqual(posts[0].header("Host"), ["py.collect.example"])
        mails = self.mails(self.several, 2)
        self.assertEqual(sorted(m.rcpts[0] for m in mails),
                         ["one@several.example", "two!+three@several.example"])
        self.assertEqual({Mail(m.data).gzipped for m in mails}, {posts[0].body})
        self.assertEqual(len({RETURN_PATH.match(m.mail)[1] for m in mails}), 2)
        entry = self.wait_state(self.several, "sent")
        self.assertEqual([e["state"] for e in entry["endpoints"]], ["accepted"] * 3)

    # -- what is not sent ------------------------------------------------------------------------

    def test_not_asked(self):
        """RFC 8460 §3: no record, or more than one: nothing is sent; the file is kept."""
        for domain in (self.silent, self.two, self.unknown):
            with self.subTest(domain.name):
                entry = self.wait_state(domain, "not-asked")
                self.assertEqual(entry["endpoints"], [])
                self.assertEqual([m for m in domain.messages if is_report(m)], [])
                self.assertTrue(os.path.exists(self.path_of(domain)))

    def test_zz_dns_that_fails_is_asked_again(self):
        """An error is no absence: the look-up is repeated until it says something."""
        entry = self.listed(self.broken)
        self.assertIn(entry["state"], ("waiting", "sending"), entry)
        extra = [r for r in self.broken.records if not r.startswith("_tls NS")]
        self.lab.republish(self.broken, extra + [record("mailto:tls@broken.example")])

        def found():
            self.clock.forward(seconds=1800)
            return [m for m in self.broken.messages if is_report(m)]
        wait_for(found, "the report about broken.example", 40, 1.5)
        self.wait_state(self.broken, "sent")
        self.assertEqual(len(self.mails(self.broken)), 1)

    # -- commands --------------------------------------------------------------------------------

    def test_list(self):
        whole = self.listed()
        self.assertEqual(whole["state"], "composed")
        self.assertEqual({r["domain"] for r in whole["reports"]}, {d.name for d in self.domains})
        entry = self.wait_state(self.mail, "sent")
        report = self.report_of(self.mail)
        self.assertEqual(entry["report_id"], report["report-id"])
        self.assertEqual(entry["file"], self.path_of(self.mail))
        sums = report["policies"][0]["summary"]
        self.assertEqual((entry["successes"], entry["failures"]),
                         (sums["total-successful-session-count"],
                          sums["total-failure-session-count"]))
        self.assertIn("rua=mailto:tls@mail.example", entry["record"])
        endpoint = entry["endpoints"][0]
        self.assertEqual((endpoint["uri"], endpoint["state"], endpoint["attempts"]),
                         ("mailto:tls@mail.example", "accepted", 1))
        self.assertRegex(endpoint["answer"], "^250")
        table = self.command("list", "--date", self.day.isoformat())
        self.assertRegex(table, r"mail\.example\s.*sent")
        self.assertEqual(self.listed(day=self.day + datetime.timedelta(days=-9))["reports"], [])

    def test_dry_run(self):
        """--dry-run prints what would be sent: nothing to those who have it already."""
        self.wait_state(self.mail, "sent")
        self.mails(self.mail)       # sent is not yet there: Postfix has it first
        before = len(self.mail.messages)
        status, out, err = self.sternpost.run("report", "send", "--date", self.day.isoformat(),
                                              "--domain", "mail.example", "--dry-run")
        self.assertEqual((status, out), (0, ""), err)
        self.assertIn("mail.example: nothing would be sent: everybody who asks for it has it", err)
        self.assertEqual(len(self.mail.messages), before)

    def test_send_sends_nothing_twice(self):
        self.wait_state(self.post, "sent")
        self.wait_state(self.mail, "sent")
        self.command("send", "--date", self.day.isoformat(), status=1)  # broken.example waits
        self.command("send", "--date", self.day.isoformat(), "--domain", "post.example")
        self.assertEqual(len(self.nginx.kept()), 1)
        self.mails(self.mail)

    def test_wrong_words(self):
        for words in (("--date", "2026-02-30"), ("--date", "yesterday"), ("--domain", "a b")):
            status, out, err = self.sternpost.run("report", "list", *words)
            self.assertEqual((status, out), (2, ""), (words, err))

    def test_zzz_without_a_daemon(self):
        """list, show and send take the lock; a daemon that runs has it."""
        self.wait_state(self.mail, "sent")
        with_daemon = self.listed(), self.shown(self.post)
        self.sternpost.stop()
        try:
            self.assertEqual((self.listed(), self.shown(self.post)), with_daemon)
            self.command("send", "--date", self.day.isoformat())
        finally:
            self.sternpost.start()
        self.assertEqual(len(self.nginx.kept()), 1)


class Commands(ReportCase):
    """`report send` of a closed day, long before the jitter lets the daemon send."""

    @classmethod
    def publish(cls, lab):
        lab.dns.add_zone("collect.example", [f"py A {SCRIPTED}"])
        url = "https://py.collect.example/"
        cls.domains = [lab.domain(f"d{n}.example", extra=[record(f"{url}{n}")]) for n in range(4)]
        cls.py = Receiver(lab.cert("good", "py.collect.example"))

    def targets(self):
        """What was asked for so far."""
        return sorted(p.target for p in self.py.complete())

    def test_send(self):
        self.lab.add(self.py)
        self.py.set("py.collect.example", 200)
        for domain in self.domains:
            self.lmtp(domain.rcpt)
        self.clock.at(self.day, 23, 59, 0)
        self.close_day(*self.domains)
        early = set(self.targets())
        self.assertLess(len(early), 4)      # the jitter is at most four hours; all at once: never
        for domain in self.domains:
            entry = self.listed(domain)
            self.assertIn(entry["state"], ("waiting", "sending", "sent"))
        self.command("send", "--date", self.day.isoformat(), "--domain", "d0.example")
        self.assertIn("/0", self.targets())
        self.assertLess(len(self.targets()), 4)
        self.assertEqual(self.listed(self.domains[0])["state"], "sent")
        self.sternpost.stop()
        try:
            self.command("send", "--date", self.day.isoformat())
        finally:
            self.sternpost.start()
        self.assertEqual(self.targets(), [f"/{n}" for n in range(4)])
        self.send_all()
        self.wait_all_sent(self.domains)
        self.assertEqual(self.targets(), [f"/{n}" for n in range(4)])


class Signed(ReportCase):
    """RFC 8460 §3: report mail with a DKIM signature, read by an independent verifier."""

    SELECTOR = "rpt"
    KEY = ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    RECORD = "v=DKIM1; k=rsa; s=tlsrpt; p={}"

    @classmethod
    def key(cls, lab):
        """Makes the key; the base64 of what is published."""
        path = lab.path(f"{cls.__name__}.key")
        run("openssl", *cls.KEY, "-out", path)
        der = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"],
                             capture_output=True, check=True).stdout
        return path, der

    @staticmethod
    def published(der):
        """RSA: the SubjectPublicKeyInfo."""
        return der

    @classmethod
    def publish(cls, lab):
        import base64
        cls.key_file, der = cls.key(lab)
        text = cls.RECORD.format(base64.b64encode(cls.published(der)).decode())
        cls.records = {f"{cls.SELECTOR}._domainkey.reporter.example": text}
        quoted = " ".join(f'"{text[i:i + 200]}"' for i in range(0, len(text), 200))
        lab.dns.add_zone("reporter.example", [f"{cls.SELECTOR}._domainkey TXT {quoted}"])
        cls.mail = lab.domain("mail.example", extra=[record("mailto:tls@mail.example")])
        cls.config = merge(cls.config, {"tls_rpt": {"dkim_selector": cls.SELECTOR,
                                                    "dkim_key": cls.key_file}})

    def test_signature(self):
        self.lab.add(PostfixFront(self.lab.path("submit"), lmtp=LMTP, address=SUBMIT))
        self.lmtp(self.mail.rcpt)
        self.close_day(self.mail)
        self.send_all()
        got = self.mails(self.mail)[0]
        at = got.data.index(b"DKIM-Signature:")
        signed = got.data[at:]                  # without the Received fields of both hops
        tags = dict(t.strip().split("=", 1) for t in
                    re.sub(rb"\r\n[ \t]+", b" ", got.data[at:]).split(b"\r\n")[0].decode()
                    .partition(":")[2].split(";") if "=" in t)
        self.assertEqual((tags["d"], tags["s"]), ("reporter.example", self.SELECTOR))
        self.assertNotIn("l", tags)
        self.assertNotIn("may be ignored by its receivers", self.sternpost.log)
        names = {n.strip().lower() for n in tags["h"].split(":")}
        self.assertLessEqual({"from", "to", "subject", "date", "message-id", "mime-version",
                              "content-type", "tls-report-domain", "tls-report-submitter"}, names)
        now = self.clock.now().timestamp()
        with mock.patch("time.time", lambda: now):      # a verifier has the clock's day, too
            self.assertEqual(verify(signed, self.records), [])
            for damage in ((b"TLS-Report-Domain: mail", b"TLS-Report-Domain: fail"),
                           (b"H4sI", b"H4sJ"), (b"multipart/report", b"multipart/mixed")):
                self.assertIn(damage[0], signed)
                self.assertTrue(verify(signed.replace(*damage, 1), self.records), damage)


class SignedEd25519(Signed):
    """RFC 8463."""

    KEY = ("genpkey", "-algorithm", "ED25519")
    RECORD = "v=DKIM1; k=ed25519; s=email:tlsrpt; p={}"

    @staticmethod
    def published(der):
        """Ed25519: the 32 octets of the key."""
        return der[-32:]


class SignedByAKeyForMailAlone(Signed):
    """RFC 8460 §3: a key record without s=tlsrpt or s=* is told at the start."""

    RECORD = "v=DKIM1; k=rsa; s=email; p={}"

    def test_signature(self):
        warned = wait_for(lambda: [x for x in self.sternpost.log.splitlines()
                                   if "may be ignored by its receivers" in x], "the warning", 15)
        self.assertEqual(len(warned), 1)
        self.assertIn("rpt._domainkey.reporter.example", warned[0])
        self.assertRegex(warned[0], "tlsrpt")


class NoIdentity(ReportCase):
    """Without an organization_name records are kept, nothing is sent, and one warning says so."""

    identity = {"contact_info": "tls@reporter.example", "report_domain": "reporter.example",
                "submit_via": f"{SUBMIT}:25"}

    @classmethod
    def publish(cls, lab):
        lab.dns.add_zone("collect.example", [f"py A {SCRIPTED}"])
        cls.domain = lab.domain("d.example", extra=[record("https://py.collect.example/d")])
        cls.py = Receiver(lab.cert("good", "py.collect.example"))

    def test_kept(self):
        self.lab.add(self.py)
        self.py.set("py.collect.example", 200)
        self.lmtp(self.domain.rcpt)
        self.close_day(self.domain)
        self.send_all()
        self.assertEqual(self.wait_state(self.domain, "kept")["endpoints"], [])
        self.assert_counted()
        self.clock.forward(days=1)
        self.wait_state(self.domain, "kept")
        self.assertEqual(self.py.posts(), [])
        warnings = [x for x in self.sternpost.log.splitlines() if "organization_name" in x]
        self.assertEqual(len(warnings), 1, warnings)
        self.assertRegex(warnings[0].lower(), "warn")


class Off(ReportCase):
    """tls_rpt.send = false keeps, tls_rpt.enabled = false gathers nothing."""

    config = {"tls_rpt": {"send": False}}

    @classmethod
    def publish(cls, lab):
        lab.dns.add_zone("collect.example", [f"py A {SCRIPTED}"])
        cls.domain = lab.domain("d.example", extra=[record("https://py.collect.example/d")])
        cls.py = Receiver(lab.cert("good", "py.collect.example"))

    def test_nothing_is_sent(self):
        self.lab.add(self.py)
        self.lmtp(self.domain.rcpt)
        self.close_day(self.domain)
        self.send_all()
        self.wait_state(self.domain, "kept")
        self.assertEqual(self.py.posts(), [])
        self.sternpost.stop()
        self.sternpost.configure({"tls_rpt": {"enabled": False}})
        self.sternpost.start()
        today = self.clock.today()
        self.lmtp(self.domain.rcpt)
        self.settle()
        self.clock.at(today, 24, 0, 5)
        for _ in range(3):
            self.lmtp(self.domain.rcpt)
            time.sleep(1)
        self.assertFalse(os.path.exists(self.path_of(self.domain, today)))


class Retention(ReportCase):
    """tls_rpt.keep: older days go, the day's directory with them; younger ones stay."""

    config = {"tls_rpt": {"keep": "3d"}}

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example")

    def test_keep(self):
        days, directory = [], self.sternpost.config["tls_rpt"]["directory"]
        for n in range(6):
            day = self.clock.today()
            days.append(day.isoformat())
            self.lmtp(self.domain.rcpt)
            self.settle()
            self.clock.at(day, 24, 0, 5)
            wait_for(lambda d=day: os.path.exists(self.path_of(self.domain, d)), f"file {n}", 15,
                     0.05)
        os.makedirs(os.path.join(directory, "notes-of-the-operator"))
        self.clock.forward(seconds=2 * 3600)

        def left():
            return sorted(n for n in os.listdir(directory) if n[0] == "2")
        wait_for(lambda: len(left()) <= 4, f"old days to go: {left()}", 15, 0.1)
        self.assertEqual(left(), days[-len(left()):])
        self.assertGreaterEqual(len(left()), 3)
        self.assertTrue(os.path.isdir(os.path.join(directory, "notes-of-the-operator")))


class Restored(ReportCase):
    """A directory that cannot be written for a while loses nothing."""

    @classmethod
    def publish(cls, lab):
        cls.domain = lab.domain("d.example")

    def test_the_file_comes_when_it_can_be_written(self):
        directory = self.sternpost.config["tls_rpt"]["directory"]
        self.lmtp(self.domain.rcpt)
        shutil.rmtree(directory, ignore_errors=True)
        with open(directory, "wb"):
            pass                            # a file where the directory should be
        self.settle()
        self.clock.at(self.day, 24, 0, 5)
        self.lmtp(self.domain.rcpt)
        wait_for(lambda: directory in self.sternpost.log, "a word about the directory", 15, 0.1)
        os.remove(directory)
        self.clock.forward(seconds=3600)
        wait_for(lambda: os.path.exists(self.path_of(self.domain)), "the file", 20, 0.1)
        self.assert_counted()


class ToCollector(ReportCase):
    """The datagrams of libtlsrpt, besides reports of our own."""

    @classmethod
    def publish(cls, lab):
        cls.text = record("mailto:tls@asked.example")
        cls.asked = lab.domain("asked.example", {"tlsa": "3 1 1", "cert": "self"}, sts="enforce",
                               extra=[cls.text])
        cls.expired = lab.domain("expired.example", {"cert": "expired"}, sts="enforce",
                                 extra=[record("mailto:tls@expired.example")])
        cls.silent = lab.domain("silent.example")
        cls.socket = lab.path("collector.sock")
        cls.config = merge(cls.config, {"tls_rpt": {"collector": cls.socket}})

    def test_datagrams(self):
        for _ in range(3):      # nobody listens: mail goes on
            self.reply(self.lmtp(self.silent.rcpt), "250 2.0.0")
        collector = self.lab.add(Collector(self.socket))
        for domain in (self.silent, self.asked, self.expired):
            self.lmtp(domain.rcpt)
        one = collector.wait_of("asked.example")[0]
        self.assertEqual(list(one), ["dpv", "d", "pr", "policies"])
        self.assertEqual((one["dpv"], one["pr"]), ("1", self.text.split('"')[1]))
        by_type = {p["policy-type"]: p for p in one["policies"]}
        self.assertEqual(set(by_type), {1, 2})
        self.assertEqual((by_type[1]["policy-domain"], by_type[1]["t"], by_type[1]["f"]),
                         ("mx1.asked.example", 0, 0))
        self.assertEqual((by_type[2]["policy-domain"], by_type[2]["t"], by_type[2]["f"]),
                         ("asked.example", 1, 1))
        self.assertEqual(by_type[2]["mx-host"], ["mx1.asked.example"])
        self.assertEqual(by_type[2]["failure-details"][0]["c"], 203)
        policy = collector.wait_of("expired.example")[0]["policies"][0]
        detail = policy["failure-details"][0]
        self.assertEqual((policy["policy-type"], detail["c"], detail["n"], detail["r"]),
                         (2, 204, "mx1.expired.example", self.expired.mx.address))
        self.assertEqual(collector.of("silent.example"), [])
        self.close_day(self.silent, self.asked, self.expired)
        self.assert_counted()


if __name__ == "__main__":
    main()
