#!/usr/bin/env python3
"""Pages and completions are what contrib/man writes now; a command that is added appears by itself;
pages have no mistake of form."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest

from common import (PAGES, PROGRAM, ROOT, Case, flowing, output, plain, sections, text, tree,
                    unquoted)

import completions
import pages
import walk


SHELLS = {"sternpost.bash": "bash", "_sternpost": "zsh", "sternpost.fish": "fish"}


class Program(Case):
    """What is committed is what the program says now."""

    def test_up_to_date(self):
        self.assertEqual(output(ROOT / "contrib" / "man", "--check", PROGRAM), (0, ""))

    def test_every_word_of_help(self):
        """The page has each command, option, description and example."""
        page, lines = flowing("sternpost.1"), plain("sternpost.1").split("\n")
        for command in tree().leaves():
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
        for section in sections():
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

    def test_part_in_brackets(self):
        """`=` in the brackets of a value does not begin its default."""
        tlsa = walk.argument("--tlsa [HOST=]FILE ...", "A certificate")
        self.assertEqual((tlsa.value, tlsa.default, tlsa.many, tlsa.is_file),
                         ("[HOST=]FILE", "", True, True))
        file = walk.argument("-c,--config FILE=/etc/x.toml", "Configuration file")
        self.assertEqual((file.value, file.default, file.is_file), ("FILE", "/etc/x.toml", True))

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
                if shutil.which(SHELLS[name]):
                    self.assertEqual(output(SHELLS[name], "-n", path), (0, ""))


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

if __name__ == "__main__":
    unittest.main()
