"""PROXY headers, whole and in pieces, with a client and without."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.haproxy import proxyEndpoint
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from rdv._transport.handover import can_migrate
from rdv.errors import ProtocolError
from rdv.server.site.listening import listen, make_endpoints
from rdv.server.site.proxy_header import header_size, names_nobody
from rdv.test.doubles import CLIENT
from rdv.test.server.doubles import Browser, WebTestCase, request
from rdv.test.transport.doubles import NowhereEndpoint

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES = struct.pack("!4B4B2H", 192, 0, 2, 7, 198, 51, 100, 1, 7777, 443)


def second(command: int, kind: int, body: bytes) -> bytes:
    """A header of version 2."""
    return SIGNATURE + struct.pack("!BBH", command, kind, len(body)) + body


V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 7777 443\r\n"
V1_IPV6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 7777 443\r\n"
V2 = second(0x21, 0x11, ADDRESSES)
#: With a type-length-value after the addresses, as HAProxy adds them.
V2_MORE = second(0x21, 0x11, ADDRESSES + b"\x04\0\x05crc32")
#: Headers that name a client, and which one.
CLIENTS = {
    V1: "192.0.2.7:7777",
    V1_IPV6: "[2001:db8::7]:7777",
    V2: "192.0.2.7:7777",
    V2_MORE: "192.0.2.7:7777",
}
#: Headers that name none: health checks, clients on UNIX sockets, and what the proxy does not know.
NOBODY = (
    *(b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN \r\n"),
    b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
    *(second(0x20, 0, b""), second(0x20, 0x11, ADDRESSES), second(0x21, 0, b"")),
    *(second(0x21, 0x10, ADDRESSES), second(0x21, 0x31, b"/a\0".ljust(216, b"\0"))),
)
#: Data that is not a header, up to the first wrong byte.
WRONG = (
    *(b"DIAL /rdv HTTP/1.1\r\n", b"PROXY_", b"\r\n\r\n\0\r\nQUIX", b"\n", b"PROXY " + b"x" * 101),
)
#: What looks like a header until it is read.
NONSENSE = (
    *(b"PROXY TCP4 a b c d\r\n", b"PROXY TCP4 192.0.2.7\r\n", b"PROXY \r\n", b"PROXY UDP4 x\r\n"),
    *(b"PROXY UNKNOWNS\r\n", b"PROXY TCP4 \xff 198.51.100.1 7777 443\r\n"),
    *(second(0x31, 0x11, ADDRESSES), second(0x21, 0x11, b"x"), second(0x2F, 0x11, ADDRESSES)),
)


class HeaderTests(SynchronousTestCase):
    """``header_size`` and ``names_nobody``."""

    def test_size(self) -> None:
        """As soon as it is whole, whatever stands behind it."""
        for header in (*CLIENTS, *NOBODY):
            for end in range(len(header)):
                self.assertIsNone(header_size(header[:end]), header[:end])
            for rest in (b"", b"x", b"\r\n", header):
                self.assertEqual(header_size(header + rest), len(header))

    def test_wrong(self) -> None:
        for data in WRONG:
            self.assertRaises(ProtocolError, header_size, data)
            self.assertRaises(ProtocolError, header_size, data + V1)
            self.assertIsNone(header_size(data[:-1]) if data not in WRONG[:1] else None)

    def test_nobody(self) -> None:
        unix = NOBODY[-1]
        for header in (*CLIENTS, *NOBODY):
            self.assertEqual(names_nobody(header), header in NOBODY and header != unix, header)

    @given(st.binary(max_size=120))
    def test_anything(self, data: bytes) -> None:
        """Nothing else is ever raised."""
        for start in (b"", b"PROXY ", SIGNATURE):
            try:
                size = header_size(start + data)
            except ProtocolError:
                continue
            if size is not None:
                self.assertLessEqual(size, len(start + data))
                names_nobody((start + data)[:size])


class ProxiedTests(WebTestCase):
    """Connections to a ``haproxy:`` endpoint of a standalone server."""

    def mount(self, resource: Resource) -> None:
        super().mount(resource)
        reactor = MemoryReactorClock()
        listen(make_endpoints(reactor, ["haproxy:tcp:0"]), self.site)
        self.factory: IProtocolFactory = reactor.tcpServers[0][1]

    def come(self, header: bytes, *cuts: int) -> Browser:
        """An offer behind that, in pieces that end there."""
        browser = self.browse()
        data = header + request()
        for start, end in pairwise((0, *cuts, len(data))):
            self.send(browser, data[start:end])
        return browser

    def assert_observed(self, header: bytes, observed: str, *cuts: int) -> None:
        """A client is taken in, and seen as that."""
        browser = self.come(header, *cuts)
        self.assert_waiting(browser)
        (leg,) = self.rendezvous._lobby
        self.assertEqual(leg.observed, observed, header)
        self.assertTrue(can_migrate(leg.transport))
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertEqual(self.rendezvous.waiting, 0)

    def test_whole(self) -> None:
        for header, observed in CLIENTS.items():
            self.assert_observed(header, observed)
        for header in NOBODY:
            self.assert_observed(header, "")

    def test_two_segments(self) -> None:
        """Cut anywhere."""
        for header in (*CLIENTS, *NOBODY):
            for cut in range(1, len(header) + 1):
                self.assert_observed(header, CLIENTS.get(header, ""), cut)

    def test_byte_by_byte(self) -> None:
        for header in (*CLIENTS, *NOBODY):
            self.assert_observed(header, CLIENTS.get(header, ""), *range(1, len(header) + 20))

    def test_refused(self) -> None:
        """Closed without an answer, in one piece or more; nothing behind it is looked at."""
        for data in (*WRONG, *NONSENSE):
            for cuts in ((), (1,), (len(data) - 1,), (len(data),)):
                browser = self.come(data, *cuts)
                self.assertEqual(browser.received, b"", data)
                self.assertFalse(self.at_server.connected, data)
                self.assertEqual(self.rendezvous.waiting, 0)

    def test_no_address(self) -> None:
        """A header that is well made, but for its addresses."""
        self.assert_observed(b"PROXY TCP4 nowhere here 7777 443\r\n", "")
        for port in (b"65536", b"-1"):
            self.assert_observed(b"PROXY TCP4 192.0.2.7 x %b 443\r\n" % port, "")

    def test_silent(self) -> None:
        """Who sends no header is not waited for any longer than who sends no request."""
        self.browse(V1[:20])
        self.clock.advance(self.site.timeOut or 60)
        self.clock.advance(0)
        self.assertFalse(self.at_server.connected)

    def test_as_twisted(self) -> None:
        """What Twisted takes by itself is the same with it."""
        endpoint = NowhereEndpoint()
        proxyEndpoint(endpoint).listen(self.site)
        for header, observed in CLIENTS.items():
            self.factory = endpoint.factory
            self.assert_observed(header, observed)

    def test_what_twisted_does_not_take(self) -> None:
        """Without this; once it does, this is of no use."""
        endpoint: Any = NowhereEndpoint()
        proxyEndpoint(endpoint).listen(self.site)
        self.factory = endpoint.factory
        for header, *cuts in ((NOBODY[0],), (V1, 7), (V2, 15)):
            self.come(header, *cuts)
            self.assertFalse(self.at_server.connected)
        self.assert_observed(NOBODY[1], f"{CLIENT.host}:{CLIENT.port}")  # the proxy's own
