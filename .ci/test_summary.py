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


class CountTests(unittest.TestCase):
    def test_one_run(self) -> None:
        self.assertEqual(count_line(GOOD), "12 passed, 0 failed")

    def test_failures_and_errors(self) -> None:
        self.assertEqual(count_line(BAD), "9 passed, 3 failed")

    def test_several_runs(self) -> None:
        self.assertEqual(count_line(GOOD + BAD + SKIPS), "22 passed, 3 failed")

    def test_unexpected_success(self) -> None:
        log = "FAILED (expectedFailures=2, unexpectedSuccesses=1, successes=4)\n"
        self.assertEqual(count_line(log), "4 passed, 1 failed")

    def test_failed_without_counts(self) -> None:
        self.assertEqual(count_line("FAILED\n"), "0 passed, 1 failed")

    def test_nothing(self) -> None:
        self.assertEqual(count_line(""), "0 passed, 0 failed")
        self.assertEqual(count_line(NONE), "0 passed, 0 failed")


class CheckTests(unittest.TestCase):
    def test_good(self) -> None:
        self.assertEqual(complaints(GOOD, [], ["rdv.test.test_wire"]), [])

    def test_failure(self) -> None:
        self.assertEqual(complaints(GOOD + BAD, [], []), ["3 failed"])

    def test_no_report(self) -> None:
        self.assertEqual(complaints("Killed\n", [], []), ["trial did not report any result"])

    def test_no_test(self) -> None:
        self.assertEqual(complaints(NONE, [], []), ["no test passed"])

    def test_module_left_out(self) -> None:
        wrong = complaints(GOOD, [], ["rdv.test.test_wire", "rdv.test.flows.test_flow"])
        self.assertEqual(wrong, ["no test of rdv.test.flows.test_flow ran"])

    def test_todo(self) -> None:
        wrong = complaints("PASSED (expectedFailures=1, successes=4)\n", [], [])
        self.assertEqual(wrong, ["1 marked todo: fix or delete"])

    def test_skip_names(self) -> None:
        self.assertEqual(set(skipped(GOOD + SKIPS + BAD)), ALL_SKIPS)

    def test_skips_allowed(self) -> None:
        self.assertEqual(complaints(SKIPS, ALL_SKIPS, []), [])

    def test_skip_not_allowed(self) -> None:
        name = "tests.test_network.NetworkTests.test_routed"
        self.assertEqual(complaints(SKIPS, ALL_SKIPS - {name}, []), [f"skipped: {name}"])

    def test_skip_without_name(self) -> None:
        wrong = complaints("PASSED (skips=1, successes=1)\n", [], [])
        self.assertEqual(wrong, ["1 skipped, of which the log names 0"])

    def test_allowed_file(self) -> None:
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
