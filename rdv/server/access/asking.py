"""
A request to a URL of the operator's. Only the head of the response is used.

This uses Twisted's ``Agent`` directly: treq's client would follow redirects, and would send cookies
from the answer about one client with the request about the next.
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

#: Idle connections that are kept for further requests.
_KEPT = 8
#: Bytes of a body that are read and discarded, so that its connection can be reused.
_LONGEST_BODY = 1 << 16


def checked_url(text: str) -> bytes:
    """
    Check a URL, and return it in the form in which requests use it.

    :raises RdvError: when it is not an HTTP URL, or contains a password.
    """
    try:
        url = URL.from_text(text)
        # Encoding an ASCII host is unnecessary, and would reject IPv6 addresses.
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
    """The HTTP client that sends the requests."""
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = _KEPT
    return Agent(reactor, pool=pool)


async def ask(agent: IAgent, url: bytes, headers: Headers) -> IResponse:
    """
    Send a request, and wait for the end of the response. Cancelling closes the connection.

    :raises Exception: any error that prevents a response, or interrupts its head.
    """
    response: IResponse = await agent.request(b"GET", url, headers, None)
    ended: Deferred[None] = Deferred(lambda _: body.stop())
    body = _Dropped(ended)
    response.deliverBody(body)
    await ended
    return response


class _Dropped(Protocol):
    """Discards a body. If it is too long, the connection is closed."""

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
    """Why there was no response, in words for the operator."""
    if isinstance(error, ResponseFailed) and error.reasons:
        return str(error.reasons[0].getErrorMessage())
    return str(error) or type(error).__name__
