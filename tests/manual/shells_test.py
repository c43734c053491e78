#!/usr/bin/env python3
"""The completions in real shells: bash, and zsh and fish where they are installed."""
import os
import pathlib
import re
import shutil
import tempfile
import unittest

from common import ROOT, Case, output, tree

HERE = pathlib.Path(__file__).resolve().parent


def offers_of_bash(words, folder):
    """What bash offers for the last word."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sternpost; '
              '[[ ${#COMPREPLY[@]} = 0 ]] || printf "%s\\n" "${COMPREPLY[@]}"')
    parts = [part for word in words for part in re.split("(=)", word) if part or not word]
    return output("bash", "--norc", "-c", script, "bash",
                  ROOT / "contrib/completions/sternpost.bash", *parts, cwd=folder)


def offers_of_zsh(words, folder):
    """What zsh offers behind the line."""
    return output("zsh", "-f", HERE / "capture.zsh", ROOT / "contrib/completions",
                  " ".join(words), folder.parent / "dump", cwd=folder,
                  env={**os.environ, "TERM": "xterm"})


def offers_of_fish(words, folder):
    """What fish offers behind the line; its descriptions left out."""
    home = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    status, told = output("fish", "--no-config", "-c",
                          f"source {ROOT}/contrib/completions/sternpost.fish; "
                          f"complete -C '{' '.join(words)}'", cwd=folder, env=home)
    return status, "".join(line.split("\t")[0] + "\n" for line in told.splitlines())


OFFERS = {"bash": offers_of_bash, "zsh": offers_of_zsh, "fish": offers_of_fish}


class Shells(Case):
    """Real shells, asked at the end of a line."""

    @classmethod
    def setUpClass(cls):
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
        self.assertEqual(self.offered(shell, ""), sorted(tree().names))
        groups = [command for command in tree().children if command.children]
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
        for command in tree().all():
            names = sorted(name for option in command.options for name in option.names)
            self.assertEqual(self.offered("bash", *command.path, "-"), names)

    def test_zsh(self):
        self.ask("zsh")

    def test_fish(self):
        self.ask("fish")

if __name__ == "__main__":
    unittest.main()
