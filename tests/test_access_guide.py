"""
The operators' page on access control: its commands and programs are run.
"""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from rdv.client import Client
from rdv.errors import ServerRefused
from tests.documents import REACTOR, Shell, meet, replaced, runs
from tests.servers import LISTENING

ACCESS = "docs/access.rst"


class AccessGuideTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.shell = Shell(self)

    async def serve(self, block: str) -> str:
        """Run the commands of a block, the last of which is a server; its URL."""
        *before, command = block.splitlines()
        for each in before:
            self.assertEqual(await self.shell.script(each).ended, 0)
        server = self.shell.start(replaced(command, ("8080", "127.0.0.1:0")))
        return f"http://127.0.0.1:{(await server.line(LISTENING))[1]}"

    async def meet(self, url: str, token: str) -> None:
        """Two that have it meet."""
        for connection in await meet(url, token):
            connection.abortConnection()

    async def printed(self, command: str) -> str:
        """What a command prints."""
        program = self.shell.script(command)
        self.assertEqual(await program.ended, 0, program.report())
        return program.stdout.decode().strip()

    @runs(ACCESS, ">token.key", "--user alice", "def signed_token")
    async def test_signed_tokens(self, block: str, command: str, source: str) -> None:
        """By the command, and by a program that knows nothing of rdv."""
        url = await self.serve(block)
        await self.meet(url, await self.printed(command))
        names: dict[str, object] = {}
        exec(source, names)
        key = (self.shell.folder / "token.key").read_bytes().strip()
        await self.meet(url, names["signed_token"](key, "bob", 60))  # type: ignore[operator]
        with self.assertRaises(ServerRefused):
            await Client(REACTOR).dial(url, "a token")

    @runs(ACCESS, ">>bearer.tokens", "--header-file alice.header")
    async def test_bearer_tokens(self, block: str, client: str) -> None:
        """Whoever shows one, as it stands in its file."""
        url = await self.serve(block)
        header, command = client.splitlines()
        await self.printed(header)
        command = replaced(command, ("http://example.com:8080", url))
        acceptor = self.shell.start(f"{command} -r </dev/null")
        token = (await acceptor.line(r"^On the other side, .*(rdvs1-\S+)"))[1]
        dialer = replaced(command, ("accept", "dial"))
        said = await self.printed(f"echo hello | {dialer} -r {token}")
        self.assertEqual((said, await acceptor.ended), ("", 0))
        self.assertEqual(acceptor.stdout, b"hello\n")
        with self.assertRaises(ServerRefused):
            await Client(REACTOR).dial(url, token)
