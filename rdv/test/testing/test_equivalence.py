"""
The same happens over ``rdv.testing`` and over real sockets on loopback.

Each scenario runs in both, and returns what its protocols and Deferreds have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase
from twisted.web.server import Site

from rdv.addresses import AddressSpace
from rdv.client import Client, Connection
from rdv.errors import RdvError
from rdv.server import Pair, Rendezvous, RendezvousResource
from rdv.test.client.doubles import here
from rdv.test.doubles import HalfWire, Wire, present
from rdv.testing import MemoryRendezvous

REACTOR: Any = global_reactor
QUESTION = b"question" * 50_000


class World:
    """
    The environment of a scenario.

    :ivar clients: the dialer's and the acceptor's.
    """

    url: str

    def __init__(self, clients: list[Client]) -> None:
        self.clients = clients

    async def connect(self) -> list[Connection]:
        """Both connections."""
        dialer, acceptor = self.clients
        return await gatherResults(
            [dialer.dial(self.url, "token"), acceptor.accept(self.url, "token")]
        )

    async def meet(self, kind: type[Wire] = Wire) -> Any:
        """Both connections, and a protocol for each."""
        connections = await self.connect()
        wires = [kind(), kind()]
        for connection, wire in zip(connections, wires, strict=True):
            connection.attach(wire)
        return connections, wires

    async def failure(self, connecting: Deferred[Connection]) -> str:
        """How it fails, without what differs in any case."""
        try:
            await connecting
        except RdvError as error:
            return f"{type(error).__name__}: {error}".replace(self.url, "URL")
        raise AssertionError("it is connected")


async def closed(connections: list[Connection], wires: list[Wire]) -> list[object]:
    """What each has seen, when both connections are gone."""
    seen: list[object] = []
    for connection, wire in zip(connections, wires, strict=True):
        path = "relay" if connection.is_relay else "direct"
        ends = getattr(wire, "read_ended", 0), getattr(wire, "write_ended", 0)
        seen.append([path, await wire.lost(), *ends, type(present(wire.reason).value).__name__])
    return seen


async def echo(world: World) -> object:
    """The acceptor sends back what comes; the dialer closes when it has it."""
    connections, wires = await world.meet()
    for connection, wire in zip(connections, reversed(wires), strict=True):
        connection.write(QUESTION)
        await wire.until(QUESTION)
    connections[0].loseConnection()
    return await closed(connections, wires)


async def half_close(world: World) -> object:
    """The answer comes behind the end of the question."""
    connections, wires = await world.meet(HalfWire)
    connections[0].write(b"question")
    connections[0].loseWriteConnection()
    await wires[1].ended()
    connections[1].write(b"answer")
    connections[1].loseConnection()
    await wires[0].ended()
    connections[0].loseConnection()
    return await closed(connections, wires)


async def end_for_one_that_cannot(world: World) -> object:
    """Who does not know half-close closes at the peer's end."""
    connections, wires = await world.meet()
    connections[0].write(b"last")
    connections[0].loseWriteConnection()
    return await closed(connections, wires)


async def reset(world: World) -> object:
    """A broken stream is no end."""
    connections, wires = await world.meet()
    connections[0].write(b"x")
    await wires[1].until(b"x")
    connections[0].abortConnection()
    return await closed(connections, wires)


async def late_attach(world: World) -> object:
    """What comes before there is a protocol is kept, the end included."""
    connections, wires = await world.connect(), [Wire(), Wire()]
    connections[0].attach(wires[0])
    connections[0].write(b"early")
    connections[0].loseConnection()
    connections[1].attach(wires[1])
    return await closed(connections, wires)


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
        self.assertEqual(seen, [[path, QUESTION, 0, 0, "ConnectionDone"]] * 2)

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
