"""
Programs that are interrupted, or killed in the middle of a stream.

A stream that was cut must never look like one that has ended: the kernel of a killed process
closes its sockets, too.
"""

from __future__ import annotations

from tests.processes import PYTHON, Program
from tests.servers import CONNECTED, DIRECT, MEGABYTE, RELAYED, SystemTestCase, noise

P2P, RELAY = CONNECTED.format("p2p"), CONNECTED.format("relay")
BROKEN = "the stream broke: .+"

#: ``rdv`` with a ^C that comes at a certain place.
INTERRUPTED_WHILE_LOADING = """
import os, signal, sys

class Finder:
    def find_spec(name, path, target=None):
        if name == "rdv.commands.stream":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder)
from rdv.commands.cli import main
sys.exit(main())
"""

#: ``rdv`` with a signal that comes when Python has let go of its handlers.
TERMINATED_WHILE_ENDING = """
import os, signal, sys

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM):
        kill(pid, number)

late = Late()
from rdv.commands.cli import main
sys.exit(main())
"""


class SignalTestCase(SystemTestCase):
    """A stream in the middle of its life."""

    async def stream(self, *options: str, stdin: int | None = None) -> tuple[Program, Program]:
        """
        Let a dialer send a megabyte to an acceptor, and wait until it is there. The dialer has not
        ended; the acceptor's stdin may be given.
        """
        dialer, acceptor = self.dial(*options), self.accept(*options, stdin=stdin)
        content = noise(1, MEGABYTE)
        dialer.write(content)
        self.assertEqual(await acceptor.received(len(content)), content)
        return dialer, acceptor


class InterruptTests(SignalTestCase):
    """SIGINT. For SIGTERM see :mod:`tests.test_faults`."""

    async def check_streaming(self, name: str, status: int, said: str, *options: str) -> None:
        """The peer learns that it was no end."""
        await self.serve()
        dialer, acceptor = await self.stream(*options)
        dialer.signal(name)
        self.assertEqual(await dialer.ended, status, dialer.report())
        self.assertNotIn(b"Traceback", dialer.stderr)
        await self.assert_ended(acceptor, 3, said, BROKEN)

    async def test_interrupt_while_waiting(self) -> None:
        """Nobody has come so far; the server is told that nobody is waiting any more."""
        server = await self.serve()
        for role in ("dialer", "acceptor"):
            client = self.dial() if role == "dialer" else self.accept()
            await server.line(f"waiting: {role}")
            client.signal("INT")
            await self.assert_ended(client, 130)
            await server.line(f"left: {role}")

    async def test_terminated_while_ending(self) -> None:
        """It has told how it ended, and stays with that."""
        program = Program(self, PYTHON, "-c", TERMINATED_WHILE_ENDING, "demo")
        self.assertEqual(await program.ended, 0, program.report())

    async def test_interrupt_while_starting(self) -> None:
        """^C, while the modules of the command are loaded: no traceback either."""
        for options in ((), ("--json",)):
            argv = ("dial", *options, "http://127.0.0.1:1", "a token")
            starting = Program(self, PYTHON, "-c", INTERRUPTED_WHILE_LOADING, *argv)
            await self.assert_ended(starting, 130)

    async def test_interrupt_while_streaming(self) -> None:
        """^C."""
        await self.check_streaming("INT", 130, P2P, *DIRECT)

    async def test_interrupt_while_relayed(self) -> None:
        """^C, through the relay."""
        await self.check_streaming("INT", 130, RELAY, *RELAYED)

    async def test_twist_client(self) -> None:
        """A client under ``twist`` ends too, and its peer does not take that for an end."""
        await self.serve()
        log = self.mktemp()
        dialer = self.twist_program("rdv", "dial", "-r", self.url, "a token", log=log)
        acceptor = self.accept(*RELAYED)
        dialer.write(b"x")
        await acceptor.received(1)
        dialer.signal("INT")
        await self.assert_ended(acceptor, 3, RELAY, BROKEN)
        await dialer.ended


class KilledTests(SignalTestCase):
    """SIGKILL, of those that the table of :mod:`tests.test_faults` does not have."""

    async def check_receiver(self, said: str, *options: str) -> None:
        """The sender, which waits at its stdin, ends."""
        await self.serve()
        dialer, acceptor = await self.stream(*options)
        acceptor.signal("KILL")
        await self.assert_ended(dialer, 3, said, BROKEN)

    async def test_receiver_direct(self) -> None:
        """Directly."""
        await self.check_receiver(P2P, *DIRECT)

    async def test_receiver_relayed(self) -> None:
        """Through the relay."""
        await self.check_receiver(RELAY, *RELAYED)

    async def check_silent_receiver(self, said: str, *options: str) -> None:
        """One with nothing to say."""
        await self.serve()
        null = self.opened("/dev/null")
        dialer, acceptor = await self.stream(*options, stdin=null)
        acceptor.signal("KILL")
        await self.assert_ended(dialer, 3, said, BROKEN)

    async def test_silent_receiver_direct(self) -> None:
        """Directly."""
        await self.check_silent_receiver(P2P, *DIRECT)

    async def test_silent_receiver_relayed(self) -> None:
        """Through the relay."""
        await self.check_silent_receiver(RELAY, *RELAYED)

    async def test_reader_after_the_end(self) -> None:
        """The sender has sent all, but the receiver is killed before it has read it."""
        await self.serve()
        acceptor = self.accept(*DIRECT)
        dialer = self.dial(*DIRECT, stdin=self.opened(self.file_of(noise(2, 8 * MEGABYTE))))
        await self.connected("p2p", dialer, acceptor)
        acceptor.signal("STOP")
        acceptor.signal("KILL")
        await self.assert_ended(dialer, 3, P2P, BROKEN)
