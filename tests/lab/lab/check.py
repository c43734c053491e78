"""`sternpost check` in the lab: its document, and whether it says what the relay then does."""

import json
import os
import pty
import re
import select
import subprocess
import time

from .sternpost import binary

STATUS = {"delivered": 0, "open": 0, "deferred": 1, "rejected": 1}


def words_of(reply):
    """The text of a relay's reply without enhanced codes, line ends and its ID."""
    lines = [re.sub(r"^[245]\.\d{1,3}\.\d{1,3} ?", "", x) for x in reply.lines]
    return re.sub(r" \[[^\[\] ]+\]$", "", " ".join(lines))


def codes(problems):
    """Codes of problems; "!" marks what blocks."""
    return [("!" if p["blocks"] else "") + p["code"] for p in problems]


class CheckMixin:
    """For a LabCase."""

    def check(self, domain, *options, status=None, part=None):
        """The document of `check DOMAIN --json`; its exit status is what its verdict says."""
        name = getattr(domain, "name", domain)
        got, out, err = (part or self.sternpost).run("check", name, "--json", *options)
        self.assertIn(got, (0, 1, 75), err)
        self.assertTrue(out.isascii())
        found = json.loads(out)
        outcome = found["outcome"]
        fine = outcome["verdict"] in ("delivered", "open")
        want = STATUS[outcome["verdict"]] if outcome["certain"] or fine else 75
        self.assertEqual(got, want, f"{outcome} {err}")
        if status is not None:
            self.assertEqual(got, status, f"{outcome} {err}")
        return found

    def agrees(self, domain, any_address=False):
        """Sends a message, and asserts that `check` says the same, with what the daemon cached from
        it and, where there is a policy, without; the document.

        any_address: the hosts' addresses come in another order each time.
        """
        name = getattr(domain, "name", domain)
        said = [self.check(domain)] if getattr(domain, "policy_text", None) else []
        answer = self.lmtp(f"user@{name}").reply
        said.append(self.check(domain))
        for found in said:
            outcome = found["outcome"]
            if answer.ok:
                self.assertEqual(outcome["verdict"], "delivered", f"{answer}: {outcome}")
                log = self.sternpost.wait_records(domain=name, event="delivery")[-1]
                for ours, theirs in (("mx", "mx"), ("ip", "ip"), ("protection", "protection"),
                                     ("peer_auth", "peer_auth")):
                    self.assertEqual(outcome[ours], log[theirs], f"{name}: {ours}")
                mx = [m for m in found["mx"] if m["name"] == log["mx"]][0]
                self.assertEqual(mx["requirement"], log["requirement"])
                self.assertEqual(mx["policy"], log["policy_type"])
                continue
            verdict = "rejected" if answer.code >= 500 else "deferred"
            self.assertEqual(outcome["verdict"], verdict, f"{answer}: {outcome}")
            reply = outcome["reply"]
            self.assertEqual(f"{reply['code']} {reply['enhanced']}", answer.status)
            texts = [reply["text"], words_of(answer)]
            if any_address:
                texts = [re.sub(r" \[[0-9a-f.:]+\]", "", x) for x in texts]
            self.assertEqual(*texts)
        return said[-1]


def on_terminal(part, *words, env=None, timeout=60):
    """Runs a command with both outputs on a terminal: (status, what the terminal got)."""
    part.configure()
    master, slave = pty.openpty()
    argv = [binary(), *words, "-c", part.config_file]
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave,
                               env={**os.environ, "TERM": "xterm", **(env or {})})
    os.close(slave)
    shown, end = b"", time.monotonic() + timeout
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.5)[0]:
            continue
        try:
            piece = os.read(master, 65536)
        except OSError:             # the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    return process.wait(timeout), shown.decode(errors="replace")
