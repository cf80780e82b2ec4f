"""
Behind reverse proxies: what happens to the end of one direction, and to a reset.

That the server knows the client's address, from a PROXY header or an HTTP header, is tested with
the pages about it: :mod:`tests.test_operations`, :mod:`tests.test_readme`.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from rdv.test.certificates import Authority
from rdv.test.server.doubles import request
from tests.processes import Program
from tests.proxies import start_haproxy, start_nginx
from tests.servers import BROKEN, DIRECT, MEGABYTE, RELAY, RELAYED, SystemTestCase, noise
from tests.talker import talk_to

REACTOR: Any = reactor

HAPROXY = """
global
  maxconn 100
defaults
  mode {mode}
  timeout connect 10s
  timeout client 100s
  timeout server 100s
  timeout tunnel 100s
frontend clients
  bind fd@0 {tls}
  default_backend servers
backend servers
  server rdv 127.0.0.1:{backend} {send}
"""
NGINX = """
server {{
  listen LISTEN ssl;
  ssl_certificate {certificate};
  ssl_certificate_key {certificate};
  location / {{
    proxy_pass http://127.0.0.1:{backend};
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_set_header Connection upgrade;
    proxy_set_header Upgrade $http_upgrade;
    proxy_read_timeout 1h;
  }}
}}
"""


class ProxyTests(SystemTestCase):
    def haproxy(self, *, mode: str = "tcp", send: str = "", tls: str = "") -> None:
        """Start HAProxy before the server that was started last; clients use it from now on."""
        scheme = self.url.partition(":")[0]
        config = HAPROXY.format(mode=mode, backend=self.port, send=send, tls=tls)
        self.port = start_haproxy(self, config)
        self.url = f"{'https' if tls else scheme}://127.0.0.1:{self.port}/rdv"

    def certificate(self) -> str:
        """One for a proxy, and clients that trust it."""
        authority = Authority()
        self.trust = ("--ca", self.file_of(authority.pem))
        return self.file_of(authority.issue("127.0.0.1"))

    async def nginx(self) -> None:
        """Start nginx, which speaks https with the clients and http with the server."""
        certificate = self.certificate()
        config = NGINX.format(certificate=certificate, backend=self.port)
        self.port = await start_nginx(self, config)
        self.url = f"https://127.0.0.1:{self.port}/rdv"

    def receive(self) -> Program:
        """An acceptor with nothing to say."""
        return self.accept(*RELAYED, *self.trust, stdin=self.opened(os.devnull))

    async def check_one_end_for_both(self) -> None:
        """
        A proxy that speaks HTTP closes both directions at the first end: who has got everything
        before has lost nothing, and nobody hangs.
        """
        there, back = noise(1, 3 * MEGABYTE), noise(2, 2 * MEGABYTE)
        options = (*RELAYED, *self.trust)
        acceptor, dialer = self.accept(*options), self.dial(*options)
        dialer.write(there)
        acceptor.write(back)
        self.assertEqual(await acceptor.received(len(there)), there)
        self.assertEqual(await dialer.received(len(back)), back)
        for client in (dialer, acceptor):
            client.close_stdin()
            # Whether this is a clean end depends on the proxy and on timing.
            self.assertIn(await client.ended, (0, 3), client.report())
            self.assertNotIn(b"Traceback", client.stderr)

    async def check_file(self, status: int = 0) -> None:
        """
        A receiver with nothing to say gets the whole file there, too.

        :param status: what the sender ends with.
        """
        content = noise(4, 5 * MEGABYTE)
        acceptor, dialer = self.receive(), self.dial(*RELAYED, *self.trust)
        # If its end were passed on before, it would be there by now.
        await self.connected("relay", acceptor, dialer)
        dialer.write(content)
        dialer.close_stdin()
        await self.assert_ended(acceptor, 0, RELAY)
        self.assertEqual(await dialer.ended, status, dialer.report())
        self.assertTrue(acceptor.stdout == content)

    async def killed(self, victim: Program | None = None) -> Program:
        """A receiver; its sender is killed in the middle, or somebody else is."""
        acceptor, dialer = self.receive(), self.dial(*RELAYED, *self.trust)
        dialer.write(b"a part")
        await acceptor.received(6)
        (victim or dialer).signal("KILL")
        return acceptor

    async def test_passthrough(self) -> None:
        """
        HAProxy passes TLS on. It makes an end of any reset, but TLS tells one from the other: that
        is why this is the way for whoever needs to be sure.
        """
        server = await self.serve_https()
        self.haproxy()
        await self.check_end_reaches_reader(RELAY, *RELAYED, *self.trust)
        await self.assert_ended(await self.killed(), 3, RELAY, BROKEN)
        await self.assert_ended(await self.killed(server), 3, RELAY, BROKEN)

    async def test_twist(self) -> None:
        """``twist rdv`` knows the client's own port from PROXY, and two clients meet directly."""
        listen = "haproxy:tcp:0:interface=127.0.0.1"
        server = await self.twist("--log-addresses", "full", listen=listen)
        self.haproxy(send="send-proxy-v2")
        acceptor = self.accept(*DIRECT)
        seen = (await server.line(r"waiting: acceptor .* from 127\.0\.0\.1:(\d+),"))[1]
        # The client listens where the server has seen it come from.
        await self.dial(*DIRECT).line(rf"CONNECTED: p2p .*:{seen}, ")
        self.assertNotIn(b"NOTICE: missing observed address", acceptor.stderr)

    async def test_health_check(self) -> None:
        """HAProxy's own requests have a PROXY header that names nobody."""
        for send in ("send-proxy", "send-proxy-v2"):
            server = await self.serve(listen="haproxy:tcp:0:interface=127.0.0.1")
            check = "check inter 100ms\n  option httpchk\n  http-check expect status 426"
            self.haproxy(send=f"{send} {check}")
            await server.line(r'"OPTIONS / HTTP/1\.\d" 426')

    async def test_pieces(self) -> None:
        """A PROXY header arrives in two segments, and one that names nobody; with workers too."""
        for options in ((), ("--workers", "2")):
            server = await self.serve(
                *("--log-addresses", "full", *options), listen="haproxy:tcp:0:interface=127.0.0.1"
            )
            for first, second, seen in (
                (b"PROXY", b" TCP4 192.0.2.7 192.0.2.1 7777 80\r\n", "192.0.2.7:7777"),
                (b"PROXY UNKN", b"OWN\r\n", "unknown"),
            ):
                talker = await talk_to(self, self.port)
                talker.write(first)
                await deferLater(REACTOR, 0.05)  # it is sent by itself, and read
                talker.write(second + request(b"ACCEPT", rdv_token=seen.encode()))
                await server.line(f"waiting: acceptor .* from {seen}, ")

    async def test_haproxy(self) -> None:
        """It speaks HTTP; or TLS with the clients, and passes on what is in it."""
        await self.serve()
        backend = self.port
        self.haproxy(mode="http")
        await self.check_one_end_for_both()
        await self.check_file()
        self.port = backend
        self.haproxy(tls=f"ssl crt {self.certificate()}")
        await self.check_file()

    async def test_nginx(self) -> None:
        """It ends TLS as if something had been cut off."""
        await self.serve()
        await self.nginx()
        await self.check_one_end_for_both()
        await self.check_file(3)
        # And it turns a reset into an end: a truncated stream looks complete, as proxies.rst says.
        await self.assert_ended(await self.killed(), 0, RELAY)
