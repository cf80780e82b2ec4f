"""
What a client does at once on its connections, rather than when the reactor finds them writable.
"""

from __future__ import annotations

import socket
from typing import Any

import h11
from twisted.trial.unittest import TestCase

from rdv._transport.handover import adopt
from rdv.client.candidates.candidate import Candidate
from rdv.client.http.exchange import UpgradeExchange
from rdv.test.client.doubles import context
from rdv.test.sockets import REACTOR, tcp_pair, turn
from rdv.wire import Role


class PromptTests(TestCase):
    """With real connections."""

    timeout = 60

    def connect(self, protocol: Any) -> socket.socket:
        """The other end of a connection of ``protocol``."""
        ours, theirs = tcp_pair()
        self.addCleanup(theirs.close)
        with ours:
            adopt(REACTOR, ours, protocol)
        theirs.setblocking(False)
        return theirs

    async def test_request(self) -> None:
        """The server has the request in the turn in which it is connected."""
        request = h11.Request(method="DIAL", target="/", headers=[("Host", "a.example")])
        exchange = UpgradeExchange(context(REACTOR), request)
        self.assertTrue(self.connect(exchange).recv(100).startswith(b"DIAL / HTTP/1.1\r\n"))
        self.assertEqual(REACTOR.getWriters(), [])
        exchange.response.addErrback(lambda _: None)
        await exchange.close()

    async def test_relay_that_lost(self) -> None:
        """It has ended for the server in the next turn."""
        relay = Candidate(REACTOR, Role.DIALER, b"token", is_relay=True)
        server = self.connect(relay)
        relay.close()
        await turn()
        self.assertEqual(server.recv(1), b"")
        self.assertTrue(relay.closed.called)
