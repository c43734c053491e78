#!/usr/bin/python3
"""Real Postfix in front, attached by the lines that `sternpost snippet postfix` prints."""

from lab import front
from lab.case import main
from lab.postfix import PostfixBySnippet


class OverLmtp(front.FrontCase):
    """The way to attach Postfix."""

    words, kind = ("postfix",), PostfixBySnippet


class OverSmtp(front.FrontCase):
    """One recipient a transaction."""

    words, kind = ("postfix", "--via", "smtp"), PostfixBySnippet


if __name__ == "__main__":
    main()
