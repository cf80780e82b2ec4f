"""
A rendezvous next to other resources in one site::

    python examples/embedded_server.py tcp:8080

``GET /`` shows the current state; clients dial and accept at ``/rdv``.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from rdv.server import Rendezvous, RendezvousResource, ShortcutFactory


class Status(Resource):
    """Another page of the site."""

    def __init__(self, rendezvous: Rendezvous) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rendezvous = rendezvous

    def render_GET(self, request: Request) -> bytes:
        """Show how many clients are waiting, how many pairs are connected, and how others ended."""
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        lines = [f"waiting: {self._rendezvous.waiting}", f"pairs: {self._rendezvous.pairs}"]
        lines += [f"{outcome.value}: {n}" for outcome, n in self._rendezvous.outcomes.items()]
        return "\n".join([*lines, ""]).encode()


async def main(reactor: Any, endpoint: str) -> None:
    """Serve until a signal arrives; transfers then get five seconds to finish."""
    rendezvous = Rendezvous(reactor)
    root = Resource()
    root.putChild(b"", Status(rendezvous))
    root.putChild(b"rdv", RendezvousResource(rendezvous))
    factory = ShortcutFactory(Site(root))
    port = await serverFromString(reactor, endpoint).listen(factory)
    reactor.addSystemEventTrigger("before", "shutdown", rendezvous.close, 5.0)
    print(f"listening on port {port.getHost().port}", flush=True)
    await Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
