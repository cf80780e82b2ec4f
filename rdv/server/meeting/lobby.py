"""
The lobby: which client waits for which peer. It knows tokens, roles and a clock, but no
connections.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime

from rdv._deadlines import Expiry
from rdv.server.meeting.crowds import Crowds
from rdv.wire import Role

__all__ = ["Lobby", "Member"]


class Member(Hashable, Protocol):
    """
    The attributes of a waiting client that the lobby uses.

    :ivar since: set when it enters, in seconds of the lobby's clock. It is here because a table of
        these times, beside that of the members, would need twice the memory.
    """

    since: float

    @property
    def role(self) -> Role: ...

    @property
    def token(self) -> bytes: ...

    @property
    def network(self) -> bytes:
        """The client's network; empty if unknown."""


M = TypeVar("M", bound=Member)

#: A network of multicast addresses, from which no client can come.
_ELSEWHERE = b"\xff" * 8


class Lobby(Generic[M]):
    """
    At most one member waits for each token.

    :param timeout: how many seconds a member may wait; 0 for no limit.
    :param expired: called with a member whose time is over, after it was removed.
    :param replaced: called with a member that was replaced by a newer one with the same role.
    :param gave_way: called with a member that made room for one from a network with fewer members.
    """

    def __init__(
        self,
        clock: IReactorTime,
        timeout: float,
        expired: Callable[[M], object],
        replaced: Callable[[M], object],
        gave_way: Callable[[M], object],
    ) -> None:
        self._clock = clock
        self._waiting: dict[bytes, M] = {}  # the oldest first
        self._crowds: Crowds[M] | None = None  # while no more may wait
        self._expired = expired
        self._replaced = replaced
        self._gave_way = gave_way
        self._expiry: Expiry[M] = Expiry(clock, timeout, self._begun, self._expire)

    def __len__(self) -> int:
        return len(self._waiting)

    def retime(self, timeout: float) -> None:
        """Change the timeout, also for members that are already waiting."""
        self._expiry.retime(timeout)

    def count(self, role: Role) -> int:
        """The number of waiting members with that role."""
        return sum(member.role is role for member in self._waiting.values())

    def __iter__(self) -> Iterator[M]:
        """All waiting members, in a copy: members may be removed during the iteration."""
        return iter(list(self._waiting.values()))

    def knows(self, token: bytes) -> bool:
        """Whether a member with that token is waiting, in either role."""
        return token in self._waiting

    def partner(self, member: M) -> M | None:
        """The waiting peer of ``member``: same token, other role. Changes nothing."""
        waiting = self._waiting.get(member.token)
        return waiting if waiting is not None and waiting.role is not member.role else None

    def rival(self, member: M) -> M | None:
        """The waiting member that ``member`` would replace: same token, same role."""
        waiting = self._waiting.get(member.token)
        return waiting if waiting is not None and waiting.role is member.role else None

    def yielding(self, network: bytes) -> M | None:
        """The member that makes room in a full lobby for one from there; see :mod:`.crowds`."""
        if self._crowds is None:
            self._crowds = Crowds((each, each.network) for each in self._waiting.values())
        return self._crowds.yielding(network)

    def has_crowd(self) -> bool:
        """Whether a member would make room for a newcomer from a network with no members."""
        return self.yielding(_ELSEWHERE) is not None

    def enter(self, member: M, most: float = math.inf) -> None:
        """
        Let ``member`` wait. A member with the same role and token is replaced.

        Its peer is not here: the caller has looked for it with :meth:`partner`.

        :param most: if this many others are waiting, one of them makes room, if the rule of
            :mod:`.crowds` names one.
        """
        older = self._waiting.get(member.token)
        yielding = None
        if older is not None:
            self.leave(older)
        elif len(self._waiting) >= most:
            yielding = self.yielding(member.network)
            if yielding is not None:
                self.leave(yielding)
        member.since = self._clock.seconds()
        self._waiting[member.token] = member
        if self._expiry.call is None:
            self._expiry.start()
        if self._crowds is not None:
            self._crowds.add(member, member.network)
        if older is not None:
            self._replaced(older)
        elif yielding is not None:
            self._gave_way(yielding)

    def leave(self, member: M) -> bool:
        """Remove ``member``; False if it was not waiting (any more)."""
        if self._waiting.get(member.token) is not member:
            return False
        self._remove(member)
        return True

    def _remove(self, member: M) -> None:
        del self._waiting[member.token]
        if not self._waiting:
            self._expiry.stop()
        if self._crowds is not None:
            self._crowds.discard(member)
            if len(self._waiting) <= self._crowds.few:
                self._crowds = None

    def _begun(self) -> Iterator[tuple[M, float]]:
        return ((member, member.since) for member in self._waiting.values())

    def _expire(self, member: M, since: float) -> None:
        if self._waiting.get(member.token) is member and member.since == since:
            self._remove(member)
            self._expired(member)
