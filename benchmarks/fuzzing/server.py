"""
Data from strangers to a server, which is a whole site in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from benchmarks.fuzzing.engine import Target, cut
from rdv.errors import ProtocolError
from rdv.server import Rendezvous
from rdv.server.site.listening import listen, make_endpoints
from rdv.server.site.parts import make_rendezvous, make_site
from rdv.server.site.proxy_header import PREFIX, header_size, names_nobody
from rdv.settings import ServerSettings
from rdv.test.doubles import CLIENT, besides_the_look, connect, present
from rdv.test.server.doubles import CONFIRM, HELLO, Browser, request
from rdv.test.server.site.test_head import OTHER, PLAIN
from rdv.test.server.site.test_proxy_header import CLIENTS, NOBODY, NONSENSE, WRONG
from rdv.test.server.site.test_slim import OwnWorld
from rdv.test.server.test_shortcut import SiteWorld

__all__ = ["TARGETS"]

#: Separate what the two clients send; end a direction; close; let time pass.
_OTHER, _END, _CLOSE, _WAIT = b"\xfe", b"\xfd", b"\xfc", b"\xfb"
_ORDERS = frozenset((_OTHER, _END, _CLOSE, _WAIT))
#: Seconds after which everything must be over.
_FOR_EVER = 1000
_STATUS = re.compile(rb"HTTP/1\.[01] [1-5][0-9][0-9] ")

_SHORT = [each for each in (*PLAIN, *OTHER) if len(each) < 1000]
_WORDS = [
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"DIAL",
        b"ACCEPT",
        b"GET / HTTP/1.1\r\n",
        b"HEAD",
        b"POST",
        b"HTTP/1.0",
    ),
    *(b"Host: a\r\n", b"Connection: upgrade\r\n", b"Connection: close\r\n", b"Upgrade: rdv/1\r\n"),
    *(b"Rdv-Token: ", b"Rdv-Self-Addrs: 1.2.3.4:5\r\n", b"Content-Length: 3\r\n", b"/healthz"),
    *(b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Cookie: a=b\r\n"),
    *(b"Forwarded: for=1.2.3.4:5\r\n", b"X-Forwarded-For: 1.2.3.4:5\r\n", b"0\r\n\r\n", b"PROXY "),
]


@contextmanager
def quiet() -> Iterator[None]:
    """Fail if a failure is logged in the block."""
    failures: list[Any] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event.get("log_failure") is not None:
            failures.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)
    for failure in failures:
        raise failure.value


def head(data: bytes) -> None:
    """The shortcut and the usual way have the same result."""
    with quiet():
        short, long = [OwnWorld(each).outcome(data) for each in (True, False)]
    assert short == long, f"{short} is not {long}"


def shortcut(data: bytes) -> None:
    """The same for a shortcut in another site, in any pieces."""
    pieces, _ = cut(data)
    *before, last = pieces or [b""]
    with quiet():
        short, long = [SiteWorld(each).outcome(last, before=before) for each in (True, False)]
    assert short == long, f"{short} is not {long}"


def _settled(clock: Clock, rendezvous: Rendezvous) -> None:
    clock.advance(0)
    clock.pump([_FOR_EVER / 50] * 50)
    assert (rendezvous.waiting, rendezvous.pairs) == (0, 0), "somebody is left"
    left = besides_the_look(clock.getDelayedCalls())
    assert not left, f"a timer is left: {left}"


def _check_answers(received: bytes, sent: bytes) -> None:
    """Complete answers, and none after one that closes the connection."""
    last = False
    while _STATUS.match(received):
        first, _, rest = received.partition(b"\r\n\r\n")
        assert not last, "an answer behind the last one"
        lines = first.lower().split(b"\r\n")
        status, values = int(first[9:12]), dict(each.split(b": ", 1) for each in lines[1:])
        if status == 101:
            return
        last = values.get(b"connection") == b"close"
        length = int(values.get(b"content-length", b"0"))
        is_bare = b"HEAD" in sent and (not rest or _STATUS.match(rest) is not None)
        assert is_bare or len(rest) >= length, "half an answer"
        received = rest if is_bare else rest[length:]
    assert not received, "more than an answer"


def _visit(settings: ServerSettings, data: bytes) -> None:
    clock = Clock()
    rendezvous = make_rendezvous(clock, settings)
    site = make_site(clock, settings, rendezvous)
    browsers: list[Browser] = []
    ends: list[Any] = []
    sent = [b"", b""]
    for number in range(2):
        address = IPv4Address("TCP", f"192.0.2.{number + 1}", 4000)
        browsers.append(Browser())
        protocol = present(site.buildProtocol(address))
        ends.append(connect(clock, protocol, browsers[-1], address)[1])
    who, start = 0, 0
    places = [at for at in range(len(data)) if data[at : at + 1] in _ORDERS]
    for place in (*places, len(data)):
        piece, order = data[start:place], data[place : place + 1]
        start = place + 1
        if piece and ends[who].connected and not ends[who].disconnecting:
            ends[who].write(piece)
            sent[who] += piece
        clock.advance(0)
        if order == _OTHER:
            who = 1 - who
        elif order == _END:
            ends[who].loseWriteConnection()
        elif order == _CLOSE:
            ends[who].loseConnection()
        elif order == _WAIT:
            clock.advance(3)
    for number, browser in enumerate(browsers):
        _check_answers(browser.received, sent[number])
        ends[number].abortConnection()
    _settled(clock, rendezvous)


def site(data: bytes) -> None:
    """Two clients send anything, in any pieces: no tracebacks, complete answers, nothing left."""
    with quiet():
        _visit(ServerSettings(), data)


def observed(data: bytes) -> None:
    """The same behind a proxy that reports clients' addresses."""
    with quiet():
        for port in (None, "X-Real-Port"):
            _visit(
                ServerSettings(observed_header="X-Forwarded-For", observed_port_header=port), data
            )


def proxy(data: bytes) -> None:
    """
    A PROXY header has the same result in any pieces, and an invalid one leaves nothing behind.
    """
    pieces, whole = cut(data)
    with suppress(ProtocolError):
        if (size := header_size(whole)) is not None:
            assert size <= len(whole)
            names_nobody(whole[:size])
    with quiet():
        assert _proxied(pieces) == _proxied([whole] if whole else [])


def _proxied(pieces: list[bytes]) -> object:
    reactor = MemoryReactorClock()
    rendezvous = Rendezvous(reactor)
    site = make_site(reactor, ServerSettings(), rendezvous)
    listen(make_endpoints(reactor, [f"{PREFIX}tcp:0"]), site)
    browser = Browser()
    factory: Any = reactor.tcpServers[0][1]
    at_client: Any
    at_server, at_client = connect(reactor, factory.buildProtocol(CLIENT), browser, CLIENT)
    for piece in pieces:
        if at_client.connected and not at_client.disconnecting:
            at_client.write(piece)
            reactor.advance(0)
    seen = [leg.observed for leg in rendezvous._lobby], at_server.connected
    answered = browser.received[:12]
    at_client.abortConnection()
    _settled(reactor, rendezvous)
    return seen, answered


def _talk(*said: bytes) -> bytes:
    return _OTHER.join(said)


TARGETS = {
    "head": Target(head, _SHORT, _WORDS),
    "shortcut": Target(
        shortcut, [cuts + each for each in _SHORT for cuts in (b"\0\0", b"\x07\x50")], _WORDS
    ),
    "site": Target(
        site,
        [
            *_SHORT,
            _talk(request(), request(b"ACCEPT") + _END),
            _talk(request(), request(b"ACCEPT"), CONFIRM + b"abc", HELLO + b"xyz" + _CLOSE, _END),
            _talk(request()[:30] + _WAIT * 5, request(b"GET") * 2 + _CLOSE),
        ],
        [*_WORDS, _OTHER, _END, _CLOSE, _WAIT, HELLO, CONFIRM],
        1 << 15,
    ),
    "observed": Target(
        observed,
        [request(more=b"X-Forwarded-For: 1.2.3.4:5\r\nX-Real-Port: 7\r\n"), request()],
        [*_WORDS, b"[::1]", b"for=", b"X-Real-Port: 5\r\n", b"unknown"],
    ),
    "proxy": Target(
        proxy,
        [
            cuts + each + request()
            for each in (*CLIENTS, *NOBODY, *NONSENSE, *WRONG)
            for cuts in (b"\0\0", b"\x07\x05")
        ],
        [b"PROXY ", b"TCP4", b"TCP6", b"UNKNOWN", b"\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"],
    ),
}
