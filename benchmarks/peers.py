"""
The other programs of a timed connection. They get their orders as lines on stdin.

``server``
    a rendezvous server. For each line it prints ``waiting`` as soon as a client waits.
``acceptor URL``
    accepts with each token that it is given, directly and through the relay. It sends nothing, and
    closes a connection when the other side does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall, react
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from twisted.web.server import Site
from zope.interface import implementer

from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.server import Rendezvous, RendezvousResource

#: Both sides are on this host.
SPACES = AddressSpace.LOOPBACK


class _Orders(LineOnlyReceiver):
    """Calls a function with each line of stdin; fires ``done`` at its end."""

    delimiter = b"\n"

    def __init__(self, order: Callable[[str], object]) -> None:
        self._order = order
        self.done: Deferred[None] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        self._order(line.decode())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.done.callback(None)


@implementer(IHalfCloseableProtocol)
class _Ending(Protocol):
    """Ends our direction immediately, and the connection when the other side ends."""

    def connectionMade(self) -> None:
        self.transport.loseWriteConnection()  # type: ignore[union-attr]

    def readConnectionLost(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]

    def writeConnectionLost(self) -> None:
        pass


def _say(line: str) -> None:
    print(line, flush=True)


async def _obey(order: Callable[[str], object]) -> None:
    orders = _Orders(order)
    StandardIO(orders)
    await orders.done


async def _server(reactor: Any) -> None:
    rendezvous = Rendezvous(reactor)
    site = Site(RendezvousResource(rendezvous), reactor=reactor)
    port = reactor.listenTCP(0, site, interface="127.0.0.1")

    def tell_when_waiting(line: str) -> None:
        def look() -> None:
            if rendezvous.waiting:
                looking.stop()
                _say("waiting")

        looking = LoopingCall(look)
        looking.clock = reactor
        looking.start(0.001)

    _say(f"LISTENING: 127.0.0.1:{port.getHost().port}")
    await _obey(tell_when_waiting)


async def _acceptor(reactor: Any, url: str) -> None:
    clients = {
        "direct": Client(reactor, spaces=SPACES),
        "relay": Client(reactor, spaces=AddressSpace.NONE),
    }

    def accept(line: str) -> None:
        path, token = line.split()
        accepting = clients[path].accept(url, token)
        accepting.addCallbacks(
            lambda connection: connection.attach(_Ending()),
            lambda failure: _say(f"failed: {failure.getErrorMessage()}"),
        )

    _say("ready")
    await _obey(accept)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        react(lambda reactor: Deferred.fromCoroutine(_server(reactor)))
    else:
        react(lambda reactor: Deferred.fromCoroutine(_acceptor(reactor, sys.argv[2])))
