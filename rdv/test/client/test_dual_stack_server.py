"""A server with IPv4 and IPv6 addresses, not all of which lead to it."""

from __future__ import annotations

from twisted.internet.error import ConnectError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimeoutError

from rdv.addresses import AddressSpace
from rdv.client import Connection
from rdv.test.client.doubles import Resolver
from rdv.test.client.http.test_server_endpoint import EndpointTestCase
from rdv.test.client.loopback import LoopbackTestCase, RealServer, has_ipv6
from rdv.test.doubles import Wire


class FallbackTests(EndpointTestCase):
    """In memory."""

    names = {
        "both.example": ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"],
        "four.example": ["192.0.2.1"],
    }
    ALL = [("192.0.2.1", 80), ("192.0.2.2", 80), ("2001:db8::1", 80), ("2001:db8::2", 80)]

    def test_each_in_turn(self) -> None:
        """All of IPv4 first, for whatever reason each fails."""
        connecting = self.connect("http://both.example/")
        for number, error in enumerate((Refused(), ConnectTimeoutError(), ConnectError())):
            self.assertEqual(self.dialled(), self.ALL[: number + 1])
            self.reactor.failed(error)
        self.assertEqual(self.dialled(), self.ALL)
        self.reactor.connected()
        self.assertIs(self.successResultOf(connecting), self.wire)

    def test_none(self) -> None:
        connecting = self.connect("http://both.example/")
        for _ in self.ALL:
            self.reactor.failed(Refused())
        self.failureResultOf(connecting, Refused)
        self.assertEqual(self.dialled(), self.ALL)

    def test_reason_stays_when_there_is_no_ipv6(self) -> None:
        """Not that a name does not resolve, which it does."""
        connecting = self.connect("http://four.example/")
        self.reactor.failed(Refused())
        self.failureResultOf(connecting, Refused)

    def test_time(self) -> None:
        """Of 9 seconds, IPv6 gets as much as each address of IPv4, and what those leave."""
        self.connect("http://both.example/").addErrback(lambda _: None)
        for index, share in enumerate((3, 3, 1.5, 1.5)):
            self.assertEqual(self.reactor.tcpClients[index][3], share)
            self.reactor.advance(share)
            self.reactor.failed(ConnectTimeoutError(), index)

    def test_cancelled_on_the_way(self) -> None:
        """Cancelling is no failure after which another one is tried."""
        connecting = self.connect("http://both.example/")
        self.reactor.failed(Refused())
        self.reactor.failed(Refused())
        connecting.cancel()
        connecting.addErrback(lambda _: None)
        self.assertEqual(self.dialled(), self.ALL[:3])


class RealTests(LoopbackTestCase):
    """On loopback, where only IPv6 listens."""

    async def test_only_ipv6_listens(self) -> None:
        server = RealServer(self, interface="::1")
        self.reactor.nameResolver = Resolver({"both.example": ["127.0.0.1", "::1"]})
        url = server.url.replace("[::1]", "both.example")
        client = self.client(spaces=AddressSpace.NONE, penalty=0)
        accepting = client.accept(url, "token")
        await server.arrival()
        connections: list[Connection] = [await client.dial(url, "token"), await accepting]
        wires = [Wire(), Wire()]
        for connection, wire in zip(connections, wires, strict=True):
            self.assertEqual(str(connection.peer_address.ip), "::1")
            connection.attach(wire)
            self.addCleanup(self._hang_up, wire)
        wires[0].write(b"ping")
        await wires[1].until(b"ping")

    if not has_ipv6():
        test_only_ipv6_listens.skip = "there is no IPv6"  # type: ignore[attr-defined]
