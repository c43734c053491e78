#!/usr/bin/env python3
"""Runs every test that contrib/test has built and adds them up.

Each step is one program; steps run two at a time, the longest first. A step's output is shown only
when it fails (or with -v). What counts as one test: a Catch2 test case, a fuzz program, a rule of
the tidy check, a test of the lab or of the manual. A step may have a figure to tell, which is shown
and which nothing depends on. Under ThreadSanitizer the cases tagged [asan-only] are left out: long
ones, which cross no threads but those that others cross too. The last line is "N passed, N failed".

    tests/run.py [-v] [NAME …]    runs only the steps whose names contain one of the words
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ASAN = ROOT / "build" / "asan"
TSAN = ROOT / "build" / "tsan"
THREADED = ["unit_audit", "unit_store", "unit_dns", "unit_policy", "unit_report", "unit_proxy"]
TIMEOUT = 1500  # seconds for one step; only a hang reaches it

ENVIRONMENT = dict(
    os.environ,
    ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1",
    UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
    TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1",
    FUZZ_ROUNDS=os.environ.get("FUZZ_ROUNDS", "6000"),
    STERNPOST=str(ASAN / "sternpost"),  # the program that the lab tests
)


def catch_counts(output):
    """Test cases passed and failed, as Catch2's console reporter says."""
    all_passed = re.search(r"All tests passed \(\d+ assertions? in (\d+) test cases?\)", output)
    if all_passed:
        return int(all_passed[1]), 0
    line = re.search(r"^test cases:(.*)$", output, re.MULTILINE)
    if not line:
        return None
    found = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed)", line[1])}
    return found.get("passed", 0), found.get("failed", 0)


def plain_counts(output):
    """The last line "N passed, N failed"."""
    lines = re.findall(r"^(?:\w+: )?(\d+) passed, (\d+) failed", output, re.MULTILINE)
    return (int(lines[-1][0]), int(lines[-1][1])) if lines else None


def rule_counts(output):
    """Rules of the tidy check kept and broken; each says "RULE: N passed, N failed"."""
    rules = re.findall(r": \d+ passed, (\d+) failed$", output, re.MULTILINE)
    broken = sum(1 for failed in rules if failed != "0")
    return (len(rules) - broken, broken) if rules else None


def unittest_counts(output):
    """Python's unittest: "Ran 8 tests …", then OK or FAILED (failures=1, errors=1)."""
    ran = re.search(r"^Ran (\d+) tests?", output, re.MULTILINE)
    bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", output))
    return (int(ran[1]) - bad, bad) if ran else None


def steps():
    found = [("lab", ["python3", "tests/lab/run", "-j", "3"], plain_counts)]
    for name in THREADED:
        if (TSAN / "tests" / name).exists():
            found.append((f"tsan {name}", [TSAN / "tests" / name, "~[asan-only]"], catch_counts))
    for program in sorted((ASAN / "tests").glob("unit_*")) + [ASAN / "tests" / "conformance"]:
        if program.is_file() and os.access(program, os.X_OK):
            found.append((program.name, [program], catch_counts))
    for program in sorted((ASAN / "tests").glob("fuzz_*")):
        if program.is_file() and os.access(program, os.X_OK):
            corpus = ROOT / "tests" / "fuzz" / "corpus" / program.name.removeprefix("fuzz_")
            found.append((program.name, [program, corpus], None))
    found.append(("instructions", ["python3", "tests/bench/instructions"], plain_counts))
    found.append(("manual", ["python3", "-m", "unittest", "discover", "-s", "tests/manual", "-p",
                             "*_test.py"], unittest_counts))
    found.append(("tidy", ["python3", "tests/tidy/check.py"], rule_counts))
    found.append(("tidy's own tests", ["python3", "tests/tidy/check_test.py"], unittest_counts))
    return found


def run(step, verbose):
    name, command, counts = step
    began = time.monotonic()
    try:
        done = subprocess.run([str(part) for part in command], cwd=ROOT, env=ENVIRONMENT,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=TIMEOUT, check=False)
        status, output = done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as late:
        status, output = -1, (late.stdout or b"").decode(errors="replace") + "\n(timed out)\n"
    result = counts(output) if counts else (1, 0)
    passed, failed = result if result else (0, 0)
    if status != 0 and failed == 0:
        failed = 1          # It crashed, or a sanitizer spoke: that is a failure of its own.
        if not counts:
            passed = 0
    if status == 0 and not result:
        failed, output = 1, output + "\n(ran no test)\n"
    spent = time.monotonic() - began
    text = f"{'ok  ' if failed == 0 else 'FAIL'} {name}: {passed} passed, {failed} failed"
    print(f"{text} ({spent:.0f} s)", flush=True)
    for figure in re.findall(r"^figure: (.*)$", output, re.MULTILINE):
        print(f"     {figure}", flush=True)
    if failed or verbose:
        print(output[-20000:], flush=True)
    return passed, failed


def main():
    words = [word for word in sys.argv[1:] if word != "-v"]
    chosen = [s for s in steps() if not words or any(word in s[0] for word in words)]
    verbose = "-v" in sys.argv[1:]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda step: run(step, verbose), chosen))
    passed, failed = sum(r[0] for r in results), sum(r[1] for r in results)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


main()
