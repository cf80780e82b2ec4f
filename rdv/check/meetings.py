"""
Meetings of a dialer and an acceptor, both in this process.
"""

from __future__ import annotations

import secrets
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv.addresses import Address, AddressSpace
from rdv.check.ends import Pair, all_of
from rdv.check.observations import Cause, Failure, Meeting, Sighting
from rdv.client import Client, Connection
from rdv.client.reasons import NO_RELAY
from rdv.client.trace import Event, What
from rdv.errors import (
    AttemptTimeout,
    NoConnection,
    ProxyRefused,
    RdvError,
    ServerRefused,
    ServerUnreachable,
)

__all__ = ["meet"]


class _Watched:
    """
    The events of one role, from its trace.

    :ivar has_asked: whether the server has the request.
    :ivar waited: fires when the server has the request, or when the attempt is over.
    """

    def __init__(self) -> None:
        self.has_asked = False
        self.waited: Deferred[None] = Deferred()
        self.port = 0
        self.met = False
        self.observed: Address | None = None

    def __call__(self, event: Event) -> None:
        if event.what is What.BEGUN:
            self.port = cast(int, event.fields["port"])
        elif event.what is What.ASKED:
            self.has_asked = True
            self.wait_no_longer()
        elif event.what is What.MET:
            self.met = True
            observed = event.fields["observed"]
            self.observed = observed if isinstance(observed, Address) else None

    def wait_no_longer(self, result: Any = None) -> Any:
        """Fire :attr:`waited`. It can be used as a callback, because it returns ``result``."""
        if not self.waited.called:
            self.waited.callback(None)
        return result

    @property
    def sighting(self) -> Sighting:
        return Sighting(self.port, self.observed)


async def meet(
    reactor: Any,
    url: str,
    timeout: float,
    *,
    headers: Headers,
    tls: IPolicyForHTTPS | None,
    server_timeout: float,
    spaces: AddressSpace = AddressSpace.NONE,
    local_port: int = 0,
    acceptor_url: str | None = None,
    proxy: str | None = None,
    token: bytes | None = None,
) -> tuple[Meeting, Pair | None]:
    """
    One meeting: the acceptor sends its request first, and then the dialer.

    :param timeout: seconds for each role.
    :param headers: for each request.
    :param tls: how the server is verified; None for the platform's roots.
    :param server_timeout: how many of these seconds the server has to accept a connection.
    :param spaces: the spaces of the addresses that are exchanged and dialled; none for the relay.
    :param local_port: the local port of both roles; 0 for two new ports.
    :param acceptor_url: the acceptor's URL, if it differs from the dialer's.
    :param proxy: the proxy through which the server is reached.
    :param token: the token under which they meet; None for a new one.
    :return: what was observed, and the connection if there is one.
    """
    token = token or secrets.token_hex(16).encode()
    watched = acceptor, dialer = _Watched(), _Watched()
    client = Client(
        reactor,
        tls=tls,
        spaces=spaces,
        local_port=local_port,
        penalty=1.0,
        server_timeout=server_timeout,
        handshake_timeout=timeout,
        proxy=proxy,
    )
    options: dict[str, Any] = {"timeout": timeout, "headers": headers}
    accepting = client.accept(acceptor_url or url, token, trace=acceptor, **options)
    attempts = [accepting.addBoth(acceptor.wait_no_longer)]
    begun = reactor.seconds()
    try:
        await acceptor.waited
        begun = reactor.seconds()
        if not accepting.called:
            attempts.append(client.dial(url, token, trace=dialer, **options))
        connections = await all_of(attempts)
    except BaseException as error:
        await _end_all(attempts)
        if not isinstance(error, RdvError):
            raise
        return Meeting(_sightings(watched), failure=_failure(error, watched)), None
    took = reactor.seconds() - begun
    pair = Pair(connections[1], connections[0])
    meeting = Meeting(_sightings(watched), took, pair.dialer.is_relay, pair.dialer.peer_address)
    return meeting, pair


def _sightings(watched: tuple[_Watched, ...]) -> tuple[Sighting, ...]:
    return tuple(each.sighting for each in watched if each.met)


async def _end_all(attempts: list[Deferred[Connection]]) -> None:
    """Cancel all attempts, and abort the connections that they have made."""
    for attempt in attempts:
        attempt.addCallback(lambda connection: connection.abortConnection())
        attempt.addErrback(lambda _: None)
        attempt.cancel()
    try:
        await DeferredList(attempts)
    except CancelledError:  # cancelled a second time: they are ending already
        return


def _failure(error: RdvError, watched: tuple[_Watched, ...]) -> Failure:
    text = str(error)
    if isinstance(error, ProxyRefused):
        return Failure(Cause.PROXY, text, error.status)
    if isinstance(error, ServerRefused):
        return Failure(Cause.REFUSED, text, error.status, error.reason)
    if isinstance(error, NoConnection):
        return Failure(Cause.NO_RELAY if NO_RELAY in text else Cause.NO_PATH, text)
    if isinstance(error, AttemptTimeout):
        if any(each.met for each in watched):
            return Failure(Cause.NO_PATH, text)
        asked = all(each.has_asked for each in watched)
        return Failure(Cause.NEVER_MET if asked else Cause.UNREACHABLE, text)
    if isinstance(error, ServerUnreachable):
        return Failure(Cause.UNREACHABLE, text)
    return Failure(Cause.NOT_RDV, text)
