"""Resident memory of a process, and how much of it a test allows."""

import re


def rss(pid):
    """Resident memory in octets."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) * 1024


def bound(pid, octets):
    """The growth allowed where it should be far under `octets`: AddressSanitizer keeps what was
    freed, and where each allocation came from."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        return octets * 4 + (400 << 20) if "libasan" in file.read() else octets // 5
