"""What the program says of itself: its commands with their options, by --help, and the keys of its
configuration, by `config defaults`. Nothing else in contrib/manual knows of a command or key."""
import dataclasses
import os
import re
import subprocess

COLUMN = 30             # where CLI11 begins the description
HEADING = re.compile(r"^(?:[A-Z][\w ]*:|\[Option Group: .*\])$")
MARKS = re.compile(r" (?:REQUIRED|\(Env:[^)]*\)|(?:Needs|Excludes):.*)$")
WORD = r"[a-z0-9][a-z0-9-]*"
DEFAULT = " This is the default."
LIST = re.compile(rf"^{WORD}(?:, {WORD})*,? or {WORD}$")


@dataclasses.dataclass
class Argument:
    """An option (names begin with "-") or a positional (one name, as the help calls it)."""
    names: list
    value: str              # "FILE", "" for a flag
    default: str
    many: bool
    required: bool
    excludes: list
    text: str
    choices: list           # the words that --help gives, if it gives a set

    @property
    def is_file(self):
        """Whether the value is the name of a file or folder."""
        return bool(re.fullmatch(r"(?:\[\w+=\])?(?:FILE|DIR|DIRECTORY|FOLDER|PATH)S?", self.value))


@dataclasses.dataclass
class Command:
    """A command or group of commands."""
    path: tuple             # ("config", "check"); () is the program itself
    summary: str
    options: list
    positionals: list
    names: list             # of its subcommands
    prose: list             # paragraphs of the footer; a list of lines stands as it is
    examples: list
    children: list = dataclasses.field(default_factory=list)

    @property
    def name(self):
        """As it is typed."""
        return " ".join(("sternpost",) + self.path)

    def all(self):
        """Itself and those below, in the order of the help."""
        yield self
        for child in self.children:
            yield from child.all()

    def leaves(self):
        """Those that do something."""
        return [command for command in self.all() if not command.children]


def run(program, *words):
    """What the program prints, without what the caller's environment would change."""
    keep = {key: value for key, value in os.environ.items() if key.endswith("SAN_OPTIONS")}
    done = subprocess.run([program, *words], env={**keep, "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=60, encoding="utf-8")
    if done.returncode != 0:
        raise SystemExit(f"{program} {' '.join(words)}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def choices(value, text):
    """`TEXT:{a,b}` or a description that is "a, b or c", with remarks in brackets or behind."""
    braces = re.search(r"\{([^}]*)\}", value)
    if braces:
        return [word.strip() for word in braces[1].split(",")]
    plain = re.sub(r" ?\([^)]*\)", "", text).split(";")[0].split(": ")[-1].rstrip(".")
    if not value or not LIST.match(plain):
        return []
    return re.split(r", or |, | or ", plain)


def argument(head, text):
    """`-c,--config FILE=/x REQUIRED` with its description."""
    marks = ""
    while found := MARKS.search(head):
        marks, head = found[0] + marks, head[:found.start()]
    words = head.split(" ")
    many = words[-1] == "..."
    names = words[0].split(",")
    rest = " ".join(words[1:-1] if many else words[1:])
    parts = re.fullmatch(r"((?:\[[^]]*\]|[^=])*)=?(.*)", rest, re.S)    # [HOST=]FILE is one word
    value, default = parts[1], parts[2]
    given = choices(value, text)
    if not names[0].startswith("-") and value in ("", "TEXT"):
        value = names[0]
    excludes = re.search(r"Excludes: (.*?)(?: Needs:| REQUIRED|$)", marks)
    return Argument(names, re.sub(r":\{[^}]*\}$|:.*$", "", value) or "", default, many,
                    " REQUIRED" in marks, excludes[1].split() if excludes else [], text, given)


def entries(lines):
    """(head, description) of the lines of one part of a help text."""
    found = []
    for line in lines:
        if line.startswith(" " * COLUMN):
            found[-1][1] = f"{found[-1][1]} {line.strip()}".strip()
        elif len(line) > COLUMN and line[COLUMN - 1] == " ":
            found.append([line[:COLUMN].strip(), line[COLUMN:].strip()])
        else:
            found.append([line.strip(), ""])
    return found


def paragraphs(lines):
    """The footer: flowing text is joined; indented lines stay a list."""
    found = []
    for line in lines:
        if not line:
            found.append("")
        elif line.startswith(" "):
            if not found or not isinstance(found[-1], list):
                found.append([])
            found[-1].append(line[2:])
        elif not found or isinstance(found[-1], list) or line.startswith("Exit status"):
            found.append(line)
        else:
            found[-1] = f"{found[-1]} {line}".strip()
    return [part for part in found if part]


def parse(path, text):
    """One help text."""
    parts = {"summary": [], "footer": [], "Positionals": [], "Options": [], "Subcommands": []}
    part, blank = "summary", False
    lines = text.rstrip("\n").split("\n")
    for line, following in zip(lines, [*lines[1:], ""]):
        if line.startswith("Usage: "):
            part = "usage"
        elif line[:-1] in ("Positionals", "Options", "Subcommands") and part != "footer":
            part = line[:-1]
        elif HEADING.match(line) and re.match("  --?[A-Za-z]", following) and part != "footer":
            part = "Options"                                         # a group of options
        elif part == "footer" or (blank and line and not line.startswith("  ")):
            part = "footer"
            parts[part].append(line)
        elif line and part in parts:
            parts[part].append(line)
        blank = not line
    if "Examples:" not in parts["footer"]:
        raise SystemExit(f"{' '.join(('sternpost',) + path)} --help has no examples")
    at = parts["footer"].index("Examples:")
    arguments = {name: [argument(*entry) for entry in entries(parts[name])]
                 for name in ("Options", "Positionals")}
    return Command(path, " ".join(parts["summary"]), arguments["Options"],
                   arguments["Positionals"],
                   [head for head, _ in entries(parts["Subcommands"])],
                   paragraphs(parts["footer"][:at]),
                   [line.strip() for line in parts["footer"][at + 1:] if line.strip()])


def commands(program, path=()):
    """The tree of commands."""
    command = parse(path, run(program, *path, "--help"))
    command.children = [commands(program, path + (name,)) for name in command.names]
    return command


@dataclasses.dataclass
class Key:
    """A key of the configuration, as `config defaults` prints it."""
    name: str
    value: str
    default: bool           # False: an example
    text: str


@dataclasses.dataclass
class Section:
    """A section of the configuration."""
    name: str               # "[server]", "[[listen]]"
    text: str
    default: bool           # False: stands as a comment
    keys: list


def sections(program):
    """(what stands on top, sections) of `config defaults`."""
    head, found, comment = "", [], []
    for line in run(program, "config", "defaults").split("\n"):
        if line.startswith("# "):
            comment.append(line[2:])
            continue
        text, live = " ".join(comment), not line.startswith("#")
        line = line.removeprefix("#")
        if not line:
            head = head or text
        elif line.startswith("["):
            found.append(Section(line, text, live, []))
        else:
            name, _, value = line.partition(" = ")
            default = live or text.endswith(DEFAULT)    # in a section that stands as a comment
            found[-1].keys.append(Key(name, value, default, text.removesuffix(DEFAULT)))
        comment = []
    return head, found
