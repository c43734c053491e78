#!/usr/bin/python3
"""Real OpenSMTPD in front, attached by the lines that `sternpost snippet opensmtpd` prints."""

from lab import front
from lab.case import main
from lab.opensmtpd import OpenSmtpdBySnippet


class OverLmtp(front.FrontCase):
    """Relay to LMTP hosts, ten addresses in turn.

    It opens no further connection to an address while one is busy and few messages wait for it, so
    that a silent host holds what comes to the same address.
    """

    silent_messages, at_a_time = 5, 4       # its listener has a backlog of 5
    words, kind, utf8 = ("opensmtpd",), OpenSmtpdBySnippet, False


if __name__ == "__main__":
    main()
