"""
Takes a transport from one protocol and gives it to another, or its socket to another process.
"""

from __future__ import annotations

import socket
import sys
from functools import cache
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorSocket,
    IStreamServerEndpoint,
    ITransport,
)
from twisted.internet.protocol import Factory, ServerFactory
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import alsoProvides, directlyProvidedBy, implementer, noLongerProvides

from rdv._system.sockets import flush

__all__ = [
    "adopt",
    "came_by_proxy",
    "can_migrate",
    "hand_over",
    "migrate",
    "one_protocol",
    "receive_from",
]


def hand_over(transport: ITransport, protocol: IProtocol) -> None:
    """
    Make ``protocol`` the receiver of the data of ``transport``, and connect it.

    Its ``transport`` may be another object than the given one: TLS gets a half-close here. The
    previous protocol of the transport gets no further call from it.
    """
    tls = sys.modules.get("twisted.protocols.tls")  # a program without TLS does not load it
    # Down through wrappers such as TLS, PROXY headers and timeouts, to the TCP connection.
    top, receiver, current = transport, protocol, transport
    while True:
        if tls is not None and isinstance(current, tls.TLSMemoryBIOProtocol):
            from rdv._transport.tls import HalfCloseTLS

            stream, below = HalfCloseTLS.take_over(current, receiver), current.transport
            if receiver is protocol:
                top = stream
            else:
                cast(Any, receiver).transport = stream
            receiver, current = stream, cast(ITransport, below)
        receive_from(current, receiver)
        if not isinstance(current, ProtocolWrapper):
            break
        receiver, current = current, cast(ITransport, current.transport)
    protocol.makeConnection(top)


def receive_from(transport: ITransport, protocol: IProtocol) -> None:
    """Point what ``transport`` receives at ``protocol``, without connecting it."""
    receiver: Any = transport
    if not isinstance(transport, ProtocolWrapper):
        receiver.protocol = protocol
        return
    receiver.wrappedProtocol = protocol
    # A wrapper, such as that of a ``haproxy:`` endpoint, does not pass on a half-close by itself.
    if IHalfCloseableProtocol.providedBy(protocol):
        receiver.readConnectionLost = protocol.readConnectionLost
        receiver.writeConnectionLost = protocol.writeConnectionLost
        alsoProvides(receiver, IHalfCloseableProtocol)
    elif IHalfCloseableProtocol in directlyProvidedBy(receiver):
        noLongerProvides(receiver, IHalfCloseableProtocol)


def can_migrate(transport: object) -> bool:
    """Whether ``transport`` is only a socket, or a wrapper that is no longer needed."""
    current: Any = transport
    while type(current) is _proxy_wrapper():
        current = current.transport
    return not isinstance(current, ProtocolWrapper) and not getattr(current, "TLS", False)


def came_by_proxy(transport: object) -> bool:
    """Whether a PROXY header, which may not have arrived yet, contains the client's address."""
    current: Any = transport
    while isinstance(current, ProtocolWrapper):
        if type(current) is _proxy_wrapper():
            return True
        current = current.transport
    return False


def migrate(transport: object) -> socket.socket | None:
    """
    Take the socket out of ``transport``, which is unusable afterwards: the reactor has forgotten
    it, and its protocol gets no further event, not even a loss.

    Ending it in another way, by ``loseConnection`` or the ``connectionLost`` that the reactor
    calls, would shut the connection down for every process that has its descriptor.

    :return: the socket, which the caller closes. None if nothing was done, because the transport is
        more than a socket (TLS, a wrapper, or memory only), or has unsent data.
    """
    wrappers: list[Any] = []
    current: Any = transport
    while type(current) is _proxy_wrapper():  # it holds no data after the PROXY header
        wrappers.append(current)
        current = current.transport
    if not can_migrate(current):
        return None
    handle = getattr(current, "getHandle", lambda: None)()
    # Unsent data would be responses to earlier requests on this connection.
    if not isinstance(handle, socket.socket) or not flush(current):
        return None
    current.stopReading()
    current.stopWriting()
    for wrapper in wrappers:
        wrapper.factory.unregisterProtocol(wrapper)
    return handle


def adopt(reactor: IReactorSocket, sock: socket.socket, protocol: IProtocol) -> None:
    """
    Continue a connection: ``protocol`` gets a transport of ``reactor`` for it.

    :param sock: for the caller to close: the transport has its own descriptor.
    :raises OSError: when the connection has been reset, or there are too many descriptors.
    """
    sock.getpeername()  # fails while there is nothing to clean up
    reactor.adoptStreamConnection(sock.fileno(), sock.family, one_protocol(protocol))


def one_protocol(protocol: IProtocol) -> ServerFactory[Any]:
    """A factory that returns an existing protocol, for a single connection."""
    factory: ServerFactory[Any] = ServerFactory()
    factory.noisy = False
    factory.buildProtocol = lambda addr: protocol  # type: ignore[method-assign]
    return factory


@cache
def _proxy_wrapper() -> type[ProtocolWrapper] | None:
    """The wrapper of a connection to a ``haproxy:`` endpoint. Twisted has no public name for it."""
    from twisted.protocols.haproxy import proxyEndpoint  # only servers need it

    endpoint = _Endpoint()
    proxyEndpoint(endpoint).listen(Factory())
    if not isinstance(endpoint.factory, WrappingFactory):
        return None
    wrapper: type[ProtocolWrapper] = endpoint.factory.protocol  # type: ignore[assignment]
    return wrapper


@implementer(IStreamServerEndpoint)
class _Endpoint:
    """Does not listen. :ivar factory: the one that it was given."""

    factory: IProtocolFactory

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        self.factory = protocolFactory
        return Deferred()
