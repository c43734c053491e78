#!/usr/bin/python3
"""Where the output of a command goes: a pipe whose reader leaves, a device that is full, a
descriptor that is closed, a terminal without colours. Every command that `--help` names."""

import datetime
import fcntl
import json
import os
import re
import signal
import subprocess
import threading

from lab.case import LabCase, main
from lab.check import on_terminal
from lab.sternpost import SANITIZER, Sternpost, binary

LOST = "sternpost: not all of the output could be written\n"
BROKEN = (*SANITIZER, "terminate called", "internal error", "what():")
PIPE = 4096             # octets that the small pipe holds: the least there is
COLOUR = r"\x1b\[[\d;]*m"
COLOURED = {"check", "own", "doctor", "policy lint"}


def leaves(words=()):
    """The words of every command that has none below it, by `--help`."""
    shown = subprocess.run([binary(), *words, "--help"], capture_output=True, text=True,
                           check=True).stdout
    below = re.search(r"^Subcommands:\n((?:  .*\n)+)", shown, re.M)
    if not below:
        return [" ".join(words)], {" ".join(words): shown}
    found, helps = [], {}
    for name in re.findall(r"^  (\w[\w-]*)", below[1], re.M):
        more, texts = leaves((*words, name))
        found += more
        helps.update(texts)
    return found, helps


def tls_report(details):
    """A report as others send it, with that many failures."""
    return json.dumps({
        "organization-name": "Sender", "contact-info": "a@sender.example", "report-id": "r1",
        "date-range": {"start-datetime": "2026-11-01T00:00:00Z",
                       "end-datetime": "2026-11-01T23:59:59Z"},
        "policies": [{
            "policy": {"policy-type": "sts", "policy-domain": "good.example",
                       "policy-string": ["version: STSv1", "mode: testing"]},
            "summary": {"total-successful-session-count": 1,
                        "total-failure-session-count": details},
            "failure-details": [
                {"result-type": "certificate-expired", "failed-session-count": 1,
                 "sending-mta-ip": f"198.51.{i // 250}.{i % 250}",
                 "receiving-mx-hostname": f"mx{i}.good.example"} for i in range(details)]}]})


class Output(LabCase):
    """One relay with mail of two domains, and files that make long outputs."""

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"}, sts="enforce")
        cls.bogus = lab.domain("bogus.example", signing="bogus")
        cls.plain = lab.domain("plain.example", {"starttls": False}, signing=None)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        case = cls()
        for domain in (cls.good, cls.plain):
            case.lmtp(domain.rcpt)
        with open(cls.sternpost.enforcement, "rb") as file:
            line = [x for x in file.read().splitlines() if b'"event":"delivery"' in x][0]
        cls.files = {}
        for name, text in (("log", (line + b"\n") * 2000),
                           ("report", tls_report(400).encode()),
                           ("policy", b"version: STSv1\nmode: Enforce\n" +
                            b"".join(b"mx: a_b%d.example\n" % i for i in range(500)))):
            cls.files[name] = cls.lab.path(name)
            with open(cls.files[name], "wb") as file:
                file.write(text)
        cls.commands, cls.helps = leaves()
        cls.plans = cls.plan()
        cls.usual = {}

    @classmethod
    def plan(cls):
        """Command -> the lists of words behind it that are tried."""
        names = ["--signed", "mx1.good.example", "--bogus", "mx1.bogus.example", "--unsigned",
                 "mx1.plain.example", "--partner", "good.example", "--user", "root"]
        day = f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}"
        own = ["good.example", "--mx", "mx1.good.example", "--rua", "mailto:tls@good.example"]
        plans = {
            "config check": [[]], "config defaults": [[]],
            "check": [["good.example"]], "own": [["good.example"]],
            "report list": [[]], "report show": [[]],
            "report send": [["--dry-run", "--date", day]],
            "report read": [[cls.files["report"]], ["--html", cls.files["report"]]],
            "policy list": [[]], "policy show": [["good.example"]],
            "policy refresh": [["good.example"]], "policy lint": [[cls.files["policy"]]],
            "policy generate": [own, [*own, "--policy"]],
            "policy purge": [["good.example", "--reason", "test"]],
            "audit query": [[], [cls.files["log"]], ["--csv", cls.files["log"]]],
            "audit verify": [[]],
            "doctor": [names], "snippet": [["postfix", "--version", "3.7.11"]]}
        for command, forms in plans.items():
            if re.search(r"^  --json\b", cls.helps.get(command, ""), re.M):
                plain = forms[1] if command == "audit query" else forms[0]
                forms.append([*plain, "--json"])
        return plans

    def each(self):
        """Every command's words, its status and its octets of output with a reader that takes
        all. One that changes the cache finds it as it was."""
        self.sternpost.configure()
        self.sternpost.run("policy", "refresh", "good.example")
        for command, forms in self.plans.items():
            for form in forms:
                words = (*command.split(), *form)
                if words not in self.usual:
                    self.as_before(words)
                    process = self.start(words, subprocess.PIPE)
                    out, err = process.communicate(timeout=60)
                    self.assertIn(process.returncode, (0, 1), f"{words}: {err.decode()}")
                    self.usual[words] = process.returncode, len(out)
                yield words, *self.usual[words]

    def as_before(self, words):
        """Brings back the policy that `policy purge` forgets."""
        if words[:2] == ("policy", "purge"):
            self.sternpost.run("policy", "refresh", "good.example")

    def start(self, words, stdout, **options):
        """The command, with its errors in a pipe of their own."""
        argv = [self.sternpost.binary(), *words, "-c", self.sternpost.config_file]
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout,
                                stderr=subprocess.PIPE, env={**os.environ, **self.sternpost.env},
                                **options)

    def ended(self, process, words):
        """(status, errors), which are in the program's own words."""
        err = process.communicate(timeout=60)[1].decode()
        for word in BROKEN:
            self.assertNotIn(word, err, f"{words}: {err}")
        return process.returncode, err

    def test_every_command_is_tried(self):
        self.assertEqual(set(self.plans), set(self.commands) - {"serve"})

    def leaving(self, words, ignored):
        """The command with a pipe that holds PIPE octets, of which one is read; `ignored`: the
        signal is, as some parents have it."""
        self.as_before(words)
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
        process = self.start(words, writing, restore_signals=not ignored)
        os.close(writing)

        def leave():
            os.read(reading, 1)
            os.close(reading)
        reader = threading.Thread(target=leave)
        reader.start()
        return process, reader

    def test_a_reader_that_leaves(self):
        """`| head -1`: the signal ends the command without a word, which a shell shows as 141;
        where a parent has it ignored, the command says what it could not do."""
        filled = 0
        for words, status, size in self.each():
            filled += size > 2 * PIPE
            if size <= 2 * PIPE and "--json" in words:
                continue
            if size <= 2 * PIPE:    # all of it may be in the pipe before the reader leaves
                process, reader = self.leaving(words, ignored=False)
                got, err = self.ended(process, words)
                self.assertIn(got, (status, -signal.SIGPIPE), f"{words}: {err}")
                reader.join()
                continue
            both = [self.leaving(words, ignored) for ignored in (False, True)]
            for (process, reader), ended in zip(both, (-signal.SIGPIPE, 75)):
                got, err = self.ended(process, words)
                self.assertEqual((got, err.endswith(LOST)), (ended, ended == 75),
                                 f"{words}: {err}")
                reader.join()
        self.assertGreaterEqual(filled, 6)

    def test_a_device_that_is_full_and_a_descriptor_that_is_closed(self):
        for words, status, size in self.each():
            started = []
            ways = [self.full] if "--json" in words else [self.full, self.closed]
            for start in ways:
                self.as_before(words)
                started.append(start(words))
            for process in started:
                got, err = self.ended(process, words)
                if size == 0:
                    self.assertEqual(got, status, f"{words}: {err}")
                elif words[:2] != ("policy", "purge"):  # the other one may have been before it
                    self.assertEqual((got, err.endswith(LOST)), (75, True), f"{words}: {err}")
                else:
                    self.assertIn(got, (1, 75), f"{words}: {err}")

    def test_zz_without_the_daemon(self):
        asked = ("report", "policy", "audit")
        self.assertEqual(self.sternpost.stop(), 0)
        try:
            for words in [tuple(command.split()) + tuple(forms[0])
                          for command, forms in self.plans.items()]:
                if words[0] not in asked or words[:2] == ("policy", "purge"):
                    continue
                process = self.start(words, subprocess.PIPE)
                out, err = process.communicate(timeout=60)
                self.assertIn(process.returncode, (0, 1), f"{words}: {err.decode()}")
                got, err = self.ended(self.full(words), words)
                self.assertEqual((got, err.endswith(LOST)),
                                 (75, True) if out else (process.returncode, False),
                                 f"{words}: {err}")
        finally:
            self.sternpost.start()

    def full(self, words):
        """The command with a device as its standard output that takes nothing."""
        with open("/dev/full", "wb") as full:
            return self.start(words, full)

    def closed(self, words):
        """The command without a standard output."""
        argv = ["sh", "-c", 'exec "$@" >&-', "sh", self.sternpost.binary(), *words, "-c",
                self.sternpost.config_file]
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                env={**os.environ, **self.sternpost.env})

    def test_no_colour_and_no_control_on_a_terminal_that_has_none(self):
        coloured = set()
        for words, status, _ in self.each():
            if "--json" in words or words[:2] == ("policy", "purge") or self.files["log"] in words:
                continue
            for env in ({}, {"NO_COLOR": "1"}, {"TERM": "dumb"}):
                if not COLOURED & {words[0], " ".join(words[:2])} and "TERM" not in env:
                    continue
                got, shown = on_terminal(self.sternpost, *words, env=env)
                self.assertEqual(got, status, f"{words}: {shown}")
                for word in BROKEN:
                    self.assertNotIn(word, shown, words)
                if not env and re.search(COLOUR, shown):
                    coloured |= COLOURED & {words[0], " ".join(words[:2])}
                if "NO_COLOR" in env:
                    self.assertNotRegex(shown, COLOUR, words)
                if "TERM" in env:
                    self.assertNotIn("\x1b", shown, words)
        self.assertEqual(coloured, COLOURED)


class Closed(LabCase):
    """A daemon whose parent closed its standard streams, where its operational log goes."""

    begins = False

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"})

    def test_nothing_else_gets_their_descriptors(self):
        for number, closed in enumerate(("2>&-", "<&- >&- 2>&-")):
            made = Sternpost(self.lab.path(f"closed{number}"), self.lab)
            made.argv = ["sh", "-c", f'exec "$@" {closed}', "sh", made.binary(), "serve", "-c",
                         made.config_file]
            made.start()
            try:
                self.lmtp(self.good.rcpt)
                self.assertTrue(made.wait_records(domain="good.example", event="delivery"))
                held = [os.readlink(f"/proc/{made.pid}/fd/{fd}") for fd in (0, 1, 2)]
            finally:
                self.assertEqual(made.stop(), 0)
            self.assertIsNone(made.chain_error())
            self.assertEqual(held[2], "/dev/null")
            if ">&- 2" in closed:
                self.assertEqual(held[:2], ["/dev/null", "/dev/full"])


if __name__ == "__main__":
    main()
