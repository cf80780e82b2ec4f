"""
Workers' processes, their ports, and the reactor that starts and opens them, as doubles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.site.service import ServerSettings
from rdv.server.workers.parent import WorkersService
from rdv.server.workers.worker import COMMANDS, READY, REPORTS, Start


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

    :ivar told: the commands it has got.
    :ivar start: what it was told when it was started.
    :ivar descriptors: what it inherits.
    """

    def __init__(self, protocol: Any, command: list[str], descriptors: dict[int, Any]) -> None:
        self._protocol = protocol
        self.pid = 4711
        self.told = b""
        self.killed = False
        self.start = Start.from_json(command[-1])
        self.descriptors = descriptors
        protocol.makeConnection(self)

    def writeToChild(self, childFD: int, data: bytes) -> None:
        assert childFD == COMMANDS
        self.told += data

    def signalProcess(self, name: str) -> None:
        assert name == "KILL"
        self.killed = True
        if self.pid == 0:
            raise ProcessExitedAlready

    def say(self, data: bytes) -> None:
        """What it reports."""
        self._protocol.childDataReceived(REPORTS, data)

    def serve(self) -> None:
        """It is ready."""
        self.say(READY + b"\n")

    def end(self, status: int = 0, killed_by: int | None = None) -> None:
        """It is no more."""
        reason: Exception = ProcessDone(0)
        if status or killed_by:
            reason = ProcessTerminated(status or None, killed_by)
        self._protocol.processEnded(Failure(reason))


class FakeReactor(Clock):
    """
    One with such processes and ports.

    :ivar processes: all that were started, in their order.
    :ivar refusing: whether none can be started.
    """

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []
        self.ports: list[FakePort] = []
        self.refusing = False
        self.stopped = False
        self.called: list[Callable[[], object]] = []

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
        self.processes.append(FakeProcess(processProtocol, args, childFDs))

    def listenTCP(self, port: int, *arguments: object, **options: object) -> FakePort:
        self.ports.append(FakePort(port))
        return self.ports[-1]

    def callWhenRunning(self, function: Callable[[], object]) -> None:
        function()

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        function(*arguments)

    def stop(self) -> None:
        self.stopped = True


class ParentTestCase(SynchronousTestCase):
    """Three workers."""

    def setUp(self) -> None:
        self.reactor: Any = FakeReactor()
        self.service = self.make()

    def make(self, **options: Any) -> WorkersService:
        """A service."""
        settings = ServerSettings(listen=["tcp:8080", "tcp:8081"], drain=20.0)
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

    def end(self) -> None:
        """Of all of them."""
        done = self.service.stopService()
        for process in self.reactor.processes:
            if process.start.index in self.service._children:
                process.end()
        self.successResultOf(done)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertFalse(any(port.open for port in self.reactor.ports))
