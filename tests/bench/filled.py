"""A store that has policies, as if each had been fetched a moment ago."""

import sqlite3
import time

YEAR = 31557600         # seconds: the longest max_age


def fill(path, count, zone="bench.example"):
    """Puts so many enforce policies, of d0.ZONE and on, into a stopped Sternpost's store."""
    now = int(time.time() * 1000)
    with sqlite3.connect(path) as store:
        for n in range(count):
            domain = f"d{n}.{zone}"
            body = f"version: STSv1\nmode: enforce\nmx: mx1.{domain}\nmax_age: {YEAR}\n"
            store.execute("INSERT INTO policy VALUES (?, '1', ?, ?, ?, ?, 0)",
                          (domain, body, now, now + YEAR * 1000, now))
    store.close()
