"""Text as man(7) wants it."""
import re
import textwrap

SPECIAL = {"\\": r"\(rs", "^": r"\(ha", "~": r"\(ti", "`": r"\(ga"}
# Words in which a hyphen or an apostrophe is what one types.
TYPED = re.compile(r"(?:(?<=^)|(?<=[\s(\"]))[^\s(\"]*(?:--|[/_=.@:0-9]|^-)[^\s]*|(?<!\S)-\S*")


def escape(text):
    """Characters that groff would take for something else or draw otherwise; hyphens stay."""
    text = "".join(SPECIAL.get(c, c) for c in text)
    return "".join(c if c.isascii() else rf"\[u{ord(c):04X}]" for c in text)


def typed(text):
    """Something to be typed: hyphens and quotes are the ASCII ones."""
    return escape(text).replace("-", r"\-").replace("'", r"\(aq")


def prose(text):
    """Words to be read; `code` and whatever looks like an option, a file or a number is typed."""
    out = []
    for at, part in enumerate(re.split(r"`([^`'\s]+)`", text)):
        if at % 2:
            out.append(rf"\fB{typed(part)}\fR")
            continue
        last = 0
        for found in TYPED.finditer(part):
            out.append(escape(part[last:found.start()]))
            out.append(typed(found[0]))
            last = found.end()
        out.append(escape(part[last:]))
    return wrapped("".join(out))


def wrapped(text):
    """Source lines of a sentence or less; none begins like a request."""
    lines = []
    for sentence in re.split(r"(?<=[.:;]) (?=[A-Z\\\"(])", text):
        lines += textwrap.wrap(sentence, 78, break_long_words=False, break_on_hyphens=False)
    return [guarded(line) for line in lines]


def guarded(line):
    """A line of text that could be taken for a request."""
    return r"\&" + line if line.startswith((".", "'")) else line


def verbatim(lines, indent=True):
    """Lines as they stand."""
    return [*([".RS 4"] if indent else []), ".nf",
            *(guarded(typed(line)) if line else "." for line in lines), ".fi",
            *([".RE"] if indent else [])]
