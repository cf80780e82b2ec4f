"""
Several workers in one process: mailboxes between them, and a port each.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from itertools import count
from typing import Any, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.server import Site

from rdv.server import Pair, Rendezvous, RendezvousResource
from rdv.server.release import Hold, hold_back
from rdv.server.workers.assignment import Assignment, owner_of
from rdv.server.workers.mailbox import Inbox, Outbox
from rdv.server.workers.passing import inbox_pair
from rdv.test.client.client_doubles import HalfWire
from rdv.test.server.web import request

REACTOR: Any = global_reactor

#: What the clients of :func:`rdv.test.server.web.request` say of themselves.
ADDRESSES = "192.168.1.16:39841, [2001:db8::7]:39841"


def open_descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


def token_of(owner: int, workers: int = 2, word: str = "token") -> bytes:
    """A token that this worker owns."""
    tokens = (f"{word} {number}".encode() for number in count())
    return next(token for token in tokens if owner_of(token, workers) == owner)


def connected() -> tuple[socket.socket, socket.socket]:
    """The two ends of a TCP connection on loopback: the client's and the server's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=10)
        server, _ = listener.accept()
    server.settimeout(10)
    return client, server


def turn() -> Deferred[None]:
    """The next turn of the reactor."""
    return deferLater(REACTOR, 0)


async def until(true: Callable[[], object]) -> None:
    """Let the reactor work, turn by turn, until that is so."""
    while not true():
        await turn()


class WorkersTestCase(TestCase):
    """
    Two workers, each with a site, a rendezvous and an inbox.

    :ivar urls: the ports, by the workers' indexes.
    """

    timeout = 30
    if sys.platform != "linux":
        skip = "counts descriptors in /proc"

    def setUp(self) -> None:
        self.mailboxes = [inbox_pair() for _ in range(2)]
        for mailbox in self.mailboxes:
            for end in mailbox:
                self.addCleanup(end.close)
        self.rendezvous = [Rendezvous(REACTOR) for _ in range(2)]
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
    """A look at how far the clients are."""

    def holds(self) -> list[Hold | None]:
        """Who of each pair of worker 1 is told later."""
        held: list[Hold | None] = []

        def look(pair: Pair) -> None:
            held.append(hold_back(pair.dialer, pair.acceptor))

        self.patch(self.rendezvous[1], "_serve", look)
        return held
