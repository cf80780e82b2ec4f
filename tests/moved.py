"""
Streams that begin on the relay and move when the test lets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.processes import Program
from tests.secure import SecureTestCase, secured

__all__ = ["BEGUN", "MOVED", "MovedTestCase"]

#: What a client reports first, and then.
BEGUN = secured("relay")
MOVED = r"MOVED: p2p (?:127\.0\.0\.1|\[::1\]):\d+, (?:\d+ms|\d+\.\ds)"

_PEERS = ("dial", "accept", "expose", "connect")


class MovedTestCase(SecureTestCase):
    """Its clients do not dial before they are released."""

    def rdv(self, *arguments: str, **options: Any) -> Program:
        return super().rdv(*arguments, held=arguments[0] in _PEERS, **options)

    def let_go(self, *clients: Program) -> None:
        """There is a direct path from now on. They have to have said something before."""
        for client in clients:
            client.signal("USR1")

    async def move(self, *clients: Program) -> None:
        """Let each begin on the relay, then move."""
        for client in clients:
            await client.line("^" + BEGUN + "$")
        self.let_go(*clients)
        for client in clients:
            await client.line("^" + MOVED + "$")

    async def finish(self, clients: Sequence[Program], *said: str) -> None:
        """Each has said something, ends, and has gone well."""
        for client in clients:
            client.write(b"bye")
        for client in clients:
            client.close_stdin()
        for client in clients:
            await self.assert_ended(client, 0, *said)
            self.assertEqual(client.stdout[-3:], b"bye")
