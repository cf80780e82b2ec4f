"""
A server that does not relay, with real clients.
"""

from __future__ import annotations

from twisted.internet.defer import gatherResults

from rdv import Secret
from tests.callers import call
from tests.servers import DIRECT, MEGABYTE, RELAYED, SystemTestCase, noise


class NoRelayTests(SystemTestCase):
    forked = True
    timeout = 60

    async def test_direct(self) -> None:
        """Plain and secured streams find each other as with any server."""
        server = await self.serve("--no-relay")
        for token in ("a token", Secret.generate().reveal()):
            dialer, acceptor = self.dial(*DIRECT, token=token), self.accept(*DIRECT, token=token)
            for client in (dialer, acceptor):
                await client.line("^CONNECTED: p2p ")
            data = noise(5, MEGABYTE)
            dialer.write(data)
            for client in (dialer, acceptor):
                client.close_stdin()
            self.assertEqual(await gatherResults([dialer.ended, acceptor.ended]), [0, 0])
            self.assertTrue(acceptor.stdout == data)
            await server.line("direct: ")

    async def test_relayed(self) -> None:
        """Who could only be relayed is told at once."""
        server = await self.serve("--no-relay")
        dialer, acceptor = self.dial(*RELAYED), self.accept(*RELAYED)
        for client in (dialer, acceptor):
            await self.assert_ended(
                client, 1, "no path to the peer: relay: this server does not relay"
            )
        await server.line("(abandoned|failed): ")

    async def test_other_clients(self) -> None:
        """Those who do not know see an end when the time for a path is over."""
        server = await self.serve("--no-relay", "--handshake-timeout", "1")
        callers = [await call(self.port, role, "a token") for role in ("ACCEPT", "DIAL")]
        for caller in callers:
            self.assertIn(b" 101 ", await caller.head())
        callers[0].write(b"rdv/1 HELLO a token\r\n")
        for caller in callers:
            _, _, rest = (await caller.ended()).partition(b"\r\n\r\n")
            self.assertEqual((rest, caller.is_reset), (b"", False))
        await server.line("failed: .*no_relay")

    async def test_check(self) -> None:
        """It says so, and blames nobody."""
        await self.serve("--no-relay")
        check = self.rdv("check", self.url)
        await check.line("it only introduces peers, and does not relay")
        await check.ended
