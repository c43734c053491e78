#!/usr/bin/python3
"""Real Sendmail in front, attached by the lines that `sternpost snippet sendmail` prints."""

from lab import front
from lab.case import main
from lab.sendmail import SendmailBySnippet


class OverLmtp(front.FrontCase):
    """An LMTP mailer as SMART_HOST."""

    words, kind, utf8 = ("sendmail",), SendmailBySnippet, False


class OverSmtp(front.FrontCase):
    """A mailer without flag m: one recipient a transaction."""

    words, kind, utf8 = ("sendmail", "--via", "smtp"), SendmailBySnippet, False


if __name__ == "__main__":
    main()
