"""
``docs/howto/embedding.rst`` does what it says.
"""

from __future__ import annotations

import signal
import socket
import sys
from typing import Any, cast

import treq
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.static import Data

from rdv.endpoints import RendezvousEndpoint, RendezvousServerEndpoint
from rdv.server import Rendezvous, RendezvousResource, show_from
from rdv.test.doubles import Wire
from rdv.testing import MemoryRendezvous
from rdv.wire import Role
from tests.documents import (
    REACTOR,
    Shell,
    execute,
    listening_port,
    meet,
    meet_and_part,
    replaced,
    runs,
    serve,
)

PAGE = "docs/howto/embedding.rst"


class ApplicationTests(TestCase):
    """The server as a service, and what it logs."""

    timeout = 60

    @runs(PAGE, "class Meeting", "twistd")
    async def test_application(self, source: str, command: str) -> None:
        """Clients meet there; at the end a transfer is cut after its time, and the program ends."""
        shell = Shell(self)
        text = replaced(source, ("tcp:8080", "tcp:0:interface=127.0.0.1"), ("5.0", "0.1"))
        (shell.folder / "site.tac").write_text(text)
        program = shell.start(command)
        url = f"http://127.0.0.1:{await listening_port(program)}/rdv"
        pair = await meet(url)
        wires = [Wire(), Wire()]
        for connection, wire in zip(pair, wires, strict=True):
            connection.attach(wire)
        program.signal("TERM")
        # In the end, when its services have stopped, the signal kills twistd.
        self.assertEqual(await program.ended, -signal.SIGTERM, program.report())
        await gatherResults([wire.lost() for wire in wires])
        self.assertIn(b"relayed: ", program.stdout)

    @runs(PAGE, "show_from(")
    async def test_shortcut(self, source: str) -> None:
        """Clients and pages of one port; what they see is the same."""
        self.addCleanup(show_from, "debug")
        rendezvous, root = Rendezvous(REACTOR), Resource()
        root.putChild(b"", Data(b"a page", "text/plain"))
        root.putChild(b"rdv", RendezvousResource(rendezvous))
        self.addCleanup(rendezvous.close)
        served = (await execute(source))["serve"](REACTOR, root, "tcp:0:interface=127.0.0.1")
        factory, port = await served
        self.addCleanup(port.stopListening)
        url = f"http://127.0.0.1:{port.getHost().port}"
        await meet_and_part(f"{url}/rdv")
        page = await treq.get(f"{url}/", persistent=False, reactor=REACTOR)
        self.assertEqual((await page.content(), factory.taken), (b"a page", 2))
        if sys.platform == "linux":  # the next clients inherit it
            self.assertTrue(port.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    @runs(PAGE, "def watch(event)")
    async def test_logging(self, source: str) -> None:
        """An observer hears of each pair's end."""
        ended: Deferred[tuple[str, int]] = Deferred()
        defined = await execute(source, report=lambda *args: ended.callback(args))
        self.addCleanup(globalLogPublisher.removeObserver, defined["watch"])
        for connection in await meet(serve(self)):
            connection.write(b"12345")
            connection.loseConnection()
        self.assertEqual(await ended, ("relayed", 10))


class Counting(Protocol):
    """Counts connected protocols."""

    connected_now = 0

    def connectionMade(self) -> None:
        type(self).connected_now += 1

    def connectionLost(self, reason: object = None) -> None:
        type(self).connected_now -= 1


class ClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rendezvous = MemoryRendezvous()
        self.addCleanup(self.rendezvous.assert_nothing_left)
        self.url = self.rendezvous.url

    def execute(self, source: str, **names: Any) -> dict[str, Any]:
        return self.successResultOf(Deferred.fromCoroutine(execute(source, **names)))

    @runs(PAGE, "def make_service")
    def test_services(self, source: str) -> None:
        """One accepts, the other is connected, and again when that ends."""
        others, ours = Factory.forProtocol(Protocol), Factory.forProtocol(Counting)
        another = RendezvousServerEndpoint(self.rendezvous.client(), self.url, "to-another")
        port = self.successResultOf(another.listen(others))
        make_service = self.execute(source)["make_service"]
        service = make_service(
            self.rendezvous.host(), self.url, "for-others", others, "to-another", ours
        )
        service.startService()
        dial = RendezvousEndpoint(
            self.rendezvous.client(), Role.DIALER, self.url, "for-others"
        ).connect(Factory.forProtocol(Protocol))
        self.rendezvous.flush()
        cast(Any, self.successResultOf(dial)).transport.loseConnection()
        self.assertEqual(Counting.connected_now, 1)
        self.rendezvous.break_connections()
        self.rendezvous.flush()
        self.assertEqual(Counting.connected_now, 0)
        self.rendezvous.advance(60.0)
        self.assertEqual(Counting.connected_now, 1)
        stopping = service.stopService()
        self.rendezvous.flush()
        self.successResultOf(stopping)
        self.assertEqual(Counting.connected_now, 0)
        port.stopListening()

    @runs(PAGE, "class Conversation")
    def test_giving_up(self, source: str) -> None:
        """Nothing is left, which the clean-up checks."""
        said: list[Any] = []
        conversation = self.execute(source, report=said.append)["Conversation"](
            self.rendezvous.client(), self.url, "t", Protocol()
        )
        self.rendezvous.flush()
        self.assertEqual(said, [])
        conversation.stop()
        self.rendezvous.flush()
        said[0].trap(CancelledError)
