"""A peer address that is our own port, as the server sees it when both share a host."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectError

from rdv.addresses import parse_address
from rdv.client.dial.shared_port import SharedPort
from rdv.client.reasons import describe
from rdv.errors import NoConnection
from rdv.test.client.doubles import PEER, AttemptTestCase, ByteTransport
from rdv.test.client.loopback import LoopbackTestCase, RawServer, has_ipv6
from rdv.test.doubles import Wire


class SelfConnectionTests(LoopbackTestCase):
    """TCP connects such a port to itself, which is not a peer."""

    async def assert_refused(self, address: str) -> None:
        """Whoever dials it from there is refused, in the words of the system."""
        port = SharedPort(self.reactor, RawServer(self))
        self.addCleanup(port.close)
        own = parse_address(address.format(port.number))
        connecting = port.connect(own, Wire(), 10)
        error: Exception = await self.assertFailure(cast(Any, connecting), ConnectError)
        self.assertEqual(describe(error), "connection refused")
        await port.close()
        self.assert_nothing_left()

    async def test_ipv4(self) -> None:
        await self.assert_refused("127.0.0.1:{}")

    async def test_ipv6(self) -> None:
        await self.assert_refused("[::1]:{}")

    if not has_ipv6():
        test_ipv6.skip = "there is no IPv6"  # type: ignore[attr-defined]


class AttemptTests(AttemptTestCase):
    """The address is one of those that the server has named."""

    def test_drops_out(self) -> None:
        """It is never a candidate, nor does it hold up the end."""
        for role in ("dial", "accept"):
            self.setUp()
            getattr(self, role)()
            self.answer(PEER)
            itself = self.connect_to_itself()
            self.assertEqual(itself.closing, "abort")
            itself.lose()
            self.server.lose()
            self.reactor.advance(5)
            error = self.failureResultOf(self.attempt, NoConnection).value
            self.assertIn(f"{PEER}: connection refused", str(error))
            self.assert_done()

    def connect_to_itself(self) -> ByteTransport:
        """The dial to the peer's address has come back to where it came from."""
        host, port, factory = self.reactor.tcpClients[1][:3]
        address = IPv4Address("TCP", host, port)
        transport = ByteTransport(cast(Any, factory).buildProtocol(address), address)
        transport.hostAddr = address
        transport.connect()
        return transport
