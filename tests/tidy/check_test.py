#!/usr/bin/env python3
"""Each rule of check.py finds what it is for, and lets pass what it is not for."""
import importlib.machinery
import importlib.util
import pathlib
import unittest

import check


class Fake(check.Tree):
    def __init__(self, text):  # pylint: disable=super-init-not-called
        self.text = text


def breaches(rule, name, text):
    return [b[1] for b in rule(Fake({name: text})) if b is not None]


class Rules(unittest.TestCase):
    def good(self, rule, name, text):
        self.assertEqual(breaches(rule, name, text), [], text)

    def bad(self, rule, name, text):
        self.assertNotEqual(breaches(rule, name, text), [], text)

    def test_folders(self):
        self.bad(check.folder_order, "dane/a.h", '#include "policy/plan.h"')
        self.bad(check.folder_order, "smtp/a.h", '#include "tlsrpt/result.h"')
        self.bad(check.folder_order, "base/a.h", '#include "clock.h"')
        self.good(check.folder_order, "proxy/a.h", '#include "base/ip.h"\n#include "proxy/b.h"')

    def test_libraries(self):
        self.bad(check.library_placement, "policy/plan.cpp", "#include <boost/asio.hpp>")
        self.bad(check.library_placement, "store/a.cpp", "#include <openssl/evp.h>")
        self.good(check.library_placement, "proxy/a.cpp", "#include <boost/asio.hpp>")
        self.good(check.library_placement, "base/a.h", "#include <boost/system/result.hpp>")

    def test_coroutines(self):
        for line in ("  co_await f(Agg{1, 2});", "  Agg x{co_await f()};",
                     "  co_await [x] { return x; }();", "  co_await f({1, 2});",
                     "  co_await co_spawn(ex, [&]() -> T { co_return; }, use);",
                     "  std::vector<int> v = {co_await f()};"):
            self.bad(check.coroutine_hazards, "proxy/a.cpp", line)
        for line in ("  auto x = co_await f(a);", "  if (co_await f(a)) {",
                     "  while (auto line = co_await read()) {", "  co_await f(v[i]);",
                     "  // co_await f(Agg{1});", "  co_return co_await f(std::move(agg));"):
            self.good(check.coroutine_hazards, "proxy/a.cpp", line)

    def test_lines(self):
        self.bad(check.line_rules, "a.cpp", "x" * 101)
        self.good(check.line_rules, "a.cpp", "x" * 100)
        self.bad(check.trailing_space, "a.md", "x \n")
        self.bad(check.trailing_space, "a.md", "x")
        self.good(check.trailing_space, "a.md", "x\n")

    def test_headers(self):
        self.bad(check.headers, "a.h", "#pragma once\n")
        self.bad(check.headers, "a.h", "// What.\nint x;\n")
        self.good(check.headers, "a.h", "// What.\n#pragma once\n")

    def test_words(self):
        self.bad(check.RULES["nothing is left to be done"], "a.cpp", "// TO" + "DO later")
        self.bad(check.RULES["no mention of the workplace"], "a.cpp", "// /wo" + "rk/main")
        self.good(check.RULES["no mention of the workplace"], "a.cpp", "// the design of it")

    def test_citations(self):
        for line in ("// RFC 5321 section 4.5", "// RFC5321", "// rfc 5321", "// RFC 5321 4.5.3"):
            self.bad(check.rfc_form, "a.cpp", line)
        for line in ("// RFC 5321 §4.5: so", "auto x = rfc3339(now);", "// RFC 5321, RFC 2033"):
            self.good(check.rfc_form, "a.cpp", line)

    def test_threats(self):
        head = "| who | test |\n| --- | --- |\n"
        self.bad(check.named_tests, "docs/threats.md", head + "| a liar | none yet |\n")
        self.bad(check.named_tests, "docs/threats.md", head + "| a liar | `tests/no.py` |\n")
        tree = Fake({"docs/threats.md": head + "| a liar | `tests/a.py::A.test_b` |\n",
                     "tests/a.py": "class A:\n    def test_b(self):\n"})
        self.assertEqual([b for b in check.named_tests(tree) if b], [])
        tree.text["tests/a.py"] = "class A:\n    def test_c(self):\n"
        self.assertEqual(len([b for b in check.named_tests(tree) if b]), 1)

    def test_map(self):
        path = str(pathlib.Path(check.ROOT) / "contrib/rfc-map")
        loader = importlib.machinery.SourceFileLoader("rfc_map", path)
        module = importlib.util.module_from_spec(
            importlib.util.spec_from_loader("rfc_map", loader))
        loader.exec_module(module)
        text = "// RFC 5321 §4.5.3.1.4, §6.3; RFC 8461 §4.1.\n// (RFC 7671 §9; RFC 1035\n// §3.3)"
        self.assertEqual(sorted(module.citations(text)),
                         [(1035, "3.3"), (5321, "4.5.3.1.4"), (5321, "6.3"), (7671, "9"),
                          (8461, "4.1")])


if __name__ == "__main__":
    unittest.main()
