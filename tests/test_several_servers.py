"""
Real servers, some of which are dead, killed or stopped, and clients with several of their URLs.
"""

from __future__ import annotations

from typing import Any

from rdv import Secret
from rdv.addresses import AddressSpace
from rdv.client import Client, rank_servers
from tests.documents import REACTOR, Shell, execute, replaced, runs
from tests.processes import Program
from tests.servers import DIRECT, RELAYED, SystemTestCase

CLIENT = "docs/client.rst"


class SeveralServersTests(SystemTestCase):
    """:ivar servers: by their URLs."""

    forked = True

    async def serve_all(self, number: int = 2, *options: str) -> None:
        """Start so many."""
        servers = [await self.serve_one(*options) for _ in range(number)]
        self.servers: dict[str, Program] = dict(servers)

    async def serve_one(self, *options: str) -> tuple[str, Program]:
        server = await self.serve(*options)
        return self.url, server

    def order(self, token: str) -> list[str]:
        """In which they are asked."""
        return rank_servers(token, list(self.servers))

    async def kill(self, url: str) -> None:
        self.servers[url].signal("KILL")
        await self.servers[url].ended

    @runs(CLIENT, 'servers = ["https://a')
    async def test_program(self, source: str) -> None:
        """As the page has it."""
        await self.serve_all(3)
        hosts = (f"https://{name}.example/rdv" for name in "abc")
        program = replaced(source, *zip(hosts, self.servers, strict=True))
        secret = Secret.generate()
        client = Client(REACTOR, spaces=AddressSpace.NONE)
        accepting = client.accept(list(self.servers)[::-1], secret)
        names = await execute(program, client=client, secret=secret)
        for connection in (names["connection"], await accepting):
            self.assertTrue(connection.is_secure)
            connection.abortConnection()

    @runs(CLIENT, "rdv dial https://a.example")
    async def test_command(self, command: str) -> None:
        """As the page has it; the first server is dead, and one peer is told by the environment."""
        await self.serve_all(2)
        secret = Secret.generate().reveal()
        first, second = self.order(secret)
        await self.kill(first)
        hosts = (f"https://{name}.example/rdv" for name in "ab")
        line = replaced(command, *zip(hosts, self.servers, strict=True), ("SECRET", secret))
        both = {"RDV_SERVER": f"{second},{first}"}
        acceptor = self.rdv("accept", *RELAYED, secret, env=both)
        dialer = Shell(self).start(f"{line} -r")
        dialer.close_stdin()
        acceptor.close_stdin()
        for client in (acceptor, dialer):
            await self.assert_ended(client, 0, "CONNECTED: relay .*, secure, .*")

    async def test_killed_while_both_wait(self) -> None:
        """Only one of them could reach the other server."""
        await self.serve_all(2)
        first, second = self.order("a token")
        self.url = f"{first},{second}"
        acceptor = self.accept(*RELAYED)
        await self.servers[second].line("waiting: acceptor")  # it waits at both by now
        await self.kill(first)
        self.url = second
        dialer = self.dial(*RELAYED)
        await self.connected("relay", acceptor, dialer)

    async def test_hangs(self) -> None:
        """The first takes every request and answers none; they have a direct path all the same."""
        await self.serve_all(2)
        first, second = self.order("a token")
        self.servers[first].signal("STOP")
        self.url = f"{first},{second}"
        await self.connected("p2p", self.accept(*DIRECT), self.dial(*DIRECT))
        await self.servers[second].line("matched: ")

    async def test_service(self) -> None:
        """What is exposed can be reached while any of its servers is there."""
        await self.serve_all(2, "--drain", "0")
        first, second = self.order("a token")
        expose = self.rdv("expose", *RELAYED, f"{second},{first}", "a token", str(self.port))
        for server in self.servers.values():
            await server.line("waiting: acceptor")
        client = Client(REACTOR, spaces=AddressSpace.NONE)

        async def reach(*urls: str) -> None:
            connection: Any = await client.dial(urls, "a token")
            connection.abortConnection()

        await reach(first, second)
        await reach(second)
        self.servers[first].signal("TERM")
        await self.servers[first].ended
        await reach(first, second)
        self.assertNotIn(b"TROUBLE", expose.stderr)
        await self.kill(second)
        await expose.line("TROUBLE")
