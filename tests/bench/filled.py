"""A store that has policies, as if each had been fetched a moment ago."""

import sqlite3
import time

YEAR = 31557600         # seconds: the longest max_age


def own(count, zone):
    """d0.ZONE and on, each with an MX host of its own: (domain, host) of each."""
    return ((f"d{n}.{zone}", f"mx1.d{n}.{zone}") for n in range(count))


def fill(path, policies):
    """Puts an enforce policy for each (domain, MX host) into a stopped Sternpost's store."""
    now = int(time.time() * 1000)
    with sqlite3.connect(path) as store:
        for domain, host in policies:
            body = f"version: STSv1\nmode: enforce\nmx: {host}\nmax_age: {YEAR}\n"
            store.execute("INSERT INTO policy VALUES (?, '1', ?, ?, ?, ?, 0)",
                          (domain, body, now, now + YEAR * 1000, now))
    store.close()
