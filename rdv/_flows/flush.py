"""
Detects that a transport has written all its data.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer

__all__ = ["Flush"]


@implementer(IPullProducer)
class Flush:
    """
    Waits until a Twisted transport has written everything to its descriptor.

    It registers as the transport's producer, so the transport must not have another one. Do not
    write to the transport after this, unless late delivery is harmless.

    :param written: called once when that has happened, in a later turn of the reactor; not if the
        transport is lost.
    """

    __slots__ = ("_transport", "_waiting", "_written")

    def __init__(self, transport: FileDescriptor, written: Callable[[], object]) -> None:
        self._transport = transport
        self._written = written
        self._waiting = False
        transport.registerProducer(self, False)
        self._waiting = True
        # Even if there is nothing to write; otherwise the transport would not ask for more.
        transport.startWriting()

    def cancel(self) -> None:
        """Stop waiting."""
        if self._waiting:
            self._waiting = False
            self._transport.unregisterProducer()

    def resumeProducing(self) -> None:
        """See :class:`IPullProducer`: everything is written, unless this is the registration."""
        if self._waiting:
            self.cancel()
            self._written()

    def stopProducing(self) -> None:
        """See :class:`IPullProducer`: the transport is lost, and its protocol is notified."""
        self._waiting = False
