"""
Ours and the original's manners, in every mix: see :mod:`tests.plain`.
"""

from __future__ import annotations

import os

from tests.plain_peer import LAST_WORDS
from tests.processes import PYTHON, Program
from tests.servers import MEGABYTE, SystemTestCase, noise

P2P, RELAY = "p2p", "relay"
#: How either kind is told which path to take.
OPTIONS = {P2P: ("--spaces", "loopback"), RELAY: ("-r",)}
PLAIN_OPTIONS = {P2P: ("--spaces", "loopback"), RELAY: ("--relay",)}
BROKEN = "the stream broke: .+"


class InteropTestCase(SystemTestCase):
    """Starts either kind of each program."""

    async def server(self, plain: bool) -> Program:
        """Start a server and wait until it listens."""
        if not plain:
            return await self.serve()
        server = Program(self, PYTHON, "-m", "tests.plain_server", "--port", "0")
        self.port = int((await server.line(r"^listening 127\.0\.0\.1:(\d+)$"))[1])
        self.url = f"http://127.0.0.1:{self.port}/rdv"
        return server

    def client(
        self, plain: bool, role: str, path: str, *more: str, stdin: int | None = None
    ) -> Program:
        """Start a client."""
        module = "tests.plain_peer" if plain else "rdv"
        options = (PLAIN_OPTIONS if plain else OPTIONS)[path]
        arguments = (role, *options, *more, self.url, f"a token for {path}")
        return Program(self, PYTHON, "-m", module, *arguments, stdin=stdin)


class MixTests(InteropTestCase):
    """Two clients of one server: something both ways, by both paths, whoever is there first."""

    async def check_mix(self, server: bool, dialer: bool, acceptor: bool) -> None:
        """Each argument is true for the plain one."""
        plain = {"dial": dialer, "accept": acceptor}
        for paths in ((P2P, RELAY), (RELAY, P2P)):
            process = await self.server(server)
            for path, first, second in zip(paths, plain, reversed(plain), strict=True):
                clients = {first: self.client(plain[first], first, path)}
                # The first one of this role that has to wait.
                await process.line(f"(?i)(?:joined|waiting): {first}")
                clients[second] = self.client(plain[second], second, path)
                await self.check_pair(clients["dial"], clients["accept"], path)

    async def check_pair(self, dialer: Program, acceptor: Program, path: str) -> None:
        """Half a megabyte each way, and a good end."""
        there, back = noise(1, MEGABYTE // 2), noise(2, MEGABYTE // 2)
        dialer.write(there)
        acceptor.write(back)
        self.assertEqual(await acceptor.received(len(there)), there)
        self.assertEqual(await dialer.received(len(back)), back)
        for client in (dialer, acceptor):
            await client.line(f"^CONNECTED: {path} ")
            client.close_stdin()
        self.assertEqual([await dialer.ended, await acceptor.ended], [0, 0], dialer.report())
        self.assertEqual((dialer.stdout, acceptor.stdout), (back, there))

    async def test_all_ours(self) -> None:
        """Our server, our dialer, our acceptor."""
        await self.check_mix(False, False, False)

    async def test_plain_acceptor(self) -> None:
        """Our server, our dialer, plain acceptor."""
        await self.check_mix(False, False, True)

    async def test_plain_dialer(self) -> None:
        """Our server, plain dialer, our acceptor."""
        await self.check_mix(False, True, False)

    async def test_plain_clients(self) -> None:
        """Our server, plain dialer, plain acceptor."""
        await self.check_mix(False, True, True)

    async def test_plain_server(self) -> None:
        """Plain server, our dialer, our acceptor."""
        await self.check_mix(True, False, False)

    async def test_plain_server_and_acceptor(self) -> None:
        """Plain server, our dialer, plain acceptor."""
        await self.check_mix(True, False, True)

    async def test_plain_server_and_dialer(self) -> None:
        """Plain server, plain dialer, our acceptor."""
        await self.check_mix(True, True, False)


class FullCloseTests(InteropTestCase):
    """Plain peers close both directions at once; nothing that they have sent is lost for that."""

    async def check_whole_file(self, acceptor_is_plain: bool, path: str) -> None:
        """A plain dialer sends a file and closes; the other side has said nothing."""
        await self.server(plain=False)
        content = noise(3, 3 * MEGABYTE)
        acceptor = self.client(acceptor_is_plain, "accept", path)
        dialer = self.client(
            True, "dial", path, "--full-close", stdin=self.opened(self.file_of(content))
        )
        self.assertEqual(await dialer.ended, 0, dialer.report())
        self.assertEqual(await acceptor.received(len(content)), content)
        acceptor.close_stdin()
        self.assertEqual(await acceptor.ended, 0, acceptor.report())
        self.assertEqual(acceptor.stdout, content)

    async def test_file_direct(self) -> None:
        """To ours, directly."""
        await self.check_whole_file(False, P2P)

    async def test_file_relayed(self) -> None:
        """To ours, through our relay."""
        await self.check_whole_file(False, RELAY)

    async def test_file_between_plain_peers(self) -> None:
        """To another plain one, through our relay."""
        await self.check_whole_file(True, RELAY)

    async def check_null(self, path: str) -> None:
        """``rdv accept </dev/null`` has ended its own direction before anything comes."""
        await self.server(plain=False)
        content = noise(4, 3 * MEGABYTE)
        acceptor = self.client(False, "accept", path, stdin=self.opened(os.devnull))
        dialer = self.client(True, "dial", path, stdin=self.opened(self.file_of(content)))
        self.assertEqual([await dialer.ended, await acceptor.ended], [0, 0], acceptor.report())
        self.assertEqual(acceptor.stdout, content)

    async def test_null_direct(self) -> None:
        """Directly."""
        await self.check_null(P2P)

    async def test_null_relayed(self) -> None:
        """Through our relay."""
        await self.check_null(RELAY)

    async def check_peer_leaves(self, path: str) -> None:
        """The plain peer leaves in the middle of what we send: that is no good end for us."""
        await self.server(plain=False)
        acceptor = self.client(True, "accept", path, "--full-close")
        dialer = self.client(False, "dial", path, stdin=self.opened("/dev/zero"))
        await acceptor.received(MEGABYTE)
        acceptor.close_stdin()
        await self.assert_ended(dialer, 3, f"CONNECTED: {path} .*", BROKEN)

    async def test_peer_leaves_direct(self) -> None:
        """Directly."""
        await self.check_peer_leaves(P2P)

    async def test_peer_leaves_relayed(self) -> None:
        """Through our relay."""
        await self.check_peer_leaves(RELAY)

    async def test_last_words(self) -> None:
        """A plain dialer writes a message right behind its CONFIRM and is gone."""
        for path in (P2P, RELAY):
            await self.server(plain=False)
            acceptor = self.client(False, "accept", path)
            dialer = self.client(True, "dial", path, "--leave")
            self.assertEqual(await dialer.ended, 0, dialer.report())
            self.assertEqual(await acceptor.received(len(LAST_WORDS)), LAST_WORDS)
            acceptor.close_stdin()
            self.assertEqual(await acceptor.ended, 0, acceptor.report())
            self.assertEqual(acceptor.stdout, LAST_WORDS)
