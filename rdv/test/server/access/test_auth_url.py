"""A URL that is asked about each client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from rdv._awaiting import deferred_of
from rdv.errors import BadRequest, RdvError
from rdv.server.access import auth_url
from rdv.server.access.asking import checked_url
from rdv.server.access.auth_url import AT_ONCE, OF_ONE_ADDRESS, AuthURL
from rdv.server.access.door import Visitor
from rdv.server.access.making import ServerDoor
from rdv.settings import ServerSettings
from rdv.test.asyncio_loop import without_asyncio
from rdv.test.server.access.doubles import AccessTestCase, visitor

URL = "http://127.0.0.1:9/may-come?x=1"
REFUSED = "you may not use this server: ask its operator"
UNKNOWN = (503, "could not check your access, try again")


class FakeBody:
    """The transport of a response's body. :ivar lost: whether it was given up."""

    lost = False

    def loseConnection(self) -> None:
        self.lost = True


class FakeResponse:
    """A response whose head has arrived."""

    def __init__(self, code: int, *users: str) -> None:
        self.code = code
        self.headers = Headers({"Rdv-User": list(users)} if users else {})
        self.body: Protocol | None = None
        self.transport = FakeBody()

    def deliverBody(self, body: Protocol) -> None:
        self.body = body
        body.makeConnection(cast(Any, self.transport))


class FakeAgent:
    """
    Records the requests.

    :ivar asked: the headers of each request, with all their values.
    :ivar answers: the responses to come, in the order of the requests.
    """

    def __init__(self) -> None:
        self.asked: list[dict[bytes, list[bytes]]] = []
        self.answers: list[Deferred[Any]] = []

    def request(self, method: bytes, uri: bytes, headers: Headers, body: object) -> Deferred[Any]:
        assert (method, uri, body) == (b"GET", URL.encode(), None)
        self.asked.append({name: list(them) for name, them in headers.getAllRawHeaders()})
        self.answers.append(Deferred())
        return self.answers[-1]


class AuthURLTests(AccessTestCase):
    """``--auth-url``, with a server that the test controls."""

    def setUp(self) -> None:
        without_asyncio(self)
        self.clock = Clock()
        self.agent = FakeAgent()
        self.open()

    def open(self, **options: Any) -> None:
        """Begin anew, with these options."""
        self.check = AuthURL(self.clock, URL, agent=cast(IAgent, self.agent), **options)

    def come(self, one: Visitor) -> Deferred[None]:
        """It asks to be let in; what comes of it. At the end of the test it leaves."""
        later = self.check(one)
        assert later is not None
        coming = deferred_of(later)
        self.addCleanup(lambda: coming.addErrback(lambda _: None).cancel())
        return coming

    def answer(self, code: int, *users: str) -> FakeResponse:
        """To what was asked last."""
        response = FakeResponse(code, *users)
        self.agent.answers[-1].callback(response)
        assert response.body is not None
        response.body.dataReceived(b"some words")
        response.body.connectionLost(Failure(CancelledError()))
        return response

    def failure(self, coming: Deferred[None]) -> tuple[int, str]:
        """How it was refused."""
        error = self.failureResultOf(coming, BadRequest).value
        assert isinstance(error, BadRequest)
        return error.status, str(error)

    def complaints(self, events: Sequence[dict[str, Any]]) -> list[str]:
        """What the operator was told: why."""
        return [event["reason"] for event in events if event["log_level"].name == "critical"]

    def test_yes(self) -> None:
        """It is told of it with all that it needs, and with nothing else."""
        one = visitor(
            b"my \xc3\xbc",
            authorization=[b"Bearer x"],
            cookie=[b"a=b", b"c=d"],
            other=[b"z"],
        )
        coming = self.come(one)
        expected = {
            b"Rdv-Role": [b"dialer"],
            b"Rdv-Token": [b"my \xc3\xbc"],
            b"Rdv-Observed-Addr": [b"192.0.2.1:7"],
            b"Authorization": [b"Bearer x"],
            b"Cookie": [b"a=b", b"c=d"],
        }
        self.assertEqual(self.agent.asked, [expected])
        self.answer(204, "alice")
        self.assertIsNone(self.successResultOf(coming))
        self.assertEqual(one.user, "alice")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unknown_address(self) -> None:
        """Is left out; and who it is, if that is known already."""
        one = visitor(observed="")
        one.user = "Ünï"
        coming = self.come(one)
        expected = {
            b"Rdv-Role": [b"dialer"],
            b"Rdv-Token": [b"token"],
            b"Rdv-User": ["Ünï".encode()],
        }
        self.assertEqual(self.agent.asked, [expected])
        self.answer(200)
        self.assertIsNone(self.successResultOf(coming))
        self.assertEqual(one.user, "Ünï")

    def test_no(self) -> None:
        """As the answer says; not why, which is not for strangers."""
        for code in (401, 403):
            coming = self.come(visitor(b"token %d" % code))
            self.answer(code, "alice")
            self.assertEqual(self.failure(coming), (code, REFUSED))

    def test_further_headers(self) -> None:
        """Of the client, and our own, which it cannot set."""
        path = self.file("Rdv-Role: none", "# ours", "X-Key:  a password ", "")
        self.open(header_file=path, passed=["X-Key", "X-Other"])
        self.come(visitor(x_key=[b"mine"], x_other=[b"1", b"2"]))
        [asked] = self.agent.asked
        self.assertEqual(asked[b"X-Key"], [b"a password"])
        self.assertEqual(asked[b"X-Other"], [b"1", b"2"])

    def test_kept(self) -> None:
        """For all that would be asked alike, from whatever port of the address."""
        coming = self.come(visitor(authorization=[b"x"]))
        self.answer(200, "alice")
        self.successResultOf(coming)
        again = visitor(observed="192.0.2.1:8", authorization=[b"x"])
        self.assertEqual(self.let_in(self.check, again), "alice")
        for other in (
            visitor(b"other", authorization=[b"x"]),
            visitor(authorization=[b"y"]),
            visitor(authorization=[b"x"], observed="192.0.2.2:7"),
            visitor(cookie=[b"x"]),
        ):
            self.come(other).cancel()
        self.assertEqual(len(self.agent.asked), 5)
        self.clock.advance(60)
        self.come(again)
        self.assertEqual(len(self.agent.asked), 6)

    def test_refusal_kept(self) -> None:
        coming = self.come(visitor())
        self.answer(403)
        self.failure(coming)
        self.assertEqual(self.refused(self.check, visitor()), (403, REFUSED))
        self.clock.advance(10)
        self.come(visitor())

    def test_no_answer(self) -> None:
        """In time, or none that says anything: nobody comes in, and the operator knows."""
        for code in (100, 302, 404, 429, 500):
            self.open()
            with capturedLogs() as events:
                coming = self.come(visitor())
                self.answer(code)
                self.assertEqual(self.failure(coming), UNKNOWN)
            self.assertEqual(self.complaints(events), [f"status {code}"])
        self.open()
        with capturedLogs() as events:
            coming = self.come(visitor())
            self.clock.advance(5)
            self.assertEqual(self.failure(coming), UNKNOWN)
        self.assertEqual(self.complaints(events), ["no answer within 5 s"])

    def test_cannot_be_asked(self) -> None:
        """The reason is told once a minute."""
        with capturedLogs() as events:
            for error in (
                ConnectError(string="nobody there"),
                ResponseFailed([Failure(ZeroDivisionError("in the middle"))]),
                ZeroDivisionError(),
            ):
                for _ in range(3):
                    coming = self.come(visitor())
                    self.agent.answers[-1].errback(error)
                    self.assertEqual(self.failure(coming), UNKNOWN)
                self.clock.advance(60)
        told = self.complaints(events)
        self.assertEqual(len(told), 3)
        self.assertIn("nobody there", told[0])
        self.assertEqual(told[1:], ["in the middle", "ZeroDivisionError"])

    def test_bad_name(self) -> None:
        """Of a user, which nobody could handle."""
        with capturedLogs() as events:
            coming = self.come(visitor())
            self.answer(200, "a\tb")
            self.assertEqual(self.failure(coming), UNKNOWN)
        self.assertEqual(self.complaints(events), ["Rdv-User: a user name must be printable text"])
        coming = self.come(visitor())
        self.answer(200, "")
        self.successResultOf(coming)

    def test_client_leaves(self) -> None:
        """Then nothing is asked any more; before an answer, and in its body."""
        coming = self.come(visitor())
        coming.cancel()
        self.failureResultOf(coming, CancelledError)
        coming = self.come(visitor())
        response = FakeResponse(200)
        self.agent.answers[1].callback(response)
        self.assertNoResult(coming)
        coming.cancel()
        self.failureResultOf(coming, CancelledError)
        self.assertTrue(response.transport.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_endless_body(self) -> None:
        """Is not waited for."""
        coming = self.come(visitor())
        response = FakeResponse(200)
        self.agent.answers[0].callback(response)
        assert response.body is not None
        for _ in range(17):
            self.assertFalse(response.transport.lost)
            response.body.dataReceived(b"x" * 4000)
        self.assertTrue(response.transport.lost)
        response.body.connectionLost(Failure(ZeroDivisionError()))
        self.successResultOf(coming)

    def test_so_many_at_once(self) -> None:
        """Others wait until it is their turn, or until they leave."""
        coming = [
            self.come(visitor(b"%d" % number, f"192.0.2.{number}:7"))
            for number in range(AT_ONCE + 2)
        ]
        self.assertEqual(len(self.agent.asked), AT_ONCE)
        coming[AT_ONCE].cancel()
        self.failureResultOf(coming[AT_ONCE], CancelledError)
        self.agent.answers[3].errback(ZeroDivisionError())
        self.failure(coming[3])
        self.assertEqual(len(self.agent.asked), AT_ONCE + 1)
        self.assertEqual(self.agent.asked[-1][b"Rdv-Token"], [b"%d" % (AT_ONCE + 1)])
        for each in (*coming[:3], *coming[4:AT_ONCE], coming[-1]):
            each.cancel()
            self.failureResultOf(each, CancelledError)

    def test_so_many_of_one_address(self) -> None:
        """The next one of another address does not wait behind them."""
        for prefix in ("192.0.2.1", "[2001:db8::%x]", ""):
            self.setUp()
            each = f"{prefix}:7" if prefix else ""
            for number in range(2 * OF_ONE_ADDRESS):
                self.come(visitor(b"%d" % number, each.replace("%x", f"{number:x}")))
            first = OF_ONE_ADDRESS * (1 if prefix else 2)  # unknown addresses do not count as one
            self.assertEqual(len(self.agent.asked), first)
            self.come(visitor(b"other", "198.51.100.1:7"))
            self.assertEqual(self.agent.asked[first][b"Rdv-Token"], [b"other"])

    def test_reload(self) -> None:
        """Other headers; and nobody is let in by what was said before."""
        path = self.file("X-Key: one")
        self.open(header_file=path)
        coming = self.come(visitor())
        self.answer(200)
        self.successResultOf(coming)
        self.file("X-Key: two", path=path)
        self.check.reload()
        self.come(visitor())
        self.assertEqual(self.agent.asked[-1][b"X-Key"], [b"two"])
        for line in ("X-Key", ": x", "X Key: a", "X-Key: a\x00b"):
            self.file(line, path=path)
            error = str(self.assertRaises(RdvError, self.check.reload))
            self.assertEqual(error, f"{path}, line 1: not NAME: VALUE")
        self.come(visitor(b"other"))
        self.assertEqual(self.agent.asked[-1][b"X-Key"], [b"two"])

    def test_reload_meanwhile(self) -> None:
        """What was asked before holds for the one who asked, and for nobody after it."""
        coming = self.come(visitor())
        self.check.reload()
        self.answer(200)
        self.successResultOf(coming)
        self.come(visitor())
        self.assertEqual(len(self.agent.asked), 2)

    def test_urls(self) -> None:
        """What is none; the error does not show it."""
        self.assertEqual(checked_url("https://ex\u00e4mple.com/a"), b"https://xn--exmple-cua.com/a")
        self.assertEqual(checked_url("http://[::1]:80/"), b"http://[::1]/")
        for text in ("", "x", "ftp://x/", "http://", "//x", "http://x:y/", "http://u:secret@x/"):
            error = self.assertRaises(RdvError, checked_url, text)
            self.assertNotIn("secret", str(error))

    def test_names(self) -> None:
        """Of headers that cannot be, or are the server's own."""
        for name in ("", "a b", "a:", "Rdv-User", "\xfc"):
            self.assertRaises(RdvError, AuthURL, self.clock, URL, passed=[name])

    def test_setting(self) -> None:
        door = ServerDoor(self.clock, ServerSettings(auth_url=URL))
        self.assertFalse(door.is_open(visitor()))
        self.assertRaises(RdvError, ServerDoor, None, ServerSettings(auth_header_file="x"))

    def test_settings(self) -> None:
        """Each goes where it belongs."""
        made: list[dict[str, object]] = []

        class Recorder(AuthURL):
            def __init__(self, reactor: object, url: str, **options: Any) -> None:
                made.append({"url": url, **options})
                super().__init__(reactor, url, **options)

        self.patch(auth_url, "AuthURL", Recorder)
        file = self.file("X-Key: 1")
        settings = ServerSettings(
            auth_url=URL, auth_header_file=file, auth_pass=["X-One"], auth_timeout=2, auth_cache=3
        )
        ServerDoor(self.clock, settings)
        options = {"header_file": file, "passed": ["X-One"], "timeout": 2, "keep": 3}
        self.assertEqual(made, [{"url": URL, **options}])


class LoadedTests(SynchronousTestCase):
    def test_not_loaded(self) -> None:
        """By a server that asks no URL, and by its workers."""
        code = (
            "import sys, rdv.server.site.service, rdv.server.workers.worker\n"
            "print([each for each in sys.modules if each in ('rdv.server.access.auth_url', "
            "'twisted.web.client')])"
        )
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        self.assertEqual(found.stdout, b"[]\n")
