"""
A server whose name has the addresses of two machines: the real client and server, in memory.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from rdv.addresses import Address, AddressSpace, parse_address
from rdv.client import Client, Connection
from rdv.client.order import address_order
from rdv.errors import BadRequest, ServerRefused, ServerUnreachable
from rdv.server import Rendezvous, RendezvousResource
from rdv.test.client.doubles import Resolver
from rdv.testing.network import Network

NAME, ADDRESSES = "machines.test", ["192.0.2.1", "192.0.2.2"]
URL = f"http://{NAME}/rdv"


class Machine:
    """
    One of them.

    :ivar rendezvous: where its clients wait.
    :ivar refusal: what they are told instead, if anything.
    """

    def __init__(self, network: Network, address: Address) -> None:
        self.ip = IPv4Address(str(address.ip))
        self._host: Any = network.host(self.ip)
        self.refusal: BadRequest | None = None
        self.start()

    def start(self) -> None:
        """Serve, from now on or again."""
        self.rendezvous = Rendezvous(self._host)
        resource = RendezvousResource(self.rendezvous, identify=self._identify)
        self._port = self._host.listenTCP(80, Site(resource, reactor=self._host))

    def _identify(self, request: object) -> None:
        if self.refusal is not None:
            raise self.refusal

    def die(self) -> None:
        """Its connections are cut, and nobody can connect."""
        self._port.stopListening()
        for leg in self.rendezvous._lobby:
            leg.transport.abortConnection()

    def drain(self) -> None:
        """It is told to stop."""
        self._port.stopListening()
        self.rendezvous.close()


class MachinesTests(SynchronousTestCase):
    """:ivar machines: both, in the order in which the peers ask them."""

    def setUp(self) -> None:
        self.network = Network()
        addresses = address_order(b"token", [parse_address(f"{ip}:80") for ip in ADDRESSES])
        self.machines = [Machine(self.network, each) for each in addresses]
        self.first, self.second = self.machines
        self.clients = 0

    def client(self) -> Client:
        """A new one, on a host of its own."""
        self.clients += 1
        host: Any = self.network.host(IPv4Address(f"10.0.0.{self.clients}"))
        host.nameResolver = Resolver({NAME: ADDRESSES})
        return Client(host, spaces=AddressSpace.NONE)

    def assert_waiting(self, *numbers: int) -> None:
        """So many at each."""
        self.network.flush()
        self.assertEqual([each.rendezvous.waiting for each in self.machines], [*numbers])

    def assert_meet(self, *attempts: Deferred[Connection]) -> None:
        self.network.flush()
        self.network.advance(3)  # the relay is not taken at once
        for attempt in attempts:
            self.successResultOf(attempt).abortConnection()
        self.network.flush()
        self.network.advance(1)
        self.assert_waiting(0, 0)

    def test_at_the_first(self) -> None:
        """However long one waits for the other, no place is taken elsewhere."""
        accepting = self.client().accept(URL, "token")
        self.assert_waiting(1, 0)
        for _ in range(10):
            self.network.advance(10)
            self.assert_waiting(1, 0)
        self.assert_meet(accepting, self.client().dial(URL, "token"))

    def test_first_ends(self) -> None:
        """Who waits there goes to the other one, and so does its peer."""
        for end in (Machine.die, Machine.drain):
            self.setUp()
            accepting = self.client().accept(URL, "token")
            self.assert_waiting(1, 0)
            end(self.first)
            self.assert_waiting(0, 1)
            self.assert_meet(accepting, self.client().dial(URL, "token"))

    def test_first_is_back(self) -> None:
        """Who waits at the other one is there soon, too; whoever comes goes there."""
        self.first.die()
        accepting = self.client().accept(URL, "token")
        self.assert_waiting(0, 1)
        self.first.start()
        for _ in range(20):
            self.network.advance(1)
        self.assert_waiting(1, 1)
        self.assert_meet(accepting, self.client().dial(URL, "token"))

    def test_first_is_silent(self) -> None:
        """The other one is asked after two seconds, by both of them."""
        self.network.shielded.add(self.first.ip)
        accepting = self.client().accept(URL, "token")
        self.assert_waiting(0, 0)
        self.network.advance(2)
        self.assert_waiting(0, 1)
        dialling = self.client().dial(URL, "token")
        self.network.advance(2)
        self.assert_meet(accepting, dialling)

    def test_both_are_dead(self) -> None:
        """The call fails as with one address, and is left to its caller."""
        for machine in self.machines:
            machine.die()
        dialling = self.client().dial(URL, "token")
        self.network.flush()
        self.network.advance(0.1)
        error = self.failureResultOf(dialling, ServerUnreachable).value
        self.assertEqual(str(error), f"cannot reach {URL}: connection refused")

    def test_refused(self) -> None:
        """What the first one says of a client, the other one would say as well."""
        self.first.refusal = BadRequest("no", 403)
        dialling = self.client().dial(URL, "token")
        self.network.advance(0.1)
        self.assertEqual(self.failureResultOf(dialling, ServerRefused).value.status, 403)
        self.assert_waiting(0, 0)
