"""
Our programs and those with the behaviour of the original, in every mix: see :mod:`tests.plain`.
"""

from __future__ import annotations

import os
from itertools import product

from tests.plain_peer import LAST_WORDS
from tests.processes import PYTHON, Program
from tests.servers import BROKEN, MEGABYTE, SystemTestCase, noise

P2P, RELAY = "p2p", "relay"
#: The options of each kind that choose the path.
OPTIONS = {P2P: ("--spaces", "loopback"), RELAY: ("-r",)}
PLAIN_OPTIONS = {P2P: ("--spaces", "loopback"), RELAY: ("--relay",)}
#: Which ones are plain: server, dialer, acceptor.
MIXES = [*product((False, True), repeat=3)]


class InteropTestCase(SystemTestCase):
    """Starts either kind of each program."""

    forked = True

    async def server(self, plain: bool) -> Program:
        if not plain:
            return await self.serve()
        server = Program(self, PYTHON, "-m", "tests.plain_server", "--port", "0")
        self.port = int((await server.line(r"^listening 127\.0\.0\.1:(\d+)$"))[1])
        self.url = f"http://127.0.0.1:{self.port}/rdv"
        return server

    def client(
        self, plain: bool, role: str, path: str, *more: str, stdin: int | None = None
    ) -> Program:
        module = "tests.plain_peer" if plain else "rdv"
        options = (PLAIN_OPTIONS if plain else OPTIONS)[path]
        arguments = (role, *options, *more, self.url, f"a token for {path}")
        return Program(self, PYTHON, "-m", module, *arguments, stdin=stdin)


class MixTests(InteropTestCase):
    """
    Two clients of one server: data in both directions, on both paths, whichever client is first.
    """

    timeout = 240

    async def check_mix(self, server: bool, dialer: bool, acceptor: bool) -> None:
        """Each argument is true for the plain one."""
        plain = {"dial": dialer, "accept": acceptor}
        for paths in ((P2P, RELAY), (RELAY, P2P)):
            process = await self.server(server)
            for path, first, second in zip(paths, plain, reversed(plain), strict=True):
                clients = {first: self.client(plain[first], first, path)}
                # The first client of this role that has to wait.
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

    async def test_mixes(self) -> None:
        """Those of the plain ones among themselves show what these are worth."""
        for mix in MIXES:
            await self.check_mix(*mix)


class FullCloseTests(InteropTestCase):
    """
    Plain peers close both directions at once; nothing that they have sent is lost because of that.
    """

    async def test_file(self) -> None:
        """A plain dialer sends a file and closes; the other side has said nothing."""
        await self.server(plain=False)
        content = noise(3, 3 * MEGABYTE)
        for acceptor_is_plain, path in ((False, P2P), (False, RELAY), (True, RELAY)):
            acceptor = self.client(acceptor_is_plain, "accept", path)
            stdin = self.opened(self.file_of(content))
            dialer = self.client(True, "dial", path, "--full-close", stdin=stdin)
            self.assertEqual(await dialer.ended, 0, dialer.report())
            self.assertEqual(await acceptor.received(len(content)), content)
            acceptor.close_stdin()
            self.assertEqual(await acceptor.ended, 0, acceptor.report())
            self.assertEqual(acceptor.stdout, content)

    async def test_null(self) -> None:
        """Ours has ended its own direction before anything comes, in either role."""
        await self.server(plain=False)
        content = noise(4, 5_000_000)
        roles = {"accept": "dial", "dial": "accept"}
        for (ours, theirs), path, more in product(
            roles.items(), (P2P, RELAY), ((), ("--full-close",))
        ):
            receiver = self.client(False, ours, path, stdin=self.opened(os.devnull))
            stdin = self.opened(self.file_of(content))
            sender = self.client(True, theirs, path, *more, stdin=stdin)
            ended = [await sender.ended, await receiver.ended]
            self.assertEqual(ended, [0, 0], receiver.report())
            self.assertTrue(receiver.stdout == content)

    async def test_server(self) -> None:
        """The original's relay does so, too."""
        await self.server(plain=True)
        content = noise(4, 5_000_000)
        for sends_late in (False, True):
            acceptor = self.client(False, "accept", RELAY, stdin=self.opened(os.devnull))
            stdin = None if sends_late else self.opened(self.file_of(content))
            dialer = self.client(False, "dial", RELAY, stdin=stdin)
            await self.connected(RELAY, acceptor, dialer)
            if sends_late:  # an end of the acceptor would have arrived
                dialer.write(content)
                dialer.close_stdin()
            ended = [await dialer.ended, await acceptor.ended]
            self.assertEqual(ended, [0, 0], acceptor.report())
            self.assertTrue(acceptor.stdout == content)

    async def test_peer_leaves(self) -> None:
        """In the middle of what we send: that is no good end for us."""
        await self.server(plain=False)
        for path in (P2P, RELAY):
            acceptor = self.client(True, "accept", path, "--full-close")
            dialer = self.client(False, "dial", path, stdin=self.opened("/dev/zero"))
            await acceptor.received(MEGABYTE)
            acceptor.close_stdin()
            await self.assert_ended(dialer, 3, f"CONNECTED: {path} .*", BROKEN)

    async def test_last_words(self) -> None:
        """A plain dialer writes a message right behind its CONFIRM and is gone."""
        await self.server(plain=False)
        for path in (P2P, RELAY):
            acceptor = self.client(False, "accept", path)
            dialer = self.client(True, "dial", path, "--leave")
            self.assertEqual(await dialer.ended, 0, dialer.report())
            self.assertEqual(await acceptor.received(len(LAST_WORDS)), LAST_WORDS)
            acceptor.close_stdin()
            self.assertEqual(await acceptor.ended, 0, acceptor.report())
            self.assertEqual(acceptor.stdout, LAST_WORDS)
