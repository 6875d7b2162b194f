"""What became of each test of a suite, read from what the suite prints.

A reader makes a dictionary of the name of each test that did not simply pass, with what
became of it, and counts them all. Two runs are alike if their dictionaries are.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Dict, Sequence


@dataclass(frozen=True)
class Outcomes:
    """`odd`: tests that failed or were skipped, with which of the two; `count`: all; `names`:
    of all, in order, where they are few enough to be told one by one."""

    count: int
    odd: Dict[str, str]
    names: Sequence[str] = ()


Reader = Callable[[str], Outcomes]


def regrtest(text: str) -> Outcomes:
    """`python3 -m test -v`: files, and those tests in them that failed."""
    odd = {}
    for name, state in re.findall(r"\[ *\d+/\d+(?:/\d+)?\] (test_\w+) (\w+)", text):
        if state != "passed":
            odd[name] = state
    for state, name in re.findall(r"^(FAIL|ERROR): (.+)$", text, re.MULTILINE):
        odd[name] = state
    return Outcomes(sum(map(int, re.findall(r"^Ran (\d+) tests? in", text, re.MULTILINE))), odd)


def go(text: str) -> Outcomes:
    """`go test -v`: tests, and those below them, of all packages, one of several rounds once:
    Go 1.19 loses now and then the line of a test below another that ran beside its like."""
    found = [(name, state) for state, name in
             re.findall(r"^ *--- (PASS|FAIL|SKIP): (\S+)", text, re.MULTILINE)]
    odd = {name: state for name, state in found if state != "PASS"}
    odd.update({name: "FAIL" for name in re.findall(r"^FAIL\t(\S+)", text, re.MULTILINE)})
    return Outcomes(len(set(found)), odd)


def redis(text: str) -> Outcomes:
    """Redis's `runtest`: one line a test."""
    found = re.findall(r"^\[(ok|err|exception|skip|ignore)\]: (.*?)(?: \(\d+ ms\))?$", text,
                       re.MULTILINE)
    return Outcomes(len(found), {re.sub(r" in tests/.*", "", name): state
                                 for state, name in found if state != "ok"})


def testfixture(text: str) -> Outcomes:
    """SQLite's: what it expected elsewise, and the total; without that, it did not end."""
    total = re.search(r"^(\d+) errors? out of (\d+) tests", text, re.MULTILINE)
    odd = {name: "failed" for name in re.findall(r"^! (\S+) expected", text, re.MULTILINE)}
    if not total:
        return Outcomes(0, {**odd, "all": "not finished"})
    return Outcomes(int(total[2]), odd)


def tap(text: str) -> Outcomes:
    """Files of TAP, each behind a line "# file NAME": what is not ok, and what is skipped."""
    file, count, odd = "", 0, {}
    for line in text.splitlines():
        heading = re.match(r"# file (\S+)", line)
        result = re.match(r"(not ok|ok)\b ?(\d*)(?:[ -]*(.*))?$", line)
        if heading:
            file = heading[1]
        elif result:
            count += 1
            name = f"{file} {result[2]}"
            if re.search(r"# *skip", line, re.IGNORECASE):
                odd[name] = "skipped"
            elif result[1] == "not ok":
                odd[name] = "known to fail" if re.search("# *TODO", line, re.IGNORECASE) \
                    else "failed"
        elif re.match(r"1\.\.0", line):
            odd[file] = "skipped"
    return Outcomes(count, odd)


def marks(text: str) -> Outcomes:
    """A word and a name on each line: automake's harness, rsync's, our loops."""
    found = re.findall(r"^(PASS|FAIL|SKIP|XFAIL|XPASS|ERROR)(?:: | +)(.*?\S)(?: \(.*)?$", text,
                       re.MULTILINE)
    return Outcomes(len(found), {name: word for word, name in found if word not in ("PASS", "XFAIL")})


def programs(text: str) -> Outcomes:
    """Our own `t` (programs.py): as `marks`, each told by its name."""
    read = marks(text)
    names = re.findall(r"^(?:PASS|FAIL) (.*?\S)$", text, re.MULTILINE)
    return Outcomes(read.count, read.odd, names)


def numbered(text: str) -> Outcomes:
    """A number, a name and a word on each line: autotest's."""
    found = re.findall(r"^ *(\d+): (.*?)\s+(ok|FAILED|skipped|expected failure)(?: \(.*)?$",
                       text, re.MULTILINE)
    return Outcomes(len(found), {f"{number} {name}": word for number, name, word in found
                                 if word not in ("ok", "expected failure")})


def pytest(text: str) -> Outcomes:
    """`pytest -rA`: a line a test."""
    found = re.findall(r"^(PASSED|FAILED|ERROR|SKIPPED|XPASS) (?:\[(\d+)\] )?(\S+)", text, re.MULTILINE)
    return Outcomes(sum(int(times or 1) for _, times, _ in found),
                    {name: f"{word} {times}".strip() for word, times, name in found if word != "PASSED"})
