"""
Clients in transit to another worker: full inboxes, and inboxes that nothing reads.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import DeferredQueue
from twisted.trial.unittest import TestCase

from rdv.server.passing import mailbox
from rdv.server.passing import message as passing
from rdv.server.passing.mailbox import Inbox, Outbox
from rdv.server.passing.message import PassedClient, encode, inbox_pair
from rdv.server.refusals import BUSY, SHUTDOWN
from rdv.test.sockets import REACTOR, open_descriptors, tcp_pair, turn, until
from rdv.wire import Role, refusal


def client(number: int) -> PassedClient:
    """One of many."""
    return PassedClient(Role.DIALER, b"%d" % number, "", "")


class MailboxTests(TestCase):
    """An outbox and an inbox under the reactor."""

    timeout = 30
    if sys.platform != "linux":
        skip = "counts descriptors in /proc"

    def setUp(self) -> None:
        receiving, sending = inbox_pair()
        self.addCleanup(receiving.close)
        self.addCleanup(sending.close)
        self.receiving = receiving
        self.sending = sending
        self.outbox = Outbox(REACTOR, sending, limit=5)
        self.addCleanup(self.outbox.refuse_waiting, *BUSY)
        self.arrivals: DeferredQueue[tuple[PassedClient, socket.socket]] = DeferredQueue()
        self.inbox = Inbox(REACTOR, receiving, self.arrived)
        self.addCleanup(self.inbox.stop)

    def arrived(self, client: PassedClient, sock: socket.socket) -> None:
        """One has come. The test goes on when the inbox has done its turn."""
        REACTOR.callLater(0, self.arrivals.put, (client, sock))

    def send(self, number: int) -> socket.socket:
        """Pass one client on; its own end."""
        here, there = tcp_pair()
        self.addCleanup(here.close)
        self.outbox.send(client(number), there)
        return here

    def fill(self) -> Iterator[int]:
        """Numbers of clients, each sent, until one has to wait."""
        number = 0
        while not len(self.outbox):
            self.send(number)
            yield number
            number += 1

    def assert_refused(self, here: socket.socket, status: int, reason: str) -> None:
        """It has got that, and the end."""
        answer = b""
        while more := here.recv(4096):
            answer += more
        self.assertEqual(answer, refusal(status, reason))

    async def test_full(self) -> None:
        """They wait, arrive when there is room, in their order, and leave nothing behind."""
        before = open_descriptors()
        sent = list(self.fill())
        self.assertGreater(len(sent), self.inbox.batch)
        self.assertEqual(open_descriptors(), before + len(sent) + 1)  # their own ends, and of one
        self.send(len(sent))
        self.assertEqual(len(self.outbox), 2)
        self.assertIn(self.outbox, REACTOR.getWriters())
        self.inbox.start()
        for number in range(len(sent) + 1):
            arrived, sock = await self.arrivals.get()
            self.assertEqual(arrived, client(number))
            sock.close()
        self.assertEqual(len(self.outbox), 0)
        await turn()
        self.assertNotIn(self.outbox, REACTOR.getWriters())

    async def test_scarce_descriptors(self) -> None:
        """They come one by one, with pauses, in which it can be stopped."""
        self.patch(mailbox, "is_full", lambda number: True)
        for number in range(3):
            self.send(number)
        self.inbox.start()
        for number in range(3):
            arrived, sock = await self.arrivals.get()
            self.assertEqual(arrived, client(number))
            self.assertEqual(self.arrivals.pending, [])
            self.assertNotIn(self.inbox, REACTOR.getReaders())
            sock.close()
        self.inbox.stop()

    async def test_none_overtakes(self) -> None:
        """One that comes when there is room again goes behind those who wait."""
        sent = list(self.fill())
        message, sock = passing.receive(self.receiving)
        self.assertEqual(message, encode(client(0)))
        assert sock is not None
        sock.close()
        self.send(len(sent))
        self.assertEqual(len(self.outbox), 2)

    async def test_patience(self) -> None:
        """Nobody waits for ever for a worker that takes nobody."""
        self.outbox = Outbox(REACTOR, self.sending, limit=5, patience=0.001)
        for _ in self.fill():
            pass
        here = self.send(1000)
        while len(self.outbox):
            await turn()
        self.assert_refused(here, *BUSY)
        self.assertNotIn(self.outbox, REACTOR.getWriters())

    async def test_limit(self) -> None:
        """One too many is refused; those before it are not."""
        sent = len(list(self.fill()))
        for number in range(4):
            self.send(sent + number)
        self.assertEqual(len(self.outbox), 5)
        before = open_descriptors()
        refused = self.send(sent + 4)
        self.assertEqual(open_descriptors(), before + 1)
        self.assert_refused(refused, *BUSY)
        self.inbox.start()
        for number in range(sent + 4):
            arrived, sock = await self.arrivals.get()
            self.assertEqual(arrived, client(number))
            sock.close()

    def test_refuse_waiting(self) -> None:
        """They are told, and so is who counts."""
        told: list[tuple[int, str]] = []
        self.outbox.refused = lambda *refusal: told.append(refusal)
        list(self.fill())
        waiting = self.send(1000)
        number = len(self.outbox)
        self.outbox.refuse_waiting(*SHUTDOWN)
        self.assert_refused(waiting, *SHUTDOWN)
        self.assertEqual(told, [SHUTDOWN] * number)
        self.assertEqual(len(self.outbox), 0)
        self.assertNotIn(self.outbox, REACTOR.getWriters())

    async def test_nobody_receives(self) -> None:
        """Those who wait for room are told, and those who come."""
        list(self.fill())
        waiting = self.send(1000)
        self.receiving.close()
        await until(lambda: not len(self.outbox))
        for here in (waiting, self.send(1)):
            self.assert_refused(here, *BUSY)
        self.assertNotIn(self.outbox, REACTOR.getWriters())

    def test_too_many_under_way(self) -> None:
        """The system's limit for descriptors in messages: no room will be told of."""

        def refused(*arguments: object) -> None:
            raise OSError(109, "Too many references: cannot splice")

        self.patch(mailbox, "send", refused)
        self.assert_refused(self.send(1), *BUSY)
        self.assertEqual(len(self.outbox), 0)

    async def test_nobody_sends(self) -> None:
        """The inbox is left alone."""
        self.sending.close()
        self.inbox.start()
        await until(lambda: self.inbox not in REACTOR.getReaders())

    async def test_nonsense(self) -> None:
        """It is dropped with its connection, and the next one arrives."""
        await turn()  # the reactor has opened what it needs
        before = open_descriptors()
        here, there = tcp_pair()
        self.addCleanup(here.close)
        passing.send(self.sending, b"nonsense", there)
        passing.send(self.sending, b"x" * (passing.MAX_MESSAGE + 1), there)
        there.close()
        self.sending.send(encode(client(1)))  # without a connection
        self.send(2)
        self.inbox.start()
        arrived, sock = await self.arrivals.get()
        self.assertEqual(arrived, client(2))
        sock.close()
        self.assertEqual(here.recv(1), b"")
        self.assertEqual(open_descriptors(), before + 2)

    async def test_failure_of_who_gets_it(self) -> None:
        """It costs that client, and no other."""

        def arrived(client: PassedClient, sock: socket.socket) -> None:
            if client.token == b"1":
                raise ValueError("a bug")
            self.arrived(client, sock)

        inbox = Inbox(REACTOR, self.receiving, arrived)
        self.addCleanup(inbox.stop)
        first = self.send(1)
        self.send(2)
        inbox.start()
        arrival, sock = await self.arrivals.get()
        self.assertEqual(arrival, client(2))
        sock.close()
        self.assertEqual(first.recv(1), b"")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def tearDown(self) -> Any:
        for _, sock in self.arrivals.pending:
            sock.close()
