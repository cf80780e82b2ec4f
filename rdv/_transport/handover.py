"""
Taking a transport from one protocol and giving it to another, and what is done to its socket.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Protocol, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    ITransport,
)
from twisted.internet.tcp import Connection, Server
from twisted.protocols.policies import ProtocolWrapper
from zope.interface import alsoProvides, directlyProvidedBy, noLongerProvides

__all__ = [
    "StreamTransport",
    "TCPForwarding",
    "TCPTransport",
    "bottom",
    "hand_over",
    "linger",
    "name",
    "push",
    "socket_of",
    "tune",
    "unread",
]

#: Seconds of silence before the first keepalive probe: below the shortest NAT timeouts in use.
KEEPALIVE_IDLE = 45
#: Seconds between probes, and how many may go unanswered.
KEEPALIVE_INTERVAL = 15
KEEPALIVE_COUNT = 4
#: Seconds at most between two attempts, to send again or to ask for room, if Linux has the option
#: (6.15; Python has no name for it). Its own limit is two minutes.
RETRY_INTERVAL = 30
_TCP_RTO_MAX_MS = 44


class StreamTransport(Protocol):
    """What rdv needs of a stream transport: what ``tcp.Connection`` and ``HalfCloseTLS`` have."""

    def write(self, data: bytes) -> None: ...
    def loseConnection(self) -> None: ...
    def loseWriteConnection(self) -> None: ...
    def abortConnection(self) -> None: ...
    def registerProducer(self, producer: object, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def stopProducing(self) -> None: ...
    def getPeer(self) -> IAddress: ...
    def getHost(self) -> IAddress: ...


class TCPTransport(StreamTransport, Protocol):
    """A TCP connection, or a wrapper round one."""

    def getPeer(self) -> IPv4Address | IPv6Address: ...
    def getHost(self) -> IPv4Address | IPv6Address: ...
    def getHandle(self) -> object: ...
    def getTcpNoDelay(self) -> bool: ...
    def setTcpNoDelay(self, enabled: bool) -> None: ...
    def getTcpKeepAlive(self) -> bool: ...
    def setTcpKeepAlive(self, enabled: bool) -> None: ...


class TCPForwarding:
    """What a transport only passes on to the TCP transport below it."""

    __slots__ = ()

    transport: TCPTransport

    def getPeer(self) -> IPv4Address | IPv6Address:
        """See :class:`ITransport`."""
        return self.transport.getPeer()

    def getHost(self) -> IPv4Address | IPv6Address:
        """See :class:`ITransport`."""
        return self.transport.getHost()

    def getTcpNoDelay(self) -> bool:
        """See :class:`ITCPTransport`."""
        return self.transport.getTcpNoDelay()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See :class:`ITCPTransport`."""
        self.transport.setTcpNoDelay(enabled)

    def getTcpKeepAlive(self) -> bool:
        """See :class:`ITCPTransport`."""
        return self.transport.getTcpKeepAlive()

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See :class:`ITCPTransport`. It is on already."""
        self.transport.setTcpKeepAlive(enabled)


def hand_over(transport: ITransport, protocol: IProtocol) -> None:
    """
    Make ``protocol`` the one that gets what ``transport`` receives, and connect it.

    Its ``transport`` may be another object than the one given: TLS gets a half-close here. The
    protocol that had the transport before gets no further call from it.
    """
    # Late, so that whoever has no TLS does not load it.
    from twisted.protocols.tls import TLSMemoryBIOProtocol

    from rdv._transport.tls import HalfCloseTLS

    # Down through wrappers such as TLS, PROXY headers and timeouts, to the TCP connection.
    top, receiver, current = transport, protocol, transport
    while True:
        if isinstance(current, TLSMemoryBIOProtocol):
            tls, below = HalfCloseTLS.take_over(current, receiver), current.transport
            if receiver is protocol:
                top = tls
            else:
                cast(Any, receiver).transport = tls
            receiver, current = tls, cast(ITransport, below)
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
    # A wrapper, as that of ``haproxy:`` endpoints, does not pass the half-close on by itself.
    if IHalfCloseableProtocol.providedBy(protocol):
        receiver.readConnectionLost = protocol.readConnectionLost
        receiver.writeConnectionLost = protocol.writeConnectionLost
        alsoProvides(receiver, IHalfCloseableProtocol)
    elif IHalfCloseableProtocol in directlyProvidedBy(receiver):
        noLongerProvides(receiver, IHalfCloseableProtocol)


def socket_of(transport: object) -> socket.socket | None:
    """The socket under a transport and its wrappers; None when there is none (in memory)."""
    handle = _handle(transport)
    return handle if isinstance(handle, socket.socket) else None


def _handle(transport: object) -> Any:
    try:
        return getattr(bottom(transport), "getHandle", lambda: None)()
    except AttributeError:  # a transport of Twisted that has lost its connection
        return None


def bottom(transport: object) -> object:
    """What is under a transport and all its wrappers."""
    while (below := getattr(transport, "transport", None)) is not None:
        transport = below
    return transport


def name(transport: object, text: str) -> None:
    """
    Say how logs call a connection that came from a port. Twisted has made up two names, after the
    protocol that had it first; a text that is kept anyway costs nothing.
    """
    connection = bottom(transport)
    if isinstance(connection, Server):
        connection.logstr = connection.repstr = text


def push(transport: object) -> None:
    """
    Let the system have what was written, as far as there is room, and not only in the reactor's
    next turn: before a reset, which throws away what the transport still has.
    """
    connection = bottom(transport)
    if isinstance(connection, Connection) and connection.connected:
        connection.doWrite()


def unread(transport: object) -> bytes | None:
    """
    What the kernel has received on ``transport`` and the reactor has not yet seen.

    :return: None when there is nothing, ``b""`` for an end or a reset, else the first byte.
    """
    sock = socket_of(transport)
    if sock is None:
        return None
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def tune(transport: object) -> None:
    """
    Set what every TCP connection of ours wants: small writes leave at once, and keepalive is on,
    soon and often enough that a NAT keeps its mapping of a silent connection and a peer that has
    vanished from one is noticed within two minutes. Where the system has no such options it is on
    as the system has it. While something is not acknowledged keepalive rests: what is then done is
    in :mod:`rdv._transport.liveness`.
    """
    sock = socket_of(transport)
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", KEEPALIVE_COUNT),
    ):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    if sys.platform == "linux":
        with suppress(OSError):  # an older one
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_RTO_MAX_MS, RETRY_INTERVAL * 1000)


def linger(transport: object, reset_on_close: bool) -> None:
    """
    Say what closing the socket means while the stream is not complete.

    With ``reset_on_close`` even a killed process resets the connection, so that the peer cannot
    take what has come so far for everything. So does a reactor that stops.
    """
    handle = _handle(transport)  # the sockets of rdv.testing know this option too
    if hasattr(handle, "setsockopt"):
        option = struct.pack("ii", int(reset_on_close), 0)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        # Twisted would shut the socket down before closing it: an end, then, and no reset if the
        # peer has ended already.
        connection = bottom(transport)
        if isinstance(connection, Connection):
            connection._shouldShutdown = not reset_on_close
