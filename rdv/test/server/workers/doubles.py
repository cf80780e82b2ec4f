"""
Several workers in one process, with mailboxes between them and a port each; and workers' processes
as doubles.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IListeningPort, IProcessProtocol, IProtocolFactory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.server import Site

from rdv.server import Pair, Rendezvous, RendezvousResource
from rdv.server.meeting.release import Hold, hold_back
from rdv.server.passing.mailbox import Inbox, Outbox
from rdv.server.passing.message import inbox_pair
from rdv.server.workers.assignment import Assignment, owner_of
from rdv.server.workers.crew import Crew
from rdv.server.workers.orders import (
    ALL_ANSWER,
    COMMANDS,
    GO,
    HANGING,
    PING,
    PONG,
    READY,
    START,
    Start,
)
from rdv.server.workers.parent import WorkersService
from rdv.settings import ServerSettings
from rdv.test.doubles import HalfWire, present
from rdv.test.server.doubles import request
from rdv.test.sockets import REACTOR

#: What the clients of :func:`rdv.test.server.doubles.request` report about themselves.
ADDRESSES = "192.168.1.16:39841, [2001:db8::7]:39841"


def token_of(owner: int, workers: int = 2, word: str = "token") -> bytes:
    """A token that this worker owns."""
    tokens = (f"{word} {number}".encode() for number in count())
    return next(token for token in tokens if owner_of(token, workers) == owner)


class WorkersTestCase(TestCase):
    """
    Two workers, each with a site, a rendezvous and an inbox.

    :ivar urls: the ports, by the workers' indexes.
    :cvar serve: both rendezvous' hook.
    """

    timeout = 30
    if sys.platform != "linux":
        skip = "counts descriptors in /proc"

    serve: Any = None

    def setUp(self) -> None:
        self.mailboxes = [inbox_pair() for _ in range(2)]
        for mailbox in self.mailboxes:
            for end in mailbox:
                self.addCleanup(end.close)
        self.rendezvous = [Rendezvous(REACTOR, serve=self.serve) for _ in range(2)]
        self.outboxes = [Outbox(REACTOR, out) for _, out in self.mailboxes]
        self.assignments = [
            Assignment(
                REACTOR, self.rendezvous[index], index, {1 - index: self.outboxes[1 - index]}
            )
            for index in range(2)
        ]
        self.inboxes = [
            Inbox(REACTOR, self.mailboxes[index][0], self.assignments[index].arrived)
            for index in range(2)
        ]
        self.sites = [
            Site(RendezvousResource(assignment), reactor=REACTOR) for assignment in self.assignments
        ]
        for inbox in self.inboxes:
            inbox.start()
            self.addCleanup(inbox.stop)
        self.wires: list[HalfWire] = []
        self.ports = [self.listen(site) for site in self.sites]
        self.addCleanup(self.hang_up)

    def listen(self, factory: IProtocolFactory) -> int:
        """The port on which it listens now."""
        port: IListeningPort = REACTOR.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        number: int = cast(Any, port.getHost()).port
        return number

    async def come(self, port: int, data: bytes, preamble: bytes = b"") -> HalfWire:
        """Connect to a port and send that."""
        wire = HalfWire()
        await connectProtocol(TCP4ClientEndpoint(REACTOR, "127.0.0.1", port), wire)
        self.wires.append(wire)
        wire.write(preamble + data)
        return wire

    async def ask(self, worker: int, method: bytes, token: bytes, more: bytes = b"") -> HalfWire:
        """A client of that token that has come to that worker."""
        return await self.come(self.ports[worker], request(method, rdv_token=token) + more)

    async def hang_up(self) -> None:
        """All clients leave, and all that was theirs is gone."""
        gone = [wire.lost() for wire in self.wires]
        for wire in self.wires:
            if wire.reason is None:
                cast(Any, wire.transport).abortConnection()
        await gatherResults(gone)
        self.wires.clear()
        await gatherResults([each.close() for each in self.rendezvous])
        await gatherResults([each.bridges.close(5.0) for each in self.assignments])


class HoldTestCase(WorkersTestCase):
    """
    Records which clients are held back.

    :ivar holds: which client of each pair is answered later.
    """

    def setUp(self) -> None:
        self.holds: list[Hold | None] = []
        super().setUp()

    def serve(self, pair: Pair) -> None:
        self.holds.append(hold_back(pair.dialer, pair.acceptor))


class FakePort:
    """A port. :ivar accepting: whether its reactor watches it."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.accepting = True
        self.open = True

    def stopReading(self) -> None:
        self.accepting = False

    def fileno(self) -> int:
        return 1000 + self._number

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", self._number)

    def stopListening(self) -> Deferred[None]:
        self.open = False
        return succeed(None)


class FakeProcess:
    """
    A process that does nothing.

    :ivar told: the commands that it has received, except these:
    :ivar asked: how often it was asked whether it is alive.
    :ivar silences: what it was told about others.
    :ivar start: what it was told when it was started.
    :ivar descriptors: what it inherits.
    """

    def __init__(self, protocol: Any, env: dict[str, str], descriptors: dict[int, Any]) -> None:
        self._protocol = protocol
        self.pid = 4711
        self.told = b""
        self.asked = 0
        self.silences: list[bytes] = []
        self.killed = False
        self.start = Start.from_json(env[START])
        self.descriptors = descriptors
        protocol.makeConnection(self)

    def writeToChild(self, childFD: int, data: bytes) -> None:
        assert childFD == COMMANDS
        for line in data.splitlines(keepends=True):
            self.asked += line == PING
            if line in (HANGING, ALL_ANSWER):
                self.silences.append(line)
            elif line not in (PING, GO):
                self.told += line

    def signalProcess(self, name: str) -> None:
        assert name == "KILL"
        self.killed = True
        if self.pid == 0:
            raise ProcessExitedAlready

    def say(self, data: bytes) -> None:
        """What it reports."""
        self._protocol.childDataReceived(self.start.reports, data)

    def serve(self) -> None:
        """It is ready."""
        self.say(READY + b"\n")

    def answer(self) -> None:
        """It is there."""
        self.say(PONG + b"\n")

    def end(self, status: int = 0, killed_by: int | None = None) -> None:
        """It is no more."""
        reason: Exception = ProcessDone(0)
        if status or killed_by:
            reason = ProcessTerminated(status or None, killed_by)
        self._protocol.processEnded(Failure(reason))


class FakeReactor(Clock):
    """
    A reactor with such processes and ports.

    :ivar processes: all that were started, in their order.
    :ivar refusing: whether none can be started.
    :ivar writers: the descriptors that wait for room.
    """

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []
        self.ports: list[FakePort] = []
        self.writers: list[Any] = []
        self.refusing = False
        self.stopped = False

    def spawnProcess(
        self,
        processProtocol: IProcessProtocol,
        executable: str,
        args: list[str],
        env: dict[str, str],
        childFDs: dict[int, Any],
    ) -> None:
        if self.refusing:
            raise OSError(11, "Resource temporarily unavailable")
        self.processes.append(FakeProcess(processProtocol, env, childFDs))

    def listenTCP(self, port: int, *arguments: object, **options: object) -> FakePort:
        self.ports.append(FakePort(port))
        return self.ports[-1]

    def callWhenRunning(self, function: Callable[[], object]) -> None:
        function()

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        function(*arguments)

    def addReader(self, reader: object) -> None:
        """Nothing is to be read."""

    def removeReader(self, reader: object) -> None:
        """Nothing was."""

    def addWriter(self, writer: object) -> None:
        self.writers.append(writer)

    def removeWriter(self, writer: object) -> None:
        self.writers = [each for each in self.writers if each is not writer]

    def stop(self) -> None:
        self.stopped = True


class ParentTestCase(SynchronousTestCase):
    """Three workers."""

    #: Where their operator can look.
    admin: str | None = None

    def setUp(self) -> None:
        self.reactor: Any = FakeReactor()
        self.service = self.make()

    def make(self, **options: Any) -> WorkersService:
        """A service."""
        settings = ServerSettings(listen=["tcp:8080", "tcp:8081"], drain=20.0, admin=self.admin)
        return WorkersService(self.reactor, settings, 3, **options)

    def start(self) -> list[FakeProcess]:
        """Start it; its processes, which serve."""
        self.service.startService()
        processes: list[FakeProcess] = list(self.reactor.processes)
        for process in processes:
            process.serve()
        self.successResultOf(self.service.ready)
        self.addCleanup(self.end)
        return processes

    @property
    def crew(self) -> Crew:
        """The parent's view of them."""
        return present(self.service._crew)

    def end(self) -> None:
        """Of all of them."""
        done = self.service.stopService()
        for process in self.reactor.processes:
            if process.start.index in self.crew._children:
                process.end()
        self.successResultOf(done)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertFalse(any(port.open for port in self.reactor.ports))
