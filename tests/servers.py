"""
Servers, clients and files for the system tests.

::

    class MyTests(SystemTestCase):
        async def test_it(self) -> None:
            await self.serve()
            acceptor, dialer = self.accept(*DIRECT), self.dial(*DIRECT)
            await self.connected("p2p", acceptor, dialer)
"""

from __future__ import annotations

import os
import re
import socket
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from twisted.trial.unittest import TestCase

from rdv.test.certificates import Authority
from tests.processes import PYTHON, ROOT, Program
from tests.talker import talk_to

__all__ = [
    "BROKEN",
    "CONNECTED",
    "DIRECT",
    "LISTENING",
    "MEGABYTE",
    "P2P",
    "RELAY",
    "RELAYED",
    "TWIST",
    "SystemTestCase",
    "digest",
    "noise",
]

MEGABYTE = 1 << 20
TWIST = str(Path(PYTHON).parent / "twist")
#: Options with which two clients on this host find a direct path, or none.
DIRECT = ("--spaces", "loopback")
RELAYED = ("-r",)
#: What a server prints on stderr, for each port.
LISTENING = r"^LISTENING: .*(?:\]:|port=|[\d*]:)(\d+)"
#: How an error begins.
ERROR = "rdv: "
#: What a client prints on stderr; to be formatted with its path.
CONNECTED = r"CONNECTED: {} (?:127\.0\.0\.1|\[::1\]):\d+, \d+ms"
P2P, RELAY = CONNECTED.format("p2p"), CONNECTED.format("relay")
#: And if the stream did not end well.
BROKEN = "the stream broke: .+"


def noise(seed: int, size: int) -> bytes:
    """Bytes in which no two places look alike."""
    return Random(seed).randbytes(size)


def digest(path: str) -> str:
    """What a file holds."""
    with open(path, "rb") as file:
        return sha256(file.read()).hexdigest()


#: Lines on stderr that say nothing about the result. A peer that resets its connection immediately
#: may look like a dead direct path, for which the relay is tried.
SAID_BY_THE_WAY = re.compile(
    "WAITING: for the peer$|NOTICE: this stream is not encrypted|MOVED: relay "
)


def left(pairs: int) -> str:
    """What a server that ends says of its pairs."""
    if not pairs:
        return "no pairs are left"
    return "1 pair has" if pairs == 1 else f"{pairs} pairs have"


class SystemTestCase(TestCase):
    """
    Starts the product's programs, all on loopback.

    :ivar url: of the server that was started last.
    :ivar port: its port.
    :ivar trust: the options with which a client trusts it, if it speaks TLS.
    :cvar forked: whether ``rdv`` comes from :mod:`tests.nursery`: for tests that start it often,
        and do not depend on how it starts.
    """

    timeout = 120
    trust: tuple[str, ...] = ()
    forked = False

    def rdv(self, *arguments: str, doom: str = "", held: bool = False, **options: Any) -> Program:
        """
        Start the ``rdv`` command.

        :param doom: the function in which it is killed, as :mod:`tests.doomed` has it.
        :param held: whether it dials nobody before it gets SIGUSR1, as :mod:`tests.held` has it.
        :param options: those of :class:`Program`.
        """
        module = ("tests.doomed", doom) if doom else ("tests.held" if held else "rdv",)
        for_python = any(name.startswith("PYTHON") for name in options.get("env") or ())
        can_be = hasattr(os, "pidfd_open") and not for_python
        options.setdefault("forked", self.forked and can_be)
        return Program(self, PYTHON, "-m", *module, *arguments, **options)

    async def serve(self, *options: str, listen: str = "127.0.0.1:0", doom: str = "") -> Program:
        """Start ``rdv serve``, which tells what happens, and wait until it listens."""
        server = self.rdv("serve", "-v", "-l", listen, *options, doom=doom)
        found = await server.line(LISTENING)
        self.url, self.port = f"http://127.0.0.1:{found[1]}/rdv", int(found[1])
        return server

    async def serve_https(
        self, *options: str, name: str = "127.0.0.1", authority: Authority | None = None
    ) -> Program:
        """
        Start one that speaks ``https``.

        :param name: the host in its certificate.
        :param authority: that has issued it; by default one of its own.
        """
        authority = authority or Authority()
        pem = self.file_of(authority.issue(name))
        self.trust = ("--ca", self.file_of(authority.pem))
        listen = f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
        server = await self.serve(*options, listen=listen)
        self.url = f"https://127.0.0.1:{self.port}/rdv"
        return server

    async def twist(self, *options: str, listen: str = "tcp:0:interface=127.0.0.1") -> Program:
        """Start ``twist rdv``, which tells what happens, and wait until it listens."""
        server = self.twist_program("rdv", "--port", listen, *options)
        found = await server.line(r"(?:Site|HAProxyWrappingFactory) .*starting on (\d+)$")
        self.url, self.port = f"http://127.0.0.1:{found[1]}/rdv", int(found[1])
        return server

    def twist_program(self, *arguments: str, log: str = "-", stdin: int | None = None) -> Program:
        """
        Start the ``twist`` command.

        :param log: the file for its log; by default stdout.
        """
        # The plugin, when nothing is installed.
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {"PYTHONPATH": os.pathsep.join(paths)}
        path = log if log == "-" else str(Path(log).absolute())
        options = ("--log-level", "debug", "--log-format", "text", "--log-file", path)
        return Program(self, TWIST, *options, *arguments, env=environment, stdin=stdin)

    def dial(self, *options: str, token: str = "a token", **descriptors: Any) -> Program:
        """Start a dialer, without waiting for anything; stdin and stdout may be given."""
        return self.rdv("dial", *options, self.url, token, **descriptors)

    def accept(self, *options: str, token: str = "a token", **descriptors: Any) -> Program:
        """Start an acceptor, likewise."""
        return self.rdv("accept", *options, self.url, token, **descriptors)

    async def connected(self, path: str, *clients: Program) -> None:
        """Wait until they are connected, by the path ``p2p`` or ``relay``."""
        for client in clients:
            await client.line("^" + CONNECTED.format(path) + "$")

    async def ask(self, request: bytes) -> bytes:
        """
        Send something to the server that was started last, and read until it closes, which must be
        no reset: that would take the answer away from many a client.
        """
        talker = await talk_to(self, self.port)
        talker.write(request)
        await talker.over()
        self.assertFalse(talker.is_reset, talker.lost)
        return bytes(talker.data)

    async def assert_ended(self, program: Program, status: int, *said: str) -> None:
        """
        Wait for its end.

        :param said: patterns, one for each line that it has written to stderr, and no more. An
            error is given without the ``rdv: `` that it begins with. It may have said something by
            the way.
        """
        self.assertEqual(await program.ended, status, program.report())
        lines = program.stderr.decode(errors="replace").splitlines()
        lines = [line for line in lines if not SAID_BY_THE_WAY.match(line)]
        self.assertEqual(len(lines), len(said), program.report())
        for line, pattern in zip(lines, said, strict=True):
            self.assertRegex(line.removeprefix(ERROR), f"^{pattern}$")
        errors = [line for line in lines if line.startswith(ERROR)]
        self.assertEqual(len(errors), status in (1, 2, 3), program.report())

    async def check_end_reaches_reader(self, said: str, *options: str) -> None:
        """The peer's end closes stdout at once, while our own direction goes on."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        acceptor = self.accept(*options, stdout=writer)
        os.close(writer)
        tail = Program(self, "/bin/cat", stdin=reader)
        dialer = self.dial(*options)
        dialer.write(b"all of it")
        dialer.close_stdin()
        self.assertEqual(await tail.ended, 0)
        self.assertEqual(tail.stdout, b"all of it")
        self.assertIsNone(acceptor.exit_code)
        answer = noise(9, 3 * MEGABYTE)
        acceptor.write(answer)
        acceptor.close_stdin()
        await self.assert_ended(acceptor, 0, said)
        await self.assert_ended(dialer, 0, said)
        self.assertTrue(dialer.stdout == answer)

    def taken_port(self) -> int:
        """A port on 127.0.0.1 at which nobody answers and that nobody else gets."""
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])

    def opened(self, path: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of a file, closed when the test is over."""
        fd = os.open(path, flags)
        self.addCleanup(os.close, fd)
        return fd

    def created(self) -> tuple[str, int]:
        """A new file and a descriptor to write to it."""
        path = self.mktemp()
        return path, self.opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def file_of(self, content: bytes) -> str:
        """A new file; its path is absolute."""
        path = Path(self.mktemp()).absolute()
        path.write_bytes(content)
        return str(path)
