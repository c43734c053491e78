#!/usr/bin/env python3
"""What README.md, docs/ and the pages say of commands, options, keys and the log is so."""
import pathlib
import re
import shutil
import tempfile
import unittest

from common import PAGES, ROOT, Case, output, plain, sections, text, tree


# Of computing at large, not of this field.
COMMON = {"ALSO", "ASCII", "CNAME", "DNS", "HTTP", "HTTPS", "ID", "JSON", "POST", "RFC",
          "TXT", "URI", "URL", "UTC", "UTF-8", "CPU", "TCP", "KB", "MB", "GB", "FILE", "README"}


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
        cls.commands = {command.path: command for command in tree().all()}
        cls.keys = {f"{section.name.strip('[]')}.{key.name}"
                    for section in sections() for key in section.keys}
        names = ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
                 *(f"docs/decisions/{path.name}" for path in
                   (ROOT / "docs" / "decisions").glob("*.md"))]
        cls.texts = {name: text(name) for name in names if name != "docs/rfc-map.md"}
        cls.texts |= {f"docs/man/{page.name}": plain(page.name) for page in PAGES}

    def calls(self):
        """(file, words) of every call of the program in a block or between backticks."""
        for name, content in self.texts.items():
            blocks = re.findall(r"^```[\w.]*\n(.*?)^```", content, re.M | re.S)
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
        missing = [command.name for command in tree().leaves() if command.path not in told]
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
    def test_install(self):
        """README.md's lines put pages and completions where they are looked for."""
        block = re.search(r"Tab key.*?\n```\n(.*?)```", self.texts["README.md"], re.S)[1]
        with tempfile.TemporaryDirectory() as place:
            lines = block.replace(" /usr", f" {place}/usr")
            self.assertEqual(output("sh", "-ec", lines, cwd=ROOT), (0, ""))
            found = sorted(p.name for p in pathlib.Path(place).rglob("*") if p.is_file())
            there = [p.name for p in (ROOT / "contrib" / "completions").iterdir()]
            there[there.index("sternpost.bash")] = "sternpost"
            self.assertEqual(found, sorted([*there, *(page.name for page in PAGES)]))
            if shutil.which("man"):
                for page in PAGES:
                    section = page.suffix[1:]
                    status, told = output("man", "-M", f"{place}/usr/share/man", "-w", section,
                                          page.stem)
                    self.assertEqual((status, pathlib.Path(told.strip()).name), (0, page.name))

    def test_glossary(self):
        """In order, each word once; and what stands in capitals in two documents is in it."""
        rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text("docs", "glossary.md"), re.M)[2:]
        words = [word for word, _ in rows]
        self.assertEqual(words, sorted(words, key=str.lower))
        self.assertEqual(len(words), len(set(words)))
        explained = set(re.findall(r"[A-Z][A-Z0-9-]*[A-Z0-9]", " ".join(words))) | COMMON
        used = {}
        for name, content in self.texts.items():
            if name not in ("docs/glossary.md", "docs/configuration.md") and "/man/" not in name:
                content = re.sub(r"^```.*?^```|`[^`]*`", "", content, flags=re.M | re.S)
                for word in re.findall(r"(?<![\w./-])[A-Z][A-Z0-9]+(?:-[A-Z]+)*\b", content):
                    used.setdefault(word, set()).add(name)
        self.assertGreater(len(used), 30)
        missing = sorted(word for word, names in used.items()
                         if len(names) > 1 and word not in explained)
        self.assertEqual(missing, [])

    def test_decisions(self):
        """The list of decisions has each of them, by its title."""
        index = text("docs", "decisions", "README.md")
        files = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
        self.assertGreater(len(files), 10)
        for number, path in enumerate(files, 1):
            found = re.match(r"# (\d+)\. (.+)\n", path.read_text(encoding="utf-8"))
            self.assertEqual((path.name[:4], found[1]), (f"{number:04}", str(number)))
            self.has(index, f"| {number} | [{found[2]}]({path.name}) |")

    def test_links(self):
        """Files and headings that documents link to are there."""
        count = 0
        for name, content in self.texts.items():
            content = re.sub(r"^```.*?^```", "", content, flags=re.M | re.S)
            for link in re.findall(r"\]\(([^)\s]+)\)", content):
                path, _, heading = link.partition("#")
                if path.startswith(("http://", "https://")):
                    continue
                target = (ROOT / name).parent / path if path else ROOT / name
                self.assertTrue(target.exists(), f"{name}: {link}")
                if heading:
                    titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
                    slugs = {re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles}
                    self.has(slugs, heading)
                count += 1
        self.assertGreater(count, 50)


if __name__ == "__main__":
    unittest.main()
