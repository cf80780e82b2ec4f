"""
Processes that are killed between two steps of getting a connection: what never began is no empty
stream.
"""

from __future__ import annotations

from tests.forwarding import ForwardingTestCase
from tests.processes import PYTHON, Program
from tests.servers import DIRECT, LISTENING, RELAYED

#: The peer has our line, or we have its, and the stream is to begin.
_ATTACHING = "rdv.client.connection:Connection.attach"
#: A dialer has said CONFIRM.
_CHOSEN = "+rdv.client.candidate:Candidate.choose"
#: A server is about to pass on the second line.
_JOINED = "rdv.server.relay:Pair._decide"


class KilledEarlyTests(ForwardingTestCase):
    """One is killed, the other one has nobody to blame but says so."""

    def doomed(self, place: str, *arguments: str) -> Program:
        """``rdv``, which is killed there."""
        return Program(self, PYTHON, "-m", "tests.doomed", place, *arguments)

    async def check_stream(self, victim: str, place: str, *options: str) -> None:
        """
        The survivor, which has nothing to send and gets nothing, says that the stream broke; or
        that there was no connection, if the other one had not written its line.
        """
        survivor = {"dial": "accept", "accept": "dial"}[victim]
        arguments = (*options, self.url, "a token")
        dead = self.doomed(place, victim, *arguments)
        left = self.rdv(survivor, *arguments)
        left.close_stdin()
        self.assertEqual(await dead.ended, -9, dead.report())
        self.assertIn(await left.ended, (1, 3) if place == _ATTACHING else (3,), left.report())
        self.assertEqual(left.stdout, b"")

    async def test_acceptor(self) -> None:
        await self.serve()
        await self.check_stream("accept", _ATTACHING, *DIRECT)
        await self.check_stream("accept", _ATTACHING, *RELAYED)

    async def test_dialer(self) -> None:
        await self.serve()
        await self.check_stream("dial", _ATTACHING, *DIRECT)
        await self.check_stream("dial", _CHOSEN, *DIRECT)
        await self.check_stream("dial", _ATTACHING, *RELAYED)
        await self.check_stream("dial", _CHOSEN, *RELAYED)

    async def test_server(self) -> None:
        server = self.doomed(_JOINED, "serve", "-v", "-l", "127.0.0.1:0")
        found = await server.line(LISTENING)
        self.url = f"http://127.0.0.1:{found[1]}/rdv"
        dialer = self.dial(*RELAYED)
        dialer.close_stdin()
        self.accept(*RELAYED)
        self.assertEqual(await server.ended, -9)
        self.assertEqual(await dialer.ended, 3, dialer.report())

    async def test_exposing(self) -> None:
        """A local client sees a reset."""
        await self.target()
        for options in (DIRECT, RELAYED):
            await self.serve()
            exposing = self.doomed(_ATTACHING, "expose", *options, self.url, "a token", self.where)
            await exposing.line("^WAITING: ")
            await self.connect(*options)
            local = await self.visit()
            self.assertEqual(await exposing.ended, -9)
            await local.gone()
            self.assertTrue(local.is_reset, local.lost)

    async def test_connecting(self) -> None:
        """The local client sees a reset, and the target too, if it has seen anything."""
        await self.target()
        for options in (DIRECT, RELAYED):
            await self.serve()
            exposing = await self.expose("-v", *options)
            arguments = (*options, self.url, "a token", "--listen", "0")
            connecting = self.doomed(_CHOSEN, "connect", *arguments)
            self.listening = (await connecting.line("^LISTENING: (.*)$"))[1]
            local = await self.visit()
            self.assertEqual(await connecting.ended, -9)
            await local.gone()
            self.assertTrue(local.is_reset, local.lost)
            await exposing.line("^ENDED 1: 0 bytes sent, 0 received; broken: ")
            while self.visitors.pending:
                visitor = await self.visitors.get()
                await visitor.gone()
                self.assertTrue(visitor.is_reset, visitor.lost)
