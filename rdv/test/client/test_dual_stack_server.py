"""A server with IPv4 and IPv6 addresses, not all of which lead to it."""

from __future__ import annotations

from rdv.addresses import AddressSpace
from rdv.client import Connection
from rdv.test.client.doubles import Resolver
from rdv.test.client.loopback import LoopbackTestCase, RealServer, has_ipv6
from rdv.test.doubles import Wire


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
