"""
A rendezvous inside another site: a page, the resource at ``/rdv``, and nothing else.

``python benchmarks/embedded.py [--shortcut] [--quiet] [PORT]``

Without options it only uses the API that every version of rdv has, so ``PYTHONPATH`` may select
another version.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

from rdv.server import Rendezvous, RendezvousResource


def main(arguments: list[str]) -> None:
    """Serve until a signal arrives. Older versions lack what the options need."""
    some_reactor: Any = reactor
    root = Resource()
    root.putChild(b"rdv", RendezvousResource(Rendezvous(some_reactor)))
    factory: Any = Site(root)
    if "--shortcut" in arguments:
        from rdv.server import ShortcutFactory

        factory = ShortcutFactory(factory)
    if "--quiet" in arguments:
        from rdv.server import show_from

        show_from("info")
    number = next((int(each) for each in arguments if each.isdigit()), 0)
    port = some_reactor.listenTCP(number, factory, interface="127.0.0.1", backlog=4096)
    print(f"LISTENING: 127.0.0.1:{port.getHost().port}", flush=True)
    some_reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
