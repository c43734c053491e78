"""What the tests of the manual share: the program ($STERNPOST, or build/sternpost), what it says of
itself, and the pages as text."""
import functools
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "contrib" / "manual"))

import walk  # noqa: E402  (from the folder above)

PROGRAM = os.path.abspath(os.environ.get("STERNPOST") or ROOT / "build" / "sternpost")
PAGES = sorted((ROOT / "docs" / "man").glob("*.[15]"))
DRAWN = {r"\-": "-", r"\(aq": "'", r"\(rs": "\\", r"\(ga": "`", r"\(ti": "~", r"\(ha": "^"}


@functools.cache
def tree():
    """The commands."""
    return walk.commands(PROGRAM)


@functools.cache
def sections():
    """The configuration."""
    return walk.sections(PROGRAM)[1]


def output(*words, **options):
    """Status and everything that a command prints."""
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                          encoding="utf-8", check=False, **options)
    return done.returncode, done.stdout


def text(*names):
    """A file of the tree."""
    return ROOT.joinpath(*names).read_text(encoding="utf-8")


def plain(page):
    """A page's source without fonts and escapes."""
    source = re.sub(r"\\f[BIR]|\\&|\\\|", "", text("docs", "man", page))
    return re.sub(r"\\(?:\(..|\[\w+\]|-)", lambda m: DRAWN.get(m[0], m[0]), source)


def flowing(page):
    """The same in one line, without the requests that change fonts."""
    return re.sub(r"\s+", " ", re.sub(r"^\.(?:BR?|I|RB) ?", "", plain(page), flags=re.M))


def unquoted(words):
    """Words of the program as a page has them."""
    return re.sub(r"\s+", " ", re.sub(r"`([^`'\s]+)`", r"\1", words))


class Case(unittest.TestCase):
    """A test whose failures are short."""

    def has(self, where, *parts):
        """Each of the parts is in the text or list."""
        for part in parts:
            self.assertTrue(part in where, f"not there: {part!r}")
