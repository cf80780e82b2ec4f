"""
Servers that answer something else than a good 101, or do not answer, over real sockets.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred

from rdv.addresses import AddressSpace
from rdv.client import Connection
from rdv.errors import (
    AttemptTimeout,
    NoConnection,
    ProtocolError,
    RdvError,
    ServerRefused,
    ServerUnreachable,
)
from rdv.test.client.doubles import answer
from rdv.test.client.loopback import LoopbackTestCase, RawServer, RealServer
from rdv.test.doubles import Wire
from rdv.test.sockets import keep_alive_states

HEAD = b"HTTP/1.1 101 Switching Protocols\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: rdv/1\r\n"


class AnswersTestCase(LoopbackTestCase):
    """A client of a server that says what the test wants."""

    def setUp(self) -> None:
        super().setUp()
        self.server = RawServer(self)

    async def error(self, attempt: Deferred[Connection], kind: type[RdvError]) -> RdvError:
        """What the attempt fails with: one line for a person, and nothing left behind."""
        error: RdvError = await self.assertFailure(cast(Any, attempt), kind)
        self.assertIs(type(error), kind)
        self.assertNotIn("\n", str(error))
        self.assert_nothing_left()
        return error

    async def answered(self, data: bytes, kind: type[RdvError], *, close: bool = False) -> RdvError:
        """What a client makes of ``data``."""
        attempt = self.client().dial(self.server.url, "token")
        wire = await self.server.request()
        wire.write(data)
        if close:
            wire.close()
        return await self.error(attempt, kind)


class RefusedTests(AnswersTestCase):
    """Refusals."""

    async def refused(self, status: str, body: bytes, kind: bytes = b"text/plain") -> ServerRefused:
        """What a client makes of this refusal."""
        head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
        data = head % (status.encode(), kind, len(body)) + body
        error = await self.answered(data, ServerRefused)
        assert isinstance(error, ServerRefused)
        return error

    async def test_each_with_its_reason(self) -> None:
        for status in (
            "404 Not Found",
            "401 Unauthorized",
            "409 Conflict",
            "426 Upgrade Required",
            "500 Internal Server Error",
            "200 OK",
        ):
            error = await self.refused(status, b"because of this\n")
            self.assertEqual(error.status, int(status[:3]))
            self.assertEqual(error.reason, "because of this")
            self.assertEqual(str(error), f"{self.server.url} refused: {status}: because of this")

    async def test_retry_after(self) -> None:
        """In seconds; nothing is made of anything else."""
        for text, seconds in (
            ("10", 10.0),
            (" 0 ", 0.0),
            ("-1", None),
            ("1.5", None),
            ("9" * 400, None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("\xff", None),
        ):
            head = f"HTTP/1.1 503 No\r\nRetry-After: {text}\r\nContent-Length: 0\r\n\r\n"
            error = await self.answered(head.encode("latin-1"), ServerRefused)
            assert isinstance(error, ServerRefused)
            self.assertEqual(error.retry_after, seconds)

    async def test_without_a_reason(self) -> None:
        error = await self.refused("503 Service Unavailable", b"")
        self.assertIsNone(error.retry_after)
        self.assertEqual(str(error), f"{self.server.url} refused: 503 Service Unavailable")

    async def test_page(self) -> None:
        error = await self.refused("404 Not Found", b"<html><h1>Oh</h1>", b"text/html")
        self.assertEqual(error.reason, "")

    async def test_kind_of_text(self) -> None:
        error = await self.refused("404 Not Found", b"why", b"text/plain; charset=utf-8")
        self.assertEqual(error.reason, "why")

    async def test_only_one_line_fit_for_a_terminal(self) -> None:
        error = await self.refused("403 Forbidden", b"\n no \x1b[31mred\x07 \xc3\xb6\xff\nmore\n")
        self.assertEqual(error.reason, "no ?[31mred? ö�")

    async def test_long_reason(self) -> None:
        error = await self.refused("403 Forbidden", b"x" * 4000)
        self.assertEqual(error.reason, "x" * 200)

    async def test_redirect_is_not_followed(self) -> None:
        other = RawServer(self)
        data = b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"
        error = await self.answered(data % other.url.encode(), ServerRefused)
        said = f"{self.server.url} refused: 302 Found: moved to {other.url}"
        self.assertEqual(str(error), said)
        self.assertEqual(other.wires, [])

    async def test_body_stalls(self) -> None:
        attempt = self.client().dial(self.server.url, "token")
        wire = await self.server.request()
        stalled = self.reactor.scheduled(10)
        wire.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 99\r\n\r\nbecause")
        await stalled
        self.reactor.clock.advance(10)
        error = await self.error(attempt, ServerRefused)
        self.assertIn("500 Oops", str(error))

    async def test_real_server_not_found(self) -> None:
        server = RealServer(self)
        error = await self.error(self.client().dial(server.url + "x", "token"), ServerRefused)
        self.assertIn("404", str(error))

    async def test_real_server_conflict(self) -> None:
        server = RealServer(self)
        older = self.client().accept(server.url, "token")
        await server.arrival()
        newer = self.client().accept(server.url, "token")
        error: RdvError = await self.assertFailure(cast(Any, older), ServerRefused)
        self.assertEqual(
            str(error), f"{server.url} refused: 409 Conflict: replaced by another conn"
        )
        newer.cancel()
        await newer.addErrback(lambda _: None)
        self.assert_nothing_left()


class MalformedTests(AnswersTestCase):
    """A 101 that cannot be understood."""

    async def test_each(self) -> None:
        eleven = b", ".join(b"127.0.0.1:%d" % (2000 + n) for n in range(11))
        for headers in (
            b"",
            b"Upgrade: rdv/1\r\n",
            b"Connection: Upgrade\r\n",
            b"Connection: keep-alive\r\nUpgrade: rdv/1\r\n",
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
            b"Connection: Upgrade\r\nUpgrade: rdv/2\r\n",
            b"Connection: Upgrade\r\nUpgrade: rdv/1, h2c\r\n",
            UPGRADE + b"Rdv-Peer-Addrs: nonsense\r\n",
            UPGRADE + b"Rdv-Peer-Addrs: 127.0.0.1:2000, localhost:2000\r\n",
            UPGRADE + b"Rdv-Peer-Addrs: 127.0.0.1:65536\r\n",
            UPGRADE + b"Rdv-Peer-Addrs: 127.0.0.1\r\n",
            UPGRADE + b"Rdv-Peer-Addrs: ::1:2000\r\n",
            UPGRADE + b"Rdv-Peer-Addrs: \xff\xfe\r\n",
            UPGRADE + b"Rdv-Peer-Addrs: " + eleven + b"\r\n",
            UPGRADE + b"Rdv-Observed-Addr: somewhere\r\n",
            UPGRADE + b"Rdv-Observed-Addr: 127.0.0.1:1, 127.0.0.1:2\r\n",
            UPGRADE + b"no colon\r\n",
            UPGRADE + b": no name\r\n",
            UPGRADE + b"X-Long: " + b"x" * 100_000 + b"\r\n",
        ):
            await self.answered(HEAD + headers + b"\r\n", ProtocolError)

    async def test_no_http(self) -> None:
        for data in (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n"):
            await self.answered(data, ProtocolError)

    async def test_endless_header(self) -> None:
        await self.answered(HEAD + b"X-Header: y\r\n" * 100_000, ProtocolError)

    async def test_endless_interim_responses(self) -> None:
        await self.answered(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000, ProtocolError)


class EndTests(AnswersTestCase):
    """Servers that die, or are silent."""

    async def test_nobody_listens(self) -> None:
        gone = RawServer(self)
        await gone.stop()
        error = await self.error(self.client().dial(gone.url, "token"), ServerUnreachable)
        self.assertEqual(str(error), f"cannot reach {gone.url}: connection refused")

    async def test_server_would_be_the_client_itself(self) -> None:
        """
        TCP connects the port to itself. That is no server, and the request that was made on the
        connection is nobody's any more: no error of it may be left to the garbage collector.
        """
        gone = RawServer(self)
        await gone.stop()
        attempt = self.client(local_port=gone.number).dial(gone.url, "token")
        error = await self.error(attempt, ServerUnreachable)
        self.assertEqual(str(error), f"cannot reach {gone.url}: connection refused")

    async def test_dies_before_the_answer(self) -> None:
        await self.answered(b"", ServerUnreachable, close=True)

    async def test_dies_in_the_head(self) -> None:
        await self.answered(answer()[:50], ServerUnreachable, close=True)

    async def test_dies_after_the_answer(self) -> None:
        for call in ("dial", "accept"):
            client = self.client(spaces=AddressSpace.NONE)
            attempt = getattr(client, call)(self.server.url, "token")
            wire = await self.server.request()
            wire.write(answer())
            wire.close()
            await self.error(attempt, NoConnection)

    async def test_dies_after_the_answer_and_the_peer_does_not_come(self) -> None:
        attempt = self.client().accept(self.server.url, "token")
        wire = await self.server.request()
        wire.write(answer())
        await wire.until(b"HELLO")
        wire.close()
        await wire.lost()
        self.reactor.clock.advance(30)
        await self.error(attempt, NoConnection)

    async def test_peer_vanishes_after_the_answer(self) -> None:
        attempt = self.client().accept(self.server.url, "token")
        wire = await self.server.request()
        wire.write(answer())
        await wire.until(b"HELLO")
        self.reactor.clock.advance(30)
        await self.error(attempt, NoConnection)

    async def test_silence(self) -> None:
        attempt = self.client().accept(self.server.url, "token", timeout=3600)
        await self.server.request()
        self.reactor.clock.advance(3600)
        error = await self.error(attempt, AttemptTimeout)
        self.assertEqual(
            str(error),
            f"no connection within 3600 s: the peer did not come to {self.server.url}",
        )

    async def test_silence_is_kept_alive(self) -> None:
        """While we wait in the lobby, by the kernel."""
        attempt = self.client().accept(self.server.url, "token")
        wire = await self.server.request()
        states = keep_alive_states(wire.port)
        self.assertEqual(states, {f"127.0.0.1:{self.server.number}": True})
        attempt.cancel()
        await self.assertFailure(cast(Any, attempt), CancelledError)

    async def test_silence_in_the_head(self) -> None:
        attempt = self.client().accept(self.server.url, "token")
        wire = await self.server.request()
        stalled = self.reactor.scheduled(10)
        wire.write(HEAD)
        await stalled
        self.reactor.clock.advance(10)
        error = await self.error(attempt, ServerUnreachable)
        self.assertIn("did not come within 10 s", str(error))


class AgainTests(AnswersTestCase):
    """A 408."""

    async def test_comes_back_from_another_port(self) -> None:
        attempt = self.client().accept(self.server.url, "token")
        first = await self.server.request()
        pause = self.reactor.scheduled(1)
        first.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await first.lost()
        await pause
        self.assertNoResult(attempt)
        self.reactor.clock.advance(1)
        second = await self.server.request()
        self.assertEqual(self.reactor.ports, [first.port, second.port])
        second.write(answer() + b"rdv/1 CONFIRM token\r\nbytes")
        connection: Connection = await attempt
        connection.attach(wire := Wire())
        await wire.until(b"bytes")
        self.addCleanup(self._hang_up, wire)

    async def test_comes_back_from_a_fixed_port(self) -> None:
        free = RawServer(self)
        await free.stop()
        attempt = self.client(local_port=free.number).dial(self.server.url, "token")
        for _ in range(3):
            wire = await self.server.request()
            self.assertEqual(wire.port, free.number)
            pause = self.reactor.scheduled(1)
            wire.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            await pause
            self.reactor.clock.advance(1)
        await self.server.request()
        attempt.cancel()
        await self.assertFailure(cast(Any, attempt), CancelledError)
        self.assert_nothing_left()
