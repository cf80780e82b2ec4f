"""
A transport that may be replaced: data written to it may have to be written again.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rdv._transport.interfaces import TCPForwarding, TCPTransport

__all__ = ["ReplayTransport"]

#: How many bytes are passed to the transport below immediately; further data waits. A new TCP
#: connection would hardly send more before its path is known to work.
LIMIT = 1 << 16


class ReplayTransport(TCPForwarding):
    """
    Keeps all written data until the choice is final: then the transport gets the rest, or another
    transport gets all of it again.

    :ivar transport: the transport that currently gets it.
    """

    def __init__(self, clock: IReactorTime, transport: TCPTransport) -> None:
        self._clock = clock
        self.transport = transport
        self._over = False
        self._written = bytearray()
        self._passed_on, self._may_pass = 0, LIMIT
        self._write_ended = self._closing = False
        self._reading_paused = True
        self._producer: Any = None
        self._streaming = self._producer_paused = False
        self._pulling: IDelayedCall | None = None

    def write(self, data: bytes) -> None:
        """Write as much as is possible now; the rest waits."""
        self._written += data
        self._pass_some_on()
        if self._streaming and self._producer is not None:
            self._pause_producer()

    def _pass_some_on(self) -> None:
        if some := bytes(self._written[self._passed_on : self._may_pass]):
            self.transport.write(some)
            self._passed_on += len(some)

    def loseWriteConnection(self) -> None:
        """
        Postponed: the application must be notified only once that its data has been written, and
        not for a path that is given up.
        """
        self._write_ended = True

    def loseConnection(self) -> None:
        """Postponed, like :meth:`loseWriteConnection`."""
        self._closing = True

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """See :class:`IConsumer`. The producer may produce until the limit is reached."""
        if self._producer is not None:
            raise RuntimeError("a producer is already registered")
        self._producer, self._streaming = producer, streaming
        if streaming:
            self._pause_producer()
        else:
            self._pulling = self._clock.callLater(0, self._pull)

    def unregisterProducer(self) -> None:
        self._producer = None
        self._producer_paused = False
        if self._pulling is not None and self._pulling.active():
            self._pulling.cancel()

    def _pause_producer(self) -> None:
        if len(self._written) >= LIMIT and not self._producer_paused:
            self._producer_paused = True
            self._producer.pauseProducing()

    def _pull(self) -> None:
        if self._producer is not None and len(self._written) < LIMIT:
            producer = self._producer
            producer.resumeProducing()
            if not self._over and self._producer is producer:
                self._pulling = self._clock.callLater(0, self._pull)

    def pauseProducing(self) -> None:
        self._reading_paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._reading_paused = False
        self.transport.resumeProducing()

    # The end.

    def _finish(self) -> None:
        """Ask the producer for nothing more."""
        self._over = True
        if self._pulling is not None and self._pulling.active():
            self._pulling.cancel()

    def _stop_producer(self) -> None:
        if self._producer is not None:
            self._producer.stopProducing()

    def _pass_on(self, *, again: bool = False) -> None:
        """Write to the transport what it has not got yet; with ``again``, everything."""
        transport, producer = self.transport, self._producer
        if left := bytes(self._written[0 if again else self._passed_on :]):
            transport.write(left)
        if producer is not None:  # before the end, which waits until it has finished
            transport.registerProducer(producer, self._streaming)
            if self._producer_paused:
                producer.resumeProducing()
        if self._write_ended:
            transport.loseWriteConnection()
        if self._closing:
            transport.loseConnection()
