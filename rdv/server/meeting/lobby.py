"""
The lobby: who waits for whom. It knows tokens, roles and a clock, and nothing of connections.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime

from rdv._deadlines import Deadlines
from rdv.server.meeting.crowds import Crowds
from rdv.wire import Role

__all__ = ["Lobby", "Member"]


class Member(Hashable, Protocol):
    """What the lobby needs to know of somebody who waits."""

    @property
    def role(self) -> Role: ...

    @property
    def token(self) -> bytes: ...

    @property
    def network(self) -> bytes:
        """Where it comes from; empty when nobody can say."""


M = TypeVar("M", bound=Member)

#: A network of multicast addresses, from which nobody can come.
_ELSEWHERE = b"\xff" * 8


class Lobby(Generic[M]):
    """
    At most one member waits for each token.

    :param timeout: how many seconds a member may wait; 0 means for ever.
    :param expired: called with a member whose time is over, after it has left.
    :param replaced: called with a member in whose place a newer one of its role came.
    :param gave_way: called with a member whose place somebody has got who has fewer.
    """

    def __init__(
        self,
        clock: IReactorTime,
        timeout: float,
        expired: Callable[[M], object],
        replaced: Callable[[M], object],
        gave_way: Callable[[M], object],
    ) -> None:
        self._waiting: dict[bytes, M] = {}
        self._crowds: Crowds[M] | None = None  # while no more may wait
        self._expired = expired
        self._replaced = replaced
        self._gave_way = gave_way
        self._deadlines: Deadlines[M] = Deadlines(clock, timeout, self._expire)

    def __len__(self) -> int:
        return len(self._waiting)

    def retime(self, timeout: float) -> None:
        """Have another timeout, for those who wait already, too."""
        self._deadlines.retime(timeout)

    def count(self, role: Role) -> int:
        """How many of that role wait."""
        return sum(member.role is role for member in self._waiting.values())

    def __iter__(self) -> Iterator[M]:
        """Everybody who waits now, in a copy that may be worked through while members leave."""
        return iter(list(self._waiting.values()))

    def knows(self, token: bytes) -> bool:
        """Whether somebody waits with that token, in either role."""
        return token in self._waiting

    def partner(self, member: M) -> M | None:
        """Who waits for ``member``: the same token, the other role. Changes nothing."""
        waiting = self._waiting.get(member.token)
        return waiting if waiting is not None and waiting.role is not member.role else None

    def rival(self, member: M) -> M | None:
        """Who waits in the place of ``member``: the same token, the same role."""
        waiting = self._waiting.get(member.token)
        return waiting if waiting is not None and waiting.role is member.role else None

    def yielding(self, network: bytes) -> M | None:
        """Who would give way to somebody from there if no more may wait; see :mod:`.crowds`."""
        if self._crowds is None:
            self._crowds = Crowds((each, each.network) for each in self._waiting.values())
        return self._crowds.yielding(network)

    def has_crowd(self) -> bool:
        """Whether somebody would give way to a newcomer from where nobody else comes from."""
        return self.yielding(_ELSEWHERE) is not None

    def enter(self, member: M, most: float = math.inf) -> None:
        """
        Let ``member`` wait. One of the same role with the same token is replaced.

        It has no partner here: whoever enters was asked for with :meth:`partner` before.

        :param most: when so many others wait, one of them gives way, if there is one that has to.
        """
        older = self._waiting.get(member.token)
        yielding = None
        if older is not None:
            self.leave(older)
        elif len(self._waiting) >= most:
            yielding = self.yielding(member.network)
            if yielding is not None:
                self.leave(yielding)
        self._waiting[member.token] = member
        self._deadlines.add(member)
        if self._crowds is not None:
            self._crowds.add(member, member.network)
        if older is not None:
            self._replaced(older)
        elif yielding is not None:
            self._gave_way(yielding)

    def leave(self, member: M) -> bool:
        """Take ``member`` out; False when it was not in (any more)."""
        if self._waiting.get(member.token) is not member:
            return False
        self._deadlines.discard(member)
        self._remove(member)
        return True

    def _remove(self, member: M) -> None:
        del self._waiting[member.token]
        if self._crowds is not None:
            self._crowds.discard(member)
            if len(self._waiting) <= self._crowds.few:
                self._crowds = None

    def _expire(self, member: M) -> None:
        self._remove(member)
        self._expired(member)
