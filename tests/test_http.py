"""
What a server answers to requests that are not offers: over real sockets, where an answer can be
lost.
"""

from __future__ import annotations

from rdv.test.server.doubles import request
from tests.servers import MEGABYTE, SystemTestCase


class RefusalTests(SystemTestCase):
    """The answer arrives, whatever is still on its way to the server."""

    async def test_large_head(self) -> None:
        server = await self.serve()
        for more, status in (
            (b"X: %s\r\n" % (b"x" * 60_000), b"431 Request Header Fields Too Large"),
            (b"X: %s\r\n" % (b"x" * (MEGABYTE // 2)), b"431 Request Header Fields Too Large"),
            (b"X: y\r\n" * 10_000, b"431 Request Header Fields Too Large"),
        ):
            answer = await self.ask(request(more=more))
            self.assertTrue(answer.startswith(b"HTTP/1.1 %s\r\n" % status), answer)
        answer = await self.ask(request(path=b"/" + b"x" * 60_000))
        self.assertTrue(answer.startswith(b"HTTP/1.1 414 "), answer)
        self.assertEqual(server.report().count("Unhandled"), 0)

    async def test_no_host(self) -> None:
        """It is none of a client that waits."""
        await self.serve()
        answer = await self.ask(request(host=None, connection=b"upgrade, close"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 Bad Request\r\n"), answer)
        self.assertTrue(answer.endswith(b"\r\n\r\nmissing Host\n"), answer)
