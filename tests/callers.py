"""
Clients that are next to nothing, so that a test can have hundreds of them.

::

    acceptor = await call(self.port, "ACCEPT", "a token")
    ...
    self.assertIn(b" 101 ", await acceptor.head)
"""

from __future__ import annotations

from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IReactorTCP, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from rdv.wire import confirm_line, hello_line

__all__ = ["Caller", "call", "call_all", "first_gone", "join", "silent"]


class Caller(Protocol):
    """
    A connection to a server.

    :ivar token: what it has asked with.
    :ivar head: fires with the head of the answer, or with what has come of it when it is cut off.
    :ivar gone: fires with all that has come when the connection is gone.
    """

    transport: ITCPTransport

    def __init__(self, role: str = "", token: str = "") -> None:
        self.token = token.encode()
        self._request = (
            f"{role} /rdv HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: rdv/1\r\n"
            f"Rdv-Token: {token}\r\n\r\n"
        )
        self._silent = not role
        self._heard = b""
        self._waiting: tuple[bytes, Deferred[bytes]] | None = None
        self.head = self.hear(b"\r\n\r\n")
        self.gone: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        if not self._silent:
            self.transport.write(self._request.encode())

    def say(self, data: bytes) -> None:
        """Send it."""
        self.transport.write(data)

    def hear(self, end: bytes) -> Deferred[bytes]:
        """Fires with what comes, as soon as it ends with that; only one at a time."""
        heard: Deferred[bytes] = Deferred()
        self._waiting = (end, heard)
        return heard

    def leave(self) -> Deferred[bytes]:
        """End our direction; fires when the server has closed the other."""
        self.transport.loseWriteConnection()
        return self.gone

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        if self._waiting is not None and self._heard.endswith(self._waiting[0]):
            self._tell()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            heard, self._heard = self._heard, b""
            waiting[1].callback(heard)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        heard = self._heard
        self._tell()
        self.gone.callback(heard)


def silent(port: int) -> Deferred[Caller]:
    """Fires with one that is connected and asks for nothing."""
    return _connected(port, Caller())


def call(port: int, role: str, token: str) -> Deferred[Caller]:
    """Fires with one that has sent its offer."""
    return _connected(port, Caller(role, token))


def _connected(port: int, caller: Caller) -> Deferred[Caller]:
    endpoint = TCP4ClientEndpoint(cast(IReactorTCP, reactor), "127.0.0.1", port)
    connected: Deferred[Caller] = connectProtocol(endpoint, caller)
    return connected


def call_all(port: int, role: str, tokens: list[str]) -> Deferred[list[Caller]]:
    """Fires with one for each token, called all at once."""
    return gatherResults([call(port, role, token) for token in tokens])


def first_gone(callers: list[Caller], number: int) -> Deferred[None]:
    """Fires when so many of them have gone, whichever they are."""
    enough: Deferred[None] = Deferred()
    left = number

    def count(heard: bytes) -> bytes:
        nonlocal left
        left -= 1
        if not left:
            enough.callback(None)
        return heard

    for caller in callers:
        caller.gone.addCallback(count)
    return enough


async def join(port: int, token: str) -> tuple[Caller, Caller]:
    """A dialer and an acceptor, relayed: what one says now, the other hears."""
    acceptor, dialer = [await call(port, role, token) for role in ("ACCEPT", "DIAL")]
    await DeferredList([acceptor.head, dialer.head])
    for source, sink, line in (
        (acceptor, dialer, hello_line(acceptor.token)),
        (dialer, acceptor, confirm_line(dialer.token)),
    ):
        heard = sink.hear(line)
        source.say(line)
        await heard
    return dialer, acceptor
