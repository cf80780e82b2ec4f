"""
What a server holds for a waiting client: one leg, and what Twisted needs for any connection.
"""

from __future__ import annotations

import gc
import socket
from collections import Counter
from collections.abc import Callable
from types import MethodType
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Server
from twisted.logger import LogEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.server import Site
from zope.interface import implementer

from rdv.server import Pair, Rendezvous, RendezvousResource
from rdv.server.accounting.notes import log as notes_log
from rdv.server.leg import Leg
from rdv.server.site.parts import make_site
from rdv.settings import ServerSettings
from rdv.test.server.doubles import request

REACTOR: Any = global_reactor
#: How many clients wait, after a few for which things are loaded that are needed once.
NUMBER, FIRST = 400, 5
#: Objects that are less frequent than this do not exist for each client.
FEW = NUMBER // 2


@implementer(IProtocol, IHalfCloseableProtocol)
class Least:
    """A protocol with nothing in it but what Twisted puts there."""

    __slots__ = ("factory", "transport")

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        # As HTTP does: a transport with more attributes is larger.
        transport.registerProducer(transport, True)
        transport.unregisterProducer()

    def connectionMade(self) -> None:
        """It is there."""

    def dataReceived(self, data: bytes) -> None:
        """As many tell as would of a leg."""
        Least.told()

    def readConnectionLost(self) -> None:
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nobody asks."""

    def connectionLost(self, reason: Failure) -> None:
        """It is gone."""
        Least.told()

    told: Callable[[], None]


class Events:
    """Counts events; a test can wait for a number of them."""

    def __init__(self) -> None:
        self._left = 0
        self._enough: Deferred[None] | None = None

    def happened(self) -> None:
        """One more."""
        self._left -= 1
        if self._left == 0 and self._enough is not None:
            REACTOR.callLater(0, self._enough.callback, None)  # when all is done that it is part of

    def expect(self, number: int) -> Deferred[None]:
        """Fires behind so many from now on."""
        self._left = number
        self._enough = Deferred()
        return self._enough


def count_objects() -> Counter[type]:
    """
    Those that the collector knows, by their type. The reactor keeps calls that were cancelled until
    there are many or their time has come; they, and what they hold, do not count.
    """
    gc.collect()
    objects = gc.get_objects()
    cancelled = [each for each in objects if isinstance(each, DelayedCall) and each.cancelled]
    count = Counter(map(type, objects))
    count[DelayedCall] -= len(cancelled)
    count[MethodType] -= 2 * len(cancelled)  # the reactor's, to cancel and to move it
    return count


class WaitingCostTests(TestCase):
    """With real connections, because those in memory cost something else."""

    timeout = 60

    def setUp(self) -> None:
        self.events = Events()
        self.clients: list[socket.socket] = []
        Least.told = self.events.happened
        # To nobody else: under ``trial -j`` each line is held until trial has it.
        self.patch(notes_log, "observer", self.observe)
        self.addCleanup(self.close_clients)

    def observe(self, event: LogEvent) -> None:
        if event.get("event") in ("waiting", "left", "refused"):
            self.events.happened()

    async def come(self, port: Any, number: int) -> None:
        """So many clients, each with a token and addresses of its own."""
        all_there = self.events.expect(number)
        for _ in range(number):
            client = socket.create_connection(("127.0.0.1", port.getHost().port))
            self.clients.append(client)
            text = b"%d" % len(self.clients)
            client.sendall(request(rdv_token=text, rdv_self_addrs=b"192.0.2.7:1" + text))
        await all_there

    async def leave(self) -> None:
        """All of them."""
        all_gone = self.events.expect(len(self.clients))
        self.close_clients()
        await all_gone

    def close_clients(self) -> None:
        """They are seen to have gone later."""
        while self.clients:
            self.clients.pop().close()

    async def growth(self, factory: IProtocolFactory) -> tuple[Counter[type], int]:
        """
        What ``NUMBER`` clients make this process grow by: objects by their type, as far as the
        collector knows them, and calls that are due later.
        """
        port = REACTOR.listenTCP(0, factory, backlog=2 * NUMBER, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        await self.come(port, FIRST)
        before = count_objects(), len(REACTOR.getDelayedCalls())
        await self.come(port, NUMBER)
        after = count_objects(), len(REACTOR.getDelayedCalls())
        await self.leave()
        return after[0] - before[0], after[1] - before[1]

    async def test_objects(self) -> None:
        """
        Of each type as many as for a protocol that does nothing, and a leg. So no request, no
        channel, no closure, bound method or dict, and no timer: there is one for all of them.
        """
        bare: Any = Factory()
        bare.protocol = Least
        wanted, calls = await self.growth(bare)
        self.assertEqual((wanted[Least], wanted[Server], calls), (NUMBER, NUMBER, 0))
        wanted[Leg] = wanted.pop(Least)
        for is_own in (False, True):
            rendezvous = Rendezvous(REACTOR)
            embedded = Site(RendezvousResource(rendezvous))
            own = make_site(REACTOR, ServerSettings(), rendezvous)
            found, calls = await self.growth(own if is_own else embedded)
            await rendezvous.close()
            more = {kind: number for kind, number in (found - wanted).items() if number > FEW}
            self.assertEqual((found[Leg], more, calls), (NUMBER, {}, 0))

    async def test_name(self) -> None:
        """In logs it is the client's address, not the HTTP that has gone."""
        names: list[tuple[str, str]] = []

        def look(pair: Pair) -> None:
            transport: Any = pair.dialer.transport
            names.append((transport.logPrefix(), str(transport)))
            pair.reject(403, "that was all")

        rendezvous = Rendezvous(REACTOR, serve=look)
        site = Site(RendezvousResource(rendezvous))
        port = REACTOR.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        refused = self.events.expect(2)
        for method in (b"ACCEPT", b"DIAL"):
            self.clients.append(socket.create_connection(("127.0.0.1", port.getHost().port)))
            self.clients[-1].sendall(request(method))
        host, number = self.clients[-1].getsockname()
        await refused
        self.assertEqual(names, [(f"{host}:{number}",) * 2])
        self.close_clients()
        await rendezvous.close()
