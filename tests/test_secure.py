"""
Streams that are encrypted from end to end, between real commands: their data, their ends, and that
no side takes a part for the whole. Where secrets come from is in :mod:`tests.test_secrets`.
"""

from __future__ import annotations

import os

from tests.plain_peer import LAST_WORDS
from tests.processes import PYTHON, Program
from tests.secure import PATHS, STEADY, SecureTestCase, secured
from tests.servers import BROKEN, DIRECT, MEGABYTE, RELAYED, digest, noise

SECURE_RELAY = secured("relay")


class BytesTests(SecureTestCase):
    """A file of 20 MB each way, at the same time."""

    timeout = 300

    async def check(self, said: str, *options: str) -> None:
        there, back = (self.file_of(noise(seed, 20 * MEGABYTE)) for seed in (1, 2))
        (arrived, writer), (returned, back_writer) = self.created(), self.created()
        acceptor = self.accept(*options, stdin=self.opened(back), stdout=writer)
        dialer = self.dial(*options, stdin=self.opened(there), stdout=back_writer)
        for client in (acceptor, dialer):
            await self.assert_ended(client, 0, said)
        self.assertEqual((digest(arrived), digest(returned)), (digest(there), digest(back)))

    async def test_own_server(self) -> None:
        await self.serve()
        for options, said in PATHS:
            await self.check(said, *options)

    async def test_https(self) -> None:
        await self.serve_https()
        await self.check(SECURE_RELAY, *RELAYED, *self.trust)

    async def test_workers(self) -> None:
        await self.serve("--workers", "2")
        for options, said in PATHS:
            await self.check(said, *options)

    async def test_plain_server(self) -> None:
        """Which ends both directions when one has ended."""
        await self.serve_plain()
        for options, said in PATHS:
            await self.check(said, *options)


class HalfCloseTests(SecureTestCase):
    """One direction ends, and the other one continues."""

    async def test_own_server(self) -> None:
        await self.serve()
        for options, said in PATHS:
            await self.check_end_reaches_reader(said, *options)

    async def test_https(self) -> None:
        await self.serve_https()
        await self.check_end_reaches_reader(SECURE_RELAY, *RELAYED, *self.trust)

    async def test_plain_server(self) -> None:
        """A secured stream is whole where a plain one loses the answer."""
        await self.serve_plain()
        for options, said in PATHS:
            await self.check_end_reaches_reader(said, *options)
        acceptor = self.accept(*RELAYED, token="a plain token")
        dialer = self.dial(*RELAYED, token="a plain token")
        dialer.write(b"a question")
        dialer.close_stdin()
        await dialer.ended
        acceptor.write(b"an answer")
        acceptor.close_stdin()
        await acceptor.ended
        self.assertEqual(dialer.stdout, b"")


class TruncationTests(SecureTestCase):
    """A sender is killed; the receiver never takes what has arrived for everything."""

    timeout = 240

    async def check(self, size: int, *options: str, said: str) -> None:
        """
        :param size: what has come when the sender is killed, at least.
        """
        receiver = self.accept(*options, stdin=self.opened(os.devnull))
        sender = self.dial(*options)
        content = noise(3, size)
        sender.write(content)
        for client in (receiver, sender):
            await client.line(said)
        await receiver.received(size // 2)
        if size < MEGABYTE:
            await receiver.received(size)
        sender.signal("KILL")
        await self.assert_ended(receiver, 3, said, BROKEN)
        self.assertTrue(content.startswith(receiver.stdout))

    async def check_each(self) -> None:
        for options, said in PATHS:
            for size in (0, 1, 100_000, 16 * MEGABYTE):
                await self.check(size, *options, said=said)

    async def test_own_server(self) -> None:
        await self.serve()
        await self.check_each()

    async def test_plain_server(self) -> None:
        await self.serve_plain()
        await self.check_each()

    async def test_server_is_killed(self) -> None:
        """Which looks like an end of both directions, to a peer that trusts TCP."""
        for serve in (self.serve, self.serve_plain):
            server = await serve()
            acceptor = self.accept(*RELAYED, stdin=self.opened(os.devnull))
            dialer = self.dial(*RELAYED)
            dialer.write(b"a part")
            await acceptor.received(len(b"a part"))
            server.signal("KILL")
            for client in (acceptor, dialer):
                await self.assert_ended(client, 3, SECURE_RELAY, BROKEN)

    async def test_receiver_is_killed(self) -> None:
        """A status of 0 is a receipt: it does not come while the receiver holds something back."""
        await self.serve()
        for options, said in PATHS:
            reader, writer = os.pipe()
            self.addCleanup(os.close, reader)
            receiver = self.accept(*options, "--json", stdin=self.opened(os.devnull), stdout=writer)
            os.close(writer)
            sender = self.dial(*options, stdin=self.opened(self.file_of(noise(2, 100_000))))
            await receiver.line('"event": "bytes".*"received": [1-9]')
            receiver.signal("KILL")
            await self.assert_ended(sender, 3, said, BROKEN)


class MixedTests(SecureTestCase):
    """Secured and plain, at the same server."""

    def plain(self, role: str, token: str, *options: str) -> Program:
        """A peer that knows nothing of secrets."""
        options = (role, *options, self.url, token)
        return Program(self, PYTHON, "-m", "tests.plain_peer", *options)

    async def check_beside(self) -> None:
        secure = self.accept(*STEADY), self.dial(*STEADY)
        for client in secure:
            await client.line(secured("p2p"))
        old = [self.plain(role, "an old token", *DIRECT) for role in ("accept", "dial")]
        for client in (*secure, *old):
            client.write(b"hello")
        for client in (*secure, *old):
            await client.received(5)
            client.close_stdin()
        for client in (*secure, *old):
            self.assertEqual(await client.ended, 0, client.report())
            self.assertEqual(client.stdout.removesuffix(LAST_WORDS), b"hello")

    async def test_old_pair_beside(self) -> None:
        for serve in (self.serve, self.serve_plain):
            await serve()
            await self.check_beside()

    async def test_ours_plain_with_old(self) -> None:
        """Ours with a plain token meets an old peer, and says that nothing is encrypted."""
        await self.serve()
        old = self.plain("accept", "an old token", *DIRECT)
        ours = self.dial(*DIRECT, token="an old token")
        for client in (old, ours):
            client.write(b"hello")
            await client.line("CONNECTED: p2p")
        for client in (old, ours):
            await client.received(5)
            client.close_stdin()
        for client in (old, ours):
            self.assertEqual(await client.ended, 0, client.report())
        self.assertEqual(ours.stderr.count(b"NOTICE: this stream is not encrypted"), 1)
