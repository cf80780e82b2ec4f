"""What is said when time is over: whether it was the server or the peer that did not come."""

from __future__ import annotations

from rdv.errors import AttemptTimeout
from rdv.test.client.doubles import PEER, TOKEN, URL, AttemptTestCase


class TimeoutTextTests(AttemptTestCase):
    """After five seconds."""

    SERVER = f"{URL} did not answer"
    PEER = f"the peer did not come to {URL}"

    def says(self) -> str:
        """The text of the error, once every connection is gone."""
        for transport in self.reactor.transports:
            if not transport.gone:
                transport.lose()
        text = str(self.failureResultOf(self.attempt, AttemptTimeout).value)
        before, _, after = text.partition(": ")
        self.assertEqual(before, "no connection within 5 s")
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        return after

    def start(self, role: str, url: str = URL) -> None:
        """An attempt, not yet connected to the server."""
        self.attempt = getattr(self.client(), role)(url, TOKEN, timeout=5)

    def test_no_connection_to_the_server(self) -> None:
        for role in ("dial", "accept"):
            self.setUp()
            self.start(role)
            self.reactor.advance(5)
            self.assertEqual(self.says(), self.SERVER)

    def test_name_does_not_resolve_in_time(self) -> None:
        self.reactor.resolver.silent = True
        self.start("dial", "http://one.example/rdv")
        self.reactor.advance(5)
        self.assertEqual(self.says(), "http://one.example/rdv did not answer")

    def test_no_peer(self) -> None:
        for role in ("dial", "accept"):
            self.setUp()
            self.start(role)
            self.reactor.connected()
            self.reactor.advance(5)
            self.assertEqual(self.says(), self.PEER)

    def test_no_peer_after_a_refusal(self) -> None:
        """Between one request and the next."""
        self.start("accept")
        for moment in (4.25, 0.25):
            server = self.reactor.connected()
            self.reactor.advance(moment)
            server.deliver(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            server.lose()
        self.assertEqual(len(self.reactor.tcpClients), 2)
        self.reactor.advance(0.5)
        self.assertEqual(self.says(), self.PEER)

    def test_server_gone_at_the_second_request(self) -> None:
        self.start("accept")
        server = self.reactor.connected()
        server.deliver(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        server.lose()
        self.reactor.advance(1)
        self.assertEqual(len(self.reactor.tcpClients), 2)
        self.reactor.advance(4)
        self.assertEqual(self.says(), self.SERVER)

    def test_no_path(self) -> None:
        self.dial(timeout=5)
        self.answer(PEER)
        self.reactor.advance(5)
        self.assertEqual(self.says(), "no path to the peer")
