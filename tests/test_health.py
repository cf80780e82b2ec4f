"""
Health checks, as real balancers make them.
"""

from __future__ import annotations

import os
import signal
from http.client import HTTPConnection

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.processes import Program
from tests.proxies import run_haproxy, start_nginx
from tests.servers import RELAYED, SystemTestCase
from tests.workers import REACTOR, WorkersTestCase

HAPROXY = """
global
  maxconn 100
  log stderr format raw daemon
defaults
  log global
  mode {mode}
  timeout connect 10s
  timeout client 100s
  timeout server 100s
  timeout tunnel 100s
frontend clients
  bind fd@0
  default_backend rdv
backend rdv
  balance first
  option httpchk GET /readyz
  option log-health-checks
  default-server check inter 100ms fall 1 rise 1 {send}
  server one 127.0.0.1:{one}
  server two 127.0.0.1:{two}
"""
NGINX = """
server {{
  listen LISTEN;
  location = /readyz {{ proxy_pass http://127.0.0.1:{backend}; }}
}}
"""
PASSED = r"Health check for server rdv/{} succeeded, reason: Layer7 check passed, code: 200"
DOWN = r"Server rdv/{} is DOWN\."


class HealthTests(SystemTestCase):
    forked = True

    async def pair(self, token: str) -> tuple[Program, Program]:
        """A pair of which something has gone through the relay."""
        acceptor, dialer = (each(*RELAYED, token=token) for each in (self.accept, self.dial))
        dialer.write(b"hello")
        await acceptor.received(5)
        return acceptor, dialer

    async def check_haproxy(self, mode: str, send: str = "", listen: str = "127.0.0.1:0") -> None:
        """Of two servers the first one drains: whoever comes finds the second one."""
        one = await self.serve("--drain", "60", listen=listen)
        first = self.port
        await self.serve(listen=listen)
        config = HAPROXY.format(mode=mode, send=send, one=first, two=self.port)
        haproxy, self.port = run_haproxy(self, config)
        self.url = f"http://127.0.0.1:{self.port}/rdv"
        for name in ("one", "two"):
            await haproxy.line(PASSED.format(name))
        acceptor, dialer = await self.pair("one")
        await one.line("matched: ")
        one.signal("TERM")
        await haproxy.line(DOWN.format("one"))
        await self.pair("another")
        # The first pair continues to its end.
        dialer.write(b", and more")
        self.assertEqual(await acceptor.received(15), b"hello, and more")
        for client in (dialer, acceptor):
            client.close_stdin()
        self.assertEqual(await one.ended, 0, one.report())
        self.assertNotIn(b"GET /readyz", one.stderr)

    async def test_haproxy(self) -> None:
        await self.check_haproxy("http")

    async def test_haproxy_with_proxy_headers(self) -> None:
        """The checks have them, too."""
        await self.check_haproxy("tcp", "send-proxy-v2", r"haproxy:tcp:0:interface=127.0.0.1")

    async def test_nginx(self) -> None:
        """Its open version makes no checks of its own, but passes those of others on."""
        server = await self.serve("--drain", "60", "--path", "/rdv")
        acceptor, dialer = await self.pair("one")
        port = await start_nginx(self, NGINX.format(backend=self.port))
        self.assertEqual(await ask(port, "/readyz"), (200, b"ok\n"))
        kept = HTTPConnection("127.0.0.1", self.port, timeout=20)
        self.addCleanup(kept.close)
        self.assertEqual(await ask(kept, "/readyz"), (200, b"ok\n"))
        server.signal("TERM")
        await server.line("SIGTERM: ")
        # A balancer with an open connection is answered; the server accepts no new one.
        self.assertEqual(await ask(kept, "/readyz"), (503, b"draining\n"))
        self.assertEqual((await ask(port, "/readyz"))[0], 502)
        for client in (acceptor, dialer):
            client.close_stdin()
        self.assertEqual(await server.ended, 0, server.report())

    async def test_workers(self) -> None:
        """Whichever gets the check."""
        server = await self.serve("--workers", "2")
        for path in ("/healthz", "/readyz"):
            self.assertEqual(await ask(self.port, path), (200, b"ok\n"))
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())


class HangingTests(WorkersTestCase):
    async def test_hanging(self) -> None:
        """Of three workers one does not go on: the others say so until it has been replaced."""
        await self.serve_with_workers("--worker-timeout", "4")
        await self.until_ready((200, b"ok\n"))
        victim = self.processes()[1]
        os.kill(victim, signal.SIGSTOP)
        await self.until_ready((503, b"hanging\n"))
        await self.server.line("worker 1 does not respond: killed")
        await self.server.line(rf"worker 1 serves as process (?!{victim}$)")
        await self.until_ready((200, b"ok\n"))

    async def until_ready(self, wanted: tuple[int, bytes]) -> None:
        """Ask as a balancer does, until that is the answer."""
        while await ask(self.port, "/readyz") != wanted:
            await deferLater(REACTOR, 0.1)


async def ask(where: int | HTTPConnection, path: str) -> tuple[int, bytes]:
    """
    Status and body of the answer to a GET.

    :param where: a port, or a connection to one.
    """

    def get() -> tuple[int, bytes]:
        connection = where
        if isinstance(connection, int):
            connection = HTTPConnection("127.0.0.1", connection, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()

    return await deferToThread(get)
