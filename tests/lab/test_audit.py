#!/usr/bin/python3
"""`audit query` and `audit verify` on a log that a relay wrote: while it runs and after it, over
rotations and compressed files, in a pipe and on a terminal."""

import csv
import glob
import gzip
import hashlib
import io
import json
import os
import pty
import subprocess

from lab.case import LabCase, main
from lab.procs import wait_for


def lines_of(text):
    """JSON lines as dicts."""
    return [json.loads(line) for line in text.splitlines()]


class Audit(LabCase):
    """Mail to three domains on two days, with one rotated file that is compressed."""

    clocked = True

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"})
        cls.plain = lab.domain("plain.example", {"starttls": False})
        cls.bad = lab.domain("bad.example", {"cert": "expired"}, sts="enforce")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        case = cls()
        for _ in range(3):
            cls.sternpost.set_clock(days=1)
            case.lmtp(cls.good.rcpt)
            case.lmtp(cls.plain.rcpt)
            case.lmtp(cls.bad.rcpt)
        wait_for(lambda: len(cls.rotated()) == 3, "three rotations")
        oldest = cls.rotated()[0]
        with open(oldest, "rb") as file, gzip.open(oldest + ".gz", "wb") as out:
            out.write(file.read())
        os.remove(oldest)

    @classmethod
    def rotated(cls):
        """The rotated files, oldest first."""
        folder = cls.sternpost.directory
        return sorted(os.path.join(folder, name) for name in os.listdir(folder)
                      if name.startswith("enforcement-"))

    def audit(self, *words):
        """(status, stdout, stderr) of an audit command on the instance's configuration."""
        return self.sternpost.run("audit", *words)

    def query(self, *words):
        """The records that `audit query` finds."""
        status, out, err = self.audit("query", "--json", *words)
        self.assertEqual((status, err), (0 if out else 1, "" if out else "no such record\n"))
        return lines_of(out)

    # -- query -----------------------------------------------------------------------------------

    def test_all_lines_as_they_are(self):
        status, out, err = self.audit("query", "--json")
        self.assertEqual((status, err), (0, ""))
        numbers = [record["seq"] for record in lines_of(out)]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        previous = None
        for line in out.splitlines():
            self.assertEqual(json.loads(line)["prev"], previous)
            previous = hashlib.sha256(line.encode()).hexdigest()

    def test_conditions(self):
        found = self.query("--domain", "bad.example", "--event", "delivery")
        self.assertEqual([r["verdict"] for r in found], ["deferred"] * 3)
        self.assertEqual(len(self.query("--verdict", "deferred", "--verdict", "delivered")), 9)
        self.assertEqual({r["domain"] for r in self.query("--protection", "cleartext",
                                                          "--event", "delivery")},
                         {"plain.example"})
        self.assertEqual({r["domain"] for r in self.query("--result", "certificate-expired")},
                         {"bad.example"})
        one = self.query("--domain", "good.example", "--event", "delivery")[1]
        same = self.query("--id", one["id"])
        self.assertIn(one, same)
        self.assertEqual({r["id"] for r in same}, {one["id"]})
        self.assertEqual(self.query("--id", "nobody"), [])

    def test_time(self):
        days = sorted({r["time"][:10] for r in self.query("--event", "delivery")})
        self.assertEqual(len(days), 3)
        self.assertEqual({r["time"][:10] for r in self.query("--since", days[1], "--until",
                                                             days[1])}, {days[1]})
        self.assertEqual({r["time"][:10] for r in self.query("--since", "12h")}, {days[2]})

    def test_csv(self):
        status, out, _ = self.audit("query", "--csv", "--event", "delivery")
        rows = list(csv.reader(io.StringIO(out, newline="")))
        self.assertEqual(status, 0)
        self.assertEqual(len(rows), 10)
        self.assertEqual({len(row) for row in rows}, {35})
        self.assertEqual(rows[0][:3], ["time", "event", "id"])

    def test_table_in_a_pipe_and_on_a_terminal(self):
        words = ["query", "--domain", "good.example", "--event", "delivery"]
        _, out, _ = self.audit(*words)
        self.assertEqual(out.splitlines()[0].split(),
                         "TIME EVENT ID DOMAIN MX PROTECTION RESULT VERDICT WHY".split())
        self.assertEqual(len(out.splitlines()), 4)
        master, slave = pty.openpty()
        argv = [self.sternpost.binary(), "audit", words[0], "-c", self.sternpost.config_file,
                *words[1:]]
        env = {**os.environ, **self.sternpost.env}
        done = subprocess.run(argv, stdin=slave, stdout=slave, stderr=slave, check=False, env=env)
        os.close(slave)
        shown = b""
        while True:
            try:
                shown += os.read(master, 65536)
            except OSError:
                break
            if not shown:
                break
        os.close(master)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(shown.decode().replace("\r\n", "\n"), out)

    def test_files_need_no_configuration(self):
        files = self.rotated()
        argv = [self.sternpost.binary(), "audit", "query", "--json", *files]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/",
                              env={"STERNPOST_CONFIG": "/nowhere/x.toml", **self.sternpost.env})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(lines_of(done.stdout)[0]["seq"], 1)

    # -- verify ----------------------------------------------------------------------------------

    def test_verify_while_the_daemon_writes(self):
        for _ in range(3):
            self.lmtp(self.good.rcpt)
            status, out, err = self.audit("verify")
            self.assertEqual((status, err), (0, ""), out)
            self.assertIn("the chain is whole and reaches record", out)
            self.assertIn("in 4 files", out)

    def copy(self):
        """The log's files in a directory of their own: (directory, their names in order)."""
        folder = self.lab.path(self.id().rpartition(".")[2])
        os.makedirs(folder, exist_ok=True)
        names = []
        for path in [*self.rotated(), self.sternpost.path("enforcement.jsonl")]:
            with open(path, "rb") as file:
                octets = file.read()
            names.append(os.path.join(folder, os.path.basename(path)))
            with open(names[-1], "wb") as file:
                file.write(octets)
        return names

    def verify(self, names, *words):
        """(status, stdout) of verify on these files."""
        status, out, _ = self.audit("verify", *words, *names)
        return status, out

    def test_what_was_changed_is_found_at_its_place(self):
        names = self.copy()
        self.assertEqual(self.verify(names)[0], 0)
        with open(names[1], "rb") as file:
            lines = file.readlines()
        for change, place in (
                (lambda x: x[:2] + [x[2].replace(b"good", b"evil")] + x[3:], 3),
                (lambda x: x[:2] + x[3:], 3),
                (lambda x: x[:3] + [x[1]] + x[3:], 4),
                (lambda x: x[:1] + [x[2], x[1]] + x[3:], 2),
                (lambda x: x[:2] + [b"garbage\n"] + x[2:], 3)):
            changed = change(list(lines))
            if changed == lines:
                changed = lines[:2] + [lines[2].replace(b'"event"', b'"EVENT"')] + lines[3:]
            with open(names[1], "wb") as file:
                file.writelines(changed)
            status, out = self.verify(names)
            self.assertEqual(status, 1)
            self.assertTrue(out.startswith(f"{names[1]}:{place}: "), out)

    def test_a_tail_cut_off_is_found_by_the_known_head(self):
        status, out, _ = self.audit("verify")
        head = out.splitlines()[1].split()[1]
        names = self.copy()
        with open(names[-1], "rb") as file:
            lines = file.readlines()
        with open(names[-1], "wb") as file:
            file.writelines(lines[:-1])
        self.assertEqual(self.verify(names)[0], 0)
        status, out = self.verify(names, "--head", head)
        self.assertEqual(status, 1)
        self.assertIn(f"{names[-1]}:{len(lines)}: record", out)
        self.assertIn("missing at the end", out)

    def test_json(self):
        status, out, _ = self.audit("verify", "--json")
        reply = json.loads(out)
        self.assertEqual((status, reply["schema"], reply["whole"], reply["bad"]),
                         (0, 1, True, None))
        self.assertEqual(int(reply["head"].partition(":")[0]),
                         reply["records"] + reply["first_seq"] - 1)
        self.assertIsNotNone(reply["known_head"])


class Beginning(LabCase):
    """What retention removed is not missing; what somebody cut off is, with its place."""

    clocked = True
    config = {"log": {"retention": "2d"}}

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"})

    def rotated(self):
        """The rotated files, oldest first."""
        return sorted(glob.glob(self.sternpost.path("enforcement-*.jsonl*")))

    def day(self):
        """Mail on the next day, and the rotation that it brings."""
        before = self.rotated()
        self.sternpost.set_clock(days=1)
        self.lmtp(self.good.rcpt)
        wait_for(lambda: set(self.rotated()) - set(before), "a rotation")

    def whole(self, first=None):
        """What verify prints in JSON, which finds nothing."""
        status, out, err = self.sternpost.run("audit", "verify", "--json")
        found = json.loads(out)
        self.assertEqual((status, err), (0, ""), out)
        self.assertEqual((found["whole"], found["beginning"]), (True, None), out)
        if first is not None:
            self.assertEqual((found["first_seq"], found["known_removed"]), (first, first - 1))
        return found

    def cut(self, first, place):
        """verify says that the records before `first` are missing, and that the rest is whole."""
        status, out, err = self.sternpost.run("audit", "verify")
        self.assertEqual((status, err), (1, ""), out)
        lines = out.splitlines()
        self.assertTrue(lines[0].startswith(f"{place}:1: record"), out)
        self.assertIn("missing at the beginning; retention has removed none", lines[0])
        self.assertIn(f", {first} to ", lines[1])
        self.assertIn("the chain is whole from there on and reaches record", lines[1])
        # Of files that are named nobody knows where they begin.
        status, out, _ = self.sternpost.run("audit", "verify", place)
        self.assertEqual(status, 0, out)

    def test_cut_by_retention_and_by_somebody(self):
        self.lmtp(self.good.rcpt)
        self.assertEqual(self.whole(1)["known_removed"], 0)
        self.day()
        oldest = self.rotated()[0]
        with open(oldest, "rb") as file:
            lines = file.readlines()
        # Lines off the first file, and all of it, with the daemon and, by the store, without.
        with open(oldest, "wb") as file:
            file.writelines(lines[2:])
        self.cut(3, oldest)
        os.rename(oldest, oldest + ".aside")
        self.cut(len(lines) + 1, self.sternpost.enforcement)
        self.assertEqual(self.sternpost.stop(), 0)
        self.cut(len(lines) + 1, self.sternpost.enforcement)
        os.rename(oldest + ".aside", oldest)
        self.cut(3, oldest)
        with open(oldest, "wb") as file:
            file.writelines(lines)
        self.whole(1)
        # Compressed by the operator.
        with gzip.open(oldest + ".gz", "wb") as out:
            out.writelines(lines)
        os.remove(oldest)
        self.whole(1)
        self.sternpost.start()
        self.whole(1)
        # Retention: the compressed file goes, then others, and verify knows, over a restart too.
        for _ in range(4):
            self.day()
        wait_for(lambda: not os.path.exists(oldest + ".gz"), "retention to delete")
        found = self.whole()
        self.assertGreater(found["known_removed"], len(lines) - 1)
        self.assertEqual(found["first_seq"], found["known_removed"] + 1)
        self.assertEqual(self.sternpost.stop(), 0)
        self.assertEqual(self.whole()["known_removed"], found["known_removed"])
        with open(self.rotated()[0], "rb") as file:
            lines = file.readlines()
        with open(self.rotated()[0], "wb") as file:
            file.writelines(lines[1:])
        self.cut(found["first_seq"] + 1, self.rotated()[0])
        with open(self.rotated()[0], "wb") as file:
            file.writelines(lines)
        self.sternpost.start()

    def test_verify_while_retention_deletes(self):
        for _ in range(4):
            self.day()
            for _ in range(3):
                self.whole()


class WithoutDaemon(LabCase):
    """The store knows the head when the daemon has ended."""

    @classmethod
    def publish(cls, lab):
        cls.good = lab.domain("good.example", {"tlsa": "3 1 1"})

    def test_head_from_the_store(self):
        self.lmtp(self.good.rcpt)
        self.assertEqual(self.sternpost.stop(), 0)
        log = self.sternpost.path("enforcement.jsonl")
        status, out, err = self.sternpost.run("audit", "verify")
        self.assertEqual((status, err), (0, ""), out)
        self.assertIn("the known head", out)
        with open(log, "rb") as file:
            lines = file.readlines()
        with open(log, "wb") as file:
            file.writelines(lines[:-2])
        status, out, err = self.sternpost.run("audit", "verify")
        self.assertEqual(status, 1)
        self.assertIn(f"{log}:{len(lines) - 1}: records", out)
        os.remove(log)
        status, _, err = self.sternpost.run("audit", "verify")
        self.assertEqual(status, 1)
        self.assertIn("were written, and are not there", err)
        status, _, err = self.sternpost.run("audit", "query")
        self.assertEqual(status, 69)
        with open(log, "wb") as file:
            file.writelines(lines)
        self.sternpost.start()

    def test_a_path_that_no_daemon_has_begun(self):
        """The store's head is another log's: nothing is missing, and nothing is vouched for."""
        self.lmtp(self.good.rcpt)
        self.assertEqual(self.sternpost.stop(), 0)
        old = self.sternpost.config
        new = self.sternpost.path("new.jsonl")
        self.addCleanup(self.back_to, old)
        self.sternpost.configure({"log": {**old["log"], "enforcement": new}})
        status, out, err = self.sternpost.run("audit", "verify")
        self.assertEqual((status, out), (69, ""), err)
        os.rename(old["log"]["enforcement"], new)
        status, out, err = self.sternpost.run("audit", "verify")
        self.assertEqual(status, 75, err)
        self.assertIn(": the chain is whole\n", out)
        self.assertIn(f"the store holds that of {old['log']['enforcement']}, and no daemon has "
                      "begun this log yet", err)
        self.sternpost.start()
        status, out, err = self.sternpost.run("audit", "verify")
        self.assertEqual((status, err), (0, ""), out)

    def back_to(self, config):
        """The first path again, with a log of its own."""
        self.sternpost.stop()
        self.sternpost.config = config
        self.sternpost.start()

    def test_somebody_who_may_not_read_the_store(self):
        self.lmtp(self.good.rcpt)
        self.assertEqual(self.sternpost.stop(), 0)
        self.addCleanup(self.sternpost.start)
        os.chmod(self.sternpost.path("enforcement.jsonl"), 0o644)
        status, out, err = self.sternpost.run("audit", "verify", user="nobody", group="nogroup",
                                              extra_groups=[])
        self.assertEqual(status, 75, out + err)
        self.assertIn("is not this user's to write, as reading it needs (be root or its owner)",
                      err)


if __name__ == "__main__":
    main()
