"""
One request to a URL of the operator's. Of the response only the head counts.

It is Twisted's ``Agent`` by itself: treq's client would follow redirects, and send the cookies that
came with the answer about one client when it asks about the next.
"""

from __future__ import annotations

from typing import Any

from hyperlink import URL
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from rdv.errors import RdvError

__all__ = ["agent_for", "ask", "checked_url", "reason_of"]

#: Connections that are kept for further requests.
_KEPT = 8
#: Bytes of a body that are read, and dropped, to keep its connection.
_LONGEST_BODY = 1 << 16


def checked_url(text: str) -> bytes:
    """
    A URL as a request has it.

    :raises RdvError: when it is none, or has a password in it.
    """
    try:
        url = URL.from_text(text)
        # To encode a host that need not be would refuse addresses of IPv6.
        uri = url.replace(host="x").to_uri() if url.host.isascii() else url.to_uri()
        uri = uri.replace(host=url.host) if url.host.isascii() else uri
    except ValueError:
        raise RdvError(
            f"the auth URL is not http:// or https://HOST[:PORT]/PATH: {text!r}"
        ) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise RdvError(f"the auth URL is not http:// or https://HOST[:PORT]/PATH: {text!r}")
    if url.userinfo:
        raise RdvError("the auth URL must not contain a password: use --auth-header-file")
    return uri.to_text().encode("ascii")


def agent_for(reactor: Any) -> IAgent:
    """What asks."""
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = _KEPT
    return Agent(reactor, pool=pool)


async def ask(agent: IAgent, url: bytes, headers: Headers) -> IResponse:
    """
    Get a response, and wait for its end. Cancelling ends the connection.

    :raises Exception: whatever keeps it from coming, also in the middle.
    """
    response: IResponse = await agent.request(b"GET", url, headers, None)
    ended: Deferred[None] = Deferred(lambda _: body.stop())
    body = _Dropped(ended)
    response.deliverBody(body)
    await ended
    return response


class _Dropped(Protocol):
    """A body that nobody wants. One without an end is not waited for."""

    def __init__(self, ended: Deferred[None]) -> None:
        self._ended = ended
        self._size = 0

    def stop(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > _LONGEST_BODY:
            self.stop()

    def connectionLost(self, reason: Failure | None = None) -> None:
        if not self._ended.called:
            self._ended.callback(None)


def reason_of(error: Exception) -> str:
    """Why there was no response, for the operator."""
    if isinstance(error, ResponseFailed) and error.reasons:
        return str(error.reasons[0].getErrorMessage())
    return str(error) or type(error).__name__
