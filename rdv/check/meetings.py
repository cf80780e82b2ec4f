"""
Meetings of a dialer and an acceptor, both of this process.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.protocol import Protocol
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv.addresses import Address, AddressSpace
from rdv.check.observations import Failure, Meeting, Sighting, What
from rdv.check.together import all_of
from rdv.client import Client, Connection
from rdv.client.trace import Event
from rdv.client.trace import What as Happened
from rdv.errors import (
    AttemptTimeout,
    NoConnection,
    RdvError,
    ServerRefused,
    ServerUnreachable,
)

__all__ = ["Meetings", "Pair"]

#: Seconds for both connections of a pair to close.
_CLOSING = 1.0


class Pair:
    """Two ends of one connection."""

    def __init__(self, dialer: Connection, acceptor: Connection) -> None:
        self.dialer = dialer
        self.acceptor = acceptor

    async def close(self, reactor: Any) -> None:
        """For a pair without protocols."""
        ends = [_End(connection) for connection in (self.dialer, self.acceptor)]
        late = reactor.callLater(_CLOSING, _abort, ends)
        try:
            await all_of([end.gone for end in ends])
        finally:
            if late.active():
                late.cancel()
            _abort(ends)


def _abort(ends: Iterable[_End]) -> None:
    for end in ends:
        end.abort()


class _End(Protocol):
    """Closes a connection properly."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lost = False
        self.gone: Deferred[None] = Deferred()
        connection.attach(self)

    def connectionMade(self) -> None:
        self._connection.loseConnection()

    def connectionLost(self, reason: object = None) -> None:
        self._lost = True
        self.gone.callback(None)

    def abort(self) -> None:
        if not self._lost:
            self._connection.abortConnection()


class _Watched:
    """
    What a trace tells of one role.

    :ivar has_asked: whether the server has its request.
    :ivar waited: fires then, or when it is over.
    """

    def __init__(self) -> None:
        self.has_asked = False
        self.waited: Deferred[None] = Deferred()
        self.port = 0
        self.met = False
        self.observed: Address | None = None

    def __call__(self, event: Event) -> None:
        if event.what is Happened.BEGUN:
            self.port = _number(event.fields["port"])
        elif event.what is Happened.ASKED:
            self.has_asked = True
            self.wait_no_longer()
        elif event.what is Happened.MET:
            self.met = True
            observed = event.fields["observed"]
            self.observed = observed if isinstance(observed, Address) else None

    def wait_no_longer(self) -> None:
        if not self.waited.called:
            self.waited.callback(None)

    @property
    def sighting(self) -> Sighting:
        return Sighting(self.port, self.observed)


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


class Meetings:
    """
    :param headers: for each request.
    :param tls: how the server is verified; None for the platform's roots.
    """

    def __init__(
        self, reactor: Any, url: str, headers: Headers, tls: IPolicyForHTTPS | None
    ) -> None:
        self._reactor = reactor
        self._url = url
        self._headers = headers
        self._tls = tls

    async def meet(
        self,
        timeout: float,
        *,
        server_timeout: float,
        spaces: AddressSpace = AddressSpace.NONE,
        local_port: int = 0,
        acceptor_url: str | None = None,
    ) -> tuple[Meeting, Pair | None]:
        """
        The acceptor asks first, and then the dialer.

        :param timeout: seconds for each.
        :param server_timeout: of them, until the server takes a connection.
        :param spaces: of the addresses that are told and dialled; none for the relay.
        :param local_port: for both; 0 for two fresh ones.
        :param acceptor_url: if it is not the dialer's.
        :return: what was observed, and the connection if there is one.
        """
        token = secrets.token_hex(16)
        watched = acceptor, dialer = _Watched(), _Watched()
        client = Client(
            self._reactor,
            tls=self._tls,
            spaces=spaces,
            local_port=local_port,
            penalty=1.0,
            server_timeout=server_timeout,
            handshake_timeout=timeout,
        )
        options: dict[str, Any] = {"timeout": timeout, "headers": self._headers}
        accepting = client.accept(acceptor_url or self._url, token, trace=acceptor, **options)
        accepting.addBoth(_told, acceptor)
        attempts = [accepting]
        begun = self._reactor.seconds()
        try:
            await acceptor.waited
            begun = self._reactor.seconds()
            if not accepting.called:
                attempts.append(client.dial(self._url, token, trace=dialer, **options))
            connections = await all_of(attempts)
        except BaseException as error:
            await _end_all(attempts)
            if not isinstance(error, RdvError):
                raise
            return Meeting(_sightings(watched), failure=_failure(error, watched)), None
        took = self._reactor.seconds() - begun
        pair = Pair(connections[1], connections[0])
        meeting = Meeting(_sightings(watched), took, pair.dialer.is_relay, pair.dialer.peer_address)
        return meeting, pair


def _told(result: Any, watched: _Watched) -> Any:
    watched.wait_no_longer()
    return result


def _sightings(watched: tuple[_Watched, ...]) -> tuple[Sighting, ...]:
    return tuple(each.sighting for each in watched if each.met)


async def _end_all(attempts: list[Deferred[Connection]]) -> None:
    """Nothing is left of them."""
    for attempt in attempts:
        attempt.addCallback(lambda connection: connection.abortConnection())
        attempt.addErrback(lambda _: None)
        attempt.cancel()
    try:
        await DeferredList(attempts)
    except CancelledError:  # a second time: they were told
        return


def _failure(error: RdvError, watched: tuple[_Watched, ...]) -> Failure:
    text = str(error)
    if isinstance(error, ServerRefused):
        return Failure(What.REFUSED, text, error.status, error.reason)
    if isinstance(error, NoConnection):
        return Failure(What.NO_PATH, text)
    if isinstance(error, AttemptTimeout):
        if any(each.met for each in watched):
            return Failure(What.NO_PATH, text)
        asked = all(each.has_asked for each in watched)
        return Failure(What.NEVER_MET if asked else What.UNREACHABLE, text)
    if isinstance(error, ServerUnreachable):
        return Failure(What.UNREACHABLE, text)
    return Failure(What.NOT_RDV, text)
