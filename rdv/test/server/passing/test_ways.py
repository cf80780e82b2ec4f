"""
The end of the way to the next generation.
"""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from rdv.server import Rendezvous
from rdv.server.passing.message import PassedClient, inbox_pair
from rdv.server.passing.ways import Exit
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
