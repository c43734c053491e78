#!/usr/bin/python3
"""`doctor` against the lab's own names and hosts: everything fine, and each thing wrong in turn."""

import datetime
import json
import os
import pty
import re
import shlex
import shutil
import subprocess

from lab.case import LabCase, main
from lab.procs import run


class Doctor(LabCase):
    """Names in every state of DNSSEC, a partner with MX and policy."""

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"}, sts="enforce")
        cls.bogus = lab.domain("bogus.example", signing="bogus")
        cls.plain = lab.domain("plain.example", signing=None)
        cls.lost = lab.domain("lost.example", {"listen": False})
        cls.key = lab.path("dkim.pem")
        run("openssl", "genrsa", "-out", cls.key, "2048")
        public = run("openssl", "rsa", "-in", cls.key, "-pubout", stderr=subprocess.DEVNULL)
        body = "".join(public.decode().split("\n")[1:-2])
        halves = [body[:200], body[200:]]
        lab.domain("reporter.example", extra=[
            f'good._domainkey TXT "v=DKIM1; k=rsa; s=tlsrpt; p={halves[0]}" "{halves[1]}"',
            f'mail._domainkey TXT "v=DKIM1; k=rsa; s=email; p={halves[0]}" "{halves[1]}"'])

    def words(self, **changes):
        """The options that name the lab's own names."""
        names = {"signed": "mx1.good.example", "bogus": "mx1.bogus.example",
                 "unsigned": "mx1.plain.example", "partner": "good.example", "user": "root",
                 **changes}
        return [x for key, value in names.items() for x in (f"--{key}", value)]

    def doctor(self, **changes):
        """(status, findings by subject: a list each)."""
        status, out, err = self.sternpost.run("doctor", "--json", *self.words(**changes))
        self.assertEqual(err, "")
        reply = json.loads(out)
        self.assertEqual(reply["schema"], 1)
        found = {}
        for one in reply["findings"]:
            found.setdefault(one["subject"], []).append(one)
            if one["health"] == "fail":
                self.assertTrue(one["remedy"], one)
        return status, found

    def health(self, subject, want, text="", **changes):
        """That subject's first finding has this health and these words."""
        status, found = self.doctor(**changes)
        one = [x for x in found[subject] if x["health"] == want]
        self.assertTrue(one, found[subject])
        self.assertIn(text, one[0]["text"])
        return status

    def with_config(self, changes, test):
        """Runs `test` under a changed configuration file; the daemon keeps its own."""
        before = self.sternpost.config
        self.sternpost.configure(changes)
        try:
            test()
        finally:
            self.sternpost.config = before
            self.sternpost.configure()

    def test_all_is_well(self):
        status, found = self.doctor()
        words = {subject: [x["health"] for x in all_of] for subject, all_of in found.items()}
        self.assertIn(words.pop("clock"), (["pass"], ["warn"]))
        self.assertIn(words.pop("directories"), (["pass"], ["pass", "warn"]))
        self.assertEqual(words, {
            "daemon": ["pass"], "trust anchor": ["pass"], "resolver": ["pass"],
            "signed name": ["pass"], "bogus name": ["pass"], "unsigned name": ["pass"],
            "CA store": ["pass"], "port 25": ["pass"], "port 443": ["pass"],
            "files": ["pass"], "report identity": ["warn"], "enforcement": ["pass"],
            "exceptions": ["pass"]})
        self.assertEqual(status, 0)

    def test_text_in_a_pipe_and_on_a_terminal(self):
        argv = [self.sternpost.binary(), "doctor", "-c", self.sternpost.config_file,
                *self.words()]
        self.sternpost.configure()
        piped = subprocess.run(argv, capture_output=True, text=True, check=False)
        self.assertEqual((piped.returncode, piped.stderr), (0, ""))
        self.assertNotIn("\033", piped.stdout)
        self.assertIn("pass     signed name      mx1.good.example is secure\n", piped.stdout)
        master, slave = pty.openpty()
        subprocess.run(argv, stdin=slave, stdout=slave, stderr=slave, check=False,
                       env={**os.environ, "TERM": "xterm"})
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        os.close(master)
        self.assertIn(b"\033[32mpass\033[0m", shown)
        text = re.sub(r"\033\[\d+m", "", shown.decode()).replace("\r\n", "\n")
        self.assertEqual(text.splitlines()[0], piped.stdout.splitlines()[0])

    def test_names_in_the_wrong_state(self):
        self.assertEqual(self.health("signed name", "fail", "insecure",
                                     signed="mx1.plain.example"), 1)
        self.assertEqual(self.health("signed name", "fail", "bogus",
                                     signed="mx1.bogus.example"), 1)
        self.assertEqual(self.health("bogus name", "fail", "answered as secure",
                                     bogus="mx1.good.example"), 1)
        self.assertEqual(self.health("unsigned name", "fail", "bogus",
                                     unsigned="mx1.bogus.example"), 1)

    def test_a_wrong_trust_anchor(self):
        path = self.lab.path("wrong.key")
        with open(path, "w", encoding="ascii") as file:
            file.write(". IN DS 1 13 2 " + "ab" * 32 + "\n")

        def test():
            status, found = self.doctor()
            self.assertEqual(status, 1)
            self.assertEqual(found["resolver"][0]["health"], "fail")
            self.assertEqual(found["signed name"][0]["health"], "fail")
            self.assertEqual(found["daemon"][0]["health"], "pass")
        self.with_config({"dns": {"trust_anchor_file": path}}, test)

    def test_nobody_at_port_25(self):
        self.assertEqual(self.health("port 25", "fail", "Connection refused",
                                     partner="lost.example"), 1)
        self.health("port 443", "unknown", "no address", partner="plain.example")

    def test_the_wrong_authorities(self):
        other = self.lab.pki.stranger.cert.alone
        self.with_config({"tls": {"ca_file": other}}, lambda: self.assertEqual(
            self.health("port 443", "fail", "certificate"), 1))

    def test_report_identity(self):
        for selector, want in (("good", "pass"), ("mail", "fail"), ("none", "fail")):
            with self.subTest(selector):
                self.with_config({"tls_rpt": {
                    "organization_name": "Lab", "contact_info": "tls@reporter.example",
                    "report_domain": "reporter.example", "dkim_selector": selector,
                    "dkim_key": self.key}}, lambda want=want: self.health("report identity",
                                                                          want))

    def test_weakenings_and_exceptions(self):
        today = datetime.datetime.now(datetime.timezone.utc).date()

        def exception(days):
            return {"domains": [f"d{days}.example"], "allow": "opportunistic",
                    "until": today + datetime.timedelta(days=days), "owner": "a@b.example",
                    "reason": "ticket"}

        def test():
            status, out, _ = self.sternpost.run("doctor", "--json", *self.words())
            found = json.loads(out)["findings"]
            weak = [x["text"] for x in found if x["subject"] == "enforcement"]
            self.assertEqual(len(weak), 2)
            self.assertIn("policy.mode = observe", weak[0])
            ends = [x["health"] for x in found if x["subject"] == "exceptions"]
            self.assertEqual(ends, ["warn", "warn", "pass"])
            self.assertEqual(status, 0)
        self.with_config({"policy": {"mode": "observe", "exception": [
            exception(-1), exception(3), exception(40)]}, "mta_sts": {"enabled": False}}, test)

    def test_directories(self):
        self.assertEqual(self.health("directories", "fail", "cannot be written by nobody",
                                     user="nobody"), 1)
        _, found = self.doctor(user="nobody")
        wrong = [x for x in found["directories"] if x["health"] == "fail"]
        self.assertEqual(len(wrong), 1)     # one line, however many there are
        self.assertIn("(log.enforcement), ", wrong[0]["text"])
        self.assertIn(" (store.url)", wrong[0]["text"])
        self.assertRegex(wrong[0]["remedy"], r"^chown nobody /\S+ /\S+.*, or look at")
        self.assertEqual(self.health("directories", "fail", "there is no user nosuchuser",
                                     user="nosuchuser"), 1)

    def test_commands_can_be_pasted(self):
        """Whatever the path is called, a shell takes it for one word, and each path once."""
        folder = self.sternpost.path("sp ace", "it's")
        os.makedirs(folder, 0o700)

        def test():
            _, found = self.doctor(user="nobody")
            remedy = [x["remedy"] for x in found["directories"] if x["health"] == "fail"][0]
            words = shlex.split(remedy.partition(", let nobody enter")[0])
            self.assertEqual(words[:2], ["chown", "nobody"])
            self.assertIn(folder, words)
            self.assertEqual(len(words), len(set(words)))
        self.with_config({"tls_rpt": {"directory": folder}}, test)

    def test_files(self):
        """The key of the report mail, which root can read and the daemon's user cannot."""
        def unreadable():
            _, found = self.doctor(user="nobody")
            return [(x["text"], x["remedy"]) for x in found["files"] if x["health"] == "fail"
                    and "dkim_key" in x["text"]]

        def test():
            text, remedy = unreadable()[0]
            self.assertIn(f"{self.key} (tls_rpt.dkim_key) cannot be read by nobody", text)
            self.assertIn(f"chgrp nobody {self.key} && chmod 640 {self.key}", remedy)
            shutil.chown(self.key, group="nogroup")
            os.chmod(self.key, 0o640)
            self.assertEqual(unreadable(), [])
        self.addCleanup(shutil.chown, self.key, group="root")
        self.addCleanup(os.chmod, self.key, 0o600)
        self.with_config({"tls_rpt": {
            "organization_name": "Lab", "contact_info": "tls@reporter.example",
            "report_domain": "reporter.example", "dkim_selector": "good",
            "dkim_key": self.key}}, test)

    def test_root_alone(self):
        """A container without the user: a warning, and everything is looked at all the same."""
        def write(text):
            with open("/etc/passwd", "w", encoding="utf-8") as file:     # the lab's own copy
                file.write(text)
        with open("/etc/passwd", encoding="utf-8") as file:
            before = file.read()
        self.addCleanup(write, before)
        write("".join(x for x in before.splitlines(True) if not x.startswith("sternpost:")))
        status, out, err = self.sternpost.run("doctor", "--json", *self.words()[:-2])
        self.assertEqual((status, err), (0, ""), out)
        found = [x for x in json.loads(out)["findings"] if x["subject"] == "directories"]
        self.assertEqual([x["health"] for x in found[:2]], ["warn", "pass"])
        self.assertIn("there is no user sternpost: asked as root", found[0]["text"])
        self.assertIn("--user root", found[0]["remedy"])

    def test_directories_of_somebody_else(self):
        """What he may not write says nothing of the daemon, and is no reason for a chown."""
        _, out, err = self.sternpost.run("doctor", "--json", *self.words(), user="nobody",
                                         group="nogroup", extra_groups=[])
        self.assertEqual(err, "")
        found = [x for x in json.loads(out)["findings"] if x["subject"] == "directories"]
        self.assertEqual([(x["health"], x["remedy"]) for x in found],
                         [("unknown", "run doctor as root")])

    def test_wrong_usage_and_configuration(self):
        status, _, err = self.sternpost.run("doctor", "--signed", "a b")
        self.assertEqual(status, 2)
        self.assertEqual(len(err.splitlines()), 1)
        argv = [self.sternpost.binary(), "doctor", "-c", "/nowhere.toml"]
        self.assertEqual(subprocess.run(argv, capture_output=True, check=False).returncode, 78)

    def test_zz_without_a_daemon(self):
        self.assertEqual(self.sternpost.stop(), 0)
        try:
            self.assertEqual(self.health("daemon", "warn", "none answers"), 0)
        finally:
            self.sternpost.start()

    def test_without_the_root_servers(self):
        """SERVFAIL for everything: that of the bogus name proves nothing."""
        def test():
            status, found = self.doctor()
            self.assertEqual(status, 75)
            for subject in ("resolver", "signed name", "bogus name"):
                self.assertEqual(found[subject][0]["health"], "unknown", found[subject])
        self.with_config({"dns": {"unbound_config": None, "timeout": "2s"}}, test)

    def test_without_dns(self):
        """Nobody answers: nothing can be told, which is another answer than no."""
        def test():
            status, found = self.doctor()
            self.assertEqual(status, 75)
            for subject in ("resolver", "signed name", "bogus name", "port 25", "port 443"):
                self.assertEqual(found[subject][0]["health"], "unknown", found[subject])
            for subject in ("port 25", "port 443"):     # another partner would not help
                self.assertEqual(found[subject][0]["remedy"], "see to the resolver first")
        self.with_config({"dns": {"forwarders": ["127.0.0.99"], "unbound_config": None,
                                  "timeout": "2s"}}, test)


if __name__ == "__main__":
    main()
