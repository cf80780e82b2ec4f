"""
What an attempt ends in: the transport that the application's protocol sees.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ITCPTransport,
    ITransport,
)
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import implementer

from rdv.addresses import Address
from rdv.handover import TCPForwarding, TCPTransport, linger

if TYPE_CHECKING:
    from rdv.client.candidate import Candidate

__all__ = ["Connection"]


@implementer(ITCPTransport, IConsumer, IPushProducer)
class Connection(TCPForwarding):
    """
    A stream to the peer. Give it a protocol with :meth:`attach`; until then nothing is read.

    It is a transport in the sense of Twisted, with half-close: ``loseWriteConnection`` ends our
    direction, and a protocol that provides ``IHalfCloseableProtocol`` is told when the peer has
    ended its own; for any other protocol that closes the connection, as with TCP.

    :ivar is_relay: whether it goes through the server.
    :ivar peer_address: the peer's address, or the server's for a relayed connection.
    :ivar observed_address: this host's address as the server saw it; None when the server does not
        know it, as behind a proxy that it was not told of. Direct paths through NATs are unlikely
        then.
    :ivar headers: the headers of the server's answer.
    :ivar disconnecting: whether this side is closing it, as Twisted's own protocols ask.
    """

    def __init__(
        self, winner: Candidate, observed_address: Address | None, headers: Headers
    ) -> None:
        self.is_relay = winner.is_relay
        self.peer_address = winner.peer_address
        self.observed_address = observed_address
        self.headers = headers
        self._receiver = _Receiver()
        self._receiver.held_before(winner.release(self._receiver))
        self.transport = self._receiver.transport
        self.disconnecting = False

    def attach(self, protocol: IProtocol) -> None:
        """
        Connect ``protocol`` to the peer. It gets what has already been received first.

        :raises RuntimeError: when there is a protocol already.
        """
        self._receiver.deliver_to(protocol)
        protocol.makeConnection(self)
        self._receiver.begin()

    # What the application's protocol calls.

    def write(self, data: bytes) -> None:
        """See :class:`ITransport`."""
        self.transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """See :class:`ITransport`."""
        self.transport.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close the connection when everything written has been sent."""
        self.disconnecting = True
        self._receiver.close()
        self.transport.loseConnection()

    def loseWriteConnection(self) -> None:
        """End our direction behind what has been written; the other one goes on."""
        self.transport.loseWriteConnection()

    def abortConnection(self) -> None:
        """Close at once. The peer sees a broken stream."""
        self.disconnecting = True
        self._receiver.close()
        self.transport.abortConnection()

    def break_on_exit(self, enabled: bool) -> None:
        """
        Whether the peer is to see a broken stream, not an end, when this process dies while the
        connection is open.

        To be turned off again before the connection is closed in good order.
        """
        linger(self.transport, enabled)

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """See :class:`IConsumer`."""
        self.transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """See :class:`IConsumer`."""
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """See :class:`IPushProducer`."""
        self._receiver.pause()

    def resumeProducing(self) -> None:
        """See :class:`IPushProducer`."""
        self._receiver.resume()

    def stopProducing(self) -> None:
        """See :class:`IPushProducer`."""
        self.loseConnection()

    def getHandle(self) -> object:
        """See :class:`ISystemHandle`: of the transport below."""
        return self.transport.getHandle()


@implementer(IProtocol, IHalfCloseableProtocol)
class _Receiver:
    """
    What the transport below talks to. It is not the connection itself: a wrapper that the
    application puts round that would take its ways of receiving for ways of sending.

    :ivar transport: the transport below.
    """

    transport: TCPTransport

    def __init__(self) -> None:
        self._protocol: IProtocol | None = None
        self._paused = True
        self._closing = False
        self._held = b""
        self._read_ended = False
        self._lost: Failure | None = None

    def held_before(self, data: bytes) -> None:
        """``data`` came before everything else."""
        self._held = data + self._held

    def deliver_to(self, protocol: IProtocol) -> None:
        """From now on ``protocol`` is the one that gets everything, once it has begun."""
        if self._protocol is not None:
            raise RuntimeError("a protocol is attached already")
        self._protocol = protocol
        self._paused = False

    def begin(self) -> None:
        """Deliver, unless the protocol has paused us in the meantime."""
        if not self._paused:
            self.resume()

    def close(self) -> None:
        """Whoever closes gets nothing more but ``connectionLost``."""
        self._closing = True
        self._held = b""
        self._read_ended = False
        if self._protocol is not None and self._lost is not None:
            reason, self._lost = self._lost, None
            self._protocol.connectionLost(reason)

    def pause(self) -> None:
        """Read no more."""
        self._paused = True
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Deliver what is held, then read on."""
        self._paused = False
        if self._protocol is not None:
            self._deliver_held(self._protocol)
        if not self._paused:
            self.transport.resumeProducing()

    def _deliver_held(self, protocol: IProtocol) -> None:
        held, self._held = self._held, b""
        if held:
            protocol.dataReceived(held)
        if self._read_ended and not self._paused:
            self._read_ended = False
            self._end_reading(protocol)
        if self._lost is not None and not self._paused:
            reason, self._lost = self._lost, None
            protocol.connectionLost(reason)

    def _end_reading(self, protocol: IProtocol) -> None:
        if IHalfCloseableProtocol.providedBy(protocol):
            protocol.readConnectionLost()
        else:
            self.transport.loseConnection()

    def makeConnection(self, transport: ITransport) -> None:
        """See :class:`IProtocol`."""
        self.transport = cast(TCPTransport, transport)
        self.transport.pauseProducing()

    def connectionMade(self) -> None:
        """See :class:`IProtocol`."""

    def dataReceived(self, data: bytes) -> None:
        """See :class:`IProtocol`."""
        if self._closing:
            return
        if self._protocol is None or self._paused:
            self._held += data
        else:
            self._protocol.dataReceived(data)

    def readConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""
        if self._protocol is None or self._paused:
            self._read_ended = True
        else:
            self._end_reading(self._protocol)

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""
        if IHalfCloseableProtocol.providedBy(self._protocol):
            self._protocol.writeConnectionLost()

    def connectionLost(self, reason: Failure) -> None:
        """See :class:`IProtocol`."""
        if self._protocol is None or (self._paused and (self._held or self._read_ended)):
            self._lost = reason
        else:
            self._protocol.connectionLost(reason)
