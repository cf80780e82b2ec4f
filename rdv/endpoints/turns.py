"""
Attempts under one token that take turns in the lobby.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from rdv.client.connection import Connection
from rdv.client.http.request import RequestOptions
from rdv.client.iclient import IClient
from rdv.client.trace import Event, Trace, What
from rdv.endpoints.retry import keep_trying
from rdv.errors import AttemptTimeout
from rdv.wire import Role

__all__ = ["HEAD_START", "Turns"]

T = TypeVar("T")

#: Seconds in which an attempt that has met its peer has the processor for itself: its race is short
#: where the way is, and to prepare the next attempt takes milliseconds. Without that a direct
#: connection takes 4.2 ms more than TCP instead of 2.8 (``benchmarks/endpoint.py``).
HEAD_START = 0.02


class Turns:
    """
    The lobby knows one waiting client for each token and role, and a second one takes the place of
    the first. So of any number of attempts at the same time only one is in the lobby: the next one
    begins when the server has named the peer of that one.

    Each tries again while its time lasts, as :func:`rdv.endpoints.retry.keep_trying` does.

    :param options: for the client's ``dial`` or ``accept``.
    :param chance: a random number from 0 to 1.
    """

    def __init__(
        self,
        client: IClient,
        role: Role,
        url: str,
        token: str | bytes,
        options: RequestOptions,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = client.clock
        self._connect = client.dial if role is Role.DIALER else client.accept
        self._role = role
        self._url = url
        self._token = token
        self._options = options
        self._chance = chance
        self._lobby = DeferredLock()

    def connect(self, timeout: float | None) -> Deferred[Connection]:
        """
        Make one connection.

        :param timeout: seconds for everything, waiting for the turn included; None for as long as
            it takes.
        :return: as of :meth:`rdv.client.Client.dial`.
        """
        return Deferred.fromCoroutine(
            keep_trying(
                self._in_turn, self._clock, self._role, self._token, timeout, chance=self._chance
            )
        )

    async def _in_turn(self, timeout: float | None, trace: Trace) -> Connection:
        end = None if timeout is None else self._clock.seconds() + timeout
        turn = _Turn(self._clock, self._lobby)
        try:
            await self._in_time(turn.comes(), timeout)
            return await self._attempt(turn, end, trace)
        except AttemptTimeout as error:
            # The attempt knows only of the time that was left for it.
            assert timeout is not None
            raise AttemptTimeout(timeout, error.lacking) from None
        finally:
            turn.leave()

    def _attempt(self, turn: _Turn, end: float | None, trace: Trace) -> Deferred[Connection]:
        def happened(event: Event) -> None:
            trace(event)
            if event.what is What.MET:
                turn.leave_soon()

        left = None if end is None else max(0.0, end - self._clock.seconds())
        return self._connect(self._url, self._token, timeout=left, trace=happened, **self._options)

    def _in_time(self, turn: Deferred[T], timeout: float | None) -> Deferred[T]:
        def timed_out(result: object, seconds: float) -> object:
            if isinstance(result, Failure) and result.check(CancelledError):
                raise AttemptTimeout(seconds, "others with the same token came first")
            return result

        if timeout is not None:
            turn.addTimeout(timeout, self._clock, timed_out)
        return turn


class _Turn:
    """One attempt's time in the lobby."""

    def __init__(self, clock: IReactorTime, lobby: DeferredLock) -> None:
        self._clock = clock
        self._lobby = lobby
        self._inside = False
        self._leaving: IDelayedCall | None = None

    def comes(self) -> Deferred[None]:
        """Fires when nobody else is in the lobby."""

        def enter(lobby: DeferredLock) -> None:
            self._inside = True

        return self._lobby.acquire().addCallback(enter)

    def leave_soon(self) -> None:
        """Leave a moment later, or when :meth:`leave` is called."""
        if self._leaving is None:
            self._leaving = self._clock.callLater(HEAD_START, self.leave)

    def leave(self) -> None:
        """Make room for the next one, if that has not been done."""
        if self._leaving is not None and self._leaving.active():
            self._leaving.cancel()
        if self._inside:
            self._inside = False
            self._lobby.release()
