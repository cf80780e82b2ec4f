"""
``docs/howto/testing.rst`` does what it says: its tests pass, and can fail.
"""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.documents import Shell, named_block, replaced, runs

PAGE = "docs/howto/testing.rst"


class ModuleTests(TestCase):
    """Each module, as it stands, and with a mistake."""

    timeout = 120

    def setUp(self) -> None:
        self.shell = Shell(self)

    def save(self, name: str, source: str) -> None:
        """As the page says."""
        (self.shell.folder / f"{name}.py").write_text(source)

    async def check(self, command: str, source: str, tests: int, mistake: tuple[str, str]) -> None:
        """The tests pass, and one fails with the mistake."""
        name = command.split()[-1]
        for text, status in ((source, 0), (replaced(source, mistake), 1)):
            self.save(name, text)
            program = self.shell.start(command)
            self.assertEqual(await program.ended, status, program.report())
            self.assertIn(b"Ran %d tests" % tests, program.stdout)

    @runs(PAGE, "class PairTests", "twisted.trial test_pair")
    async def test_pair(self, module: str, command: str) -> None:
        """Two that have found each other; what is left open is found."""
        await self.check(command, module, 1, ("dialer.loseConnection()", "pass"))

    @runs(PAGE, "class MisfortuneTests", "twisted.trial test_misfortune")
    async def test_misfortune(self, module: str, command: str) -> None:
        """Each of them happens."""
        self.save("test_pair", named_block(PAGE, "class PairTests"))
        await self.check(command, module, 5, ("block_direct_paths", "flush"))

    @runs(PAGE, "class DoublerTests", "twisted.trial test_doubler")
    async def test_doubler(self, module: str, command: str) -> None:
        """Endpoints from strings."""
        await self.check(command, module, 1, ("2 * number", "3 * number"))

    @runs(PAGE, "class SocketTests", "twisted.trial test_sockets")
    async def test_sockets(self, module: str, command: str) -> None:
        """A server on loopback."""
        await self.check(command, module, 1, ('(b"hello")', '(b"hi")'))
