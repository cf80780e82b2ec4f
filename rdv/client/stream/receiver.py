"""
The protocol of the transport below a connection, on behalf of the application's protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from rdv._transport.interfaces import TCPTransport
from rdv._transport.liveness import unwatch, watch

__all__ = ["IPathListener", "Receiver"]

#: Replaces a protocol that has been told of the loss.
_NOBODY = Protocol()


class IPathListener(Interface):
    """
    For a protocol that wants to know the path of its :class:`Connection`.

    ``path_changed()`` is called when the path has changed: ``transport.is_relay`` and
    ``transport.peer_address`` describe the new one. The stream continues unaffected, so most
    protocols do not need this. It is called in its own reactor turn, and no longer once the
    connection is closing; an exception in it is logged and has no other effect. Protocol wrappers,
    such as for TLS, do not pass it on.
    """

    def path_changed() -> None:
        """It uses another path now."""


@implementer(IProtocol, IHalfCloseableProtocol)
class Receiver:
    """
    The protocol of the transport below. It is separate from the connection: a wrapper that the
    application puts around the connection would mistake its receiving methods for sending ones.

    :param clock: the connection's reactor.
    :ivar transport: the transport below. An object that steps between the two puts itself here.
    """

    transport: TCPTransport

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._protocol: IProtocol | None = None
        self._ended: Callable[[], object] | None = None
        self._paused = True
        self._closing = False
        self._held = b""
        self._read_ended = False
        self._lost: Failure | None = None
        self._telling: IDelayedCall | None = None

    def deliver_to(self, protocol: IProtocol, ended: Callable[[], object] | None = None) -> None:
        """
        Deliver everything to ``protocol``, after :meth:`begin`.

        :param ended: called after its ``connectionLost``.
        """
        if self._protocol is not None:
            raise RuntimeError("a protocol is already attached")
        self._protocol = protocol
        self._ended = ended
        self._paused = False

    def begin(self) -> None:
        """Begin to deliver, unless the protocol has paused this in the meantime."""
        if not self._paused:
            self.resume()

    def close(self) -> None:
        """The protocol is closing the connection: it gets nothing more except a loss."""
        self._closing = True
        self._tell_nothing()
        self._held = b""
        self._read_ended = False
        if self._protocol is not None and self._lost is not None:
            reason, self._lost = self._lost, None
            self._lose(self._protocol, reason)

    def pause(self) -> None:
        """Stop reading."""
        self._paused = True
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Deliver what is held, then continue reading."""
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

    # What the transport below calls.

    def makeConnection(self, transport: ITransport) -> None:
        self.transport = cast(TCPTransport, transport)
        self.transport.pauseProducing()
        watch(self._clock, transport)

    def connectionMade(self) -> None:
        """Nothing is reported before there is a protocol."""

    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        if self._protocol is None or self._paused:
            self._held += data
        else:
            self._protocol.dataReceived(data)

    def readConnectionLost(self) -> None:
        if self._protocol is None or self._paused:
            self._read_ended = True
        else:
            self._end_reading(self._protocol)

    def writeConnectionLost(self) -> None:
        if IHalfCloseableProtocol.providedBy(self._protocol):
            self._protocol.writeConnectionLost()

    def connectionLost(self, reason: Failure) -> None:
        unwatch(self._clock, self.transport)
        if self._protocol is None or (self._paused and (self._held or self._read_ended)):
            self._lost = reason
        else:
            self._lose(self._protocol, reason)

    # The path.

    def path_changed(self) -> None:
        """
        The connection uses another path now. The protocol is notified in the next turn, because it
        may write or close, while the code that changes the path may not have finished.
        """
        if not self._closing and IPathListener.providedBy(self._protocol):
            self._tell_nothing()
            self._telling = self._clock.callLater(0, self._protocol.path_changed)

    def _tell_nothing(self) -> None:
        if self._telling is not None and self._telling.active():
            self._telling.cancel()

    def _lose(self, protocol: IProtocol, reason: Failure) -> None:
        self._closing = True
        self._tell_nothing()
        try:
            protocol.connectionLost(reason)
        finally:
            # It refers to us through its transport: this breaks the cycle.
            self._protocol = _NOBODY
            ended, self._ended = self._ended, None
            if ended is not None:
                ended()
