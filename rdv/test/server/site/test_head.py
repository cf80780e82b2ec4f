"""Heads of requests that are nothing but that."""

from __future__ import annotations

import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv.server.site.head import plain_head
from rdv.test.server.doubles import request

PLAIN = (
    request(),
    request(b"ACCEPT", path=b"/"),
    request(path=b"/some/where.else~1_2-3/"),
    request(rdv_token="täg".encode(), rdv_self_addrs=None),
    request(more=b"X-Whatever:\t some\xff thing \r\nrdv-TOKEN: another\r\nempty:\r\n"),
    b"DIAL / HTTP/1.1\r\n\r\n",
)
OTHER = (
    b"",
    b"\r\n\r\n",
    request()[:-1],
    request() + b"x",
    request() * 2,
    b"\r\n" + request(),
    request(b"GET"),
    request(b"dial"),
    request(version=b"HTTP/1.0"),
    request(version=b"HTTP/1.1 "),
    request(path=b"*"),
    request(path=b""),
    request(path=b"/a b"),
    request(path=b"/%41"),
    request(path=b"/?a=b"),
    request(path=b"http://example.com/rdv"),
    request(more=b"folded: a\r\n b\r\n"),
    request(more=b"no colon\r\n"),
    request(more=b": no name\r\n"),
    request(more=b"a name: x\r\n"),
    request(more=b"name : x\r\n"),
    request(more=b"x: \x00\r\n"),
    request(more=b"x: a\nb\r\n"),
    request(more=b"x: a\rb\r\n"),
    request(more=b"x: \x7f\r\n"),
    request(more=b"Content-Length: 0\r\n"),
    request(more=b"Transfer-Encoding: identity\r\n"),
    request(more=b"Expect: 100-continue\r\n"),
    request(more=b"eXpect: nothing\r\n"),
    request(more=b"Cookie: a=b\r\n"),
    request(more=b"x: y\r\n" * 3000),
)


class PlainHeadTests(SynchronousTestCase):
    """``plain_head``."""

    def test_plain(self) -> None:
        for data in PLAIN:
            self.assertIsNotNone(plain_head(data), data)

    def test_other(self) -> None:
        """Whether it is wrong, or only more than we care for."""
        for data in OTHER:
            self.assertIsNone(plain_head(data), data)

    def test_parts(self) -> None:
        """Names in any case, values without the blanks round them, several in their order."""
        more = b"RDV-TOKEN:\t two \r\nempty:\r\n"
        head = plain_head(request(b"ACCEPT", path=b"/a", more=more))
        assert head is not None
        self.assertEqual((head.method, head.target), (b"ACCEPT", b"/a"))
        for name, values in (
            (b"Rdv-Token", [b"token", b"two"]),
            (b"Empty", [b""]),
            (b"HOST", [b"example.com:8080"]),
            (b"Other", []),
        ):
            self.assertEqual(list(head.values(name)), values)

    def test_time(self) -> None:
        """In proportion to the number of lines, for one that is good and one that is not."""
        for end in (b"\r\n", b"no colon\r\n\r\n", b"\x00"):
            counts = [self.calls(b"a: b\r\n" * number + end) for number in (100, 200, 400)]
            self.assertLessEqual(counts[2] - counts[1], 2 * (counts[1] - counts[0]))

    def test_many_lines(self) -> None:
        """An HTTP server takes no more of them, either."""
        for number, is_plain in ((400, True), (500, False)):
            head = plain_head(request(more=b"a: b\r\n" * number))
            self.assertEqual(head is not None, is_plain)

    def calls(self, more: bytes) -> int:
        """How many functions are called, those in C too, to read a head with these lines."""
        data = b"DIAL / HTTP/1.1\r\n" + more
        count = 0

        def called(frame: object, event: str, argument: Any) -> None:
            nonlocal count
            count += event.endswith("call")

        before = sys.getprofile()
        sys.setprofile(called)
        try:
            plain_head(data)
        finally:
            sys.setprofile(before)
        return count
