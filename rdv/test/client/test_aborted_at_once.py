"""
A dialer that aborts its connection immediately: its peer gets a broken connection, and does not
wait for another path.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from rdv._system.sockets import push
from rdv.addresses import AddressSpace
from rdv.client import Connection
from rdv.test.client.doubles import ByteTransport
from rdv.test.client.loopback import LoopbackTestCase, RealServer
from rdv.test.doubles import Wire, present
from rdv.testing import MemoryRendezvous

#: Kinds of addresses of the acceptor and of the dialer, and whether only the relay is left.
WAYS = (
    (AddressSpace.LOOPBACK, AddressSpace.LOOPBACK, False),
    (AddressSpace.NONE, AddressSpace.NONE, True),
    (AddressSpace.LOOPBACK, AddressSpace.NONE, True),
)


class LoopbackTests(LoopbackTestCase):
    """Over real sockets. The clock of both stands still."""

    async def test_abort(self) -> None:
        server = RealServer(self)
        for acceptors, dialers, relayed in WAYS:
            accepting = self.client(spaces=acceptors).accept(server.url, "token")
            await server.arrival()
            dialling = self.client(spaces=dialers).dial(server.url, "token")
            dialling.addCallback(Connection.abortConnection)
            await dialling
            connection = await accepting
            self.assertEqual(connection.is_relay, relayed)
            wire = Wire()
            connection.attach(wire)
            self.assertEqual(await wire.lost(), b"")
            present(wire.reason).trap(ConnectionLost)


class MemoryTests(SynchronousTestCase):
    """In memory, where no kernel reports what was acknowledged."""

    def test_abort(self) -> None:
        for spaces in (AddressSpace.DEFAULT, AddressSpace.NONE):
            rendezvous = MemoryRendezvous()
            accepting = rendezvous.client(spaces=spaces).accept(rendezvous.url, "token")
            dialling = rendezvous.client(spaces=spaces).dial(rendezvous.url, "token")
            dialling.addCallback(Connection.abortConnection)
            rendezvous.flush()
            wire = Wire()
            self.successResultOf(accepting).attach(wire)
            rendezvous.flush()
            present(wire.reason).trap(ConnectionLost)


class PushTests(SynchronousTestCase):
    """``push``."""

    def test_no_connection_of_twisted(self) -> None:
        """It is left as it is."""
        transport = ByteTransport()
        transport.write(b"data")
        push(transport)
        self.assertEqual(transport.value(), b"data")
