"""
Applications of secured streams that do anything at any moment.
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast

from twisted.internet.interfaces import IProtocol, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer_only

from rdv._transport.secured import SecureTransport
from rdv.test.doubles import HalfCloseRecorder

__all__ = ["ACTIONS", "PLACES", "Application", "Habits", "Step", "Uncaring", "numbers"]

#: What an application does: a method of :class:`Application`.
ACTIONS = (
    "write_little",
    "write_much",
    "end",
    "close",
    "pause",
    "resume",
    "produce",
    "produce_no_more",
)
#: The moments at which it acts by itself.
PLACES = (
    "connectionMade",
    "dataReceived",
    "readConnectionLost",
    "writeConnectionLost",
    "connectionLost",
    "pauseProducing",
    "resumeProducing",
)
#: What happens next: an action of one side, "turn" for one event, or "cut".
Step: TypeAlias = tuple[int, str]
Habits: TypeAlias = dict[str, list[str]]


class Application(HalfCloseRecorder):
    """
    Writes numbers, and is a producer now and then.

    :param habits: actions for each of these moments, in order.
    """

    transport: ITCPTransport

    def __init__(self, habits: Habits) -> None:
        super().__init__()
        self.habits = {place: list(actions) for place, actions in habits.items()}
        self.written = 0
        self.closed = self.broken = self.producing = False
        self._ended = False
        self._depth = 0

    def act(self, action: str) -> None:
        """Do something."""
        getattr(self, action)()

    def _at(self, place: str) -> None:
        actions = self.habits.get(place)
        if actions and self._depth < 3:
            self._depth += 1
            self.act(actions.pop(0))
            self._depth -= 1

    def _write(self, size: int) -> None:
        # What counts as written is what may still be; a producer may write on for a while.
        if not self._over:
            begin, self.written = self.written, self.written + size
            self.transport.write(numbers(begin, self.written))

    @property
    def _over(self) -> bool:
        # Without support for half-close, the other side's end closes it.
        closing = cast(SecureTransport, self.transport).disconnecting
        ended = (self._ended or closing) and not self.producing
        return ended or self.broken or self.lost is not None

    def write_little(self) -> None:
        self._write(3)

    def write_much(self) -> None:
        self._write(300_000)

    def end(self) -> None:
        self._ended = True
        self.transport.loseWriteConnection()

    def close(self) -> None:
        self.closed = True
        self.transport.loseConnection()

    def abort(self) -> None:
        # After the last DONE there is nothing to break.
        over = self.lost is not None or cast(SecureTransport, self.transport).stream.over
        self.broken = self.broken or not over
        self.transport.abortConnection()

    def pause(self) -> None:
        cast(Any, self.transport).pauseProducing()

    def resume(self) -> None:
        cast(Any, self.transport).resumeProducing()

    def produce(self) -> None:
        if not (self.producing or self._over or self._ended):
            self.producing = True
            cast(Any, self.transport).registerProducer(self, True)

    def produce_no_more(self) -> None:
        if self.producing:
            self.producing = False
            cast(Any, self.transport).unregisterProducer()

    # Its calls as a protocol.

    def connectionMade(self) -> None:
        self._at("connectionMade")

    def dataReceived(self, data: bytes) -> None:
        assert data and self.lost is None and not self.read_ended
        assert not self.closed and not self.broken
        super().dataReceived(data)
        self._at("dataReceived")

    def readConnectionLost(self) -> None:
        assert self.lost is None and not self.closed and not self.broken
        super().readConnectionLost()
        self._at("readConnectionLost")

    def writeConnectionLost(self) -> None:
        assert self.lost is None
        super().writeConnectionLost()
        self._at("writeConnectionLost")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._at("connectionLost")

    # As a producer.

    def pauseProducing(self) -> None:
        self._at("pauseProducing")

    def resumeProducing(self) -> None:
        self._at("resumeProducing")

    def stopProducing(self) -> None:
        self.producing = False


@implementer_only(IProtocol)
class Uncaring(Application):
    """An application without support for half-close."""


def numbers(begin: int, end: int) -> bytes:
    """A piece of a stream in which no two places are alike within 64 KiB."""
    whole = b"".join(i.to_bytes(3, "big") for i in range(begin // 3, -(-end // 3)))
    return whole[begin % 3 :][: end - begin]
