"""
What can be tried while a relayed connection stands: how much it carries, and what becomes of a SYN
to the mapping that it keeps alive.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import deferLater
from zope.interface import implementer

from rdv.check.meetings import Pair
from rdv.check.observations import Sighting, Stray, StrayAnswer, Throughput
from rdv.check.together import all_of
from rdv.client.dial.shared_port import SharedPort
from rdv.client.dial.socket import dial
from rdv.client.reasons import describe
from rdv.errors import NoConnection

__all__ = ["dial_mapping", "measure"]

#: Bytes in one piece.
_PIECE = bytes(1 << 18)
#: Seconds for a connection that was made to come out at our listener.
_GRACE = 0.3


async def measure(reactor: Any, pair: Pair, seconds: float, most: int) -> Throughput:
    """
    Send from the dialer to the acceptor, and close the pair.

    :param seconds: how long at most.
    :param most: bytes to send at most.
    """
    sender, receiver = _Sender(most), _Receiver(reactor, most)
    begun = reactor.seconds()
    receiver.complete.addTimeout(seconds, reactor, onTimeoutCancel=lambda *_: None)
    pair.acceptor.attach(receiver)
    pair.dialer.attach(sender)
    try:
        await receiver.complete
    finally:
        sender.stop()
        pair.dialer.abortConnection()
        pair.acceptor.abortConnection()
    await all_of([sender.gone, receiver.gone])
    last = receiver.last if receiver.count else reactor.seconds()
    return Throughput(receiver.count, last - begun, receiver.broken)


class _End(Protocol):
    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def abort(self) -> None:
        """Close it, if it was ever made and is not gone."""
        if self.transport is not None and not self.gone.called:
            cast(Any, self.transport).abortConnection()

    def connectionLost(self, reason: object = None) -> None:
        self.gone.callback(None)


@implementer(IPullProducer)
class _Sender(_End):
    """Writes as long as somebody takes it."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def connectionMade(self) -> None:
        cast(Any, self.transport).registerProducer(self, False)

    def resumeProducing(self) -> None:
        """See :class:`IPullProducer`."""
        assert self.transport is not None
        piece = _PIECE[: self._left]
        self._left -= len(piece)
        self.transport.write(piece)
        if self._left <= 0:
            self.stop()

    def stopProducing(self) -> None:
        """See :class:`IPullProducer`."""

    def stop(self) -> None:
        """Write no more."""
        cast(Any, self.transport).unregisterProducer()


class _Receiver(_End):
    """
    Counts.

    :ivar last: when the last bytes came.
    :ivar complete: fires when all have come, or when no more can come.
    :ivar broken: whether the latter was so.
    """

    def __init__(self, reactor: Any, most: int) -> None:
        super().__init__()
        self._reactor = reactor
        self._most = most
        self.count = 0
        self.last = 0.0
        self.broken = False
        self.complete: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)
        self.last = self._reactor.seconds()
        if self.count >= self._most:
            self._finish()

    def connectionLost(self, reason: object = None) -> None:
        self.broken = not self.complete.called
        self._finish()
        super().connectionLost(reason)

    def _finish(self) -> None:
        if not self.complete.called:
            self.complete.callback(None)


async def dial_mapping(reactor: Any, sighting: Sighting, timeout: float) -> Stray | None:
    """
    Dial the address at which the server sees a port of ours, from another port, as long as that
    mapping is alive, and listen there.

    :param timeout: seconds for an answer.
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
    dialler = _End()
    try:
        await dial(reactor, 0, target, dialler, timeout)
    except ConnectTimeoutError:
        return Stray(target, StrayAnswer.SILENT)
    except ConnectError as error:
        return Stray(target, StrayAnswer.REFUSED, describe(error))
    else:
        if not listener.came:
            await deferLater(reactor, _GRACE)
        if listener.came:
            return Stray(target, StrayAnswer.CONNECTED)
        return Stray(target, StrayAnswer.ELSEWHERE)
    finally:
        if dialler.transport is not None:
            dialler.abort()
            await dialler.gone
        await port.close()
        listener.drop()


class _Listener(ServerFactory[Any]):
    """Takes whatever comes."""

    noisy = False

    def __init__(self) -> None:
        self._guests: list[_End] = []

    @property
    def came(self) -> bool:
        """Whether anybody did."""
        return bool(self._guests)

    def buildProtocol(self, addr: object) -> _End:
        guest = _End()
        self._guests.append(guest)
        return guest

    def drop(self) -> None:
        """Close what came."""
        for guest in self._guests:
            guest.abort()
