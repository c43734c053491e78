"""Base of the lab's tests, and their main: each file is a program that runs alone."""

import datetime
import faulthandler
import os
import re
import sys
import traceback
import unittest

from . import netns
from .client import send
from .procs import wait_for
from .sternpost import LMTP, SMTP
from .world import Lab


class LabCase(unittest.TestCase):
    """One lab and one Sternpost for all tests of a class.

    A class overrides `publish(lab)` to add its domains, and `config` for keys that differ.
    """

    config = {}
    clocked = False         # True: its wall clock is the test's, `self.clock`
    lab = None
    sternpost = None
    sent_ids = frozenset()   # of the relay's replies to it, where all have one
    sent_at = ""
    begins = True           # False: the class starts Sternpost itself

    @classmethod
    def publish(cls, lab):
        """Adds domains; before the lab starts."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab()
        try:
            cls.publish(cls.lab)
            cls.lab.start()
            if cls.begins:
                cls.sternpost = cls.lab.sternpost(cls.config, clocked=cls.clocked)
        except BaseException:
            cls.lab.stop()
            raise

    @classmethod
    def tearDownClass(cls):
        status, findings, broken = 0, [], None
        if cls.sternpost:
            status = cls.sternpost.stop()
            findings, broken = cls.sternpost.sanitizer_findings(), cls.sternpost.chain_error()
        tail = cls.sternpost.log[-6000:] if cls.sternpost and (status or findings) else ""
        cls.lab.stop()
        if findings or status:
            raise AssertionError(f"sternpost ended with {status}; {findings}\n{tail}")
        if broken:
            raise AssertionError(f"enforcement log, line {broken}")

    @property
    def clock(self):
        """The clock of a class that is `clocked`."""
        return self.sternpost.clock

    # -- sending -------------------------------------------------------------------------------

    def lmtp(self, rcpts, data=None, sender="a@front.lab", **options):
        """One message over LMTP; the Outcome."""
        return self._sent(LMTP, sender, rcpts, data, lmtp=True, **options)

    def smtp(self, rcpts, data=None, sender="a@front.lab", **options):
        """One message over SMTP; the Outcome."""
        return self._sent(SMTP, sender, rcpts, data, **options)

    # -- asserting -----------------------------------------------------------------------------

    def reply(self, outcome, status, *patterns):
        """The first recipient's reply has this status ("451 4.7.5") and all these words in it."""
        got = outcome.reply if hasattr(outcome, "rcpts") else outcome
        self.assertIsNotNone(got, f"no reply: {outcome}")
        self.assertEqual(got.status, status, str(got))
        for pattern in patterns:
            self.assertRegex(got.text, re.compile(pattern, re.I))
        return got

    def delivered(self, domain, outcome, tls=True, count=1):
        """The reply is the MX's 250 and the message is there, over TLS or not; the messages."""
        self.reply(outcome, "250 2.0.0", "LAB")
        self.assertEqual(len(domain.messages), count)
        for message in domain.messages:
            self.assertEqual(message.tls is not None, tls, f"TLS: {message.tls}")
        return domain.messages

    def refused(self, domain, outcome, status, *patterns):
        """The reply has this status and words, ends in an ID, and no MX got a message."""
        got = self.reply(outcome, status, *patterns)
        self.assertEqual(domain.messages, [])
        self.assertRegex(got.text, r" \[[^\]]+\]$")
        return got

    def record(self, reply_or_id, event="delivery"):
        """The log record of a transaction's ID, waited for."""
        key = reply_or_id if isinstance(reply_or_id, str) else reply_or_id.id
        return self.sternpost.wait_records(id=key, event=event)[-1]

    def last(self, domain, event="delivery"):
        """The last log record about a domain, written since the last message was handed in."""
        def found():
            return [r for r in self.sternpost.records(domain=domain.name, event=event)
                    if r["time"] >= self.sent_at
                    and (event != "delivery" or not self.sent_ids or r["id"] in self.sent_ids)]
        return wait_for(found, f"a {event} record about {domain.name}")[-1]

    def _sent(self, *where_and_what, **options):
        self.forget_sent()
        outcome = send(*where_and_what, **options)
        replies = [outcome.of(n) for n in range(len(outcome.rcpts))]
        ids = {reply.id if reply else "" for reply in replies}
        if "" not in ids:
            self.sent_ids = ids
        return outcome

    def forget_sent(self):
        """last() tells of what is handed in from now on."""
        self.sent_at, self.sent_ids = self._now(), frozenset()

    def _now(self):
        """The present time as the log writes it: milliseconds, cut off."""
        if self.sternpost and self.clock:
            return self.clock.text(early=0.002)     # Its offset is rounded.
        then = datetime.datetime.now(datetime.timezone.utc)
        return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Result(unittest.TextTestResult):
    """Counts what passed: a failing setUpClass is an error without a test.

    It says at once why something failed, not at the end: tests/lab/run ends a file that hangs.
    """

    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addError(self, test, err):
        super().addError(test, err)
        self._tell("ERROR", self.errors[-1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._tell("FAIL", self.failures[-1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            if issubclass(err[0], test.failureException):
                self._tell("FAIL", self.failures[-1])
            else:
                self._tell("ERROR", self.errors[-1])

    def _tell(self, flavour, entry):
        self.printErrorList(flavour, [entry])
        self.stream.flush()

    def printErrors(self):
        """They were told as they came."""


def main():
    """Enters the namespaces, runs the file's tests, ends with a line that tests/lab/run reads."""
    netns.enter()
    seconds = float(os.environ.get("LAB_SECONDS") or 0)
    if seconds > 10:            # tests/lab/run then ends it: where it hangs is told before
        faulthandler.dump_traceback_later(seconds - 5)
    try:
        runner = unittest.TextTestRunner(verbosity=2, resultclass=_Result)
        program = unittest.main(module="__main__", exit=False, testRunner=runner)
    except Exception:           # a broken file is a failure, told like one
        traceback.print_exc()
        print("lab: 0 passed, 1 failed", flush=True)
        sys.exit(1)
    result = program.result
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    print(f"lab: {result.passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not result.passed else 0)
