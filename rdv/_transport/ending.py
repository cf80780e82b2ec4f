"""
Ends one direction of a stream by a message in the stream.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IPullProducer,
    IPushProducer,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._transport.interfaces import StreamTransport, TCPForwarding, TCPTransport

__all__ = ["EndingTransport", "Producer"]


class EndingTransport(TCPForwarding):
    """
    The writing side of a transport over TCP, which is never half-closed itself.

    :param protocol: is notified when everything has been sent, if it supports half-close.
    :ivar connected: whether the protocol has not been notified of a loss yet.
    :ivar disconnecting: whether the application is closing it.
    """

    __slots__ = (
        "_ending",
        "_producer",
        "_write_ended",
        "connected",
        "disconnecting",
        "protocol",
        "transport",
    )

    transport: TCPTransport

    def __init__(self, protocol: IProtocol) -> None:
        self.protocol = protocol
        self.connected = True
        self.disconnecting = False
        self._producer: Producer | None = None
        self._ending = self._write_ended = False

    @abstractmethod
    def _send_end(self) -> None:
        """Write the message that ends our direction."""

    def _end(self) -> None:
        if not self._write_ended:
            self._write_ended = True
            self._send_end()

    def _lose(self, reason: Failure) -> None:
        if self.connected:
            self.connected = False
            try:
                self.protocol.connectionLost(reason)
            finally:
                self.protocol = Protocol()  # breaks a reference cycle

    def loseWriteConnection(self) -> None:
        """
        End our direction after everything that has been written, and not before a registered
        producer has finished. Reading continues. The protocol's ``writeConnectionLost`` reports
        that all of it has been sent.
        """
        if self._producer is not None:
            self._ending = True
        elif self.connected and not self._write_ended:
            self._end()
            self._await_written()

    def _await_written(self) -> None:
        if self.connected and not self.disconnecting:
            self.transport.registerProducer(_Drained(self._written), False)

    def _written(self) -> None:
        self.transport.unregisterProducer()
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.writeConnectionLost()

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """See :class:`IConsumer`: the buffer is that of the transport below."""
        self._producer = Producer(producer, streaming)
        self._producer.produce_for(self.transport)

    def unregisterProducer(self) -> None:
        """See :class:`IConsumer`: actions that waited for the producer are done now."""
        if self._producer is None:  # the transport below may have one of our own
            return
        self._producer = None
        self.transport.unregisterProducer()
        if self.disconnecting:
            self.loseConnection()
        elif self._ending:
            self.loseWriteConnection()

    def _write_to(
        self, transport: TCPTransport, last_words: list[tuple[TCPTransport, list[bytes]]]
    ) -> None:
        """
        Continue to write on another transport below.

        :param last_words: records to write before that, each with its transport. The application is
            not called in between.
        """
        producer = self._producer if transport is not self.transport else None
        if producer is not None:
            self.transport.unregisterProducer()
        self.transport = transport
        for each, records in last_words:
            each.writeSequence(records)
        if producer is not None:
            producer.produce_for(transport)


@implementer(IPullProducer)
class _Drained:
    """Produces nothing: a producer that detects that the consumer has sent everything."""

    def __init__(self, drained: Callable[[], object]) -> None:
        self._drained = drained
        self._registered = False

    def resumeProducing(self) -> None:
        # The first call is made by the registration itself.
        if self._registered:
            self._drained()
        self._registered = True

    def stopProducing(self) -> None:
        pass


@implementer(IPushProducer, IPullProducer)
class Producer:
    """
    Stands between a producer and its consumer, so that the consumer can be replaced.

    :param streaming: whether it is a push producer.
    """

    def __init__(self, producer: Any, streaming: bool) -> None:
        self._producer = producer
        self._streaming = streaming
        self._paused = False

    def pauseProducing(self) -> None:
        self._paused = True
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        self._producer.stopProducing()

    def produce_for(self, consumer: StreamTransport) -> None:
        """Register it with a consumer. If the previous one had paused it, it is resumed."""
        consumer.registerProducer(self, self._streaming)
        if self._paused:
            self.resumeProducing()
