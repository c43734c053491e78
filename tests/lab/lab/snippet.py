"""What `sternpost snippet` prints, in parts by file."""

import re
import subprocess

from .procs import LabError
from .sternpost import binary


def split(out, words):
    """{file: lines}"""
    found = re.split(r"^(?:#|dnl) ==> ([^:\n]+)(?:: .*)?\n", out, flags=re.M)
    if found[0]:
        raise LabError(f"snippet {' '.join(words)}: words before the first part: {found[0]}")
    return dict(zip(found[1::2], found[2::2]))


def parts(sternpost, *words):
    """{file: lines} for this Sternpost's configuration."""
    status, out, err = sternpost.run("snippet", *words)
    if status:
        raise LabError(f"snippet {' '.join(words)} ended with {status}: {err}")
    return split(out, words)


def usual(*words):
    """{file: lines} for the usual addresses."""
    done = subprocess.run([binary(), "snippet", *words], check=False, capture_output=True,
                          text=True, timeout=60)
    if done.returncode:
        raise LabError(f"snippet {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return split(done.stdout, words)


def main_cf(lines):
    """Lines for main.cf as a dict; a line that begins with a space goes on with the one above."""
    text = re.sub(r"^#.*\n", "", lines, flags=re.M)
    text = re.sub(r"\n[ \t]+", " ", text)
    return dict(map(str.strip, line.split("=", 1)) for line in text.splitlines() if line)
