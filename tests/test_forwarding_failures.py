"""
``rdv expose`` and ``rdv connect`` when something is wrong: one clear line, the right exit status,
and other forwards unharmed.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import reactor
from twisted.web.pages import errorPage
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.forwarding import ForwardingTestCase
from tests.processes import Program
from tests.servers import DIRECT
from tests.talker import Talker

NOBODY = "http://127.0.0.1:9/"


class FailureTestCase(ForwardingTestCase):
    async def assert_fails(self, status: int, said: str, *arguments: str) -> None:
        """It says one line, and nothing on stdout."""
        program = self.rdv(*arguments)
        await self.assert_ended(program, status, said)
        self.assertEqual(program.stdout, b"")


class PortTests(FailureTestCase):
    """Where ``rdv connect`` listens."""

    async def test_loopback_only(self) -> None:
        """Nobody else in the network reaches it, if that was not said."""
        self.url = NOBODY
        for listen, address in (("0", r"127\.0\.0\.1:\d+"), ("0.0.0.0:0", r"0\.0\.0\.0:\d+")):
            await self.connect(listen=listen)
            self.assertRegex(self.listening, f"^{address}$")

    async def test_socket_file(self) -> None:
        """It is for this user only, and goes in the end."""
        self.url, path = NOBODY, self.folder() / "socket"
        for name, status in (("INT", 130), ("TERM", 143)):
            program = await self.connect(listen=f"unix:{path}")
            mode = path.stat().st_mode
            self.assertTrue(stat.S_ISSOCK(mode))
            self.assertEqual(stat.S_IMODE(mode), 0o600)
            program.signal(name)
            await self.assert_ended(program, status, f"LISTENING: unix:{path}")
            self.assertFalse(path.exists())

    async def test_socket_file_that_is_there(self) -> None:
        """What a killed process has left is replaced; where somebody listens nothing is."""
        self.url, path = NOBODY, self.folder() / "socket"
        killed = await self.connect(listen=f"unix:{path}")
        await killed.kill()
        self.assertTrue(path.exists())
        await self.connect(listen=f"unix:{path}")
        said = f"cannot listen on unix:{path}: another process is listening there"
        await self.assert_fails(1, said, "connect", NOBODY, "t", f"--listen=unix:{path}")
        (await self.visit()).close()

    async def test_ordinary_file(self) -> None:
        """Nor is a file that holds something, or what cannot be."""
        path = self.folder() / "file"
        path.write_text("precious")
        said = f"cannot listen on unix:{path}: the file exists and is not a socket"
        await self.assert_fails(1, said, "connect", NOBODY, "t", f"--listen=unix:{path}")
        self.assertEqual(path.read_text(), "precious")
        for wrong, reason in ((path / "x", "Not a directory"), ("x" * 200, ".*path too long")):
            said = f"cannot listen on unix:{wrong}: {reason}"
            await self.assert_fails(1, said, "connect", NOBODY, "t", f"--listen=unix:{wrong}")

    async def test_socket_file_of_somebody_else(self) -> None:
        """One that has taken the place of ours stays; that ours has gone is no harm."""
        self.url, path = NOBODY, self.folder() / "socket"
        for replaced in (False, True):
            program = await self.connect(listen=f"unix:{path}")
            path.unlink()
            if replaced:
                path.write_text("precious")
            program.signal("TERM")
            self.assertEqual(await program.ended, 143, program.report())
        self.assertEqual(path.read_text(), "precious")


class TargetTests(FailureTestCase):
    """The target of ``rdv expose``."""

    async def test_refuses(self) -> None:
        """That forward is reset; one that stands is not."""
        await self.serve()
        port = await self.target()
        exposing = await self.expose()
        await self.connect()
        local, visitor = await self.forward()
        await port.stopListening()
        await self.assert_visit_reset()
        said = f"^REFUSED 2: cannot connect to {self.where}: connection refused$"
        await exposing.line(said)
        await self.check_both_ways(local, visitor, b"still", b"there")

    async def test_not_there(self) -> None:
        """No such socket, and a name that does not resolve."""
        await self.serve()
        path = f"unix:{self.folder()}/nothing"
        for where, why in ((path, "no such file.*"), ("nobody.invalid:80", "the name does not")):
            self.where = where
            exposing = await self.expose(token=where)
            await self.connect(token=where)
            await self.assert_visit_reset()
            await exposing.line(f"^REFUSED 1: cannot connect to {where}: {why}")


class ServerTests(FailureTestCase):
    async def test_not_there(self) -> None:
        """Who connects keeps listening, and says it of each connection."""
        port = self.taken_port()
        self.url = f"http://127.0.0.1:{port}/rdv"
        said = f"cannot reach {self.url}: connection refused"
        connecting = await self.connect()
        for number in (1, 2):
            await self.assert_visit_reset()
            await connecting.line(f"^REFUSED {number}: {said}$")

    async def test_refuses(self) -> None:
        """It is none for that path."""
        await self.serve("--path", "/elsewhere")
        said = f"{self.url} refused: 404 Not Found.*"
        await self.assert_fails(1, said, "expose", self.url, "t", "127.0.0.1:1")

    async def test_goes_away(self) -> None:
        """It is missed once, and found again. What stands without it goes on."""
        server = await self.serve()
        await self.target()
        exposing = await self.expose()
        await self.connect()
        local, visitor = await self.forward()
        await server.kill()
        await exposing.line(f"^TROUBLE: cannot reach {self.url}: ")
        await self.serve_again()
        await exposing.line("^BACK: ")
        await self.check_both_ways(*await self.forward(), b"new", b"one")
        await self.check_both_ways(local, visitor, b"still", b"there")
        self.assertEqual(exposing.stderr.count(b"TROUBLE"), 1, exposing.report())

    async def test_token_in_use(self) -> None:
        """Two that expose under one token take turns, and say so; no forward is harmed."""
        await self.serve()
        await self.target()
        first = await self.expose()
        await self.connect()
        local, visitor = await self.forward()
        second = await self.expose()
        said = "^TROUBLE: another program accepts with the same token and replaced this one .*409"
        await first.line(said)
        await second.line(said)  # the first one has returned
        await self.check_both_ways(*await self.forward(), b"new", b"one")
        await self.check_both_ways(local, visitor, b"still", b"there")
        await second.kill()
        await self.check_both_ways(*await self.forward(), b"the", b"last")
        self.assertEqual(first.stderr.count(b"TROUBLE"), 1, first.report())
        self.assertIsNone(first.exit_code)

    async def test_goes_for_good(self) -> None:
        """A server that lets us in no more ends it, when its forwards have."""
        server = await self.serve()
        await self.target()
        exposing = await self.expose()
        await self.connect()
        local, visitor = await self.forward()
        await server.kill()
        await exposing.line("^TROUBLE: ")
        site = Site(cast(Resource, errorPage(403, "Forbidden", "not any more")))
        port = cast(Any, reactor).listenTCP(self.port, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        await exposing.line("^TROUBLE: .*403 Forbidden.*; 1 forwards continue$")
        await self.check_both_ways(local, visitor, b"still", b"there")
        local.close()
        self.assertEqual(await exposing.ended, 1, exposing.report())


class LeavingTests(FailureTestCase):
    """A local program that leaves before a peer has arrived."""

    async def check(self, listen: str, leave: Callable[[Talker], object] = Talker.close) -> None:
        """Its dial is given up at once; the next one has the lobby, and the peer, for itself."""
        server = await self.serve()
        connecting = await self.connect("-v", *DIRECT, listen=listen)
        local = await self.visit()
        await server.line("waiting: dialer")
        leave(local)
        await connecting.line("^ENDED 1: 0 bytes sent, 0 received; broken: .*disconnected$")
        await server.line("left: dialer")
        await self.target()
        await self.expose()
        await self.check_both_ways(*await self.forward(), b"there", b"back")

    async def test_leaves(self) -> None:
        """By a reset or an end, and by way of a Unix socket, too."""
        await self.check("0")
        await self.check("0", lambda local: local.transport.loseConnection())
        await self.check(f"unix:{self.folder() / 'here'}")

    async def test_waits_for_an_answer(self) -> None:
        """It has only ended its own direction, with a request or without: that is no leaving."""
        await self.serve()
        await self.connect()
        await self.target()
        for request in (b"request", b""):
            local = await self.visit()
            local.write(request)
            local.end()
            exposing = await self.expose()
            visitor = await self.visitors.get()
            self.assertEqual(await visitor.ended(), request)
            visitor.write(b"answer")
            visitor.end()
            self.assertEqual(await local.ended(), b"answer")
            await exposing.kill()


class LimitTests(FailureTestCase):
    """``--max``."""

    async def check(self, program: Program) -> None:
        """One is there; the next is reset, and one behind it is welcome."""
        local, visitor = await self.forward()
        await self.assert_visit_reset()
        await program.line("^FULL: 1 forwards are open, one more is reset$")
        await self.check_both_ways(local, visitor, b"still", b"there")
        await program.line("^ENDED 1: ")
        await self.check_both_ways(*await self.forward(), b"another", b"one")

    async def test_each_side(self) -> None:
        """Local connections, and peers."""
        await self.serve()
        await self.target()
        await self.expose()
        await self.check(await self.connect("-v", "--max", "1", *DIRECT))
        exposing = await self.expose("-v", "--max", "1", *DIRECT, token="another")
        await self.connect(token="another")
        await self.check(exposing)
