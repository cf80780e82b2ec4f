"""
The door: access checks before a client becomes a leg.

A *check* is a function of a :class:`Visitor`. It returns None to admit it, raises
:class:`~rdv.errors.BadRequest` to refuse it, or returns a coroutine that does one of the two. All
checks of a door must admit a visitor. A visitor that is admitted immediately takes the shortcut
into a standalone server; all others are held by HTTP until the result is known. A check that cannot
answer immediately must not have had side effects, because it may be called again for the same
request.

What can go wrong: the client leaves (the coroutine is cancelled); there is no result within
:data:`PATIENCE` (503); a check fails (500, logged); the server starts to shut down meanwhile (503).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from twisted.internet.interfaces import IAddress

from rdv.addresses import packed_ip
from rdv.wire import HeaderLookup, Offer

__all__ = ["PATIENCE", "Check", "Door", "Later", "Visitor"]

#: Seconds that all checks of a visitor may take.
PATIENCE = 10.0

#: A check whose result is still to come: it returns to admit, and raises to refuse.
Later: TypeAlias = Coroutine[Any, Any, None]


@dataclass(slots=True)
class Visitor:
    """
    A client before it is admitted.

    :ivar header: returns the values of a header of its request.
    :ivar observed: its address as the server sees it, formatted; empty when unknown.
    :ivar peer: the other end of its connection, which may be a proxy.
    :ivar user: the user, once a check has identified it; valid by
        :func:`rdv._signed_token.check_user`.
    """

    offer: Offer
    header: HeaderLookup = field(repr=False)
    observed: str
    peer: IAddress | None
    user: str | None = None

    @property
    def ip(self) -> bytes | None:
        """Its observed IP address, 4 or 16 bytes; None when unknown."""
        return packed_ip(self.observed) if self.observed else None


#: One check of a visitor; see :mod:`rdv.server.access.door`.
Check: TypeAlias = Callable[[Visitor], Later | None]


class Door:
    """
    Checks, called in order until one refuses.

    :ivar checks: may be replaced; visitors that are being checked continue with the old ones.
    """

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = tuple(checks)

    def ask(self, visitor: Visitor) -> Later | None:
        """
        Check a visitor.

        :return: None when it is admitted, or a coroutine to await until the result is known.
        :raises BadRequest: when it is refused.
        """
        for asked, check in enumerate(self.checks, 1):
            later = check(visitor)
            if later is not None:
                return self._go_on(visitor, later, self.checks[asked:])
        return None

    async def _go_on(self, visitor: Visitor, later: Later, checks: Sequence[Check]) -> None:
        await later
        for check in checks:
            further = check(visitor)
            if further is not None:
                await further

    def is_open(self, visitor: Visitor) -> bool:
        """Whether all checks admit a visitor immediately. If not, no check has been started."""
        for check in self.checks:
            try:
                later = check(visitor)
            except Exception:  # the refusal is reported when the visitor is checked again
                return False
            if later is not None:
                later.close()
                return False
        return True
