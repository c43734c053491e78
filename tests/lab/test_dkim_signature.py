#!/usr/bin/python3
"""RFC 8460 §3: report mail as Sternpost signs it, read by dkimpy. The messages are those that the
unit tests compare octet for octet with what Sternpost makes."""

import os
import re
import unittest

from lab import dkim
from lab.case import main

SIGNED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../unit/tlsrpt/signed")


def signed(name):
    """A message and the records that its signature needs."""
    with open(os.path.join(SIGNED, name + ".eml"), "rb") as file:
        message = file.read()
    with open(os.path.join(SIGNED, name + ".txt"), encoding="ascii") as file:
        owner, text = file.read().splitlines()
    return message, {owner: text}


class Signatures(unittest.TestCase):
    """Both types of key; the header has folded, encoded and UTF-8 fields."""

    def each(self):
        return [signed("ed25519"), signed("rsa")]

    def test_holds(self):
        for message, records in self.each():
            self.assertEqual(dkim.verify(message, records), [])

    def test_holds_in_a_mailbox(self):
        for message, records in self.each():
            self.assertEqual(dkim.verify(message.replace(b"\r\n", b"\n"), records), [])

    def test_tampered(self):
        for message, records in self.each():
            for what, to in ((rb"\nTLS-Report-Domain: ", rb"\nTLS-Report-Domain: x"),
                             (rb"\nFrom: ", rb"\nFrom: a@example.net\r\nFrom: "),
                             (rb"\nSubject: ", rb"\nSubject: other\r\nSubject: "),
                             (rb"\nTo:", rb"\nTLS-Report-Domain: other.example\r\nTo:"),
                             (rb"sessions failed", rb"sessions failes")):
                changed = re.sub(what, to, message, count=1)
                self.assertNotEqual(changed, message)
                self.assertTrue(dkim.verify(changed, records), what)
            self.assertTrue(dkim.verify(message + b"more\r\n", records))

    def test_no_length_and_nothing_uncovered(self):
        for message, records in self.each():
            changed = message.replace(b"; d=", b"; l=10; d=", 1)
            self.assertIn("has l=", dkim.verify(changed, records))
            changed = re.sub(rb"tls-report-domain:\s*", b"", message)
            self.assertIn("tls-report-domain is not signed", dkim.verify(changed, records))
            changed = message.replace(b"from:from:", b"from:", 1)
            self.assertIn("a second From could be added", dkim.verify(changed, records))

    def test_record(self):
        for message, records in self.each():
            (name, text), = records.items()
            self.assertIn(f"no record {name}", dkim.verify(message, {}))
            other = {name: text.replace("email:tlsrpt", "email")}
            self.assertEqual(dkim.verify(message, other), [f"{name} is not for tlsrpt"])
            for services in ("; s=email:tlsrpt", "; s=*", ""):
                same = {name: text.replace("; s=email:tlsrpt", services)}
                self.assertEqual(dkim.verify(message, same), [])


if __name__ == "__main__":
    main()
