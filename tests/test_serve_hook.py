"""
A standalone server that loads a hook, in one process and in several.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.processes import PYTHON, ROOT, Program, together
from tests.servers import ERROR, LISTENING, RELAYED, TWIST, SystemTestCase

#: It admits alice, whom the server identifies by her token, and awaits an asyncio object.
POLICY = """
import asyncio

async def serve(pair):
    await asyncio.sleep(0)
    decide(pair)

def decide(pair):
    if pair.dialer.user != "alice":
        pair.reject(403, f"{pair.dialer.user} may not dial")
"""


class HookTests(SystemTestCase):
    """The module is in the folder in which the server starts."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / "my_policy.py").write_text(POLICY)
        self.key = self.folder / "key"
        self.key.touch(0o600)
        self.key.write_text("an operator's own key")

    def there(self, *command: str) -> Program:
        """Start a command there."""
        environment = {"PYTHONPATH": str(ROOT)}
        return Program(self, *command, env=environment, cwd=self.folder)

    def token(self, user: str) -> str:
        """A signed one."""
        command = [PYTHON, "-m", "rdv", "token", "--key", str(self.key), "--user", user]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    async def check_policy(self) -> None:
        """Alice's peers meet, and bob's are told why not; wherever they come in."""
        for user in ("alice", "bob"):
            token = self.token(user)
            acceptor = self.accept(*RELAYED, token=token, stdin=self.opened(os.devnull))
            dialer = self.dial(*RELAYED, token=token)
            dialer.write(b"hello")
            dialer.close_stdin()
            for client in (acceptor, dialer):
                if user == "alice":
                    await self.assert_ended(client, 0, "CONNECTED: relay .*")
                else:
                    await self.assert_ended(client, 1, ".* refused: 403 .*: bob may not dial")

    async def test_serve(self) -> None:
        """``rdv serve``, with several workers, each of which has the hook."""
        options = ("--workers", "2", "--token-key", str(self.key), "--serve", "my_policy:decide")
        server = self.there(PYTHON, "-m", "rdv", "serve", "-l", "127.0.0.1:0", *options)
        self.url = f"http://127.0.0.1:{(await server.line(LISTENING))[1]}"
        await self.check_policy()

    async def test_asyncio(self) -> None:
        """A hook may await asyncio where the reactor is that, in workers as well."""
        listen = ("--port", "tcp:0:interface=127.0.0.1", "--workers", "2")
        options = ("--token-key", str(self.key), "--serve", "my_policy:serve")
        twist = (TWIST, "--reactor", "asyncio", "--log-format", "text")
        server = self.there(*twist, "rdv", *listen, *options)
        found = await server.line(r"Site .*starting on (\d+)$")
        self.url = f"http://127.0.0.1:{found[1]}"
        await self.check_policy()

    async def test_bad_names(self) -> None:
        """One line, before anybody is served."""

        async def check(workers: str, name: str, text: str) -> None:
            options = ("--workers", workers, "--serve", name)
            server = self.there(PYTHON, "-m", "rdv", "serve", "-l", "127.0.0.1:0", *options)
            self.assertEqual(await server.ended, 1, server.report())
            said = server.stderr.decode().removeprefix(ERROR)
            self.assertEqual(said, f"serve hook {name}: {text}\n")

        missing = "AttributeError: module 'my_policy' has no attribute 'no'"
        none = "ModuleNotFoundError: No module named 'no_policy'"
        await together(
            check("1", "my_policy:no", missing),
            check("2", "my_policy:no", missing),
            check("2", "no_policy:serve", none),
        )
