"""
Moving bytes from one transport to another. Knows nothing of rdv.
"""

from __future__ import annotations

from collections.abc import Callable

from rdv.handover import StreamTransport

__all__ = ["Flow"]


class Flow:
    """
    One direction between two transports, with back-pressure: while the sink's buffer is full the
    source is not read.

    What it holds is at most the sink's buffer (64 KiB) and one read of the source (64 KiB).

    :ivar count: bytes moved.
    :ivar ended: whether the source has ended.
    :param tap: sees each piece before it goes out.
    """

    __slots__ = ("_sink", "_tap", "count", "ended")

    def __init__(
        self,
        source: StreamTransport,
        sink: StreamTransport,
        tap: Callable[[bytes], object] | None = None,
    ) -> None:
        self._sink = sink
        self._tap = tap
        self.count = 0
        self.ended = False
        sink.registerProducer(source, True)

    def write(self, data: bytes) -> None:
        """Move what the source has received."""
        self.count += len(data)
        if self._tap is not None:
            self._tap(data)
        self._sink.write(data)

    def end(self) -> None:
        """The source has ended: let the sink end too, behind what it still has to send."""
        if not self.ended:
            self.detach()
            self._sink.loseWriteConnection()

    def detach(self) -> None:
        """Stop steering the source; it may be gone."""
        self.ended = True
        self._sink.unregisterProducer()
