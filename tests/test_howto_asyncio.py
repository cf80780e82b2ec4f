"""
``docs/howto/asyncio.rst`` does what it says.
"""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from rdv import Secret
from tests.documents import Shell, replaced, runs, serve
from tests.processes import Program

ASYNCIO = "docs/howto/asyncio.rst"
#: A block of it.
START = "asyncio.new_event_loop()"
HERE = r"http\://127.0.0.1\:8080"


class ProgramTests(TestCase):
    """Programs made from the blocks."""

    timeout = 60

    def setUp(self) -> None:
        self.shell = Shell(self)
        self.url = serve(self)
        here = self.url.replace(":", r"\:") + ":spaces=loopback"
        self.here = here
        self.description = f"rdv:{here}:token=MY_TOKEN"

    def program(self, start: str, *pieces: str) -> Program:
        """The piece that starts the reactor stands behind its ``main``, its imports before it."""
        install, react = start.split("from twisted.internet.task")
        given = f"description, url = {self.description!r}, {self.url!r}"
        rest = f"from twisted.internet.task{react}"
        return self.shell.python("\n\n".join([install, given, *pieces, rest]))

    async def check(self, server: Program, client: Program, output: str) -> None:
        """The client says this, and the server goes on."""
        self.assertEqual(await client.ended, 0, client.report() + server.report())
        self.assertEqual(client.stdout.decode().strip(), output)
        server.signal("KILL")
        await server.ended

    @runs(ASYNCIO, START, "import open_connection", "import start_server")
    async def test_streams(self, start: str, client: str, server: str) -> None:
        await self.check(
            self.program(start, server), self.program(start, client), "b'IS ANYBODY THERE?\\n'"
        )

    @runs(ASYNCIO, "asyncio.run(program())", "import open_connection", START, "import start_server")
    async def test_running_loop(self, own: str, client: str, start: str, server: str) -> None:
        """The client has its loop already; names are resolved in threads, which end."""
        self.description = self.description.replace("127.0.0.1", "localhost")
        begin, run = own.split("async def program")
        given = f"description = {self.description!r}"
        program = self.shell.python("\n\n".join([begin, given, client, f"async def program{run}"]))
        await self.check(self.program(start, server), program, "b'IS ANYBODY THERE?\\n'")
        self.assertEqual(program.stderr, b"")

    @runs(ASYNCIO, "import open_connection")
    async def test_wrong_loop(self, client: str) -> None:
        """It is told, instead of waiting for ever."""
        given = f"import asyncio\ndescription = {self.description!r}"
        run = "from twisted.internet import reactor\nasyncio.run(main(reactor))"
        program = self.shell.python("\n\n".join([given, client, run]))
        self.assertEqual(await program.ended, 1)
        self.assertIn(b"WrongReactor: ", program.stderr)

    @runs(ASYNCIO, "client.dial", START, "import start_server")
    async def test_connection(self, connect: str, start: str, server: str) -> None:
        connect = replaced(connect, ("Client(reactor)", "Client(reactor, spaces=NONE)"))
        main = (
            "from rdv.addresses import AddressSpace\n"
            "NONE = AddressSpace.NONE\n"
            "async def main(reactor):\n"
            "    connection = await connect(reactor, url, 'MY_TOKEN')\n"
            "    print(connection.is_relay)\n"
            "    connection.abortConnection()"
        )
        await self.check(self.program(start, server), self.program(start, connect, main), "True")

    @runs(ASYNCIO, START)
    async def test_end(self, start: str) -> None:
        """A signal cancels every task, and they have time; nothing is said of it."""
        for signal in ("INT", "TERM"):
            program = self.program(
                start,
                "async def work(name):\n"
                "    try:\n"
                "        print(name, flush=True)\n"
                "        await asyncio.Event().wait()\n"
                "    finally:\n"
                "        await asyncio.sleep(0)\n"
                "        print('tidy', flush=True)\n"
                "async def main(reactor):\n"
                "    other = asyncio.ensure_future(work('other'))\n"
                "    await work('main')",
            )
            await program.line("^other$")
            program.signal(signal)
            self.assertEqual(await program.ended, 0, program.report())
            self.assertEqual(program.stdout.split(), [b"main", b"other", b"tidy", b"tidy"])
            self.assertEqual(program.stderr, b"")

    @runs(ASYNCIO, START)
    async def test_exception(self, start: str) -> None:
        program = self.program(start, "async def main(reactor):\n    raise ZeroDivisionError")
        self.assertEqual(await program.ended, 1, program.report())
        self.assertIn(b"ZeroDivisionError", program.stderr)

    async def test_mapping(self) -> None:
        """It awaits asyncio's things, though the attempt begins before the reactor does."""
        program = self.shell.python(
            "import asyncio\n"
            "from contextlib import asynccontextmanager\n"
            "from twisted.internet import asyncioreactor\n"
            "asyncioreactor.install()\n"
            "from twisted.internet.defer import Deferred\n"
            "from twisted.internet.task import react\n"
            "from rdv.client import Client\n"
            "from rdv.errors import RdvError\n"
            "@asynccontextmanager\n"
            "async def mapping(port):\n"
            "    await asyncio.wait_for(asyncio.sleep(0), 5)\n"
            "    print('mapped')\n"
            "    yield []\n"
            "    await asyncio.sleep(0)\n"
            "    print('undone')\n"
            "def main(reactor):\n"
            "    client = Client(reactor, port_mapping=mapping)\n"
            f"    dialling = client.dial({self.url!r}, 'NOBODY', timeout=0.5)\n"
            "    return dialling.addErrback(lambda failure: failure.trap(RdvError) and None)\n"
            "react(main)"
        )
        self.assertEqual(await program.ended, 0, program.report())
        self.assertEqual(program.stdout.split(), [b"mapped", b"undone"], program.report())

    @runs(ASYNCIO, "asyncio_program.py serve")
    async def test_example(self, command: str) -> None:
        command = replaced(command, (HERE, self.here))
        (self.shell.folder / "secret.txt").write_text(Secret.generate().reveal())
        server = self.shell.start(command)
        client = self.shell.start(replaced(command, (" serve ", " ask ")))
        await self.check(server, client, "the peer says: IS ANYBODY THERE?")
