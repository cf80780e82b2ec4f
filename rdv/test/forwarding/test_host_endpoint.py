"""
A host with several addresses.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import DNSLookupError, NoRouteError
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from rdv._transport.handover import one_protocol
from rdv.forwarding.host_endpoint import HostEndpoint
from rdv.test.client.doubles import ClientReactor
from rdv.test.doubles import Wire
from rdv.test.sockets import own_sockets


class HostEndpointTests(SynchronousTestCase):
    """In memory."""

    def setUp(self) -> None:
        self.reactor = ClientReactor({"localhost": ["::1", "127.0.0.1"], "one": ["192.0.2.1"]})
        self.wire = Wire()

    def connect(self, host: str) -> Deferred[IProtocol]:
        """Connect to it."""
        endpoint = HostEndpoint(self.reactor, host, 80, 10)
        verifyObject(IStreamClientEndpoint, endpoint)
        return endpoint.connect(one_protocol(self.wire))

    def dialled(self) -> list[str]:
        """What has been dialled so far."""
        return [client[0] for client in self.reactor.tcpClients]

    def assert_over(self) -> None:
        """Nothing is left."""
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_literal(self) -> None:
        """Nobody is asked what it means."""
        for host in ("192.0.2.1", "::1"):
            self.wire = Wire()
            connecting = self.connect(host)
            self.assertEqual(self.dialled()[-1], host)
            self.reactor.connected()
            self.assertIs(self.successResultOf(connecting), self.wire)
        self.assertEqual(self.reactor.resolver.asked, [])
        self.assert_over()

    def test_refused(self) -> None:
        """The next one is tried in that moment."""
        connecting = self.connect("localhost")
        self.assertEqual(self.dialled(), ["::1"])
        self.reactor.failed(Refused())
        self.assertEqual(self.dialled(), ["::1", "127.0.0.1"])
        self.reactor.connected()
        self.assertIs(self.successResultOf(connecting), self.wire)
        self.assert_over()

    def test_all_refused(self) -> None:
        """It fails in that moment, and as the last one did."""
        connecting = self.connect("localhost")
        self.reactor.failed(NoRouteError())
        self.assertNoResult(connecting)
        self.reactor.failed(Refused())
        self.failureResultOf(connecting, Refused)
        connecting = self.connect("one")
        self.reactor.failed(Refused())
        self.failureResultOf(connecting, Refused)
        self.assert_over()

    def test_silent(self) -> None:
        """The next one is tried beside it after a while, and the first one that answers is it."""
        for winner in (0, 1):
            self.wire = Wire()
            connecting = self.connect("localhost")
            self.reactor.advance(0.25)
            self.assertEqual(self.dialled(), ["::1", "127.0.0.1"])
            self.reactor.connected(winner)
            self.assertIs(self.successResultOf(connecting), self.wire)
            self.assertTrue(self.reactor.connectors[1 - winner].stoppedConnecting)
            self.assert_over()
            self.reactor.tcpClients.clear()
            self.reactor.connectors.clear()

    def test_one_refuses_while_another_is_silent(self) -> None:
        """That one may still answer."""
        connecting = self.connect("localhost")
        self.reactor.advance(0.25)
        self.reactor.failed(Refused(), 1)
        self.assertNoResult(connecting)
        self.reactor.connected(0)
        self.assertIs(self.successResultOf(connecting), self.wire)
        self.assert_over()

    def test_cancelled(self) -> None:
        """All of them are."""
        connecting = self.connect("localhost")
        self.reactor.advance(0.25)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertTrue(all(each.stoppedConnecting for each in self.reactor.connectors))
        self.assert_over()

    def test_no_such_name(self) -> None:
        """It does not resolve, or not in time."""
        self.failureResultOf(self.connect("nobody"), DNSLookupError)
        self.reactor.resolver.silent = True
        connecting = self.connect("one")
        self.reactor.advance(10)
        self.failureResultOf(connecting, DeferTimeoutError)
        self.assertEqual(self.dialled(), [])
        self.assert_over()


class ExitTests(TestCase):
    """Over loopback."""

    async def test_reset_from_the_beginning(self) -> None:
        """Before the connection stands, the kernel knows what to do when this process dies."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            before = len(list(own_sockets()))
            connecting = HostEndpoint(reactor, "127.0.0.1", port, 10).connect(one_protocol(Wire()))
            options = [
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) for sock in own_sockets()
            ]
            wire: Any = await connecting
            wire.close()
            await wire.lost()
        self.assertEqual(len(options), before + 1)
        self.assertIn(struct.pack("ii", 1, 0), options)
