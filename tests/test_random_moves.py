"""
Streams that move from the relay to a direct path, between real clients in one process, at random.
"""

from __future__ import annotations

from tests.processes import PYTHON, Program
from tests.secure import SecureTestCase


class MoveTests(SecureTestCase):
    """
    Both sides write while the stream moves, and all of it arrives, or it is known to be broken.
    ``python -m tests.random_moves`` does the same as often as one likes.
    """

    timeout = 300

    async def check(self) -> None:
        for options, broken in (((), "0"), (("--cut",), r"\d+")):
            options = (self.url, "--runs", "12", *options)
            moves = Program(self, PYTHON, "-m", "tests.random_moves", *options)
            self.assertEqual(await moves.ended, 0, moves.report())
            # A few have ended before there was a direct path.
            pattern = rf"^12 runs: \d+ moved, \d+ stayed, {broken} broken, 0 wrong\n$"
            self.assertRegex(moves.stdout.decode(), pattern)
            self.assertFalse(moves.stdout.startswith(b"12 runs: 0 moved"))

    async def test_own_server(self) -> None:
        await self.serve()
        await self.check()

    async def test_plain_server(self) -> None:
        """Which ends both directions when one has ended: nothing may be on its way by then."""
        await self.serve_plain()
        await self.check()
