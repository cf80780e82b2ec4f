"""
Three servers behind a balancer that is configured as the page about machines has it: one is killed,
one drains, one comes back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.trial.unittest import TestCase

from rdv import Secret
from rdv.addresses import AddressSpace
from rdv.client import Client, Connection
from rdv.client.trace import Trace
from rdv.endpoints.retry import keep_trying
from rdv.wire import Role
from tests.documents import REACTOR, Shell, execute, listening_port, replaced, runs
from tests.processes import PYTHON, Program, together
from tests.proxies import start_envoy, start_haproxy, start_nginx
from tests.servers import RELAYED, SystemTestCase
from tests.talker import Talker

PAGE = "docs/howto/machines.rst"
#: Enough for each of three servers to get some, whatever its port.
TOKENS = [f"token {number}" for number in range(32)]

Start = Callable[[TestCase, str], Coroutine[Any, Any, int]]


async def started_haproxy(test: TestCase, config: str) -> int:
    """The same as the others."""
    return start_haproxy(test, config)


class BalancerTests(TestCase):
    """:ivar url: of the balancer."""

    timeout = 120

    def setUp(self) -> None:
        self.shell = Shell(self)

    async def serve(self, command: str, port: int = 0) -> tuple[Program, int]:
        """Start a server as the page does, but for its port."""
        # A stream has to go on until it is looked at, however long that takes.
        told = "twist --log-level debug --log-format text rdv --drain 600"
        changes = (
            ("8081", str(port)),
            ("twist rdv", told),
            # Pairs that missed each other when a server came back try again within this time.
            ("--lobby-timeout 30", "--lobby-timeout 1"),
            ("--limit-failures 300", "--no-limits"),
        )
        server = self.shell.start(replaced(command, *changes))
        return server, await listening_port(server)

    def come(self, role: Role, tokens: list[str] = TOKENS) -> list[Deferred[Connection]]:
        """A client for each token, which does not give up at once, as those of the commands."""
        return [Deferred.fromCoroutine(self._comes(role, token)) for token in tokens]

    async def _comes(self, role: Role, token: str) -> Connection:
        client = Client(REACTOR, spaces=AddressSpace.NONE)
        connect = client.dial if role is Role.DIALER else client.accept

        def attempt(timeout: float | None, trace: Trace) -> Deferred[Connection]:
            return connect(self.url, token, timeout=timeout, trace=trace)

        return await keep_trying(attempt, REACTOR, role, token, 60)

    async def meet(self, tokens: list[str] = TOKENS) -> None:
        """All of them, at the same time; the servers see where they really are."""
        comes = [*self.come(Role.ACCEPTOR, tokens), *self.come(Role.DIALER, tokens)]
        for connection in await gatherResults(comes):
            own: Any = connection.getHost()
            self.assertEqual(str(connection.observed_address), f"127.0.0.1:{own.port}")
            connection.abortConnection()

    async def check(self, command: str, config: str, start: Start, *changes: Any) -> None:
        """Whatever becomes of the servers, each pair meets, and a stream goes on."""
        servers = await together(*(self.serve(command) for _ in range(3)))
        (killed, place), (drained, _), (last, _) = servers
        places = zip(("8081", "8082", "8083"), (str(port) for _, port in servers), strict=True)
        port = await start(self, replaced(config, *changes, *places))
        self.url = f"http://127.0.0.1:{port}/rdv"
        accepting = self.come(Role.ACCEPTOR)
        shares = [server.line("waiting: acceptor") for server, _ in servers]
        # Each server gets some. A client that has failed must not block the others.
        first: list[Deferred[Any]] = [gatherResults(shares), *accepting]
        await DeferredList(first, fireOnOneCallback=True, fireOnOneErrback=True)
        killed.signal("KILL")
        await killed.ended
        # Clients that waited there wait at another server, and new ones look for them there.
        for connection in await gatherResults([*accepting, *self.come(Role.DIALER)]):
            connection.abortConnection()
        relayed = await gatherResults([*self.come(Role.ACCEPTOR), *self.come(Role.DIALER)])
        drained.signal("TERM")
        await drained.line("SIGTERM")
        await self.meet()
        for acceptor, dialer in zip(relayed[: len(TOKENS)], relayed[len(TOKENS) :], strict=True):
            await self.goes_on(dialer, acceptor)
        comes_back = Deferred.fromCoroutine(self.serve(command, place))
        await drained.ended
        back, _ = await comes_back
        last.signal("TERM")
        await last.ended
        came = back.line("matched: ")
        while not came.called:
            await self.meet(TOKENS[:4])

    async def goes_on(self, one: Connection, other: Connection) -> None:
        """A stream is there, from one to the other."""
        says, hears = Talker(), Talker()
        one.attach(says)
        other.attach(hears)
        says.write(b"still here")
        self.assertEqual(await hears.received(10), b"still here")
        for connection in (one, other):
            connection.abortConnection()

    @runs(PAGE, "--lobby-timeout", "hash-type")
    async def test_haproxy(self, command: str, config: str) -> None:
        await self.check(command, config, started_haproxy, (":8080", "fd@0"))

    @runs(PAGE, "--lobby-timeout", "upstream rdv")
    async def test_nginx(self, command: str, config: str) -> None:
        await self.check(command, config, start_nginx, ("listen 8080", "listen LISTEN"))

    @runs(PAGE, "--lobby-timeout", "lb_policy")
    async def test_envoy(self, command: str, config: str) -> None:
        listen = '"::", ipv4_compat: true, port_value: 8080', "127.0.0.1, port_value: LISTEN"
        await self.check(command, config, start_envoy, listen)


class PlacementTests(TestCase):
    """The simulation that the page about capacity quotes."""

    async def test_runs(self) -> None:
        options = ("--servers", "60", "--tokens", "3000", "--runs", "3")
        simulation = Program(self, PYTHON, "-m", "benchmarks.placement", *options)
        self.assertEqual(await simulation.ended, 0, simulation.report())
        said = simulation.stdout.decode()
        self.assertRegex(said, r"(?m)^tokens that move when one is lost, of those it had +1\.00$")
        for times in re.findall(r"(?m)^.* +([\d.]+) s +([\d.]+) s$", said):
            self.assertLess(max(map(float, times)), 3)  # in the simulation's own time


class ListTests(SystemTestCase):
    """Without a balancer."""

    @runs(PAGE, "rdv accept https://a.example")
    async def test_command(self, command: str) -> None:
        """Two of the three are down."""
        await self.serve()
        secret = Secret.generate().reveal()
        down = [f"http://127.0.0.1:{self.taken_port()}/rdv" for _ in range(2)]
        hosts = (f"https://{name}.example/rdv" for name in "abc")
        places = zip(hosts, (down[0], self.url, down[1]), strict=True)
        line = replaced(command, *places, ("SECRET", secret))
        acceptor = Shell(self).start(f"{line} -r -n")
        dialer = self.rdv("dial", *RELAYED, "-n", ",".join([*down, self.url]), secret)
        for client in (acceptor, dialer):
            await self.assert_ended(client, 0, "CONNECTED: relay .*, secure, .*")

    @runs(PAGE, "rank_servers")
    async def test_fleet(self, source: str) -> None:
        """Three of a thousand, different ones for each secret."""
        told: list[tuple[str, list[str]]] = []
        for _ in range(2):
            await execute(source, tell_both_peers=lambda *what: told.append(what))
        (one, first), (other, second) = told
        self.assertNotEqual(one, other)
        self.assertNotEqual(first, second)
        self.assertEqual({len(first), len(second)}, {3})
