"""
The minimum that a rendezvous on ``twisted.web`` can do, for comparison with the real server.

It detaches each request's connection from HTTP, joins two with the same token, and copies bytes and
ends. It checks nothing, handles no addresses, has no timeouts, and fails at anything unexpected.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import implementer

_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rdv/1\r\n"
    b"Rdv-Peer-Addrs: 192.0.2.1:39841\r\n\r\n"
)


@implementer(IHalfCloseableProtocol)
class _Leg(Protocol):
    transport: Any
    other: _Leg
    ended = False

    def dataReceived(self, data: bytes) -> None:
        self.other.transport.write(data)

    def readConnectionLost(self) -> None:
        self.ended = True
        if self.other.ended:
            self.other.transport.loseConnection()
            self.transport.loseConnection()
        else:
            self.other.transport.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if hasattr(self, "other"):
            del self.other  # break a reference cycle


class _Meeting(Resource):
    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._waiting: dict[bytes, _Leg] = {}

    def render(self, request: IRequest) -> int:
        token = request.requestHeaders.getRawHeaders(b"Rdv-Token")[0]
        channel: Any = request.channel  # type: ignore[attr-defined]
        transport = channel.transport
        transport.unregisterProducer()
        channel.setTimeout(None)
        channel.transport = None
        channel.requests.clear()  # break a reference cycle
        leg = transport.protocol = _Leg()
        leg.transport = transport
        other = self._waiting.pop(token, None)
        if other is None:
            self._waiting[token] = leg
        else:
            leg.other, other.other = other, leg
            other.transport.write(_SWITCHING)
            leg.transport.write(_SWITCHING)
        return NOT_DONE_YET


if __name__ == "__main__":
    some_reactor: Any = reactor
    port = some_reactor.listenTCP(0, Site(_Meeting()), interface="127.0.0.1", backlog=4096)
    print(f"LISTENING: 127.0.0.1:{port.getHost().port}", flush=True)
    some_reactor.run()
