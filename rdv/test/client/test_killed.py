"""
A process may be killed at any moment, which nobody may mistake for an end.

These tests run in memory, where a process can be stopped between any two of its actions. Closing a
transport of :mod:`rdv.testing.transport` has the effect that a kernel has on the sockets of a
killed process.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rdv.addresses import AddressSpace
from rdv.client import Client, Connection
from rdv.client.candidates import candidate as candidate_module
from rdv.test.testing.memory_case import MemoryTestCase
from rdv.testing import MemoryRendezvous
from rdv.testing.transport import MemorySocket

#: Seconds in which everything that belongs to a meeting has happened.
_SOON = 12.0
#: Seconds after which nothing waits any more.
_LONG = 100.0


@implementer(IHalfCloseableProtocol)
class Stream(Protocol):
    """
    A protocol that sends an endless stream.

    :param says: what it sends.
    :ivar ended: whether it has seen a clean end.
    """

    transport: Connection

    def __init__(self, says: bytes) -> None:
        self._says = says
        self.ended = False

    def connectionMade(self) -> None:
        self.transport.break_on_exit(True)
        if self._says:
            self.transport.write(self._says)

    def readConnectionLost(self) -> None:
        self.ended = True

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = self.ended or reason.check(ConnectionDone) is not None


class Meeting:
    """
    A dialer and an acceptor, which can be watched step by step.

    :ivar streams: of the dialer and the acceptor, once they are connected.
    """

    def __init__(self, spaces: AddressSpace, says: tuple[bytes, bytes]) -> None:
        self._rendezvous = MemoryRendezvous()
        self._network = self._rendezvous._network
        server = self._rendezvous._server_host
        dialer, acceptor = self._rendezvous.host(), self._rendezvous.host()
        self.hosts = {"server": server, "dialer": dialer, "acceptor": acceptor}
        self.streams = [Stream(each) for each in says]
        url = self._rendezvous.url
        clients = [Client(host, spaces=spaces) for host in (dialer, acceptor)]
        self._connecting = [clients[0].dial(url, "token"), clients[1].accept(url, "token")]
        for each, stream in zip(self._connecting, self.streams, strict=True):
            each.addCallbacks(Connection.attach, lambda _: None, callbackArgs=(stream,))

    def steps(self) -> Iterator[None]:
        """All that is done, one thing at a time, in the order in which the network does it."""
        clock = self._network.clock
        while True:
            moved = clock.run_due()
            yield
            for host in list(self._network.hosts.values()):
                for transport in host.transports:
                    for act, ready in (
                        (transport.write_some, host._writing),
                        (transport.read_some, host._reading),
                    ):
                        if transport in ready and act():
                            moved = True
                            yield
            if not moved:
                if clock.next_call() > _SOON:
                    return
                clock.rightNow = clock.next_call()

    def kill(self, victim: str) -> None:
        """Its process is gone, and the kernel closes what it had open."""
        host = self.hosts[victim]
        del self._network.hosts[host.ip]
        for call in host.getDelayedCalls():
            call.cancel()
        for transport in host.transports:
            transport.memory.close()

    def cancel(self, victim: str) -> None:
        """It does not want any more; as a command that gets a signal."""
        number = 0 if victim == "dialer" else 1
        if self.streams[number].transport is None:
            self._connecting[number].cancel()
        else:
            self.streams[number].transport.abortConnection()

    def run(self) -> None:
        """To the end of all waits."""
        self._rendezvous.advance(_LONG)


class MisfortuneTestCase(SynchronousTestCase):
    """Something happens, at each step of a meeting."""

    def check(self, misfortune: str, victim: str, spaces: AddressSpace) -> None:
        """Whoever is left, and has a stream, sees that it broke, whether or not bytes had come."""
        for says in ((b"", b""), (b"from the dialer", b"from the acceptor")):
            step = 0
            while self.survives(misfortune, victim, spaces, says, step):
                step += 1
            self.assertGreater(step, 20)

    def survives(
        self,
        misfortune: str,
        victim: str,
        spaces: AddressSpace,
        says: tuple[bytes, bytes],
        step: int,
    ) -> bool:
        """Let it happen behind so many steps. Whether there were so many."""
        meeting = Meeting(spaces, says)
        left = sum(1 for _ in zip(range(step), meeting.steps(), strict=False))
        getattr(meeting, misfortune)(victim)
        meeting.run()
        for stream in meeting.streams:
            self.assertFalse(stream.ended, f"{victim}, behind {step} steps, {says}")
        return left == step


class RelayTests(MisfortuneTestCase):
    """Two clients that only have the relay."""

    def test_killed(self) -> None:
        for victim in ("dialer", "acceptor", "server"):
            self.check("kill", victim, AddressSpace.NONE)

    def test_cancelled(self) -> None:
        for victim in ("dialer", "acceptor"):
            self.check("cancel", victim, AddressSpace.NONE)


class DirectTests(MisfortuneTestCase):
    """Two clients that find a direct path."""

    def test_killed(self) -> None:
        for victim in ("dialer", "acceptor", "server"):
            self.check("kill", victim, AddressSpace.DEFAULT)

    def test_cancelled(self) -> None:
        for victim in ("dialer", "acceptor"):
            self.check("cancel", victim, AddressSpace.DEFAULT)


class ProvisionalTests(DirectTests):
    """The system reports what has arrived, so that the choice of a direct path can be undone."""

    def setUp(self) -> None:
        sent: dict[MemorySocket, int] = {}
        send = MemorySocket.send

        def counting(sock: MemorySocket, data: bytes | memoryview) -> int:
            there = not sock._peer._closed
            count = send(sock, data)
            sent[sock] = sent.get(sock, 0) + count * there
            return count

        self.patch(MemorySocket, "send", counting)
        acknowledged = lambda transport: sent.get(transport.memory, 0)  # noqa: E731
        self.patch(candidate_module, "bytes_acknowledged", acknowledged)


class ExitTests(MemoryTestCase):
    """What the kernel is told to do with a connection of a process that dies."""

    def assert_resets(self, expected: bool, *connections: Connection) -> None:
        for connection in connections:
            sock: Any = connection.getHandle()
            option = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER)
            self.assertEqual(option, struct.pack("ii", expected, 0))

    def test_application_that_says_nothing(self) -> None:
        """Until it has the connection, that is ours to say; then an end is an end."""
        for relay in (False, True):
            pair = self.rendezvous.pair(relay=relay)
            self.assert_resets(True, *pair)
            self.attach(*pair)
            self.assert_resets(False, *pair)
            self.close(*pair)

    def test_application_that_wants_it(self) -> None:
        pair = self.rendezvous.pair()
        for connection in pair:
            connection.attach(Stream(b""))
        self.assert_resets(True, *pair)
        self.close(*pair)

    def test_closed_without_a_protocol(self) -> None:
        """Everything that was written arrives."""
        dialer, acceptor = self.rendezvous.pair(relay=True)
        data = bytes(1 << 20)
        dialer.write(data)
        dialer.loseConnection()
        (wire,) = self.attach(acceptor)
        self.rendezvous.flush()
        self.assertEqual(wire.data, data)
        assert wire.reason is not None
        wire.reason.trap(ConnectionDone)
