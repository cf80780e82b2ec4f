"""
What talks to the transport below a connection, on behalf of the application's protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._transport.interfaces import TCPTransport

__all__ = ["Receiver"]


@implementer(IProtocol, IHalfCloseableProtocol)
class Receiver:
    """
    What the transport below talks to. It is not the connection itself: a wrapper that the
    application puts round that would take its ways of receiving for ways of sending.

    :ivar transport: the transport below.
    :ivar settle: called when the first thing comes, while the choice is not final.
    :ivar lost: told of a loss, and how to report it, while the choice is not final.
    :ivar gone: called first of all when the transport below is lost.
    """

    transport: TCPTransport
    settle: Callable[[], None] | None = None
    lost: Callable[[Callable[[], object]], None] | None = None
    gone: Callable[[], object] | None = None

    def __init__(self) -> None:
        self._protocol: IProtocol | None = None
        self._ended: Callable[[], object] | None = None
        self._paused = True
        self._closing = False
        self._held = b""
        self._read_ended = False
        self._lost: Failure | None = None

    @property
    def received(self) -> bool:
        """Whether anything is held, be it the end."""
        return bool(self._held or self._read_ended or self._lost)

    def held_before(self, data: bytes) -> None:
        """``data`` came before everything else."""
        if not self._closing:
            self._held = data + self._held

    def deliver_to(self, protocol: IProtocol, ended: Callable[[], object] | None = None) -> None:
        """
        From now on ``protocol`` is the one that gets everything, once it has begun.

        :param ended: called behind its ``connectionLost``.
        """
        if self._protocol is not None:
            raise RuntimeError("a protocol is attached already")
        self._protocol = protocol
        self._ended = ended
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
            self._lose(self._protocol, reason)

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
            self._lose(protocol, reason)

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
        if self.settle is not None:
            self.settle()
        if self._closing:
            return
        if self._protocol is None or self._paused:
            self._held += data
        else:
            self._protocol.dataReceived(data)

    def readConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""
        if self.settle is not None:
            self.settle()
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
        if self.gone is not None:
            self.gone()
        if self.lost is not None and not reason.check(ConnectionDone):
            self.lost(lambda: self._report(reason))
            return
        if self.settle is not None:
            self.settle()
        self._report(reason)

    def _report(self, reason: Failure) -> None:
        if self._protocol is None or (self._paused and (self._held or self._read_ended)):
            self._lost = reason
        else:
            self._lose(self._protocol, reason)

    def _lose(self, protocol: IProtocol, reason: Failure) -> None:
        try:
            protocol.connectionLost(reason)
        finally:
            if self._ended is not None:
                self._ended()
