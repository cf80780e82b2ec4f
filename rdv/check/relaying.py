"""
The probes that need an open relayed connection: its throughput, whether it can be half-closed, and
the response to a SYN to the NAT mapping that it keeps alive.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPullProducer
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import deferLater
from zope.interface import implementer

from rdv.check.ends import End, Pair, part
from rdv.check.observations import HalfClose, Sighting, Stray, StrayAnswer, Throughput
from rdv.client import Connection
from rdv.client.dial.shared_port import SharedPort
from rdv.client.dial.socket import dial
from rdv.client.reasons import describe
from rdv.errors import NoConnection

__all__ = ["dial_mapping", "half_close", "measure"]

#: Bytes in one piece.
_PIECE = bytes(1 << 18)
_QUESTION, _ANSWER = b"the end of this is the question", b"and this is the answer"
#: Seconds from question to answer: time for anything on the path that closes both directions at the
#: first end.
_MOMENT = 0.2
#: Seconds for a connection that was established to arrive at our listener.
_GRACE = 0.3


# Throughput.


async def measure(reactor: Any, pair: Pair, seconds: float, most: int) -> Throughput:
    """
    Send from the dialer to the acceptor, and close the pair.

    :param seconds: the maximum duration.
    :param most: the maximum number of bytes to send.
    """
    sender, receiver = _Sender(most), _Receiver(most)
    begun = reactor.seconds()
    receiver.complete.addTimeout(seconds, reactor, onTimeoutCancel=lambda *_: None)
    pair.acceptor.attach(receiver)
    pair.dialer.attach(sender)
    try:
        await receiver.complete
    finally:
        took = reactor.seconds() - begun
        sender.stop()
        await part(sender, receiver)
    return Throughput(receiver.count, took, receiver.broken)


@implementer(IPullProducer)
class _Sender(End):
    """Writes as long as the transport accepts data."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def connectionMade(self) -> None:
        cast(Any, self.transport).registerProducer(self, False)

    def resumeProducing(self) -> None:
        assert self.transport is not None
        piece = _PIECE[: self._left]
        self._left -= len(piece)
        self.transport.write(piece)
        if self._left <= 0:
            self.stop()

    def stopProducing(self) -> None:
        """See :class:`IPullProducer`."""

    def stop(self) -> None:
        """Stop writing."""
        cast(Any, self.transport).unregisterProducer()


class _Receiver(End):
    """
    Counts bytes.

    :ivar complete: fires when all bytes have arrived, or when no more can arrive.
    :ivar broken: whether no more could arrive.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self.count = 0
        self.broken = False
        self.complete: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)
        if self.count >= self._most:
            self._finish()

    def connectionLost(self, reason: object = None) -> None:
        self.broken = not self.complete.called
        self._finish()
        super().connectionLost(reason)

    def _finish(self) -> None:
        if not self.complete.called:
            self.complete.callback(None)


# Half-close.


async def half_close(
    reactor: Any, first: Connection, second: Connection, seconds: float
) -> HalfClose:
    """
    End one direction, respond in the other one when that end has arrived, and close both ends.

    :param first: the end whose direction ends first.
    :param second: the other end of the same connection.
    :param seconds: the maximum duration.
    """
    asking = _Asking()
    answering = _Answering(reactor, asking)
    asking.result.addTimeout(seconds, reactor, onTimeoutCancel=lambda *_: HalfClose.NOTHING)
    second.attach(answering)
    first.attach(asking)
    try:
        return await asking.result
    finally:
        answering.stop()
        await part(asking, answering)


@implementer(IHalfCloseableProtocol)
class _HalfCloseable(End):
    transport: Connection

    def readConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""


class _Asking(_HalfCloseable):
    """
    Ends its direction, and reads.

    :ivar result: fires with the result.
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
        self.finish(HalfClose.PASSED if self._data == _ANSWER else HalfClose.BOTH)

    def connectionLost(self, reason: object = None) -> None:
        self.finish(HalfClose.BOTH)
        super().connectionLost(reason)

    def finish(self, result: HalfClose) -> None:
        """Set the result, unless there is one."""
        if not self.result.called:
            self.result.callback(result)


class _Answering(_HalfCloseable):
    """
    Responds when the other side has ended its direction.

    :param asking: the other side. It stops waiting if the connection is lost before the response.
    """

    def __init__(self, reactor: Any, asking: _Asking) -> None:
        super().__init__()
        self._reactor = reactor
        self._asking = asking
        self._call: IDelayedCall | None = None

    def readConnectionLost(self) -> None:
        self._call = self._reactor.callLater(_MOMENT, self._answer)

    def _answer(self) -> None:
        self.transport.write(_ANSWER)
        self.transport.loseWriteConnection()

    def stop(self) -> None:
        """Do not answer any more."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def connectionLost(self, reason: object = None) -> None:
        if self._call is None or self._call.active():
            self.stop()
            self._asking.finish(HalfClose.BOTH)
        super().connectionLost(reason)


# A SYN to the mapping.


async def dial_mapping(reactor: Any, sighting: Sighting, timeout: float) -> Stray | None:
    """
    Dial the address at which the server sees one of our ports, from another port and while that
    mapping is alive, and listen on the first port.

    :param timeout: seconds for a response.
    :return: None when there is no such address, or we cannot listen.
    """
    target = sighting.observed
    if target is None:
        return None
    listener = _Listener()
    try:
        port = SharedPort(reactor, listener, sighting.local_port)
    except NoConnection:
        return None
    dialler = End()
    try:
        await dial(reactor, 0, target, dialler, timeout)
    except ConnectTimeoutError:
        return Stray(target, StrayAnswer.SILENT)
    except ConnectError as error:
        return Stray(target, StrayAnswer.REFUSED, describe(error))
    else:
        if not listener.guests:
            await deferLater(reactor, _GRACE)
        answer = StrayAnswer.CONNECTED if listener.guests else StrayAnswer.ELSEWHERE
        return Stray(target, answer)
    finally:
        await part(dialler)
        await port.close()
        await part(*listener.guests)


class _Listener(ServerFactory[Any]):
    """:ivar guests: the connections that have arrived."""

    noisy = False

    def __init__(self) -> None:
        self.guests: list[End] = []

    def buildProtocol(self, addr: object) -> End:
        self.guests.append(End())
        return self.guests[-1]
