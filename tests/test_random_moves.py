"""
Streams that move from the relay to a direct path, between real clients in one process, at random.
"""

from __future__ import annotations

from tests.processes import PYTHON, Program
from tests.secure import SecureTestCase


class MoveTests(SecureTestCase):
    """
    Both sides write while the stream moves, and either all of it arrives, or the stream is known to
    be broken. ``python -m tests.random_moves`` does the same any number of times.
    """

    timeout = 300

    async def check(self) -> None:
        # Few of the streams that are cut move and are complete; a few of the others end before
        # there is a direct path.
        for options, counts in (
            ((), r"[1-9]\d* moved, \d+ stayed, 0 broken"),
            (("--cut",), r"\d+ moved, \d+ stayed, [1-9]\d* broken"),
        ):
            moves = Program(
                self, PYTHON, "-m", "tests.random_moves", self.url, "--runs", "12", *options
            )
            self.assertEqual(await moves.ended, 0, moves.report())
            self.assertRegex(moves.stdout.decode(), rf"^12 runs: {counts}, 0 wrong\n$")

    async def test_own_server(self) -> None:
        await self.serve("--no-limits")
        await self.check()

    async def test_plain_server(self) -> None:
        """Which ends both directions when one has ended: nothing may be on its way by then."""
        await self.serve_plain()
        await self.check()
