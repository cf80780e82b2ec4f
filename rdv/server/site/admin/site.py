"""
The HTTP part of the admin port: what it serves, to which hosts, and to how many clients at once.
"""

from __future__ import annotations

import json
import re
import socket
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from time import time
from typing import Any, TypeAlias, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from rdv import __version__
from rdv.addresses import parse_ip
from rdv.server.accounting.metrics import Sample
from rdv.server.site.admin import prometheus
from rdv.server.site.admin.history import History
from rdv.server.site.admin.status import status_of
from rdv.server.site.site import RendezvousSite

__all__ = ["PAGE", "POLICY", "AdminResource", "Look", "admin_site", "is_own"]

log = Logger()

#: Connections at once; those beyond are closed.
_MOST = 64
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:\s]*))(?::\d+)?")
#: There are no public names below these.
_PRIVATE = (".localhost", ".local", ".internal", ".home.arpa")

#: Collects all metrics of a server.
Look: TypeAlias = Callable[[], Deferred[Sample]]
#: Makes the body of a response from them.
_Answer: TypeAlias = Callable[[Request, Sample], bytes]

_TEXT = "text/plain; charset=utf-8"


def _hash_of(element: str, text: str) -> str:
    """The hash by which a policy identifies the contents of the one element of that name."""
    (content,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


_PAGE_TEXT = files("rdv.server.site.admin").joinpath("page.html").read_text(encoding="utf-8")

PAGE = _PAGE_TEXT.encode()
#: The value of ``Content-Security-Policy`` that belongs to it.
POLICY = "; ".join(
    [
        "default-src 'none'",
        f"style-src {_hash_of('style', _PAGE_TEXT)}",
        f"script-src {_hash_of('script', _PAGE_TEXT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)


class AdminResource(Resource):
    """
    All resources of the admin port.

    :param look: collects the metrics.
    :param history: their history.
    """

    isLeaf = True

    def __init__(self, look: Look, history: History) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._look = look
        self._history = history
        self._answers: dict[bytes, _Answer] = {b"/status": self._status}
        if prometheus.is_available():
            self._answers[b"/metrics"] = _metrics

    def render(self, request: IRequest) -> int | bytes:
        """Answer a GET or HEAD under a name of this host."""
        request = cast(Request, request)
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Content-Type-Options", "nosniff")
        # The connection of a slow reader is cut some seconds after the response.
        request.setHeader("Connection", "close")
        channel: Any = request.channel
        channel.persistent = False
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader("Allow", "GET, HEAD")
            return _say(request, 405, "nothing can be changed here")
        if not is_own(request.getHeader("Host") or ""):
            return _say(request, 403, "use the address of this host")
        if request.path in (b"/", b"/status.html"):
            request.setHeader("Content-Type", "text/html; charset=utf-8")
            request.setHeader("Content-Security-Policy", POLICY)
            return _body(request, PAGE)
        answer = self._answers.get(request.path)
        if answer is None:
            is_missing = request.path == b"/metrics"
            return _say(request, *((501, prometheus.MISSING) if is_missing else (404, "nothing")))
        looking = self._look()
        request.notifyFinish().addErrback(lambda _: looking.cancel())
        answering: Deferred[bytes] = looking.addCallback(partial(answer, request))
        answering.addErrback(_failed, request).addCallback(_finish, request)
        return NOT_DONE_YET

    def _status(self, request: Request, sample: Sample) -> bytes:
        request.setHeader("Content-Type", "application/json")
        return json.dumps(status_of(sample, self._history, __version__, time())).encode() + b"\n"


def _metrics(request: Request, sample: Sample) -> bytes:
    text, content_type = prometheus.exposition(sample, request.getHeader("Accept") or "")
    request.setHeader("Content-Type", content_type)
    return text


def _failed(failure: Failure, request: Request) -> bytes:
    if request.channel is None:
        return b""
    log.failure("the admin port cannot respond", failure=failure)
    request.setResponseCode(500)
    request.setHeader("Content-Type", _TEXT)
    return b"internal error\n"


def _finish(body: bytes, request: Request) -> None:
    if request.channel is not None:
        request.write(_body(request, body))
        request.finish()


def _say(request: Request, status: int, text: str) -> bytes:
    request.setResponseCode(status, HTTPStatus(status).phrase.encode())
    request.setHeader("Content-Type", _TEXT)
    return _body(request, f"{text}\n".encode())


def _body(request: Request, body: bytes) -> bytes:
    request.setHeader("Content-Length", str(len(body)))
    return b"" if request.method == b"HEAD" else body


class AdminSite(RendezvousSite):
    """Requests here do not belong in the access log of the public ports."""

    def log(self, request: http.Request) -> None:
        """Log nothing."""


class AdminConnections(WrappingFactory):
    """Limits the number of connections."""

    noisy = False

    def buildProtocol(  # type: ignore[override]
        self, addr: IAddress | None
    ) -> ProtocolWrapper | None:
        if len(self.protocols) >= _MOST:
            return None
        protocol: ProtocolWrapper | None = super().buildProtocol(addr)
        return protocol


def admin_site(clock: IReactorTime, look: Look, history: History) -> IProtocolFactory:
    """The factory for the admin port; see :class:`AdminResource`."""
    site = AdminSite(AdminResource(look, history), clock)
    bounded: IProtocolFactory = AdminConnections(site)  # type: ignore[no-untyped-call]
    return bounded


def is_own(host: str) -> bool:
    """
    Whether a ``Host`` header, which may have a port, cannot be a foreign name: an address, a name
    without a dot, one that is never public, or that of this host.

    A foreign web page can have its own name resolve to an address of this host (DNS rebinding). To
    the browser, the response then belongs to that page.
    """
    found = _HOST.fullmatch(host.strip().lower())
    if found is None:
        return False
    name = found[1] or found[2].rstrip(".")
    try:
        parse_ip(name)
    except ValueError:
        return "." not in name or name.endswith(_PRIVATE) or name == socket.gethostname().lower()
    return True
