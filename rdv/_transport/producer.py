"""
A producer whose consumer may be replaced by another one.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from rdv._transport.interfaces import StreamTransport

__all__ = ["Producer"]


@implementer(IPushProducer, IPullProducer)
class Producer:
    """
    Stands between a producer and its consumer, and knows what it was told last.

    :param streaming: whether it is a push producer.
    """

    def __init__(self, producer: Any, streaming: bool) -> None:
        self._producer = producer
        self._streaming = streaming
        self._paused = False

    def pauseProducing(self) -> None:
        """See :class:`IPushProducer`."""
        self._paused = True
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """See :class:`IPushProducer`, or :class:`IPullProducer`."""
        self._paused = False
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """See :class:`IPushProducer`."""
        self._producer.stopProducing()

    def produce_for(self, consumer: StreamTransport) -> None:
        """Register it, at another consumer than before perhaps: it need not wait any more then."""
        consumer.registerProducer(self, self._streaming)
        if self._paused:
            self.resumeProducing()
