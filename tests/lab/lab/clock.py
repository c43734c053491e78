"""A wall clock for the program under test that a test moves: days pass in seconds.

`sternpost-clocked` adds the milliseconds in a file to the real time; it reads the file again every
50 ms. Several programs may share one clock. Budgets and time-outs keep their real length, and so do
the resolver's caches and the lab's own certificates and signatures.
"""

import datetime
import os
import time

UTC = datetime.timezone.utc
READ_AGAIN = 0.06       # after that many seconds every thread of the program has the new time


class Clock:
    """The clock in `file`, at first the real time."""

    def __init__(self, file):
        self.file, self.offset = str(file), datetime.timedelta()
        self._write()

    def now(self):
        """The present time, an aware datetime."""
        return datetime.datetime.now(UTC) + self.offset

    def today(self, days=0):
        """The present UTC day, or one that many days later."""
        return self.now().date() + datetime.timedelta(days=days)

    def text(self, early=0.0):
        """The present time as the log writes it, less `early` seconds."""
        then = self.now() - datetime.timedelta(seconds=early)
        return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def set(self, at):
        """Moves it to `at`: a datetime, or a text such as 2026-11-27T00:00:05Z."""
        if isinstance(at, str):
            at = datetime.datetime.fromisoformat(at.replace("Z", "+00:00"))
        self.offset = at.astimezone(UTC) - datetime.datetime.now(UTC)
        self._write()
        time.sleep(READ_AGAIN)

    def forward(self, seconds=0, days=0):
        """Moves it on from where it is."""
        self.offset += datetime.timedelta(days=days, seconds=seconds)
        self._write()
        time.sleep(READ_AGAIN)

    def at(self, day, hours=0, minutes=0, seconds=0):
        """Moves it to that time of a day (a date)."""
        self.set(midnight(day) + datetime.timedelta(hours=hours, minutes=minutes, seconds=seconds))

    def _write(self):
        with open(self.file + "~", "w", encoding="ascii") as file:
            file.write(f"{round(self.offset.total_seconds() * 1000)}\n")
        os.replace(self.file + "~", self.file)


def midnight(day):
    """The beginning of a UTC day."""
    return datetime.datetime.combine(day, datetime.time(), UTC)
