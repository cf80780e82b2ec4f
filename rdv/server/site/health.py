"""
Health checks on the public ports, for balancers and supervisors.

``/readyz`` says whether the server would take another client. ``/healthz`` says whether it works at
all; it is fine while the server drains or is full, because a restart would only make that worse.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.web.http import Request
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource

from rdv.server.resource import IRendezvous

__all__ = ["HealthChecks"]

_OK, _DRAINING, _FULL, _HANGING = "ok", "draining", "full", "hanging"
#: Requests with other methods are not checks: they may be offers, if any path is served.
_METHODS = (b"GET", b"HEAD")


class HealthChecks:
    """
    The health checks of one site.

    :param path: the path above them; empty to disable them.
    :ivar hanging: whether another worker of this server does not answer.
    """

    def __init__(self, rendezvous: IRendezvous, path: str) -> None:
        self._rendezvous = rendezvous
        self.hanging = False
        self.use(path)

    def use(self, path: str) -> None:
        """Move them below another path."""
        self._checks: dict[bytes, Resource] = {}
        if path:
            folder = "/".join(["", *filter(None, path.split("/"))])
            self._checks = {
                f"{folder}/healthz".encode(): _Check(self._is_alive),
                f"{folder}/readyz".encode(): _Check(self._is_ready),
            }

    def resource(self, request: Request) -> Resource | None:
        """The resource that answers ``request``; None if it is not a health check."""
        return self._checks.get(request.path) if request.method in _METHODS else None

    def _is_alive(self, transport: object) -> str:
        return _HANGING if self.hanging else _OK

    def _is_ready(self, transport: object) -> str:
        if self._rendezvous.closing:
            return _DRAINING
        if self._rendezvous.is_full(transport):
            return _FULL
        return self._is_alive(transport)


class _Check(Resource):
    """
    Responds with one word.

    :param word: returns the word; called with the connection of the request.
    """

    isLeaf = True

    def __init__(self, word: Callable[[object], str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._word = word

    def render(self, request: IRequest) -> bytes:
        channel = request.channel  # type: ignore[attr-defined]
        word = self._word(None if channel is None else channel.transport)
        request.setResponseCode(200 if word == _OK else 503)
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        request.setHeader("Cache-Control", "no-store")
        body = f"{word}\n".encode()
        if request.method != b"HEAD":
            return body
        request.setHeader("Content-Length", str(len(body)))
        return b""
