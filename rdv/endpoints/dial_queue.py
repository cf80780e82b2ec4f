"""
A queue of attempts with one token, which take turns in the lobby.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rdv._secure.secret import Token
from rdv.client.http.request import RequestOptions
from rdv.client.iclient import IClient
from rdv.client.servers.urls import Servers
from rdv.client.stream.connection import Connection
from rdv.client.trace import Event, Trace, What
from rdv.endpoints.retry import Tell, harmless, keep_trying
from rdv.errors import AttemptTimeout, RdvError
from rdv.wire import Role

__all__ = ["HEAD_START", "DialQueue", "LobbyStay"]

#: Seconds for which an attempt that has met its peer has the CPU for itself: on a short path the
#: race is short, and preparing the next attempt takes milliseconds. Without this, a direct
#: connection takes 4.2 ms longer than TCP instead of 2.8 (``benchmarks/endpoint.py``).
HEAD_START = 0.02


class LobbyStay:
    """
    One attempt's time in the lobby. It ends shortly after the server has named the peer, or when
    the attempt is over.

    :ivar left: fires at its end, with the reason if the attempt has failed before it met its peer.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._leaving: IDelayedCall | None = None
        self.left: Deferred[BaseException | None] = Deferred()

    @property
    def has_met(self) -> bool:
        """Whether the server has named the peer."""
        return self._leaving is not None

    def met(self) -> None:
        """A server has named the peer."""
        if self._leaving is None:
            self._leaving = self._clock.callLater(HEAD_START, self.leave)

    def leave(self, error: BaseException | None = None) -> None:
        """End the stay, if it has not ended yet: the next attempt may enter the lobby."""
        if self._leaving is not None and self._leaving.active():
            self._leaving.cancel()
        if not self.left.called:
            self.left.callback(error)


class DialQueue:
    """
    The lobby keeps one waiting client for each token and role; a second one replaces the first. Of
    any number of concurrent attempts, only one is therefore in the lobby: the next one begins when
    the server has named the peer of that one.

    Each retries until its timeout, as :func:`rdv.endpoints.retry.keep_trying` does.

    :param role: usually the dialer's; a program that keeps accepting has a ``Listener`` instead.
    :param options: for the client's ``dial`` or ``accept``.
    :param trouble: called once with the error when attempts cannot get through, and with None when
        none of them is in trouble any more.
    :param chance: a random number from 0 to 1.
    :raises TypeError: when ``trouble`` is not a function.
    """

    def __init__(
        self,
        client: IClient,
        role: Role,
        url: Servers,
        token: Token,
        options: RequestOptions,
        trouble: Tell | None = None,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = client.clock
        self._connect = client.dial if role is Role.DIALER else client.accept
        self._role = role
        self._url = url
        self._token = token
        self._options = options
        self._tell = harmless(trouble)
        self._in_trouble: set[object] = set()
        self._chance = chance
        self._lobby = DeferredLock()

    def connect(self, timeout: float | None) -> Deferred[Connection]:
        """
        Make one connection.

        :param timeout: seconds for everything, waiting for the turn included; None for as long as
            it takes.
        :return: as of :meth:`rdv.client.Client.dial`.
        """
        return Deferred.fromCoroutine(self._keep_trying(timeout))

    async def _keep_trying(self, timeout: float | None) -> Connection:
        this = object()
        try:
            connection = await keep_trying(
                self._in_turn,
                self._clock,
                self._role,
                self._token,
                timeout,
                tell=partial(self._news, this),
                chance=self._chance,
            )
            self._news(this, None)
            return connection
        finally:
            self._in_trouble.discard(this)  # its failure is reported anyway

    def _news(self, which: object, error: RdvError | None) -> None:
        """One of the attempts is in trouble, or no longer is."""
        before = bool(self._in_trouble)
        if error is not None:
            self._in_trouble.add(which)
        else:
            self._in_trouble.discard(which)
        if bool(self._in_trouble) != before:
            self._tell(error)

    async def _in_turn(self, timeout: float | None, trace: Trace) -> Connection:
        end = None if timeout is None else self._clock.seconds() + timeout
        turn = self._lobby.acquire()
        if timeout is not None:
            turn.addTimeout(timeout, self._clock, _never_its_turn)
        await turn
        stay = LobbyStay(self._clock)
        stay.left.addCallback(lambda _: self._lobby.release())

        def happened(event: Event) -> None:
            trace(event)
            if event.what is What.MET:
                stay.met()

        try:
            left = None if end is None else max(0.0, end - self._clock.seconds())
            return await self._connect(
                self._url, self._token, timeout=left, trace=happened, **self._options
            )
        finally:
            stay.leave()


def _never_its_turn(result: object, seconds: float) -> NoReturn:
    raise AttemptTimeout(seconds, "other dials with the same token came first")
