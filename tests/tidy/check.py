#!/usr/bin/env python3
"""Holds the rules of this tree that no compiler holds. Prints each breach as FILE:LINE: text and
one line `RULE: N passed, M failed` for each rule; exits 1 when anything failed."""
import fnmatch
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CXX = (".h", ".cpp")

# A folder may include itself and folders of a later row.
ROWS = [["cli"], ["check"], ["proxy"], ["report", "admin"], ["config"], ["policy"], ["dane"],
        ["dns"], ["audit"], ["store"], ["smtp", "tlsrpt", "metrics"], ["base"]]
RANK = {folder: rank for rank, row in enumerate(ROWS) for folder in row}

# Include prefix -> the files that may have it.
LIBRARIES = {
    r"boost/(asio|beast)": ["proxy/*", "check/inquiry.*", "check/handshake.*",
                            "report/*", "admin/http_*", "dns/unbound_*", "dns/await.h",
                            "policy/*_fetcher*", "policy/sts_engine*"],
    r"openssl/": ["proxy/tls_*", "proxy/channel*.cpp", "proxy/boost_impl.cpp", "dane/openssl*",
                  "policy/*_fetcher*", "audit/hash.*", "tlsrpt/result.cpp", "tlsrpt/dkim.cpp",
                  "tlsrpt/return_path.cpp", "report/https_post.cpp", "admin/access.cpp"],
    r"toml\+\+/": ["config/load*"],
    r"spdlog/": ["base/log.*"],
    r"sqlite3\.h": ["store/sqlite*", "store/database.*"],
    r"unbound\.h": ["dns/unbound_*"],
    r"libmilter/": ["proxy/milter*"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
COMMENT = re.compile(r"//.*$")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
# Words in pieces, so that this file keeps its own rules.
UNFINISHED = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|X" + r"XX)\b")
FORBIDDEN = re.compile("|".join([
    "/" + "work/", r"\.\./" + "shared", "INTER" + r"FACE\.md", "DES" + r"IGN\.md",
    "REQUIRE" + r"MENTS\.md", "LESS" + r"ONS\.md", "BRI" + r"EF\.md", "/tmp/" + "team",
    r"\bissue" + r" #?\d+\b"]))
# Anything that looks like a citation but is not `RFC nnnn`, or a section not written `§x.y`.
RFC_FORM = re.compile(r"\b(?:rfc ?\d{3,5}|Rfc ?\d{3,5}|RFC\d{3,5}|RFC-\d{3,5})\b(?![/_])|"
                      r"\bRFC \d{3,5},? (?:[Ss]ection|[Ss]ec\.|[Aa]ppendix \d|\d+\.\d)|"
                      r"\bRFC \d{3,5} § ")


def tracked():
    listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                             capture_output=True, text=True).stdout.split("\n")
    return sorted(name for name in set(listing) if name and (ROOT / name).is_file())


class Tree:
    def __init__(self):
        self.text = {}
        for name in tracked():
            if "/corpus/" in name or name.endswith((".pyc", ".der", ".pem", ".gz", ".png")):
                continue
            try:
                self.text[name] = (ROOT / name).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue

    def files(self, suffixes, folders=None):
        for name, text in self.text.items():
            if name.endswith(suffixes) and (folders is None or name.split("/")[0] in folders):
                yield name, text.split("\n")


def includes(lines):
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def folder_order(tree):
    for name, lines in tree.files(CXX, RANK):
        folder = name.split("/")[0]
        for number, quote, path in includes(lines):
            if quote != '"':
                continue
            target = path.split("/")[0]
            if target not in RANK or "/" not in path:
                yield name, number, f'include "{path}" by its path from the top'
            elif target != folder and RANK[target] <= RANK[folder]:
                yield name, number, f"{folder}/ may not include {target}/"
            else:
                yield None


def library_placement(tree):
    for name, lines in tree.files(CXX, RANK):
        for number, _, path in includes(lines):
            for prefix, allowed in LIBRARIES.items():
                if re.match(prefix, path) and not any(fnmatch.fnmatch(name, a) for a in allowed):
                    yield name, number, f"<{path}> is not for this file"
                    break
            else:
                yield None


def coroutine_hazards(tree):
    """GCC 12 miscompiles temporaries built with braces, and capturing lambdas, beside co_await."""
    for name, lines in tree.files(CXX):
        for number, line in enumerate(lines, 1):
            code = STRING.sub('""', COMMENT.sub("", line))
            if "co_await" not in code:
                continue
            rest = code.strip()
            after = rest[rest.index("co_await"):]
            before = rest[:rest.index("co_await")]
            body = re.sub(r"\{\s*$", "", after)        # the brace that opens a block
            one_line = re.sub(r"^.*\)\s*\{", "", before)  # `if (x) { co_await …`
            hazard = re.search(r"[\w>]\s*\{", body) or re.search(r"[(,]\s*\{", body) or \
                re.search(r"\[[&=\w]", re.sub(r"\w\[", "", body)) or \
                re.search(r"[\w=,(]\s*\{[^}]*$", one_line)
            if hazard and not re.search(r"\b(else|do|try)\s*\{\s*$", before):
                yield name, number, "braces or a capturing lambda on a line with co_await"
            else:
                yield None


def line_rules(tree):
    for name, lines in tree.files(CXX + (".py", ".cmake", ".sh", "CMakeLists.txt")):
        for number, line in enumerate(lines, 1):
            if len(line) > 100 and not re.search(r"https?://\S{60,}", line):
                yield name, number, f"{len(line)} columns"
            elif "\t" in line:
                yield name, number, "a tab"
            else:
                yield None


def trailing_space(tree):
    for name, text in tree.text.items():
        if name.endswith((".dlg", ".eml", ".patch")):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            yield (name, number, "space at the end of the line") if line != line.rstrip() else None
        if text and not text.endswith("\n"):
            yield name, text.count("\n") + 1, "no newline at the end"


def headers(tree):
    for name, lines in tree.files((".h",)):
        if not lines[0].startswith("// "):
            yield name, 1, "a header opens with a comment that says what it is"
        elif "#pragma once" not in lines[:15]:
            yield name, 1, "no #pragma once behind the opening comment"
        else:
            yield None


def matching(pattern, text):
    def rule(tree):
        for name, content in tree.text.items():
            for number, line in enumerate(content.split("\n"), 1):
                found = pattern.search(line)
                yield (name, number, f"{text}: {found.group(0)}") if found else None
    return rule


def rfc_form(tree):
    for name, lines in tree.files(CXX):
        for number, line in enumerate(lines, 1):
            comment = COMMENT.search(STRING.sub('""', line))
            found = RFC_FORM.search(comment.group(0)) if comment else None
            yield (name, number, f"write `RFC nnnn §x.y`: {found.group(0)}") if found else None


def rfc_map(_tree):
    done = subprocess.run([sys.executable, str(ROOT / "contrib/rfc-map"), "--check"],
                          capture_output=True, text=True, check=False)
    yield ("docs/rfc-map.md", 1, "not up to date: run contrib/rfc-map") if done.returncode else None


NAMED = re.compile(r"`(tests/[\w/.]+)(?:::([^`]+))?`")
TITLE = re.compile(r'TEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)')


def has_test(text, name):
    """Whether a test file has that Class.method, TEST_CASE title or scenario title."""
    if re.fullmatch(r"\w+\.test_\w+", name):
        kind, method = name.split(".")
        return all(re.search(pattern, text, re.M)
                   for pattern in (rf"^class {kind}\b", rf"^    def {method}\("))
    titles = ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', x)) for x in TITLE.findall(text)]
    return name in titles or f'title = "{name}"' in text


def named_tests(tree):
    """Tests that docs/threats.md names, as `FILE` or `FILE::NAME`; each row of a table has one."""
    lines = tree.text.get("docs/threats.md", "").split("\n")
    for number, line in enumerate(lines, 1):
        row = line.startswith("| ") and not line.startswith("| ---") and \
            not (lines[number:] and lines[number].startswith("| ---"))
        if row and not NAMED.search(line):
            yield "docs/threats.md", number, "a threat without a test"
        for file, name in NAMED.findall(line):
            text = tree.text.get(file)
            fine = text is not None and (not name or has_test(text, name))
            yield None if fine else ("docs/threats.md", number, f"no such test: {file}::{name}")


RULES = {
    "folders include only folders to their right": folder_order,
    "libraries stay where they belong": library_placement,
    "nothing built with braces beside co_await": coroutine_hazards,
    "lines have at most 100 columns and no tabs": line_rules,
    "no space at the end of lines": trailing_space,
    "headers open with a comment and #pragma once": headers,
    "nothing is left to be done": matching(UNFINISHED, "unfinished"),
    "no mention of the workplace": matching(FORBIDDEN, "forbidden"),
    "RFC citations have one form": rfc_form,
    "docs/rfc-map.md is up to date": rfc_map,
    "each threat in docs/threats.md has tests, which exist": named_tests,
}


def main():
    tree = Tree()
    failed_all = 0
    for title, rule in RULES.items():
        passed = failed = 0
        for breach in rule(tree):
            if breach is None:
                passed += 1
                continue
            failed += 1
            name, number, text = breach
            print(f"{name}:{number}: {text}")
        print(f"{title}: {passed} passed, {failed} failed")
        failed_all += failed
    return 1 if failed_all else 0


if __name__ == "__main__":
    sys.exit(main())
