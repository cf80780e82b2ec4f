"""
Read the log of one or more trial runs, and check it.

``summary.py check LOG ALLOWED [MODULE...]`` exits with 1 and reports why when a test failed, no
test ran, a test was skipped that the file ALLOWED does not name, a test is marked todo, or a MODULE
that contains tests does not occur. ``summary.py count LOG`` prints ``N passed, N failed``.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

STATUS = re.compile(r"(PASSED|FAILED)(?: \((\w+=\d+(?:, \w+=\d+)*)\))?")
SEPARATOR = re.compile(r"={70,}|-{70,}")
TEST_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")


@dataclass(frozen=True)
class Run:
    """One line such as ``FAILED (failures=1, successes=2)``."""

    passed: bool
    counts: dict[str, int]

    @property
    def failures(self) -> int:
        """The number of problems; one test may fail and also leave an error."""
        bad = sum(self.counts.get(k, 0) for k in ("failures", "errors", "unexpectedSuccesses"))
        return bad if self.passed else max(bad, 1)


def runs(log: str) -> list[Run]:
    """The status line of each trial run in the log."""
    found = []
    for line in log.splitlines():
        if match := STATUS.fullmatch(line):
            counts = re.findall(r"(\w+)=(\d+)", match[2] or "")
            found.append(Run(match[1] == "PASSED", {kind: int(number) for kind, number in counts}))
    return found


def count_line(log: str) -> str:
    """``N passed, N failed`` over all runs."""
    found = runs(log)
    passed = sum(run.counts.get("successes", 0) for run in found)
    return f"{passed} passed, {sum(run.failures for run in found)} failed"


def skipped(log: str) -> list[str]:
    """
    The full names of the skipped tests.

    Trial ends with one section per reason: a separator, ``[SKIPPED]``, the reason in any number of
    lines, an empty line, and the names of the tests.
    """
    return [name for section in _sections(log, "[SKIPPED]") for name in _names_at_the_end(section)]


def complaints(log: str, allowed: Iterable[str], modules: Iterable[str]) -> list[str]:
    """All problems of the log, one line each; empty if there are none."""
    found = runs(log)
    wrong = []
    if not found:
        wrong.append("trial did not report any result")
    elif not any(run.counts.get("successes") for run in found):
        wrong.append("no test passed")
    if failures := sum(run.failures for run in found):
        wrong.append(f"{failures} failed")
    if todo := sum(run.counts.get("expectedFailures", 0) for run in found):
        wrong.append(f"{todo} marked todo: fix or delete")
    names = skipped(log)
    skips = sum(run.counts.get("skips", 0) for run in found)
    if skips != len(names):
        wrong.append(f"{skips} skipped, of which the log names {len(names)}")
    wrong += [f"skipped: {name}" for name in sorted(set(names) - set(allowed))]
    lines = set(log.splitlines())
    wrong += [f"no test of {module} ran" for module in modules if module not in lines]
    return wrong


def read_allowed(text: str) -> set[str]:
    """The names in a file of allowed skips."""
    return {line for line in map(str.strip, text.splitlines()) if line and line[0] != "#"}


def _sections(log: str, title: str) -> Iterator[list[str]]:
    """The lines of each section with this title, without the title."""
    lines = log.splitlines()
    starts = [
        number + 2
        for number, (line, following) in enumerate(pairwise(lines))
        if SEPARATOR.fullmatch(line) and following == title
    ]
    for start in starts:
        end = start
        while end < len(lines) and not SEPARATOR.fullmatch(lines[end]):
            end += 1
        yield lines[start:end]


def _names_at_the_end(section: list[str]) -> list[str]:
    names: list[str] = []
    for line in reversed(section):
        if TEST_NAME.fullmatch(line):
            names.append(line)
        elif line or names:
            break
    return names


def main(arguments: list[str]) -> int:
    """Run as the module's docstring says."""
    match arguments:
        case ["count", log]:
            path = Path(log)
            text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
            print(count_line(text))
            return 0
        case ["check", log, allowed, *modules]:
            wrong = complaints(
                Path(log).read_text(encoding="utf-8", errors="replace"),
                read_allowed(Path(allowed).read_text(encoding="utf-8")),
                modules,
            )
            for line in wrong:
                print(f"test run: {line}", file=sys.stderr)
            return 1 if wrong else 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
