"""Tests of the other scripts in this folder. Run this file; it needs nothing but Python."""

import unittest

from readme_command import test_command as command_of
from summary import complaints, count_line, read_allowed, skipped

EQUALS = "=" * 79
DASHES = "-" * 79

GOOD = f"""\
rdv.test.test_wire
  TokenTests
    test_empty ...                                                         [OK]

{DASHES}
Ran 12 tests in 0.123s

PASSED (successes=12)
"""

BAD = f"""\
tests.test_files
  FileTests
    test_hash ...                                                        [FAIL]

{EQUALS}
[FAIL]
Traceback (most recent call last):
  File "test_files.py", line 3, in test_hash
twisted.trial.unittest.FailTest: PASSED (successes=99) is not what it says

tests.test_files.FileTests.test_hash
{DASHES}
Ran 12 tests in 3.000s

FAILED (failures=1, errors=2, successes=9)
"""

SKIPS = f"""\
tests.test_network
  NetworkTests
    test_natted ...                                                   [SKIPPED]
    test_routed ...                                                   [SKIPPED]
    test_v6 ...                                                       [SKIPPED]

{EQUALS}
[SKIPPED]
needs root
and patience.

tests.test_network.NetworkTests.test_natted
tests.test_network.NetworkTests.test_routed
{EQUALS}
[SKIPPED]
no IPv6 here

tests.test_network.NetworkTests.test_v6
{DASHES}
Ran 4 tests in 0.100s

PASSED (skips=3, successes=1)
"""

NONE = f"""\
{DASHES}
Ran 0 tests in 0.000s

PASSED
"""

ALL_SKIPS = {f"tests.test_network.NetworkTests.test_{name}" for name in ("natted", "routed", "v6")}


ROUTED = "tests.test_network.NetworkTests.test_routed"


class SummaryTests(unittest.TestCase):
    def test_count(self) -> None:
        for log, line in (
            (GOOD, "12 passed, 0 failed"),
            (BAD, "9 passed, 3 failed"),
            (GOOD + BAD + SKIPS, "22 passed, 3 failed"),
            (
                "FAILED (expectedFailures=2, unexpectedSuccesses=1, successes=4)\n",
                "4 passed, 1 failed",
            ),
            ("FAILED\n", "0 passed, 1 failed"),
            ("", "0 passed, 0 failed"),
            (NONE, "0 passed, 0 failed"),
        ):
            self.assertEqual(count_line(log), line, log)

    def test_complaints(self) -> None:
        missing, todo = "rdv.test.flows.test_flow", "PASSED (expectedFailures=1, successes=4)\n"
        for log, allowed, modules, wrong in (
            (GOOD, set(), ["rdv.test.test_wire"], []),
            (GOOD, set(), ["rdv.test.test_wire", missing], [f"no test of {missing} ran"]),
            (GOOD + BAD, set(), [], ["3 failed"]),
            ("Killed\n", set(), [], ["trial did not report any result"]),
            (NONE, set(), [], ["no test passed"]),
            (todo, set(), [], ["1 marked todo: fix or delete"]),
            (SKIPS, ALL_SKIPS, [], []),
            (SKIPS, ALL_SKIPS - {ROUTED}, [], [f"skipped: {ROUTED}"]),
            (
                "PASSED (skips=1, successes=1)\n",
                set(),
                [],
                ["1 skipped, of which the log names 0"],
            ),
        ):
            self.assertEqual(complaints(log, allowed, modules), wrong, log)

    def test_skips(self) -> None:
        self.assertEqual(set(skipped(GOOD + SKIPS + BAD)), ALL_SKIPS)
        text = "# no such kernel\n\na.test_b.C.test_d  \n"
        self.assertEqual(read_allowed(text), {"a.test_b.C.test_d"})


class ReadmeTests(unittest.TestCase):
    def test_code_block(self) -> None:
        readme = "Run the tests:\n\n.. code-block:: sh\n\n  one && \\\n    two\n  three\n\nText.\n"
        self.assertEqual(command_of(readme), "one && \\\n  two\nthree")

    def test_literal_block(self) -> None:
        self.assertEqual(command_of("Title\n\nRun the tests::\n\n  trial rdv\n"), "trial rdv")

    def test_missing(self) -> None:
        for readme in ("", "Run the tests:\n\nNot indented.\n", "Run the tests::\n\n a\n\n" * 2):
            with self.subTest(readme), self.assertRaises(ValueError):
                command_of(readme)


if __name__ == "__main__":
    unittest.main()
