"""
Whether one direction of a relayed connection can end before the other one.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from rdv.check.observations import HalfClose
from rdv.check.together import all_of
from rdv.client import Connection

__all__ = ["half_close"]

_QUESTION, _ANSWER = b"the end of this is the question", b"and this is the answer"
#: Seconds between question and answer, in which whatever closes both ways at the first end has time
#: to do it.
_MOMENT = 0.2


async def half_close(
    reactor: Any, first: Connection, second: Connection, seconds: float
) -> HalfClose:
    """
    End one direction, answer in the other one when that end has come, and close both ends.

    :param first: whose direction ends first.
    :param second: the other end of the same connection.
    :param seconds: how long at most.
    """
    asking, answering = _Asking(), _Answering(reactor)
    answering.failed.addCallback(lambda _: asking.finish(HalfClose.BOTH))
    asking.result.addTimeout(seconds, reactor, onTimeoutCancel=lambda *_: HalfClose.NOTHING)
    second.attach(answering)
    first.attach(asking)
    try:
        return await asking.result
    finally:
        answering.stop()
        for connection in (first, second):
            connection.abortConnection()
        await all_of([asking.gone, answering.gone])


class _End(Protocol):
    """:ivar gone: fires when the connection is."""

    transport: Connection

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""

    def connectionLost(self, reason: object = None) -> None:
        self.gone.callback(None)


@implementer(IHalfCloseableProtocol)
class _Asking(_End):
    """
    Ends its direction, and reads.

    :ivar result: fires with what comes of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._data = b""
        self.result: Deferred[HalfClose] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(_QUESTION)
        self.transport.loseWriteConnection()

    def dataReceived(self, data: bytes) -> None:
        self._data += data

    def readConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""
        self.finish(HalfClose.PASSED if self._data == _ANSWER else HalfClose.BOTH)

    def connectionLost(self, reason: object = None) -> None:
        self.finish(HalfClose.BOTH)
        super().connectionLost(reason)

    def finish(self, result: HalfClose) -> None:
        """Unless that has been decided before."""
        if not self.result.called:
            self.result.callback(result)


@implementer(IHalfCloseableProtocol)
class _Answering(_End):
    """
    Answers when the other side has ended its direction.

    :ivar failed: fires when the connection is gone before.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self._call: IDelayedCall | None = None
        self.failed: Deferred[None] = Deferred()

    def readConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""
        self._call = self._reactor.callLater(_MOMENT, self._answer)

    def _answer(self) -> None:
        self.transport.write(_ANSWER)
        self.transport.loseWriteConnection()

    def stop(self) -> None:
        """Answer no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def connectionLost(self, reason: object = None) -> None:
        if self._call is None or self._call.active():
            self.stop()
            self.failed.callback(None)
        super().connectionLost(reason)
