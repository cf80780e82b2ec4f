"""
What happens to clients that arrive at a server that is about to end.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from rdv.test.server.doubles import request
from rdv.test.server.workers.doubles import token_of
from rdv.test.sockets import socket_path
from tests.processes import PYTHON, ROOT, Program
from tests.servers import LISTENING, RELAYED, SystemTestCase, left
from tests.talker import talk_to

ACTIVATED = str(ROOT / "tests" / "activated.py")


class DrainingTestCase(SystemTestCase):
    """Servers that listen on a socket that this process has, too."""

    forked = True

    def listening(self) -> socket.socket:
        """One on which nobody else listens as yet."""
        sock = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.addCleanup(sock.close)
        os.set_inheritable(sock.fileno(), True)
        self.port = sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/rdv"
        return sock

    async def activated(self, sock: socket.socket, *options: str) -> Program:
        """A server that systemd has started with it."""
        # Its stdin is the socket; a program under test inherits nothing else.
        where = "systemd:domain=INET:index=0"
        command = (PYTHON, "-m", "rdv", "serve", "-v", "-l", where, *options)
        server = Program(self, PYTHON, ACTIVATED, "0", *command, stdin=sock.fileno())
        await server.line(LISTENING)
        return server

    async def stopped(self, server: Program, pairs: int) -> None:
        """It is told to stop, and does."""
        server.signal("TERM")
        await server.line(left(pairs))


class SharedSocketTests(DrainingTestCase):
    """Two servers on one socket."""

    options: tuple[str, ...] = ()

    async def test_new_clients(self) -> None:
        """All of them go to the other one, and a relayed stream of the first one goes on."""
        sock = self.listening()
        first = await self.activated(sock, "--drain", "600", *self.options)
        dialer, acceptor = self.dial(*RELAYED), self.accept(*RELAYED)
        dialer.write(b"x")
        await acceptor.received(1)
        await self.stopped(first, 1)
        second = await self.activated(sock, *self.options)
        for number in range(20):
            answer = await self.ask(b"GET / HTTP/1.0\r\n\r\n")
            self.assertIn(b" 426 ", answer, f"{number}")
        dialer.write(b"y")
        self.assertEqual(await acceptor.received(2), b"xy")
        for client in (dialer, acceptor):
            client.close_stdin()
        self.assertEqual(await first.ended, 0, first.report())
        second.signal("TERM")
        self.assertEqual(await second.ended, 0, second.report())

    async def test_queue(self) -> None:
        """Who came before there is anybody else waits for the next one."""
        sock = self.listening()
        first = await self.activated(sock, "--drain", "600", *self.options)
        first.signal("TERM")
        self.assertEqual(await first.ended, 0, first.report())
        talker = await talk_to(self, self.port)
        talker.write(b"GET / HTTP/1.0\r\n\r\n")
        await self.activated(sock, *self.options)
        self.assertIn(b" 426 ", await talker.over())


class SharedSocketWorkersTests(SharedSocketTests):
    options = ("--workers", "2")

    async def stopped(self, server: Program, pairs: int) -> None:
        server.signal("TERM")
        for index in range(2):
            await server.line(rf"\[worker {index}, .*told to stop: ")

    async def test_pair(self) -> None:
        """Its clients meet, whichever worker they come to."""
        sock = self.listening()
        await self.activated(sock, *self.options)
        for index in range(2):
            token = token_of(index).decode()
            dialer = self.dial(*RELAYED, token=token)
            acceptor = self.accept(*RELAYED, token=token)
            dialer.write(b"x")
            self.assertEqual(await acceptor.received(1), b"x")


class OwnSocketTests(DrainingTestCase):
    """A server that has opened its port itself."""

    options: tuple[str, ...] = ()

    async def start(self) -> Program:
        return await self.serve("--drain", "600", *self.options)

    def stalled(self, server: Program) -> list[int]:
        """The processes that accept."""
        return [int(server.transport.pid or 0)]

    async def test_queue(self) -> None:
        """Who has come when the signal comes is answered, and none is reset."""
        server = await self.start()
        pids = self.stalled(server)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        talkers = [await talk_to(self, self.port) for _ in range(20)]
        for number, talker in enumerate(talkers):  # a worker may let some wait before it knows
            talker.write(request(b"DIAL", rdv_token=b"%d" % number))
        server.signal("TERM")
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        for talker in talkers:
            answer = await talker.over()
            self.assertFalse(talker.is_reset, talker.why_lost)
            self.assertIn(b" 503 ", answer)
            self.assertIn(b"shutting down, try again", answer)
        self.assertEqual(await server.ended, 0, server.report())


class OwnSocketTwistTests(OwnSocketTests):
    async def start(self) -> Program:
        server = await self.twist("--drain", "600")
        await self.ask(b"GET / HTTP/1.0\r\n\r\n")
        return server


class OwnSocketWorkersTests(OwnSocketTests):
    options = ("--workers", "2")

    def stalled(self, server: Program) -> list[int]:
        parent = server.transport.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(child) for child in children]


class FileTests(DrainingTestCase):
    """Sockets in the file system."""

    async def test_workers(self) -> None:
        """Several processes accept from one; its file is as it was told to be, and goes at last."""
        path = Path(socket_path(self))
        listen = f"unix:{path}:mode=600"
        server = self.rdv("serve", "-v", "-l", listen, "--workers", "2")
        await server.line("^LISTENING: ")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        peers = []
        for index in range(2):
            for method in (b"DIAL", b"ACCEPT"):
                peers.append(socket.socket(socket.AF_UNIX))
                self.addCleanup(peers[-1].close)
                peers[-1].connect(str(path))
                peers[-1].sendall(request(method, rdv_token=token_of(index)))
            await server.line(rf"\[worker {index}, .*matched: ")
        for peer in peers:
            self.assertIn(b" 101 ", peer.recv(4096))
            peer.close()
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())
        self.assertFalse(path.exists())

    async def test_killed(self) -> None:
        """What a server has left that was killed is replaced; one that lives is not disturbed."""
        path = Path(socket_path(self))
        for options in ((), ("--workers", "2")):
            server = self.rdv("serve", "-l", f"unix:{path}", *options)
            await server.line("^LISTENING: ")
            second = self.rdv("serve", "-l", f"unix:{path}", *options)
            said = f"cannot listen on unix:{path}: another process is listening there"
            await self.assert_ended(second, 1, said)
            await server.kill()
            self.assertTrue(path.exists())
