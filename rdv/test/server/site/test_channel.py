"""What is no request of a size that anybody needs: the answer arrives, and the rest is dropped."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.ssl import TLSVersion
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.web.http import HTTPChannel

from rdv.server.site.site import RendezvousSite
from rdv.test.doubles import CLIENT, ends, present
from rdv.test.server.doubles import Browser, WebTestCase, request
from rdv.test.transport.doubles import TLSPeer, with_tls

KIB = 1 << 10


class ChannelTestCase(WebTestCase):
    """A site of a server of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.site = self.factory = RendezvousSite(self.site.resource, self.clock)

    def kept_by(self, channel: object) -> int:
        """How many bytes it has not been rid of."""
        assert isinstance(channel, HTTPChannel)
        kept: bytes = channel.clearLineBuffer()
        return len(kept)


class RefusalTests(ChannelTestCase):
    """It is answered, and the client may still be sending."""

    def refused(self, status: int, data: bytes, piece: int = 0) -> Browser:
        """Assert that a client that sends this gets that answer, once, and an end behind it."""
        browser = self.browse(data, piece=piece)
        self.assertEqual(browser.read_ended, 1)
        self.assertIsNone(browser.lost)
        answer = browser.answer()
        self.assertEqual((answer.status, answer.headers["connection"]), (status, "close"))
        self.assertEqual(self.rendezvous.waiting, 0)
        return browser

    def test_one_long_header(self) -> None:
        for piece in (0, 1000):
            self.refused(431, request(more=b"X: %s\r\n" % (b"x" * 60 * KIB)), piece)
            self.refused(431, request(more=b"X: %s\r\n" % (b"x" * 16 * KIB)), piece)

    def test_many_headers(self) -> None:
        self.refused(431, request(more=b"X: y\r\n" * 10000))

    def test_long_request_line(self) -> None:
        self.refused(414, request(path=b"/" + b"x" * 60 * KIB))

    def test_large_body(self) -> None:
        length = b"Content-Length: 70000\r\n"
        self.refused(413, request(b"POST", more=length) + b"x" * 70000)
        self.refused(413, request(b"POST", more=length) + b"x" * 70000, 1000)
        endless = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        self.refused(413, request(b"POST", more=b"Transfer-Encoding: chunked\r\n") + endless * 3)

    def test_no_http(self) -> None:
        for data in (b"\x16\x03\x01\r\n\r\n", b"SSH-2.0-x\r\n", request(more=b"no colon\r\n")):
            self.refused(400, data)
        chunks = request(more=b"Transfer-Encoding: chunked\r\n") + b"many\r\n"
        self.refused(400, chunks)

    def test_good_ones_behind_it(self) -> None:
        """One answer is all there is."""
        self.refused(431, request(more=b"X: %s\r\n" % (b"x" * 60 * KIB)) + request() * 3)
        self.refused(400, b"nonsense\r\n" + request(b"GET") * 3)

    def test_as_large_as_allowed(self) -> None:
        """Also again on the same connection."""
        browser = self.browse()
        large = request(b"GET", more=b"X: %s\r\n" % (b"x" * 16000))
        for _ in range(3):
            self.send(browser, large)
            self.assertEqual(browser.answer().status, 400)
        self.send(browser, request())
        self.assert_waiting(browser)

    def test_client_closes(self) -> None:
        self.refused(400, b"nonsense\r\n")
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertFalse(self.at_server.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_does_not_close(self) -> None:
        self.refused(400, b"nonsense\r\n")
        self.clock.advance(5)
        self.assertTrue(self.at_server.aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_goes_on(self) -> None:
        """What it sends is dropped, up to a megabyte."""
        browser = self.refused(400, b"nonsense\r\n")
        for _ in range(16):
            self.send(browser, b"a\r\n" * (1 << 14))
        self.assertEqual(self.kept_by(self.at_server.protocol), 0)
        self.assertIsNone(browser.lost)
        for _ in range(16):
            self.send(browser, b"a\r\n" * (1 << 14))
        self.assertFalse(present(browser.lost).check(ConnectionDone))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SlowTests(ChannelTestCase):
    """A byte now and then keeps nobody here."""

    def assert_cut(self, browser: Browser, turns: int) -> None:
        """It is, within so many pieces of half a minute."""
        for _ in range(turns):
            self.assertTrue(self.at_server.connected)
            self.clock.advance(29)
            self.send(browser, b"x")
        self.clock.advance(5)
        self.assertFalse(self.at_server.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_head(self) -> None:
        self.assert_cut(self.browse(b"D"), 3)

    def test_body(self) -> None:
        self.assert_cut(self.browse(request(b"POST", more=b"Content-Length: 100\r\n")), 3)

    def test_another_request(self) -> None:
        """It has its own time."""
        browser = self.browse()
        for _ in range(3):
            self.clock.advance(50)
            self.send(browser, request(b"GET"))
            self.assertEqual(browser.answer().status, 400)
        self.assert_cut(browser, 3)


class OrdinaryTests(ChannelTestCase):
    """Ordinary answers."""

    def test_last_one(self) -> None:
        """The connection is closed at once."""
        browser = self.browse(request(b"GET", connection=b"close"))
        self.assertEqual(browser.answer().status, 426)
        self.assertFalse(self.at_server.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_head(self) -> None:
        """An answer without a body, and no complaint about one that was eaten."""
        said: list[object] = []
        observer = cast(ILogObserver, said.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        browser = self.browse(request(b"HEAD", connection=None))
        head, _, body = browser.received.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 426 "), head)
        self.assertIn(b"Content-Length: 28", head)
        self.assertEqual(body, b"")
        self.assertEqual(said, [])


class TLSTests(ChannelTestCase):
    """Twisted's TLS reads on until the client has closed as well, and it need not."""

    def setUp(self) -> None:
        super().setUp()
        tls = with_tls(self.site, self.clock, False, TLSVersion.TLSv1_3)
        self.peer = TLSPeer(True)
        below, self.at_peer = ends(self.clock)
        self.at_peer.protocol = self.peer
        self.tls: Any = tls.buildProtocol(CLIENT)
        below.protocol = self.tls
        self.tls.makeConnection(below)
        self.peer.makeConnection(self.at_peer)
        self.clock.advance(0)

    def say(self, data: bytes) -> None:
        """Send something."""
        self.at_peer.write(self.peer.sealed(data))
        self.clock.advance(0)

    def flood(self) -> None:
        """What goes on is not kept, and not taken for ever."""
        self.assertTrue(self.peer.notified)
        for _ in range(16):
            self.say(b"a\r\n" * (1 << 14))
        self.assertEqual(self.kept_by(self.tls.wrappedProtocol), 0)
        self.assertIsNone(self.peer.lost)
        self.clock.advance(5)
        self.assertIsNotNone(self.peer.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_behind_the_last_answer(self) -> None:
        self.say(request(b"GET", connection=b"close"))
        self.assertIn(b"426 Upgrade Required", self.peer.plain)
        self.flood()

    def test_behind_a_refusal(self) -> None:
        self.say(request(more=b"X: %s\r\n" % (b"x" * 60 * KIB)))
        self.assertIn(b"431 Request Header Fields Too Large", self.peer.plain)
        self.flood()

    def test_nothing_but_http_1(self) -> None:
        """Whatever else is installed: rdv/1 is an upgrade of HTTP/1.1."""
        self.assertEqual(self.site.acceptableProtocols(), [b"http/1.1"])
