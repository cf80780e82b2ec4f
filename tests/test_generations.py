"""
Servers that are replaced by a new generation: what happens to waiting clients, and to streams
through the old one; and new generations that fail.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from pathlib import Path
from typing import Any

from rdv.test.server.doubles import request
from rdv.test.sockets import socket_path
from rdv.wire import confirm_line, hello_line
from tests.processes import PYTHON, ROOT, Program
from tests.servers import BROKEN, LISTENING, RELAY, RELAYED, SystemTestCase, left
from tests.talker import Talker, talk_to
from tests.test_draining import ACTIVATED

#: A new generation that ends or hangs before it serves, depending on a file.
BAD = """
import os, sys, time
if "_RDV_HERITAGE" in os.environ and os.path.exists({path!r}):
    with open({path!r}) as file:
        exec(file.read())
"""


class GenerationsTestCase(SystemTestCase):
    """
    :ivar server: the first generation.
    :ivar pid_file: the file that names the serving generation.
    """

    timeout = 120

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.pid_file = folder / "rdv.pid"
        self.bad = folder / "bad"
        self.pids: list[str] = []
        (folder / "sitecustomize.py").write_text(BAD.format(path=str(self.bad)))
        self.environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
        self.addCleanup(self.kill_last)
        self.addCleanup(self.kill_begun)

    def kill_last(self) -> None:
        """Whoever is left is no child of ours."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(self.pid(), signal.SIGKILL)

    def kill_begun(self) -> None:
        """So is one that has not come to serve, in a test that has failed."""
        said = (self.server.stderr + self.server.stdout).decode(errors="replace")
        for pid in re.findall(r"starting a new generation: process (\d+)", said):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    async def all_ended(self) -> None:
        """The first generation by itself, and the last one as it is told to; they share stderr."""
        await self.server.exited
        os.kill(self.pid(), signal.SIGTERM)
        self.assertEqual(await self.server.ended, 0, self.server.report())
        self.assertFalse(self.pid_file.exists())
        self.assertNotIn(b"Traceback", self.server.stderr)

    def pid(self) -> int:
        """The process that serves now."""
        return int(self.pid_file.read_text())

    async def start(self, *options: str, listen: str = "127.0.0.1:0") -> Program:
        """The first generation."""
        argv = ("-v", "serve", "-l", listen, "--pid-file", str(self.pid_file), *options)
        self.server = Program(self, PYTHON, "-m", "rdv", *argv, env=self.environment)
        found = await self.server.line(LISTENING)
        self.url, self.port = f"http://127.0.0.1:{found[1]}/rdv", int(found[1])
        return self.server

    async def replace(self) -> int:
        """Have it replaced; the next one's process."""
        self.pids.append(str(self.pid()))
        os.kill(self.pid(), signal.SIGUSR2)
        serves = rf"the new generation serves: process (?!(?:{'|'.join(self.pids)})$)(\d+)"
        new = int((await self.server.line(serves))[1])
        self.assertEqual(self.pid(), new)
        return new

    async def waiting(self, method: bytes, token: bytes) -> Talker:
        """A client that has come."""
        talker = await talk_to(self, self.port)
        talker.write(request(method, rdv_token=token))
        return talker

    async def meets(self, acceptor: Talker, token: bytes) -> None:
        """Whoever comes now meets one that has waited all the time, and their relay works."""
        self.assertEqual(bytes(acceptor.data), b"")
        dialer = await self.waiting(b"DIAL", token)
        for talker in (acceptor, dialer):
            self.assertIn(b" 101 ", await talker.head())
            talker.data.clear()
        acceptor.write(hello_line(token))
        await dialer.received(len(hello_line(token)))
        dialer.write(confirm_line(token) + b"words")
        self.assertTrue((await acceptor.received(len(confirm_line(token)) + 5)).endswith(b"words"))
        for talker in (acceptor, dialer):
            talker.close()


class ReplacedTests(GenerationsTestCase):
    options: tuple[str, ...] = ()

    async def test_waiting(self) -> None:
        """Nobody in the lobby notices, and a stream goes on, from one generation to the other."""
        await self.start(*self.options)
        tokens = [b"waits %d" % number for number in range(4)]
        waiting = [await self.waiting(b"ACCEPT", token) for token in tokens]
        for _ in tokens:
            await self.server.line("waiting: acceptor wai")
        dialer, acceptor = self.dial(*RELAYED), self.accept(*RELAYED)
        dialer.write(b"x")
        await acceptor.received(1)
        await self.replace()
        await self.server.line("replaced: ")
        for token, talker in zip(tokens, waiting, strict=True):
            await self.meets(talker, token)
        dialer.write(b"y")
        self.assertEqual(await acceptor.received(2), b"xy")
        self.assertIsNone(self.server.exit_code)
        for client in (dialer, acceptor):
            client.close_stdin()
        for client in (dialer, acceptor):
            await self.assert_ended(client, 0, RELAY)
        await self.all_ended()

    async def test_often(self) -> None:
        """
        Under load. ``python -m tests.random_restarts`` does the same as often as one likes.
        """
        await self.start("--no-limits", *self.options)
        argv = ("-m", "tests.random_restarts", str(self.pid_file), str(self.port))
        load = Program(self, PYTHON, *argv, "--restarts", "2", "--abreast", "6")
        self.assertEqual(await load.ended, 0, load.report())
        self.assertRegex(load.stdout.decode(), r"^2 restarts, \d+ pairs: 0 failed\n$")
        await self.all_ended()


class ReplacedWorkersTests(ReplacedTests):
    options = ("--workers", "2")


class OtherTests(GenerationsTestCase):
    async def test_other_settings(self) -> None:
        """The configuration is read anew, and be it that there are more processes, or fewer."""
        config = self.file_of(b"workers = 1\n")
        await self.start("--config", config)
        waiting = [await self.waiting(b"ACCEPT", b"waits %d" % number) for number in range(3)]
        for number, workers in enumerate((2, 3, 1)):
            Path(config).write_text(f"workers = {workers}\n")
            await self.replace()
            await self.meets(waiting[number], b"waits %d" % number)

    async def test_tls(self) -> None:
        """A connection that is more than a socket has to come again, and may do so at once."""
        pem = self.file_of(self.authority().issue("127.0.0.1"))
        await self.start(listen=f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}")
        self.url = self.url.replace("http:", "https:")
        acceptor = self.accept(*RELAYED, *self.trust)
        await acceptor.line("^WAITING: ")  # after a second; before that line, it is not back
        await self.replace()
        await acceptor.line("^BACK: waiting at ")
        dialer = self.dial(*RELAYED, *self.trust)
        dialer.write(b"x")
        self.assertEqual(await acceptor.received(1), b"x")

    def authority(self) -> Any:
        """Whom clients trust."""
        from rdv.test.certificates import Authority

        authority = Authority()
        self.trust = ("--ca", self.file_of(authority.pem))
        return authority

    async def test_command(self) -> None:
        """It waits for the next one, or knows that there is none."""
        await self.start()
        first = self.pid()
        replacing = self.rdv("serve", "--replace", str(self.pid_file))
        said = rf"REPLACED: process {first} by process \d+"
        await self.assert_ended(replacing, 0, said)
        self.bad.write_text("os._exit(7)")
        replacing = self.rdv("serve", "--replace", str(self.pid_file))
        said = rf"the new generation did not start, and process {self.pid()} goes on: see its log"
        await self.assert_ended(replacing, 1, said)
        self.kill_last()
        self.assertEqual(await self.server.ended, 0)
        replacing = self.rdv("serve", "--replace", str(self.pid_file))
        await self.assert_ended(replacing, 1, f"{self.pid_file}: no server is running")
        self.pid_file.unlink()

    async def test_twist(self) -> None:
        """It is the command line of ``twist`` that is run again."""
        server = await self.twist("--pid-file", str(self.pid_file))
        self.server = server
        acceptor = await self.waiting(b"ACCEPT", b"waits")
        await server.line("waiting: acceptor")
        await self.replace()
        await self.meets(acceptor, b"waits")
        await self.all_ended()

    async def test_sockets_of_systemd(self) -> None:
        """They are found by the next generation, whatever number its process has."""
        sock = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.addCleanup(sock.close)
        self.port = sock.getsockname()[1]
        for workers in ("1", "2"):
            where = ("-l", "systemd:domain=INET:index=0", "--workers", workers)
            command = (PYTHON, "-m", "rdv", "-v", "serve", *where, "--pid-file", str(self.pid_file))
            # Its stdin is the socket; a program under test inherits nothing else.
            self.server = Program(self, PYTHON, ACTIVATED, "0", *command, stdin=sock.fileno())
            await self.server.line(LISTENING)
            acceptor = await self.waiting(b"ACCEPT", b"waits")
            await self.server.line("waiting: acceptor")
            for _ in range(2):  # also from a generation that was not started by systemd itself
                await self.replace()
            await self.meets(acceptor, b"waits")
            await self.all_ended()

    async def test_file(self) -> None:
        """A socket in the file system keeps its file, until the last generation ends."""
        path = Path(socket_path(self))
        await self.start("-l", f"unix:{path}")
        identity = path.stat().st_ino
        await self.replace()
        await self.server.exited
        self.assertEqual(path.stat().st_ino, identity)
        await self.all_ended()
        self.assertFalse(path.exists())


class FailureTests(GenerationsTestCase):
    """The new generation does not serve: the old one continues as if nothing had happened."""

    async def goes_on(self, acceptor: Talker) -> None:
        await self.meets(acceptor, b"waits")
        self.assertIsNone(self.server.exit_code)
        self.assertEqual(self.pid(), self.server.transport.pid)

    async def begin(self, bad: str) -> Talker:
        """With a client that waits, and a new generation that will do that."""
        await self.start()
        acceptor = await self.waiting(b"ACCEPT", b"waits")
        await self.server.line("waiting: acceptor")
        self.bad.write_text(bad)
        self.server.signal("USR2")
        return acceptor

    async def test_bad_version(self) -> None:
        """And the next one may be better."""
        acceptor = await self.begin("os._exit(7)")
        said = "the new generation did not start: exit status 7; this one goes on"
        await self.server.line(said)
        await self.goes_on(acceptor)
        self.bad.unlink()
        await self.replace()
        await self.all_ended()

    async def test_killed_in_the_middle(self) -> None:
        acceptor = await self.begin("os.kill(os.getpid(), 9)")
        await self.server.line("the new generation did not start: signal 9; this one goes on")
        await self.goes_on(acceptor)

    async def test_ends_later(self) -> None:
        """That is as when any server ends; the streams of the old one go on."""
        await self.start()
        clients = self.dial(*RELAYED), self.accept(*RELAYED)
        clients[0].write(b"x")
        await clients[1].received(1)
        new = await self.replace()
        await self.server.line(f"replaced: {left(1)}")
        os.kill(new, signal.SIGKILL)
        await self.server.line("the new generation has ended: signal 9")
        clients[0].write(b"y")
        self.assertEqual(await clients[1].received(2), b"xy")
        for client in clients:
            client.close_stdin()
        for client in clients:
            await self.assert_ended(client, 0, RELAY)
        self.assertEqual(await self.server.ended, 0, self.server.report())

    async def test_signals_meanwhile(self) -> None:
        """Another one for the same starts no other; one to end ends both."""
        await self.begin("time.sleep(600)")
        found = await self.server.line(r"starting a new generation: process (\d+)")
        self.server.signal("USR2")
        await self.server.line("there already is a new generation")
        self.server.signal("TERM")
        self.assertEqual(await self.server.ended, 0)  # its output, which both had, has ended
        self.assertRaises(ProcessLookupError, os.kill, int(found[1]), 0)

    async def test_replaced_and_told_to_end(self) -> None:
        """Its streams have had their time."""
        await self.start("--drain", "0")
        clients = self.dial(*RELAYED), self.accept(*RELAYED)
        clients[0].write(b"x")
        await clients[1].received(1)
        await self.replace()
        await self.server.line(f"replaced: {left(1)}")
        self.server.signal("TERM")
        for client in clients:
            await self.assert_ended(client, 3, RELAY, BROKEN)
        await self.all_ended()
