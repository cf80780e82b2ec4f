"""The nearer client of a pair gets its 101 later under TLS, too."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.ssl import TLSVersion
from twisted.web.resource import Resource

from rdv.server import Outcome
from rdv.test.server.doubles import HELLO, WebTestCase, request
from rdv.test.server.meeting.held_case import FAR, NEAR, KernelSocket, tcp_info
from rdv.test.server.test_wrapped import Visitor
from rdv.test.transport.doubles import with_tls


class TLSTests(WebTestCase):
    """A dialer that is near, an acceptor that is far."""

    tls = TLSVersion.TLSv1_3
    proxy = False
    if sys.platform != "linux":
        skip = "only Linux tells round trips"

    def mount(self, resource: Resource) -> None:
        super().mount(resource)
        self.factory = with_tls(self.site, self.clock, False, self.tls)

    def visit(self, method: bytes, trip: int) -> Visitor:
        """A client at that distance comes."""
        case: Any = self
        visitor = Visitor(case)
        sock = KernelSocket(tcp_info(trip))
        self.addCleanup(sock.close)
        sock.lie_below(visitor.at_server)
        visitor.send(request(method))
        return visitor

    def held_pair(self) -> tuple[Visitor, Visitor]:
        """The nearer one, which knows nothing yet, and the farther one."""
        near, far = self.visit(b"DIAL", NEAR), self.visit(b"ACCEPT", FAR)
        self.assert_told(far)
        self.assertEqual(near.take(), b"")
        return near, far

    def assert_told(self, *visitors: Visitor) -> None:
        """They have got their 101, and nothing else."""
        for visitor in visitors:
            answer = visitor.take()
            self.assertTrue(answer.startswith(b"HTTP/1.1 101 "), answer)
            self.assertTrue(answer.endswith(b"\r\n\r\n"), answer)

    def assert_failed(self) -> None:
        """That was the end of the pair."""
        self.assertEqual(self.rendezvous.pairs, 0)
        self.assertEqual(self.rendezvous.outcomes, {Outcome.FAILED: 1})

    def test_misjudged(self) -> None:
        near, far = self.held_pair()
        far.send(HELLO)
        answer = near.take()
        self.assertTrue(answer.startswith(b"HTTP/1.1 101 "), answer)
        self.assertTrue(answer.endswith(b"\r\n\r\n" + HELLO), answer)

    def test_farther_one_leaves(self) -> None:
        for how in ("end", "loseConnection", "abortConnection"):
            self.setUp()
            near, far = self.held_pair()
            getattr(far if how == "end" else far.here, how)()
            self.clock.advance(0)
            self.assert_failed()
            other = self.visit(b"ACCEPT", NEAR)
            self.assert_told(near, other)
            other.send(HELLO)
            self.assertEqual(near.take(), HELLO)
