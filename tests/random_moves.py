"""
Streams that move from the relay to a direct path while both sides write.

``python -m tests.random_moves URL --runs 1000`` makes so many pairs that meet at the server at
``URL``, a few at a time, in one process. Their direct paths come late, each at a random moment,
while both write random amounts in random pieces, read in fits and starts, and end. With ``--cut``
one of the paths is reset at a random moment: then a stream may break, but if a side takes it for
complete, it is, and only what was sent arrives.

Prints one line, ``1000 runs: 958 moved, 42 stayed, 0 broken, 0 wrong``, and before it whatever was
wrong, with a number: ``--first`` that number has the two write the same again.
"""

from __future__ import annotations

import argparse
import random
import sys
from typing import Any

from twisted.internet import main, selectreactor
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, gatherResults
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater, react
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv import Client, Secret
from rdv._system.sockets import bottom
from rdv.client.dial.shared_port import SharedPort

# The epoll reactor may deliver an event of a descriptor to the next one with the same number; with
# many pairs in one process, this happens now and then.
reactor: Any = selectreactor.SelectReactor()
main.installReactor(reactor)
#: Seconds until a dial begins, at most, and bytes of each side; pairs at a time; seconds for one.
LATE, MOST, ABREAST, LIMIT = 0.4, 2_000_000, 12, 60
PIECES = (1, 37, 1000, 16384, 16385, 70_000)


@implementer(IHalfCloseableProtocol)
class Talker(Protocol):
    """
    Writes and reads at random.

    :ivar over: fires with whether it went well, when the connection is gone.
    """

    transport: Any

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._left = chance.choice((0, 100, chance.randrange(MOST), MOST))
        self.sent, self.received = bytearray(), bytearray()
        self._waits = False
        self.over: Deferred[bool] = Deferred()

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self._write()

    def _write(self) -> None:
        if self._waits or self.over.called:
            return
        for _ in range(self._chance.randrange(1, 8)):
            piece = self._chance.randbytes(min(self._left, self._chance.choice(PIECES)))
            self._left -= len(piece)
            self.sent += piece
            self.transport.write(piece)
        if self._left or self._chance.random() < 0.9:
            reactor.callLater(self._chance.choice((0, 0, 0.001, 0.01, 0.1)), self._write)
        else:
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()

    def pauseProducing(self) -> None:
        self._waits = True

    def resumeProducing(self) -> None:
        if self._waits:
            self._waits = False
            reactor.callLater(0, self._write)

    def stopProducing(self) -> None:
        self._waits = True

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self._chance.random() < 0.05:
            self.transport.pauseProducing()
            reactor.callLater(self._chance.choice((0, 0.01, 0.1)), self._read)

    def _read(self) -> None:
        if not self.over.called:
            self.transport.resumeProducing()

    def readConnectionLost(self) -> None:
        """The other side has said everything."""

    def writeConnectionLost(self) -> None:
        """We have."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.over.callback(reason.check(ConnectionDone) is not None)


async def pair(url: str, number: int, *, cut: bool) -> str:
    """What has become of one pair: ``moved``, ``stayed``, ``broken``, or what was wrong."""
    chance = random.Random(number)
    secret = Secret.generate()
    client = Client(reactor)
    meeting = [client.accept(url, secret), client.dial(url, secret)]
    connections = await gatherResults(meeting, consumeErrors=True)
    talkers = [Talker(random.Random(chance.random())) for _ in connections]
    begun = [connection.is_relay for connection in connections]
    for connection, talker in zip(connections, talkers, strict=True):
        connection.attach(talker)
    streams = [connection.transport for connection in connections]
    if cut and all(begun):
        reactor.callLater(0.5 * chance.random(), reset, chance.choice(streams), chance)
    both = gatherResults([talker.over for talker in talkers])
    both.addTimeout(LIMIT, reactor)
    try:
        ends = await both
    except (CancelledError, TimeoutError):
        return "hung"
    for talker, good, other in zip(talkers, ends, talkers[::-1], strict=True):
        if not other.sent.startswith(talker.received):
            return "corrupt"
        if good and (talker.sent, talker.received) != (other.received, other.sent):
            return "taken for complete"
    if not all(ends):
        return "broken"
    moved = begun == [True, True] and not any(connection.is_relay for connection in connections)
    return "moved" if moved else "stayed"


def reset(stream: Any, chance: random.Random) -> None:
    """Break one of its paths."""
    ends = [end for end in stream._paths._ends if end.is_open]
    if ends:
        bottom(chance.choice(ends)).abortConnection()  # type: ignore[attr-defined]


def late(connect: Any) -> Any:
    """``SharedPort.connect``, some time later."""

    def connect_late(*arguments: Any) -> Deferred[Any]:
        return deferLater(reactor, 0.05 + LATE * random.random() ** 2, connect, *arguments)

    return connect_late


async def run(url: str, first: int, runs: int, *, cut: bool) -> None:
    """Make all pairs."""
    SharedPort.connect = late(SharedPort.connect)  # type: ignore[method-assign]
    counts: dict[str, int] = {}

    def tell(found: str, number: int) -> None:
        counts[found] = counts.get(found, 0) + 1
        if found not in ("moved", "stayed", "broken") or (found == "broken" and not cut):
            sys.stdout.write(f"{number}: {found}\n")

    abreast = DeferredSemaphore(ABREAST)

    def each(number: int) -> Deferred[str]:
        return Deferred.fromCoroutine(pair(url, number, cut=cut))

    await gatherResults(
        [
            abreast.run(each, number).addCallback(tell, number)
            for number in range(first, first + runs)
        ]
    )
    moved, stayed, broken = (counts.get(each, 0) for each in ("moved", "stayed", "broken"))
    wrong = runs - moved - stayed - broken
    sys.stdout.write(
        f"{runs} runs: {moved} moved, {stayed} stayed, {broken} broken, {wrong} wrong\n"
    )
    if wrong or (broken and not cut):
        raise SystemExit(1)


def run_command() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--first", type=int, default=0, help="the number of the first pair")
    parser.add_argument("--cut", action="store_true", help="break one of the paths")
    options = parser.parse_args()

    def begin(_: object) -> Deferred[None]:
        return Deferred.fromCoroutine(
            run(options.url, options.first, options.runs, cut=options.cut)
        )

    react(begin)


if __name__ == "__main__":
    run_command()
