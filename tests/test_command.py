"""
The commands: their options, what they say, and ``twist rdv``.
"""

from __future__ import annotations

import os

from tests.processes import Program
from tests.servers import DIRECT, LISTENING, MEGABYTE, P2P, RELAY, RELAYED, SystemTestCase, noise

NOTICE = "NOTICE: missing observed address"


class CommandTestCase(SystemTestCase):
    """One message each way."""

    async def check_exchange(self, dialer: Program, acceptor: Program) -> None:
        """Both say something, hear it, and end well."""
        dialer.write(b"ping")
        self.assertEqual(await acceptor.received(4), b"ping")
        acceptor.write(b"pong")
        self.assertEqual(await dialer.received(4), b"pong")
        dialer.close_stdin()
        acceptor.close_stdin()
        self.assertEqual([await dialer.ended, await acceptor.ended], [0, 0], dialer.report())
        self.assertEqual((dialer.stdout, acceptor.stdout), (b"pong", b"ping"))


class OptionTests(CommandTestCase):
    """Where options may stand, and what they do."""

    async def test_options_before_the_command(self) -> None:
        """As in the original."""
        server = self.rdv("-v", "-l", "127.0.0.1:0", "serve")
        port = (await server.line(LISTENING))[1]
        peer = (f"http://127.0.0.1:{port}", "t")
        dialer = self.rdv("-r", "dial", *peer)
        await server.line("waiting: dialer")
        acceptor = self.rdv("-v", "-r", "accept", *peer)
        await self.check_exchange(dialer, acceptor)
        await self.assert_ended(dialer, 0, RELAY)
        # The verbose one has said more, and nothing of it on stdout.
        self.assertIn(b"#debug", acceptor.stderr)
        self.assertRegex(acceptor.stderr.decode(), f"(?m)^{RELAY}$")

    async def test_options_behind_the_command(self) -> None:
        """And aliases. An endpoint may look like a host and a port."""
        server = self.rdv("s", "-v", "-l", "tcp:0")
        port = (await server.line(LISTENING))[1]
        peer = (f"http://127.0.0.1:{port}", "t")
        acceptor = self.rdv("a", *peer, "-r", "-v")
        await server.line("waiting: acceptor")
        dialer = self.rdv("d", "-r", *peer)
        await self.check_exchange(dialer, acceptor)
        self.assertIn(b"#debug", acceptor.stderr)
        await self.assert_ended(dialer, 0, RELAY)

    async def test_one_relay_option_is_enough(self) -> None:
        """A side without address spaces keeps the other from finding it."""
        await self.serve()
        dialer, acceptor = self.dial(*DIRECT, "--penalty", "0"), self.accept(*RELAYED)
        await self.check_exchange(dialer, acceptor)
        await self.assert_ended(acceptor, 0, RELAY)
        await self.assert_ended(dialer, 0, RELAY)

    async def test_local_port(self) -> None:
        """The peer sees the port that was asked for."""
        await self.serve()
        first = self.dial("--spaces", "loopback")
        acceptor = self.accept("--spaces", "loopback")
        await self.check_exchange(first, acceptor)
        # A port that was free a moment ago, and that the system will not give to others soon.
        port = (await acceptor.line(r"^CONNECTED: p2p .*:(\d+),"))[1]
        dialer = self.dial("--spaces", "loopback", "--local-port", port, token="another")
        acceptor = self.accept("--spaces", "loopback", token="another")
        await acceptor.line(rf"^CONNECTED: p2p .*:{port}, \d+ms$")
        await self.check_exchange(dialer, acceptor)

    async def test_path(self) -> None:
        """A server that serves one path only."""
        await self.serve("--path", "/a/rdv")
        wrong = self.dial(*RELAYED)
        await self.assert_ended(wrong, 1, f"{self.url} refused: 404 .*")
        self.url = f"http://127.0.0.1:{self.port}/a/rdv"
        await self.check_exchange(self.dial(*RELAYED), self.accept(*RELAYED))

    async def test_two_ports(self) -> None:
        """Those who come to different ports of one server meet."""
        server = await self.serve("-l", r"tcp:0:interface=\:\:1")
        found = await server.line(r"^LISTENING: .*::1(?:\]:|.*port=)(\d+)")
        acceptor = self.rdv("accept", *RELAYED, f"http://[::1]:{found[1]}", "a token")
        dialer = self.dial(*RELAYED)
        await self.check_exchange(dialer, acceptor)
        await self.assert_ended(acceptor, 0, rf"CONNECTED: relay \[::1\]:{found[1]}, \d+ms")
        await self.assert_ended(dialer, 0, rf"CONNECTED: relay 127\.0\.0\.1:{self.port}, \d+ms")


class ObservedAddressTests(CommandTestCase):
    """Whether the server knows where its clients are."""

    async def test_known(self) -> None:
        """Nothing but the one line is said."""
        await self.serve()
        dialer, acceptor = self.dial(*DIRECT), self.accept(*DIRECT)
        await self.check_exchange(dialer, acceptor)
        await self.assert_ended(dialer, 0, P2P)
        await self.assert_ended(acceptor, 0, P2P)

    async def test_missing(self) -> None:
        """A header that nobody sets: both notice."""
        await self.serve("--observed-header", "X-Nobody")
        dialer, acceptor = self.dial(*RELAYED), self.accept(*RELAYED)
        await self.check_exchange(dialer, acceptor)
        await self.assert_ended(dialer, 0, NOTICE, RELAY)
        await self.assert_ended(acceptor, 0, NOTICE, RELAY)

    async def test_from_header(self) -> None:
        """A header that is set, here by the client itself."""
        server = await self.serve("--observed-header", "X-Somebody")
        dialer = self.dial(*RELAYED, "--header", "X-Somebody: 192.0.2.1, 192.0.2.9:5555")
        await server.line(r"waiting: dialer .*192\.0\.2\.9:5555$")
        acceptor = self.accept(*RELAYED)
        await self.check_exchange(dialer, acceptor)
        await self.assert_ended(dialer, 0, RELAY)
        await self.assert_ended(acceptor, 0, NOTICE, RELAY)


class TwistTests(CommandTestCase):
    """The same as a service."""

    async def test_server(self) -> None:
        """``twist rdv --port`` serves the command's clients."""
        await self.twist()
        dialer, acceptor = self.dial(*DIRECT), self.accept(*DIRECT)
        await self.check_exchange(dialer, acceptor)
        await self.assert_ended(dialer, 0, P2P)

    async def test_clients(self) -> None:
        """``twist rdv dial`` and ``accept``, with their log out of the way of the stream."""
        await self.serve()
        logs = [self.mktemp(), self.mktemp()]
        content = noise(1, MEGABYTE)
        dialer, acceptor = (
            self.twist_program("rdv", role, "--relay", self.url, "t", log=log)
            for role, log in zip(("dial", "accept"), logs, strict=True)
        )
        dialer.write(content)
        dialer.close_stdin()
        self.assertEqual(await acceptor.received(len(content)), content)
        acceptor.write(b"thanks")
        acceptor.close_stdin()
        self.assertEqual([await dialer.ended, await acceptor.ended], [0, 0])
        self.assertEqual((acceptor.stdout, dialer.stdout), (content, b"thanks"))
        for log in logs:
            with open(log) as file:
                self.assertRegex(file.read(), RELAY)

    async def test_input_that_cannot_be_read(self) -> None:
        """It only receives."""
        await self.serve()
        stdin = self.opened(os.devnull, os.O_WRONLY)
        log = self.mktemp()
        acceptor = self.twist_program(
            "rdv", "accept", "--relay", self.url, "a token", log=log, stdin=stdin
        )
        dialer = self.dial(*RELAYED)
        dialer.write(b"all of it")
        dialer.close_stdin()
        await self.assert_ended(dialer, 0, RELAY)
        self.assertEqual(await acceptor.ended, 0)
        self.assertEqual(acceptor.stdout, b"all of it")
