"""
Moves bytes from one transport to another. Independent of rdv.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from rdv._flows.rate import Limit
from rdv._transport.interfaces import StreamTransport

__all__ = ["Flow"]


class Flow:
    """
    One direction between two transports, with back-pressure: while the sink's buffer is full, the
    source is not read.

    It holds at most the sink's buffer (64 KiB) and one read of the source (64 KiB).

    :ivar count: bytes moved.
    :ivar ended: whether the source has ended.
    :param tap: sees each piece before it is written.
    :param limit: limits the rate, the total size, or both.
    """

    __slots__ = ("_valve", "count", "ended", "limit", "sink", "source", "tap")

    #: A spliced flow reports when its last piece passed. Here, the owner sees each piece itself.
    active = 0.0

    def __init__(
        self,
        source: StreamTransport,
        sink: StreamTransport,
        tap: Callable[[bytes], object] | None = None,
        limit: Limit | None = None,
    ) -> None:
        self.source = source
        self.sink = sink
        self.tap = tap
        self.count = 0
        self.ended = False
        self.limit = limit
        self._valve = None if limit is None else _Valve(limit, source)
        sink.registerProducer(self._valve or source, True)

    def write(self, data: bytes) -> None:
        """Move what the source has received."""
        self.count += len(data)
        if self.tap is not None:
            self.tap(data)
        self.sink.write(data)
        if self._valve is not None:
            self._valve.passed(len(data))

    def end(self) -> None:
        """The source has ended: end the sink too, after its remaining data."""
        if not self.ended:
            self.detach()
            self.sink.loseWriteConnection()

    def detach(self) -> None:
        """Stop controlling the source, which may be gone."""
        self.ended = True
        if self._valve is not None:
            self._valve.stay()
        self.sink.unregisterProducer()


@implementer(IPushProducer)
class _Valve:
    """The source as its sink's producer: paused by the sink, by the limit, or by both."""

    __slots__ = ("_limit", "_paused", "_rests", "_source")

    def __init__(self, limit: Limit, source: StreamTransport) -> None:
        self._limit = limit
        self._source = source
        self._paused = False
        self._rests = False

    def passed(self, size: int) -> None:
        """This many bytes were moved."""
        if self._limit.passed(size, self._go_on):
            self._rests = True
            self._source.pauseProducing()

    def stay(self) -> None:
        """If the limit has paused the source, do not resume it."""
        self._limit.stop()

    def _go_on(self) -> None:
        self._rests = False
        if not self._paused:
            self._source.resumeProducing()

    def pauseProducing(self) -> None:
        self._paused = True
        self._source.pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        if not self._rests:
            self._source.resumeProducing()

    def stopProducing(self) -> None:
        self.stay()
        self._source.stopProducing()
