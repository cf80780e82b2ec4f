"""
Minimal clients, so that a test can have hundreds of them.

::

    acceptor = await call(self.port, "ACCEPT", "a token")
    ...
    self.assertIn(b" 101 ", await acceptor.head())
"""

from __future__ import annotations

from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IReactorTCP

from rdv.wire import confirm_line, hello_line
from tests.talker import Parting

__all__ = ["Caller", "call", "call_all", "first_gone", "join", "silent"]


class Caller(Parting):
    """
    A connection to a server.

    :ivar token: the token of its request.
    """

    def __init__(self, role: str = "", token: str = "") -> None:
        super().__init__()
        self.token = token.encode()
        self._request = (
            f"{role} /rdv HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: rdv/1\r\n"
            f"Rdv-Token: {token}\r\n\r\n"
        )
        self._silent = not role

    def connectionMade(self) -> None:
        if not self._silent:
            self.write(self._request.encode())

    def hear(self, end: bytes) -> Deferred[bytes]:
        """Fires with what comes from now on, as soon as it ends with that."""
        self.data.clear()
        return self._when(lambda: self.data.endswith(end))

    def leave(self) -> Deferred[bytes]:
        """End our direction; fires when the server has closed the other."""
        self.end()
        return self.gone()


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

    def count(_: bytes) -> None:
        nonlocal left
        left -= 1
        if not left:
            enough.callback(None)

    for caller in callers:
        caller.gone().addCallback(count)
    return enough


async def join(port: int, token: str) -> tuple[Caller, Caller]:
    """A dialer and an acceptor, relayed: what one says now, the other hears."""
    acceptor, dialer = [await call(port, role, token) for role in ("ACCEPT", "DIAL")]
    await DeferredList([acceptor.head(), dialer.head()])
    for source, sink, line in (
        (acceptor, dialer, hello_line(acceptor.token)),
        (dialer, acceptor, confirm_line(dialer.token)),
    ):
        heard = sink.hear(line)
        source.write(line)
        await heard
    return dialer, acceptor
