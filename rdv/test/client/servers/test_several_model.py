"""
Two peers and several servers, of which each peer reaches some, now these and then those: a
simulation with the real scheduling, and with servers, networks and attempts that are reduced to
what concerns it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum
from itertools import count

from hyperlink import URL
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.servers.several import Several
from rdv.client.servers.urls import Place as Server
from rdv.errors import NoConnection, ServerRefused, ServerUnreachable

SERVERS = [Server(URL.from_text(f"http://{name}.example/")) for name in "abcd"]


class Way(Enum):
    """What is between a peer and a server."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"
    DRAINS = "drains"


#: Seconds until a server is given up that does not answer, as a client has it.
SERVER_TIMEOUT = 10.0
#: Seconds in which peers meet when nothing changes any more: the longest pause until a server is
#: asked again and what it may ask for, that timeout once more, and the steps to the last server.
BOUND = 15 + 10 + SERVER_TIMEOUT + 2 * len(SERVERS) + 5

WAYS = st.sampled_from(Way)
WORLDS = st.lists(st.tuples(WAYS, WAYS), min_size=len(SERVERS), max_size=len(SERVERS))
CHANGES = st.lists(st.tuples(st.floats(0.0, 20.0), WORLDS), max_size=6)
#: From each peer to each server; a way may be so slow that the next server answers before.
TRIPS = st.lists(
    st.one_of(st.floats(0.01, 0.1), st.floats(0.8, 1.2)),
    min_size=2 * len(SERVERS),
    max_size=2 * len(SERVERS),
)


class Place:
    """Where one peer waits, or has been told of the other."""

    def __init__(self, peer: Peer, trip: float, met: Callable[[], object]) -> None:
        self.peer = peer
        self.trip = trip
        self.met = met
        self.other: Place | None = None
        self.told = self.left = False
        self.ended: Deferred[int] = Deferred(lambda _: self.leave())

    def leave(self) -> None:
        """The peer closes its attempt, which the other one notices after a while."""
        self.left = True
        other = self.other
        if other is not None:
            delay = self.trip + other.trip
            self.peer.world.clock.callLater(delay, other.fail, NoConnection("the peer has left"))

    def fail(self, error: Exception) -> None:
        """Whatever it was good for is over."""
        if not self.left and not self.ended.called:
            self.left = True
            self.ended.errback(error)


class World:
    """:ivar ways: between each server and the two peers."""

    def __init__(self, trips: list[float], seed: int) -> None:
        self.clock = Clock()
        self.trips = trips
        self.random = random.Random(seed)
        self.ways = [(Way.OPEN, Way.OPEN)] * len(SERVERS)
        self.lobbies: list[list[Place]] = [[] for _ in SERVERS]
        self.numbers = count(1)

    def change(self, ways: list[tuple[Way, Way]]) -> None:
        """Who waits where the way is not open any more loses its connection."""
        self.ways = ways
        for lobby, way in zip(self.lobbies, ways, strict=True):
            for place in lobby[:]:
                if way[place.peer.side] is not Way.OPEN:
                    lobby.remove(place)
                    place.fail(_failure(way[place.peer.side]))

    def enter(self, number: int, place: Place) -> None:
        """A request arrives at a server."""
        way = self.ways[number][place.peer.side]
        lobby = self.lobbies[number]
        lobby[:] = [each for each in lobby if not each.left]
        if place.left or way is not Way.OPEN:
            place.fail(_failure(way))
        elif lobby and lobby[0].peer is not place.peer:
            other = lobby.pop()
            place.other, other.other = other, place
            pair = next(self.numbers)
            for each in (place, other):
                self.clock.callLater(each.trip, _told, each, pair)
        else:
            lobby.append(place)


def _failure(way: Way) -> Exception:
    if way is Way.DRAINS:
        return ServerRefused("http://x/", 503, "draining", "", 10.0)
    return ServerUnreachable("gone")


def _told(place: Place, pair: int) -> None:
    if place.left:
        return
    place.met()
    place.told = True
    other = place.other
    assert other is not None
    if other.told and not other.left:
        dialer = place if place.peer.side == 0 else other
        choosing = Deferred.fromCoroutine(_choose(dialer, pair))
        choosing.addErrback(lambda failure: failure.trap(NoConnection))


async def _choose(dialer: Place, pair: int) -> None:
    """The dialer confirms, when it has the turn and is still there."""
    acceptor, clock = dialer.other, dialer.peer.world.clock
    assert acceptor is not None
    await dialer.peer.turn.acquire()
    if not dialer.left:
        clock.callLater(dialer.trip + acceptor.trip, _ends, acceptor, pair)
        await deferLater(clock, 2 * dialer.trip)  # it is acknowledged
        if not dialer.left:
            _ends(dialer, pair)
            return
    dialer.peer.turn.release()


def _ends(place: Place, pair: int) -> None:
    """There is a connection."""
    if not place.left:
        place.left = True
        place.ended.callback(pair)


class Peer:
    """
    :param side: 0 for the dialer, 1 for the acceptor.
    :param one: whether the servers are machines of one name.
    """

    def __init__(self, world: World, side: int, *, one: bool) -> None:
        self.world = world
        self.side = side
        self.arrived: set[Server] = set()
        self._waits = self.arrived.__contains__ if one else None
        self.turn = DeferredLock()
        self.result: Deferred[int] | None = None

    @property
    def is_done(self) -> bool:
        """Whether it has a connection."""
        return self.result is not None and self.result.called

    def start(self) -> None:
        self.result = Deferred.fromCoroutine(self._run())

    async def _run(self) -> int:
        """As whoever calls ``dial`` does: when no server lets us wait, after a pause once more."""
        clock, chance = self.world.clock, self.world.random.random
        while True:
            try:
                several = Several(
                    clock, SERVERS, self._visit, lambda _: succeed(None), self._waits, chance
                )
                return await several.run()
            except (ServerUnreachable, ServerRefused):
                await deferLater(clock, 1 + 9 * chance())

    async def _visit(self, server: Server, met: Callable[[], object]) -> int:
        number, clock = SERVERS.index(server), self.world.clock
        trip = self.world.trips[2 * number + self.side]
        way = self.world.ways[number][self.side]
        if way is not Way.OPEN:
            await deferLater(clock, SERVER_TIMEOUT if way is Way.SILENT else trip)
            raise _failure(way)
        place = Place(self, trip, met)
        clock.callLater(trip, self.world.enter, number, place)
        clock.callLater(trip, self.arrived.add, server)
        try:
            return await place.ended
        finally:
            self.arrived.discard(server)


class ModelTests(SynchronousTestCase):
    """What holds whatever is broken, for whom, and for how long."""

    @settings(max_examples=500)
    @given(
        CHANGES,
        WORLDS,
        st.integers(0, 3),
        st.floats(0, 30),
        TRIPS,
        st.integers(0, 999),
        st.booleans(),
    )
    def test_they_meet(
        self,
        changes: list[tuple[float, list[tuple[Way, Way]]]],
        at_last: list[tuple[Way, Way]],
        common: int,
        late: float,
        trips: list[float],
        seed: int,
        one: bool,
    ) -> None:
        """
        At one server, in a bounded time from when both reach one; never at two, and no meeting
        comes to nothing. The same at one name, if in the end each machine is there for both, or
        for neither.
        """
        if one:
            at_last = [(way, way) for way, _ in at_last]
        at_last[common] = (Way.OPEN, Way.OPEN)
        self.assert_meet([*changes, (0.0, at_last)], late, trips, seed, one=one)

    def assert_meet(
        self,
        changes: list[tuple[float, list[tuple[Way, Way]]]],
        late: float,
        trips: list[float],
        seed: int,
        *,
        one: bool,
    ) -> None:
        world = World(trips, seed)
        peers = [Peer(world, side, one=one) for side in (0, 1)]
        now = 0.0
        for pause, ways in changes:
            world.clock.callLater(now, world.change, ways)
            now += pause
        world.clock.callLater(0, peers[seed % 2].start)
        world.clock.callLater(late, peers[1 - seed % 2].start)
        end = max(now, late) + BOUND
        while world.clock.getDelayedCalls() and world.clock.seconds() < end:
            world.clock.advance(world.clock.getDelayedCalls()[0].getTime() - world.clock.seconds())
        results = [self.successResultOf(peer.result) for peer in peers if peer.result is not None]
        self.assertEqual(len(results), 2)
        self.assertEqual(results[0], results[1])
        for lobby in world.lobbies:
            self.assertEqual([place for place in lobby if not place.left], [])
