"""
Signals at moments that the table of :mod:`tests.test_faults` does not have: while a command starts,
or ends.
"""

from __future__ import annotations

from pathlib import Path

from tests.processes import PYTHON, ROOT, Program
from tests.servers import BROKEN, LISTENING, RELAY, RELAYED, SystemTestCase

#: ``rdv`` with a ^C that arrives at a certain place.
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

#: ``rdv`` with a signal that arrives after Python has restored the handlers.
TERMINATED_WHILE_ENDING = """
import os, signal, sys

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM):
        kill(pid, number)

late = Late()
from rdv.commands.cli import main
sys.exit(main())
"""

#: ``rdv`` with signals that arrive while a server starts: while a module is loaded, and while a
#: port is opened.
CALLED_WHILE_STARTING = """
import os, signal, sys

def call():
    for name in ("HUP", "USR1", "USR2"):
        os.kill(os.getpid(), getattr(signal, "SIG" + name))

class Finder:
    def find_spec(name, path, target=None):
        if name == "rdv.server.rendezvous":
            call()

def watch(event, arguments):
    if event == "socket.bind":
        call()

sys.meta_path.insert(0, Finder)
sys.addaudithook(watch)
from rdv.commands.cli import main
sys.exit(main())
"""

#: A worker that gets signals before it has parsed its command line.
CALLED_BEFORE_START = """
import os, signal, sys
if "rdv.server.workers.worker" in sys.orig_argv:
    for name in ("HUP", "USR1", "USR2", "INT", "TERM"):
        os.kill(os.getpid(), getattr(signal, "SIG" + name))
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

    async def test_server_while_starting(self) -> None:
        """It goes on, with workers too, and has not forgotten that it was to reload."""
        for options in ((), ("--workers", "2")):
            argv = ("-v", "serve", "-l", "127.0.0.1:0", *options)
            server = Program(self, PYTHON, "-c", CALLED_WHILE_STARTING, *argv)
            await server.line(LISTENING)
            await server.line("reloaded$")
            server.signal("TERM")
            self.assertEqual(await server.ended, 0, server.report())

    async def test_worker_while_starting(self) -> None:
        """Before its first instruction."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(CALLED_BEFORE_START)
        environment = {"PYTHONPATH": f"{ROOT}:{folder}"}
        server = self.rdv("serve", "-l", "127.0.0.1:0", "--workers", "2", env=environment)
        await server.line(LISTENING)
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())
        self.assertEqual(len(server.stderr.splitlines()), 1, server.report())

    async def test_reload(self) -> None:
        """By whichever command the server runs, in all of its processes."""
        for start in (
            lambda *options: self.serve(*options),
            lambda *options: self.twist(*options),
            lambda *options: self.serve("--workers", "2", *options),
        ):
            config = Path(self.file_of(b'health-path = "/one"'))
            server = await start("--config", str(config))
            await self.assert_ready("/one")  # it runs
            config.write_text('health-path = "/two"\nlog-format = "json"')
            server.signal("HUP")
            await server.line("health-path: changed$")
            await server.line("log-format: takes effect with the next generation, SIGUSR2$")
            await server.line("reloaded$")
            if b"worker 0" in server.stderr:
                for index in range(2):
                    await server.line(rf"\[worker {index}, .*reloaded$")
            await self.assert_ready("/two")
            config.write_text('health-path = "/three"\ndrain = "soon"')
            server.signal("HUP")
            await server.line("not reloaded, keeping what was read before: .*: drain: .*'soon'$")
            await self.assert_ready("/two")
            server.signal("TERM")
            await server.line("SIGTERM: (no pairs are left|stopping 2 workers)$")
            self.assertEqual(await server.ended, 0, server.report())
            self.assertNotIn(b"factory", server.stdout + server.stderr)

    async def assert_ready(self, path: str) -> None:
        answer = await self.ask(f"GET {path}/readyz HTTP/1.0\r\n\r\n".encode())
        self.assertIn(b" 200 ", answer.splitlines()[0])
