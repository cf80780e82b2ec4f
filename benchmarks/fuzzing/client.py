"""
Answers from servers and proxies to a client.
"""

from __future__ import annotations

from typing import Any

from hyperlink import URL
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from benchmarks.fuzzing.engine import Target, cut
from benchmarks.fuzzing.server import quiet
from rdv._transport.handover import one_protocol
from rdv.client.http.request import UpgradeAgent, ask
from rdv.client.http.tunnel import TunnelEndpoint
from rdv.client.parsing import parse_proxy
from rdv.errors import RdvError
from rdv.test.client.doubles import context
from rdv.test.client.http.doubles import SWITCH, Endpoints
from rdv.test.doubles import Wire
from rdv.wire import refusal, switching_protocols

__all__ = ["TARGETS"]

_WORDS = [
    *(b"HTTP/1.1 ", b"101", b"200", b"407", b"503", b"\r\n", b"\r\n\r\n", b"Retry-After: 5\r\n"),
    *(b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n"),
    *(b"Set-Cookie: a=b\r\n", b"Location: /\r\n", b"Content-Type: text/plain\r\n", b"\x1b[31m"),
    *(b"Connection: upgrade\r\n", b"Upgrade: rdv/1\r\n", b"Rdv-Peer-Addrs: 1.2.3.4:5\r\n"),
]


def _outcome(deferred: Deferred[Any], transport: Any, pieces: list[bytes]) -> str:
    """How the Deferred ends when this data arrives, followed by the end of the connection."""
    found: list[str] = []

    def failed(failure: Any) -> None:
        error = failure.value
        if not isinstance(error, RdvError):
            raise error
        text = str(error)
        assert text.isprintable() and len(text) < 1000, "not fit to be shown"
        found.append(type(error).__name__)  # the words of h11's errors depend on the pieces

    mistakes: list[Any] = []
    deferred.addCallbacks(lambda _: found.append("made"), failed).addErrback(mistakes.append)
    for piece in pieces:
        if not transport.closing and transport.producerState == "producing":
            transport.deliver(piece)
    transport.lose()
    for mistake in mistakes:
        raise mistake.value
    assert len(found) == 1, "no end"
    return found[0]


def response(data: bytes) -> None:
    """A server's answer to a request. It fails as all requests do, or results in a candidate."""
    pieces, whole = cut(data)
    outcomes = [_asked(each) for each in (pieces, [whole] if whole else [])]
    assert outcomes[0] == outcomes[1], outcomes


def _asked(pieces: list[bytes]) -> str:
    clock, endpoints = Clock(), Endpoints()
    made = context(clock)
    agent = UpgradeAgent(made, endpoints)
    url = URL.from_text("http://192.0.2.80/rdv")
    with quiet():
        asking = Deferred.fromCoroutine(ask(made, agent, url, [], {}))
        return _outcome(asking, endpoints.accept(), pieces)


def tunnel(data: bytes) -> None:
    """A proxy's answer to CONNECT. Data after a success is for the protocol inside."""
    pieces, whole = cut(data)
    outcomes = [_tunnelled(each) for each in (pieces, [whole] if whole else [])]
    assert outcomes[0] == outcomes[1], outcomes


def _tunnelled(pieces: list[bytes]) -> str:
    clock, endpoints, wire = Clock(), Endpoints(), Wire()
    proxy = parse_proxy("http://192.0.2.3:3128")
    endpoint = TunnelEndpoint(context(clock), proxy, endpoints, "server.example", 443)
    with quiet():
        connecting = endpoint.connect(one_protocol(wire))
        return _outcome(connecting, endpoints.accept(), pieces)


_ANSWERS = (
    SWITCH + b"behind",
    switching_protocols("192.0.2.1:5", "192.0.2.7:80, [2001:db8::7]:80", [443]),
    refusal(503, "busy"),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
)
_TUNNELS = (
    b"HTTP/1.1 200 Connection established\r\n\r\nbehind",
    b"HTTP/1.0 407 Proxy Authentication Required\r\n\r\n",
)

TARGETS = {
    "response": Target(response, [b"\x09\x07" + each for each in _ANSWERS], _WORDS, 8192),
    "tunnel": Target(tunnel, [b"\x09\x07" + each for each in _TUNNELS], _WORDS),
}
