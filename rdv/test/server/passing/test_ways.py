"""
The way into another process, and the end of that to the next generation.
"""

from __future__ import annotations

import socket

from twisted.trial.unittest import TestCase

from rdv.server import Limits, Rendezvous
from rdv.server.leg import Leg
from rdv.server.passing.message import PassedClient, inbox_pair
from rdv.server.passing.ways import Entrance, Exit, client_of
from rdv.server.refusals import SHUTDOWN
from rdv.test.sockets import REACTOR, tcp_pair
from rdv.wire import Role, refusal


class ExitTests(TestCase):
    timeout = 30

    async def test_told_to_end(self) -> None:
        """While the next generation takes nobody: nobody waits for it any longer."""
        inbox, outbox = inbox_pair()
        self.addCleanup(inbox.close)
        self.addCleanup(outbox.close)
        with self.assertRaises(BlockingIOError):
            while True:
                outbox.send(b"another one")
        rendezvous = Rendezvous(REACTOR)
        way = Exit(REACTOR, rendezvous, outbox)
        client, server = tcp_pair()
        with client:
            way._outbox.send(PassedClient(Role.DIALER, b"token", "", ""), server)
            emptied = way.emptied()
            self.assertNoResult(emptied)
            await rendezvous.close()
            await emptied
            self.assertEqual(client.recv(4096), refusal(*SHUTDOWN))


class EntranceTests(TestCase):
    timeout = 30

    async def test_port_0(self) -> None:
        """Nobody can reach it, but no more are let in than of any address: wherever they get to."""
        for observed in ("192.0.2.7:0", "[2001:db8::]:0"):
            rendezvous = Rendezvous(REACTOR, limits=Limits(waiting=1))
            legs: list[Leg] = []
            clients: list[socket.socket] = []
            rendezvous.newcomers.append(legs.append)
            for token in (b"one", b"another"):
                client, server = tcp_pair()
                clients.append(client)
                arriving = PassedClient(Role.DIALER, token, "", observed)
                Entrance(REACTOR, rendezvous).arrived(arriving, server)
            self.assertEqual(rendezvous.waiting, 1)
            self.assertEqual(legs[0].candidates, "")
            self.assertEqual(client_of(legs[0]).observed, observed)
            closed = rendezvous.close()
            for client in clients:
                client.close()
            await closed
