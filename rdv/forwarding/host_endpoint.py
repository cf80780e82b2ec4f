"""
Connects to a host that may have several addresses.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTCP,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._system.sockets import linger
from rdv.addresses import Address
from rdv.client.http.server_endpoint import resolve

__all__ = ["HostEndpoint"]

#: Seconds for an address to answer before the next one is tried in parallel, as in RFC 8305.
_MOMENT = 0.25


@implementer(IStreamClientEndpoint)
class HostEndpoint:
    """
    Connects to the first address of a host that answers. The addresses are tried in the order of
    the system, the next one when the current one has failed, or is silent for a moment.

    Twisted's ``HostnameEndpoint`` also waits for that moment after a failure. On many hosts,
    ``localhost`` has an address that refuses, and here each connection counts. It also rejects
    names with an underscore, which exist.

    A connection has a linger time of 0 seconds even before its protocol is connected: if this
    process dies, the connection is reset, and the program that has accepted it sees no end. To
    close it cleanly, turn that off (:func:`rdv._system.sockets.linger`).

    :param host: a name in ASCII, or an address.
    :param timeout: seconds for the name to be resolved, and for each address to answer.
    """

    def __init__(self, reactor: Any, host: str, port: int, timeout: float) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See :class:`IStreamClientEndpoint`.

        :return: errbacks with the failure of the last address, or with ``DNSLookupError``.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        addresses = await resolve(self._reactor, self._host, self._port, None, self._timeout)
        if not addresses:
            raise DNSLookupError(self._host)
        endpoints = [self._endpoint(address) for address in addresses]
        return await _Attempts(self._reactor, endpoints, factory).first

    def _endpoint(self, address: Address) -> IStreamClientEndpoint:
        kind = TCP4ClientEndpoint if address.ip.version == 4 else TCP6ClientEndpoint
        reactor: Any = _Resetting(self._reactor)
        return kind(reactor, str(address.ip), address.port, timeout=self._timeout)


class _Resetting:
    """The part of a reactor that an endpoint needs. Its connections are reset on close."""

    def __init__(self, reactor: IReactorTCP) -> None:
        self._reactor = reactor

    def connectTCP(self, *arguments: Any, **options: Any) -> IConnector:
        connector = self._reactor.connectTCP(*arguments, **options)
        linger(getattr(connector, "transport", None), True)  # not part of IConnector
        return connector


class _Attempts:
    """
    :ivar first: fires with the first protocol that is connected; the others are then cancelled.
        Errbacks with the last failure when all have failed. Cancelling it cancels them all.
    """

    def __init__(
        self,
        clock: IReactorTime,
        endpoints: Iterable[IStreamClientEndpoint],
        factory: IProtocolFactory,
    ) -> None:
        self._clock = clock
        self._left = iter(endpoints)
        self._factory = factory
        self._pending: list[Deferred[IProtocol]] = []
        self._timer: IDelayedCall | None = None
        self._over = False
        self.first: Deferred[IProtocol] = Deferred(lambda _: self._stop())
        self._try_next()

    def _try_next(self) -> bool:
        """Try the next address, and return whether there was one."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        endpoint = next(self._left, None)
        if endpoint is None:
            return False
        self._timer = self._clock.callLater(_MOMENT, self._try_next)
        attempt = endpoint.connect(self._factory)
        self._pending.append(attempt)
        attempt.addCallbacks(
            self._connected, self._failed, callbackArgs=(attempt,), errbackArgs=(attempt,)
        )
        return True

    def _connected(self, protocol: IProtocol, attempt: Deferred[IProtocol]) -> None:
        self._pending.remove(attempt)
        self._stop()
        self.first.callback(protocol)

    def _failed(self, failure: Failure, attempt: Deferred[IProtocol]) -> None:
        self._pending.remove(attempt)
        if not self._over and not self._try_next() and not self._pending:
            self._over = True
            self.first.errback(failure)

    def _stop(self) -> None:
        self._over = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for attempt in list(self._pending):
            attempt.cancel()
