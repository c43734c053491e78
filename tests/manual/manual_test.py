#!/usr/bin/env python3
"""The manual agrees with the program: pages and completions are what contrib/man writes, a command
that is added appears by itself, pages have no mistake of form, completions work in real shells, and
what README.md and docs/ call a command, an option or a key is one.

The program is $STERNPOST, or build/sternpost."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "contrib" / "manual"))

import completions  # noqa: E402  (from the folder above)
import pages        # noqa: E402
import walk         # noqa: E402

PROGRAM = os.path.abspath(os.environ.get("STERNPOST") or ROOT / "build" / "sternpost")
PAGES = sorted((ROOT / "docs" / "man").glob("*.[15]"))
DRAWN = {r"\-": "-", r"\(aq": "'", r"\(rs": "\\", r"\(ga": "`", r"\(ti": "~", r"\(ha": "^"}
HERE = pathlib.Path(__file__).resolve().parent


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


class Program(Case):
    """What is committed is what the program says now."""

    @classmethod
    def setUpClass(cls):
        cls.tree = walk.commands(PROGRAM)
        cls.sections = walk.sections(PROGRAM)[1]

    def test_up_to_date(self):
        self.assertEqual(output(ROOT / "contrib" / "man", "--check", PROGRAM), (0, ""))

    def test_every_word_of_help(self):
        """The page has each command, option, description and example."""
        page, lines = flowing("sternpost.1"), plain("sternpost.1").split("\n")
        for command in self.tree.leaves():
            self.has(lines, f".SS {command.name}", *command.examples)
            self.has(page, unquoted(command.summary))
            for argument in command.options + command.positionals:
                self.has(page, unquoted(argument.text))
            for part in command.prose:
                self.has(page, *map(unquoted, part if isinstance(part, list) else [part]))

    def test_every_key(self):
        """sternpost.toml(5) has each key with its value, as the TOML that is printed has."""
        page, lines = flowing("sternpost.toml.5"), plain("sternpost.toml.5").split("\n")
        printed = walk.run(PROGRAM, "config", "defaults")
        uncommented = re.sub(r"^#(?! )", "", printed, flags=re.M)
        there = tomllib.loads(uncommented)
        count = 0
        for section in self.sections:
            self.has(lines, f".SS {section.name}")
            table = there
            for part in section.name.strip("[]").split("."):
                table = table[part][0] if isinstance(table[part], list) else table[part]
            for key in section.keys:
                wanted = f"{key.name} = {key.value}"
                self.has(lines, wanted if key.default else f"{wanted} (example)")
                self.has(page, unquoted(key.text))
                count += 1
            keys = [key for key, value in table.items() if not isinstance(value, dict) and
                    not (isinstance(value, list) and value and isinstance(value[0], dict))]
            self.assertEqual(keys, [key.name for key in section.keys])
        self.assertGreater(count, 80)

    def test_reload(self):
        """The keys that wait for a restart are in the page and in the guide."""
        source = text("proxy", "server_daemon.cpp")
        body = source.split("> needs_restart(")[1].split("\n}\n")[0]
        names = re.findall(r'push_back\("([\w.]+)"\)', body)
        self.assertGreater(len(names), 5)
        for name in names:
            self.has(flowing("sternpost.toml.5").split(".SS Reload")[1].split(".SS")[0], name)
            guide = text("docs", "operating.md").split("A reload takes over")[1].split("\n\n")[0]
            self.has(guide, f"`{name}`")


class Added(Case):
    """A program with another command: the page and the completions have it by themselves."""

    TOP = """Sums up.
Usage: sternpost [OPTIONS] SUBCOMMAND

Options:
  -h,--help                   Print this help message and exit

Subcommands:
  weigh                       Weigh what is there

Examples:
  sternpost weigh a
  sternpost weigh b
"""
    WEIGH = """Weigh what is there
Usage: sternpost weigh [OPTIONS] what [FILE...]

Positionals:
  what WHAT REQUIRED          apples or pears
  FILE TEXT ...               Where it lies

Options:
  -h,--help                   Print this help message and exit
  --unit TEXT:{gram,ounce}=gram
                              In what
  --limit UINT ... Excludes: --all
                              How much, at most

[Option Group: rare]
  --all Excludes: --limit     All of it; can't be undone

Prints a table:
  - one line each
Exit status: 0 weighed.

Examples:
  sternpost weigh apples --unit=ounce
  sternpost weigh pears .profile
"""

    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.place.cleanup)
        folder = pathlib.Path(cls.place.name)
        (folder / "top").write_text(cls.TOP, encoding="utf-8")
        (folder / "weigh").write_text(cls.WEIGH, encoding="utf-8")
        cls.program = folder / "sternpost"
        cls.program.write_text(f"""#!/bin/sh
case "$*" in
  --help) cat {folder}/top ;;
  'weigh --help') cat {folder}/weigh ;;
  --version) echo sternpost 7.8 ;;
  *) printf '# All.\\n\\n# A scale.\\n[scale]\\n# Of `it`.\\ncolour = "red"\\n' ;;
esac
""", encoding="utf-8")
        cls.program.chmod(0o755)

    def test_tree(self):
        weigh = walk.commands(str(self.program)).children[0]
        what, file = weigh.positionals
        self.assertEqual((what.choices, file.many, file.is_file),
                         (["apples", "pears"], True, True))
        options = {option.names[-1]: option for option in weigh.options}
        self.assertEqual(options["--unit"].choices, ["gram", "ounce"])
        self.assertEqual((options["--unit"].value, options["--unit"].default), ("TEXT", "gram"))
        self.assertEqual((options["--limit"].many, options["--limit"].excludes,
                          options["--limit"].text), (True, ["--all"], "How much, at most"))
        self.assertEqual(options["--all"].excludes, ["--limit"])
        self.assertEqual(weigh.prose, ["Prints a table:", ["- one line each"],
                                       "Exit status: 0 weighed."])

    def test_page(self):
        made = pages.build(str(self.program), ROOT / "docs" / "man")
        page = made["sternpost.1"]
        self.has(page, '"sternpost 7.8"', r"\fBsternpost weigh\fR", ".SS sternpost weigh",
                 r"\fB\-\-limit\fR \fIUINT\fR", r"sternpost weigh pears .profile",
                 r"[\fIFILE\fR\ .\|.\|.]", "can't be undone.", r"\- one line each",
                 r"Not together with \-\-all.")
        self.has(made["sternpost.toml.5"], '\\fBcolour\\fR = "red"\nOf \\fBit\\fR.')

    def test_no_examples(self):
        """A help text that is not one is told, not passed over."""
        with self.assertRaises(SystemExit):
            walk.parse(("x",), "Weigh\nUsage: sternpost x\n\nOptions:\n  -h,--help   Help\n")

    def test_completions(self):
        made = completions.build(str(self.program))
        self.has(made["sternpost.bash"], "'weigh:--unit') kind='gram ounce'")
        self.has(made["_sternpost"], "'(--all --limit)--all[All of it; can'\\''t be undone]'")
        self.has(made["sternpost.fish"], "-l unit -x -a 'gram ounce'")
        with tempfile.TemporaryDirectory() as folder:
            for name, source in made.items():
                path = pathlib.Path(folder, name)
                path.write_text(source, encoding="utf-8")
                for shell, words in SHELLS.items():
                    if name in words and shutil.which(shell):
                        self.assertEqual(output(shell, "-n", path), (0, ""))


class Form(Case):
    """What groff, man and mandoc say of the pages."""

    def test_all_are_there(self):
        self.assertEqual([page.name for page in PAGES],
                         ["sternpost-log.5", "sternpost.1", "sternpost.toml.5"])

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_mandoc(self):
        for page in PAGES:
            self.assertEqual(output("mandoc", "-Tlint", page), (0, ""))

    @unittest.skipUnless(shutil.which("groff"), "groff is not installed")
    def test_groff(self):
        for page in PAGES:
            done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", "-Kutf8", "-P-cbou", page],
                                  capture_output=True, check=False, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            lines = done.stdout.decode().split("\n")
            self.assertEqual([line for line in lines if len(line) > 80 and
                              not line.startswith("       sternpost ")], [])    # out of --help
            self.assertGreater(len(lines), 100)


def offers_of_bash(words, folder):
    """What bash offers for the last word."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sternpost; '
              '[[ ${#COMPREPLY[@]} = 0 ]] || printf "%s\\n" "${COMPREPLY[@]}"')
    parts = [part for word in words for part in re.split("(=)", word) if part or not word]
    return output("bash", "--norc", "-c", script, "bash",
                  ROOT / "contrib/completions/sternpost.bash", *parts, cwd=folder)


def offers_of_zsh(words, folder):
    """What zsh offers behind the line."""
    return output("zsh", "-f", HERE / "capture.zsh", ROOT / "contrib/completions/_sternpost",
                  " ".join(words), cwd=folder, env={**os.environ, "TERM": "xterm"})


def offers_of_fish(words, folder):
    """What fish offers behind the line; its descriptions left out."""
    home = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    status, told = output("fish", "--no-config", "-c",
                          f"source {ROOT}/contrib/completions/sternpost.fish; "
                          f"complete -C '{' '.join(words)}'", cwd=folder, env=home)
    return status, "".join(line.split("\t")[0] + "\n" for line in told.splitlines())


SHELLS = {"bash": ["sternpost.bash"], "zsh": ["_sternpost"], "fish": ["sternpost.fish"]}
OFFERS = {"bash": offers_of_bash, "zsh": offers_of_zsh, "fish": offers_of_fish}


class Shells(Case):
    """Real shells, asked at the end of a line."""

    @classmethod
    def setUpClass(cls):
        cls.tree = walk.commands(PROGRAM)
        cls.place = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.place.cleanup)
        cls.folder = pathlib.Path(cls.place.name, "here")
        cls.folder.mkdir()
        (cls.folder / "own.toml").touch()

    def offered(self, shell, *words):
        """The words that the shell offers."""
        status, told = OFFERS[shell](("sternpost",) + words, self.folder)
        self.assertEqual(status, 0, told)
        return sorted(told.splitlines())

    def ask(self, shell):
        """The same questions for every shell."""
        if not shutil.which(shell):
            self.skipTest(f"{shell} is not installed")
        self.assertEqual(self.offered(shell, ""), sorted(self.tree.names))
        groups = [command for command in self.tree.children if command.children]
        for command in groups if shell == "bash" else groups[:1]:
            self.assertEqual(self.offered(shell, *command.path, ""), sorted(command.names))
        self.assertEqual(self.offered(shell, "rep"), ["report"])
        self.assertEqual(self.offered(shell, "report", "list", "--d"), ["--date", "--domain"])
        self.assertEqual(self.offered(shell, "report", "list", "--date", ""), [])
        self.assertEqual(self.offered(shell, "snippet", "--json", "post"), ["postfix"])
        ways = ["lmtp", "map", "milter", "smtp", "transparent"]
        self.assertEqual(self.offered(shell, "snippet", "--via", ""), ways)
        self.assertEqual(self.offered(shell, "snippet", "--via", "m"), ["map", "milter"])
        self.assertEqual(self.offered(shell, "serve", "-c", "o"), ["own.toml"])
        self.assertEqual(self.offered(shell, "report", "read", "o"), ["own.toml"])

    def test_bash(self):
        self.ask("bash")
        self.assertEqual(self.offered("bash", "snippet", "--via="),
                         ["lmtp", "map", "milter", "smtp", "transparent"])
        self.assertEqual(self.offered("bash", "serve", "--config=o"), ["own.toml"])
        self.assertEqual(self.offered("bash", "snippet", "postfix", ""), [])
        self.assertEqual(self.offered("bash", "report", "read", "own.toml", "o"), ["own.toml"])
        self.assertEqual(self.offered("bash", "report", "-h", "read", "o"), ["own.toml"])
        for command in self.tree.all():
            names = sorted(name for option in command.options for name in option.names)
            self.assertEqual(self.offered("bash", *command.path, "-"), names)

    def test_zsh(self):
        self.ask("zsh")

    def test_fish(self):
        self.ask("fish")


def returned(file, kind):
    """The words that `to_string(KIND)` in a C++ file may give."""
    body = re.search(rf"string_view to_string\((?:const )?{kind}&? \w+\) {{(.*?)\n}}", text(file),
                     re.S)[1]
    return set(re.findall(r'return "([^"]+)"', body))


class Log(Case):
    """sternpost-log(5) against the code that writes the log."""

    def parts(self, heading):
        """Tag -> text of the entries of one section."""
        section = plain("sternpost-log.5").split(f"\n.SH {heading}\n")[1].split("\n.SH ")[0]
        entries = re.findall(r"^\.TP\n\.B (\S+)\n(.*?)(?=^\.TP|^\.PP|\Z)", section, re.M | re.S)
        return dict(entries)

    def test_keys(self):
        source = text("audit", "record.h").split("record_keys = {")[1].split("}")[0]
        keys = re.findall(r'"(\w+)"', source)
        self.assertGreater(len(keys), 30)
        self.assertEqual(list(self.parts("KEYS")), keys)

    def test_values(self):
        keys = self.parts("KEYS")
        for key, file, kind in (
                ("policy_type", "policy/plan_requirement.cpp", "PolicyKind"),
                ("policy_mode", "policy/sts.cpp", "StsMode"),
                ("policy_source", "policy/sts.cpp", "PolicySource"),
                ("requirement", "policy/plan_requirement.cpp", "TlsRequirement"),
                ("peer_auth", "policy/judge.cpp", "PeerAuth"),
                ("protection", "policy/judge.cpp", "Protection")):
            for word in returned(file, kind):
                self.assertRegex(keys[key], rf"(?<![\w-]){word}(?![\w-])")
        for heading, file, kind in (("EVENTS", "audit/record.cpp", "Event"),
                                    ("VERDICTS", "audit/record.cpp", "Verdict"),
                                    ("RESULT TYPES", "tlsrpt/result.cpp", "ResultType")):
            self.assertEqual(set(self.parts(heading)), returned(file, kind))

    def test_guide(self):
        """docs/operating.md tells every event."""
        guide = text("docs", "operating.md").split("## The enforcement log")[1].split("\n## ")[0]
        for event in returned("audit/record.cpp", "Event"):
            self.has(guide, f"`{event}`")


class Documents(Case):
    """README.md, docs/ and the pages name nothing that is not there, and every command."""

    @classmethod
    def setUpClass(cls):
        cls.tree = walk.commands(PROGRAM)
        cls.commands = {command.path: command for command in cls.tree.all()}
        cls.keys = {f"{section.name.strip('[]')}.{key.name}"
                    for section in walk.sections(PROGRAM)[1] for key in section.keys}
        names = ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
                 *(f"docs/decisions/{path.name}" for path in
                   (ROOT / "docs" / "decisions").glob("*.md"))]
        cls.texts = {name: text(name) for name in names if name != "docs/rfc-map.md"}
        cls.texts |= {f"docs/man/{page.name}": plain(page.name) for page in PAGES}

    def calls(self):
        """(file, words) of every call of the program in a block or between backticks."""
        for name, content in self.texts.items():
            blocks = re.findall(r"^```\w*\n(.*?)^```", content, re.M | re.S)
            blocks += re.findall(r"^\.nf\n(.*?)^\.fi", content, re.M | re.S)
            lines = [line for block in blocks for line in block.split("\n")]
            lines += [part.replace("\n", " ") for part in re.findall(r"`([^`]+)`", content)]
            for line in lines:
                found = re.match(r"(?:[\w-]+ -u \w+ -- )?(?:build/)?sternpost ([a-z-].*)", line)
                if found and not found[1].startswith("unix "):      # Postfix's master.cf
                    call = re.split(r"   | [&|<>]|[)…]", found[1])[0]
                    yield name, call.split()

    def test_calls(self):
        count = 0
        for name, words in self.calls():
            path = ()
            while words and path + (words[0],) in self.commands:
                path += (words.pop(0),)
            command = self.commands[path]
            where = f"{name}: {command.name} {' '.join(words)}"
            if command.children:
                self.assertFalse([w for w in words if not w.startswith("-")], where)
            options = {n for option in command.options for n in option.names}
            for word in words:
                if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word):
                    self.assertIn(word.split("=")[0], options, where)
            count += 1
        self.assertGreater(count, 30)

    def test_every_command_is_told(self):
        """A command that no document for operators shows is one that nobody finds."""
        told = set()
        for name, words in self.calls():
            if not name.startswith("docs/man/"):
                told |= {tuple(words[:n]) for n in range(1, 4)}
        missing = [command.name for command in self.tree.leaves() if command.path not in told]
        self.assertEqual(missing, [])

    def test_keys(self):
        sections = {key.split(".")[0] for key in self.keys}
        count = 0
        for name, content in self.texts.items():
            for word in re.findall(r"`((?:\w+\.)+\w+)(?: = [^`]*)?`", content):
                if word.split(".")[0] in sections and not re.search(r"\.(?:h|cpp|py)$", word):
                    self.assertIn(word, self.keys, name)
                    count += 1
        self.assertGreater(count, 50)


if __name__ == "__main__":
    unittest.main()
