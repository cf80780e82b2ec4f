"""
What a connection leaves behind when it is gone.
"""

from __future__ import annotations

import gc

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from rdv._secure.secret import Secret
from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.test.client.doubles import here
from rdv.test.client.loopback import LoopbackTestCase, RealServer
from rdv.test.doubles import collect_garbage, present
from rdv.test.sockets import REACTOR, turns


class Leaves(Protocol):
    """Hangs up. :ivar lost: fires when the connection is gone."""

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        present(self.transport).loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class CycleTests(LoopbackTestCase):
    """Objects that hold each other stay, with what they hold, until there is a collection."""

    token: Secret | str = "a token"

    async def test_direct(self) -> None:
        """Nothing of a direct connection is left to the collector, whichever way it has opened."""
        await self.check(AddressSpace.LOOPBACK)

    async def test_relay(self) -> None:
        """Nor of one through the server."""
        await self.check(AddressSpace.NONE)

    async def test_secured(self) -> None:
        """Nor of a secured one; the server keeps nothing either."""
        for spaces in (AddressSpace.LOOPBACK, AddressSpace.NONE):
            self.token = Secret.generate()
            await self.check(spaces)

    async def check(self, spaces: AddressSpace) -> None:
        """Several connections leave no object of the client, or of the server."""
        options = {"spaces": spaces, "self_addresses": here, "witness": False}
        clients = [Client(REACTOR, **options) for _ in range(2)]  # type: ignore[arg-type]
        server = RealServer(self)
        await self.meet(server, *clients)  # the first one loads what is loaded late
        collect_garbage()
        gc.disable()
        self.addCleanup(gc.enable)
        for _ in range(8):
            await self.meet(server, *clients)
        gc.set_debug(gc.DEBUG_SAVEALL)
        self.addCleanup(gc.garbage.clear)
        self.addCleanup(gc.set_debug, 0)
        gc.collect()
        found = {f"{type(each).__module__}.{type(each).__name__}" for each in gc.garbage}
        ours = ("rdv.client", "rdv.server", "rdv._transport", "rdv._secure", "rdv._flows")
        self.assertEqual(sorted(name for name in found if name.startswith(ours)), [])

    async def meet(self, server: RealServer, acceptor: Client, dialer: Client) -> None:
        """A connection, to its end."""
        accepting = acceptor.accept(server.url, self.token)
        await server.arrival()
        connecting = gatherResults([accepting, dialer.dial(server.url, self.token)])
        protocols = [Leaves(), Leaves()]
        for connection, protocol in zip(await connecting, protocols, strict=True):
            connection.attach(protocol)
        await gatherResults([protocol.lost for protocol in protocols])
        await server.arrival()
        await turns(3)
