#!/usr/bin/python3
"""`policy list|show|refresh|purge` with and without a daemon, `policy lint` and `policy generate`:
what they write is served by a real web server and a real DNS, and used to deliver mail."""

import fcntl
import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import tempfile

from lab.case import LabCase, main
from lab.client import send
from lab.pki import tlsa
from lab.procs import run
from lab.sternpost import LMTP, binary


def on_terminal(argv, env=None):
    """(status, what the terminal shows) of a program whose streams are a terminal."""
    master, slave = pty.openpty()
    done = subprocess.run(argv, stdin=slave, stdout=slave, stderr=slave, check=False,
                          env={**os.environ, "TERM": "xterm", **(env or {})})
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
    return done.returncode, shown.decode().replace("\r\n", "\n")


class Cache(LabCase):
    """Policies that mail brought into the cache."""

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", sts="enforce")
        cls.change = lab.domain("change.example", sts="testing")
        cls.purged = lab.domain("purged.example", sts="enforce")
        cls.gone = lab.domain("gone.example", sts="enforce")
        cls.plain = lab.domain("plain.example")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for domain in (cls.good, cls.change, cls.purged, cls.gone):
            cls().lmtp(domain.rcpt)

    def policy(self, *words):
        """(status, stdout, stderr)."""
        return self.sternpost.run("policy", *words)

    def purges(self, domain):
        """The enforcement log's records of purges."""
        return [r for r in self.sternpost.records(event="policy", domain=domain)
                if "purged" in r["reason"]]

    def both(self, test):
        """Runs a test with the daemon, then without it."""
        with self.subTest("with the daemon"):
            test()
        self.assertEqual(self.sternpost.stop(), 0)
        try:
            with self.subTest("without a daemon"):
                test()
        finally:
            self.sternpost.start()

    def test_list_and_show(self):
        def test():
            status, out, err = self.policy("list")
            self.assertEqual((status, err), (0, ""))
            lines = out.splitlines()
            self.assertEqual(lines[0].split(),
                             ["DOMAIN", "MODE", "ID", "FETCHED", "EXPIRES", "FAILED", "MX"])
            row = [x.split() for x in lines if x.startswith("good.example ")][0]
            self.assertEqual((row[1], row[-1]), ("enforce", "mx1.good.example"))
            reply = json.loads(self.policy("list", "--json")[1])
            self.assertEqual(reply["schema"], 1)
            self.assertIn("good.example", [p["domain"] for p in reply["policies"]])
            status, out, err = self.policy("show", "GOOD.example.")
            self.assertEqual((status, err), (0, ""))
            self.assertIn("  | mx: mx1.good.example\n", out)
            reply = json.loads(self.policy("show", "good.example", "--json")[1])
            self.assertEqual(reply["policy"], self.good.policy_text.strip().split("\r\n"))
            status, out, err = self.policy("show", "plain.example")
            self.assertEqual((status, out, err),
                             (1, "", "policy: no policy is cached for plain.example\n"))
        self.both(test)

    def test_terminal(self):
        argv = [self.sternpost.binary(), "policy", "list", "-c", self.sternpost.config_file]
        status, shown = on_terminal(argv)
        self.assertEqual((status, shown), (0, self.policy("list")[1]))

    def test_refresh(self):
        for number, mode in (("2", "enforce"), ("3", "testing")):
            self.lab.sts(self.change, mode, id=number)
            self.lab.republish(self.change)
            status, out, err = self.policy("refresh", "change.example")
            self.assertEqual((status, err), (0, ""))
            self.assertTrue(out.startswith(f"change.example: mode {mode}, id {number}, fetched"),
                            out)
            self.assertEqual(json.loads(self.policy("show", "change.example", "--json")[1])["id"],
                             number)
            if number == "2":
                self.assertEqual(self.sternpost.stop(), 0)
        self.sternpost.start()
        self.assertEqual(json.loads(self.policy("show", "change.example", "--json")[1])["id"], "3")
        status, out, err = self.policy("refresh", "plain.example")
        self.assertEqual((status, out), (1, ""))
        self.assertTrue(err.startswith("policy: no policy: "), err)
        self.lab.sts(self.gone, "enforce", id="9", text="nonsense\r\n")
        self.lab.republish(self.gone)
        status, out, err = self.policy("refresh", "gone.example")
        self.assertEqual(status, 1)
        self.assertIn("the cached one stays", err)

    def test_purge(self):
        def test():
            before = len(self.purges("purged.example"))
            self.policy("refresh", "purged.example")
            status, out, err = self.policy("purge", "purged.example", "--reason", "ticket 4711")
            self.assertEqual((status, out, err), (0, "purged.example: purged\n", ""))
            records = self.purges("purged.example")
            self.assertEqual(len(records), before + 1)
            self.assertEqual(records[-1]["reason"], "policy purged: by the operator: ticket 4711")
            status, _, err = self.policy("purge", "purged.example")
            self.assertEqual((status, err),
                             (1, "policy: no policy is cached for purged.example\n"))
            self.assertEqual(len(self.purges("purged.example")), before + 1)
            self.assertEqual(self.policy("show", "purged.example")[0], 1)
            self.assertEqual(self.sternpost.run("audit", "verify")[0], 0)
        self.both(test)

    def test_another_has_the_lock(self):
        self.assertEqual(self.sternpost.stop(), 0)
        try:
            lock = self.sternpost.path("state", "lock")
            with open(lock, "a", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                status, _, err = self.policy("purge", "good.example")
                self.assertEqual(status, 69)
                self.assertIn("another sternpost process has it", err)
                self.assertEqual(self.policy("list")[0], 0)
        finally:
            self.sternpost.start()


class Own(LabCase):
    """What `policy generate` writes, published as it is."""

    begins = False

    @classmethod
    def publish(cls, lab):
        cls.own = lab.domain("own.example", {"tlsa": "3 1 1"})
        cls.cert = lab.cert("good", "mx1.own.example")

    def sternpost_run(self, *words, text=None):
        """(status, stdout octets, stderr) of the program without any configuration."""
        done = subprocess.run([binary(), *words], input=text, capture_output=True, check=False,
                              env={"STERNPOST_CONFIG": "/nowhere.toml"})
        return done.returncode, done.stdout, done.stderr.decode()

    def files(self):
        """Certificate in use and the key that comes next."""
        folder = tempfile.mkdtemp(dir=self.lab.directory)
        now, key = os.path.join(folder, "now.pem"), os.path.join(folder, "next.key")
        shutil.copy(self.cert.alone, now)
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-out", key)
        der = run("openssl", "pkey", "-in", key, "-pubout", "-outform", "DER")
        return now, key, hashlib.sha256(der).hexdigest()

    def test_generate(self):
        now, key, digest = self.files()
        words = ["policy", "generate", "own.example", "--mx", "mx1.own.example", "--mode",
                 "enforce", "--rua", "mailto:tls@own.example", "--tlsa", now, "--next", key]
        status, zone, err = self.sternpost_run(*words)
        self.assertEqual((status, err), (0, ""))
        policy = self.sternpost_run(*words, "--policy")[1]
        status, out, err = self.sternpost_run("policy", "lint", "-", text=policy)
        self.assertEqual((status, out, err), (0, b"", "standard input: no fault\n"))
        lines = [x for x in zone.decode().splitlines() if not x.startswith(";")]
        want = tlsa("3 1 1", self.cert)
        self.assertTrue(any(f"IN TLSA {want} ; now" in x for x in lines), lines)
        self.assertTrue(any(f"IN TLSA 3 1 1 {digest} ; next" in x for x in lines), lines)

        # ldns reads and signs it, NSD serves it, the relay looks it up and delivers by it.
        records = [r for r in self.own.records if "TLSA" not in r] + zone.decode().splitlines()
        records = [r for r in records if r and not r.startswith(";")]
        self.lab.sts(self.own, "enforce", text=policy.decode(), txt=False)
        kept = [r for r in self.own.records if r.startswith("mta-sts A ")]
        self.lab.republish(self.own, records + kept)
        sternpost = self.lab.sternpost()
        try:
            self.assertTrue(send(LMTP, "a@front.lab", self.own.rcpt, None, lmtp=True).reply.ok)
            session = sternpost.records(event="session", domain="own.example")[-1]
            self.assertEqual((session["peer_auth"], session["verdict"]), ("dane-ee", "usable"))
            self.assertEqual({r["policy_type"] for r in session["results"]}, {"tlsa", "sts"})
            shown = json.loads(sternpost.run("policy", "show", "own.example", "--json")[1])
            identity = re.search(r'_mta-sts\S+ 3600 IN TXT "v=STSv1; id=(\w+);"', zone.decode())
            self.assertEqual(shown["id"], identity[1])
        finally:
            self.assertEqual(sternpost.stop(), 0)

    def test_lint(self):
        folder = tempfile.mkdtemp(dir=self.lab.directory)
        path = os.path.join(folder, "mta-sts.txt")
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write("version: STSv1\nmode: Enforce\nmx: a_b.example\nmax_age: 60\n")
        status, out, err = self.sternpost_run("policy", "lint", path)
        self.assertEqual((status, err), (1, ""))
        places = re.findall(rf"^{re.escape(path)}:(\d+):(\d+): (\w+): ", out.decode(), re.M)
        self.assertEqual(places, [("1", "15", "warning"), ("2", "7", "error"),
                                  ("3", "5", "error")])
        status, shown = on_terminal([binary(), "policy", "lint", path])
        self.assertEqual(status, 1)
        self.assertIn("\033[31m", shown)
        self.assertEqual(re.sub(r"\033\[\d*m", "", shown), out.decode())
        status, shown = on_terminal([binary(), "policy", "lint", path], {"NO_COLOR": "1"})
        self.assertEqual(shown, out.decode())
        self.assertEqual(self.sternpost_run("policy", "lint", path + ".not")[0], 69)


if __name__ == "__main__":
    main()
