#!/usr/bin/python3
"""Real Exim in front, attached by the lines that `sternpost snippet exim` prints, and real Exim as
the MX behind."""

from lab import front
from lab.case import main
from lab.exim import EximBySnippet, EximMx


class Front:
    """With an Exim as the MX."""

    kind = EximBySnippet

    @classmethod
    def real_mx(cls, lab, cert):
        return EximMx(lab.path("mx"), "mx.real.example", "127.0.0.40", cert), "127.0.0.40"


class OverSmtp(Front, front.FrontCase):
    """multi_domain = false."""

    words = ("exim",)


class OverLmtp(Front, front.FrontCase):
    """The LMTP protocol of Exim's smtp transport."""

    words = ("exim", "--via", "lmtp")


if __name__ == "__main__":
    main()
