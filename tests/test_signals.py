"""
Signals at moments that the table of :mod:`tests.test_faults` does not have: while a command starts,
or ends.
"""

from __future__ import annotations

from tests.processes import PYTHON, Program
from tests.servers import BROKEN, RELAY, RELAYED, SystemTestCase

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


class SignalTests(SystemTestCase):
    async def test_while_starting(self) -> None:
        """^C, while the modules of the command are loaded: no traceback either."""
        for options in ((), ("--json",)):
            argv = ("dial", *options, "http://127.0.0.1:1", "a token")
            starting = Program(self, PYTHON, "-c", INTERRUPTED_WHILE_LOADING, *argv)
            await self.assert_ended(starting, 130)

    async def test_while_ending(self) -> None:
        """It has told how it ended, and stays with that."""
        program = Program(self, PYTHON, "-c", TERMINATED_WHILE_ENDING, "demo")
        self.assertEqual(await program.ended, 0, program.report())

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
