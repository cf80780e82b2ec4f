"""
The same happens over ``rdv.testing`` and over real sockets on loopback.

Each scenario is played in both worlds, and says what its protocols and Deferreds have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.server import Site
from zope.interface import implementer

from rdv.addresses import AddressSpace
from rdv.client import Client, Connection
from rdv.errors import RdvError
from rdv.server import Pair, Rendezvous, RendezvousResource
from rdv.test.client.doubles import here
from rdv.testing import MemoryRendezvous

REACTOR: Any = global_reactor


class Witness(Protocol):
    """
    Writes down what it sees.

    :ivar seen: that; bytes in one piece, as nobody promises where they are cut.
    :ivar lost: fires when the connection is gone.
    """

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.data = b""
        self.lost: Deferred[None] = Deferred()
        self._wanted: list[tuple[int, Deferred[None]]] = []

    def got(self, size: int) -> Deferred[None]:
        """Fires when so many bytes have come."""
        waiter: Deferred[None] = Deferred()
        self._wanted.append((size, waiter))
        self._check()
        return waiter

    def _check(self) -> None:
        for entry in list(self._wanted):
            if len(self.data) >= entry[0]:
                self._wanted.remove(entry)
                entry[1].callback(None)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self._check()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.seen += [self.data, type(reason.value).__name__]
        self.lost.callback(None)


@implementer(IHalfCloseableProtocol)
class HalfWitness(Witness):
    """One that goes on when the peer has ended. :ivar ended: fires then."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: Deferred[None] = Deferred()

    def readConnectionLost(self) -> None:
        self.seen.append("read ended")
        self.ended.callback(None)

    def writeConnectionLost(self) -> None:
        self.seen.append("write ended")


class World:
    """
    Where a scenario is played.

    :ivar clients: the dialer's and the acceptor's.
    """

    url: str

    def __init__(self, clients: list[Client]) -> None:
        self.clients = clients

    async def meet(self, kind: type[Witness] = Witness) -> Any:
        """Both connections, and a protocol for each."""
        dialer, acceptor = self.clients
        connections: list[Connection] = await gatherResults(
            [dialer.dial(self.url, "token"), acceptor.accept(self.url, "token")]
        )
        witnesses = [kind(), kind()]
        for connection, witness in zip(connections, witnesses, strict=True):
            witness.seen.append("relay" if connection.is_relay else "direct")
            connection.attach(witness)
        return connections, witnesses

    async def failure(self, connecting: Deferred[Connection]) -> str:
        """How it fails, without what differs in any case."""
        try:
            await connecting
        except RdvError as error:
            return f"{type(error).__name__}: {error}".replace(self.url, "URL")
        raise AssertionError("it is connected")


async def closed(witnesses: list[Witness]) -> list[object]:
    """What each has seen, when both connections are gone."""
    for witness in witnesses:
        await witness.lost
    return [witness.seen for witness in witnesses]


async def echo(world: World) -> object:
    """The acceptor sends back what comes; the dialer closes when it has it."""
    (dialer, acceptor), (asking, answering) = await world.meet()
    dialer.write(b"question" * 50_000)
    await answering.got(400_000)
    acceptor.write(answering.data)
    await asking.got(400_000)
    dialer.loseConnection()
    return await closed([asking, answering])


async def half_close(world: World) -> object:
    """The answer comes behind the end of the question."""
    (dialer, acceptor), (asking, answering) = await world.meet(HalfWitness)
    dialer.write(b"question")
    dialer.loseWriteConnection()
    await answering.ended
    acceptor.write(b"answer")
    acceptor.loseConnection()
    await asking.ended
    dialer.loseConnection()
    return await closed([asking, answering])


async def end_for_one_that_cannot(world: World) -> object:
    """Who does not know half-close closes at the peer's end."""
    (dialer, _), witnesses = await world.meet()
    dialer.write(b"last")
    dialer.loseWriteConnection()
    return await closed(witnesses)


async def reset(world: World) -> object:
    """A broken stream is no end."""
    (dialer, _), (near, far) = await world.meet()
    dialer.write(b"x")
    await far.got(1)
    dialer.abortConnection()
    return await closed([near, far])


async def late_attach(world: World) -> object:
    """What comes before there is a protocol is kept, the end included."""
    first, second = world.clients
    dialer, acceptor = await gatherResults(
        [first.dial(world.url, "token"), second.accept(world.url, "token")]
    )
    near, far = Witness(), Witness()
    dialer.attach(near)
    dialer.write(b"early")
    dialer.loseConnection()
    acceptor.attach(far)
    return await closed([near, far])


async def rejected(world: World) -> object:
    """Both are refused by the server's hook."""
    first, second = world.clients
    sides = [first.dial(world.url, "forbidden"), second.accept(world.url, "forbidden")]
    return [await world.failure(side) for side in sides]


async def timed_out(world: World) -> object:
    """Nobody comes."""
    return await world.failure(world.clients[0].dial(world.url, "token", timeout=0.2))


async def bad_arguments(world: World) -> object:
    """Before anything is done."""
    client = world.clients[0]
    said = [await world.failure(client.dial(world.url, ""))]
    return [*said, await world.failure(client.dial("ftp://x/", "token"))]


def serve(pair: Pair) -> None:
    """The hook of both servers."""
    if pair.token == b"forbidden":
        pair.reject(403, "not with this token")


Scenario = Callable[[World], Coroutine[Any, Any, object]]


class EquivalenceTests(TestCase):
    """Over a direct path."""

    timeout = 60
    spaces = AddressSpace.ALL

    async def on_loopback(self, scenario: Scenario) -> object:
        """Play it over real sockets."""
        rendezvous = Rendezvous(REACTOR, serve=serve)
        site = Site(RendezvousResource(rendezvous), reactor=REACTOR)
        port = REACTOR.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(rendezvous.close)
        world = World([Client(REACTOR, spaces=self.spaces, self_addresses=here) for _ in range(2)])
        world.url = f"http://127.0.0.1:{port.getHost().port}/rdv"
        return await scenario(world)

    def in_memory(self, scenario: Scenario) -> object:
        """Play it in memory, a tenth of a second at a time."""
        rendezvous = MemoryRendezvous(serve=serve)
        world = World([rendezvous.client(spaces=self.spaces) for _ in range(2)])
        world.url = rendezvous.url
        playing = Deferred.fromCoroutine(scenario(world))
        rendezvous.flush()
        for _ in range(100):
            if playing.called:
                break
            rendezvous.advance(0.1)
        rendezvous.assert_nothing_left()
        return self.successResultOf(playing)

    async def check(self, scenario: Scenario) -> object:
        """Both see the same, which is returned."""
        memory = self.in_memory(scenario)
        self.assertEqual(memory, await self.on_loopback(scenario))
        return memory

    async def test_echo(self) -> None:
        seen: Any = await self.check(echo)
        path = "direct" if self.spaces else "relay"
        data = b"question" * 50_000
        self.assertEqual(seen, [[path, data, "ConnectionDone"]] * 2)

    async def test_half_close(self) -> None:
        await self.check(half_close)

    async def test_end_for_one_that_cannot(self) -> None:
        await self.check(end_for_one_that_cannot)

    async def test_reset(self) -> None:
        seen: Any = await self.check(reset)
        self.assertEqual([each[-1] for each in seen], ["ConnectionAborted", "ConnectionLost"])

    async def test_late_attach(self) -> None:
        await self.check(late_attach)

    async def test_rejected(self) -> None:
        seen: Any = await self.check(rejected)
        self.assertIn("not with this token", seen[0])

    async def test_timed_out(self) -> None:
        await self.check(timed_out)

    async def test_bad_arguments(self) -> None:
        await self.check(bad_arguments)


class RelayEquivalenceTests(EquivalenceTests):
    """Through the relay."""

    spaces = AddressSpace.NONE
