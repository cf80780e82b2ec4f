"""
Visitors, and files that decide who is let in.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rdv.errors import BadRequest
from rdv.server.access.door import Check, Visitor
from rdv.wire import Offer, Role


def visitor(
    token: bytes = b"token", observed: str = "192.0.2.1:7", **headers: list[bytes]
) -> Visitor:
    """One with such headers, in whose names an underscore stands for a hyphen."""
    values = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    offer = Offer(Role.DIALER, token)
    return Visitor(offer, lambda name: values.get(name.lower(), ()), observed, None)


class AccessTestCase(SynchronousTestCase):
    """Checks, and files that only their owner may read."""

    def file(self, *lines: str, path: str = "") -> str:
        """The name of a file with these lines."""
        path = path or self.mktemp()
        Path(path).touch(0o600)
        Path(path).write_text("".join(f"{line}\n" for line in lines))
        return path

    def refused(self, check: Check, one: Visitor) -> tuple[int, str]:
        """It is refused, at once; how."""
        error: BadRequest = self.assertRaises(BadRequest, check, one)
        self.assertIsNone(one.user)
        return error.status, str(error)

    def let_in(self, check: Check, one: Visitor) -> str | None:
        """It may come in, at once; who it is."""
        self.assertIsNone(check(one))
        return one.user
