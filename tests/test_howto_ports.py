"""
``docs/howto/ports.rst`` does what it says.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from rdv.client import Client
from rdv.client.trace import What
from rdv.testing import MemoryRendezvous
from tests.documents import execute, runs

PAGE = "docs/howto/ports.rst"


class Router:
    """One that forwards. :ivar forwarded: ports that it forwards now."""

    def __init__(self) -> None:
        self.forwarded: list[int] = []

    def forward(self, port: int) -> Deferred[str]:
        """Begin."""
        self.forwarded.append(port)
        return succeed("203.0.113.9")

    def forget(self, port: int) -> Deferred[None]:
        """End."""
        self.forwarded.remove(port)
        return succeed(None)


class MappingTests(SynchronousTestCase):
    """A router that is asked."""

    @runs(PAGE, "asynccontextmanager")
    def test_mapping(self, source: str) -> None:
        """The peer is told, and the router forgets it afterwards."""
        rendezvous, router = MemoryRendezvous(), Router()
        names: dict[str, Any] = {"router": router, "Client": Client}
        running = Deferred.fromCoroutine(execute(source, reactor=rendezvous.host(), **names))
        client: Client = self.successResultOf(running)["client"]
        events: list[Any] = []
        accepting = client.accept(rendezvous.url, "t")
        rendezvous.flush()
        (port,) = router.forwarded
        dialling = rendezvous.client(trace=events.append).dial(rendezvous.url, "t")
        rendezvous.flush()
        (met,) = [event for event in events if event.what is What.MET]
        self.assertIn(f"203.0.113.9:{port}", map(str, met.fields["peer_addresses"]))
        self.assertEqual(router.forwarded, [])
        for connecting in (accepting, dialling):
            self.successResultOf(connecting).abortConnection()
        rendezvous.assert_nothing_left()
