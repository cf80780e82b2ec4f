"""
Behind reverse proxies: who the client is, and what becomes of the end of one direction.
"""

from __future__ import annotations

import os

from rdv.test.certificates import Authority
from tests.processes import Program
from tests.proxies import ProxyTestCase
from tests.servers import CONNECTED, DIRECT, MEGABYTE, RELAYED, noise

P2P, RELAY = CONNECTED.format("p2p"), CONNECTED.format("relay")
HAPROXY_ENDPOINT = "haproxy:tcp:0:interface=127.0.0.1"


class ProxyChecks(ProxyTestCase):
    """
    What is wanted of any proxy.

    :ivar options: for the clients.
    """

    options: tuple[str, ...] = ()

    async def check_observed(self, server: Program) -> None:
        """The server knows the client's own address and port, and two clients meet directly."""
        acceptor = self.accept("-v", *DIRECT, *self.options)
        seen = (await server.line(r"waiting: acceptor .* from 127\.0\.0\.1:(\d+)$"))[1]
        dialer = self.dial(*DIRECT, *self.options)
        # The client listens where the server has seen it come from.
        await dialer.line(rf"CONNECTED: p2p .*:{seen}, ")
        dialer.write(b"x")
        await acceptor.received(1)
        dialer.close_stdin()
        acceptor.close_stdin()
        await self.assert_ended(dialer, 0, P2P)
        self.assertEqual(await acceptor.ended, 0)
        self.assertNotIn(b"NOTICE", acceptor.stderr)

    async def exchange(self) -> tuple[Program, Program]:
        """Much both ways; neither side has ended."""
        there, back = noise(1, 3 * MEGABYTE), noise(2, 2 * MEGABYTE)
        acceptor = self.accept(*RELAYED, *self.options)
        dialer = self.dial(*RELAYED, *self.options)
        dialer.write(there)
        acceptor.write(back)
        self.assertEqual(await acceptor.received(len(there)), there)
        self.assertEqual(await dialer.received(len(back)), back)
        return dialer, acceptor

    async def check_relayed(self) -> None:
        """An exchange, and a good end."""
        clients = await self.exchange()
        for client in clients:
            client.close_stdin()
        for client in clients:
            await self.assert_ended(client, 0, RELAY)

    async def check_half_close(self) -> None:
        """``rdv accept -r </dev/null >file`` gets the whole file."""
        content = noise(3, 5 * MEGABYTE)
        acceptor = self.accept(*RELAYED, *self.options, stdin=self.opened(os.devnull))
        dialer = self.dial(*RELAYED, *self.options, stdin=self.opened(self.file_of(content)))
        await self.assert_ended(acceptor, 0, RELAY)
        await self.assert_ended(dialer, 0, RELAY)
        self.assertEqual(acceptor.stdout, content)
        await self.check_end_reaches_reader(RELAY, *RELAYED, *self.options)

    async def check_one_end_for_both(self) -> None:
        """
        A proxy that speaks HTTP closes both directions at the first end: who has got everything
        before has lost nothing, and nobody hangs.
        """
        dialer, acceptor = await self.exchange()
        dialer.close_stdin()
        # It depends on the proxy and on the moment whether that is a good end.
        self.assertIn(await dialer.ended, (0, 3), dialer.report())
        acceptor.close_stdin()
        self.assertIn(await acceptor.ended, (0, 3), acceptor.report())
        for client in (dialer, acceptor):
            self.assertNotIn(b"Traceback", client.stderr)

    async def check_file(self, status: int = 0) -> None:
        """
        A receiver with nothing to say gets the whole file there, too.

        :param status: what the sender ends with.
        """
        content = noise(4, 5 * MEGABYTE)
        acceptor = self.accept(*RELAYED, *self.options, stdin=self.opened(os.devnull))
        dialer = self.dial(*RELAYED, *self.options)
        # If its end were passed on before, it would be there by now.
        await self.connected("relay", acceptor, dialer)
        dialer.write(content)
        dialer.close_stdin()
        await self.assert_ended(acceptor, 0, RELAY)
        self.assertEqual(await dialer.ended, status, dialer.report())
        self.assertTrue(acceptor.stdout == content)

    async def check_killed(self, victim: str, server: Program) -> None:
        """What was cut does not look complete to the receiver."""
        acceptor = self.accept(*RELAYED, *self.options, stdin=self.opened(os.devnull))
        dialer = self.dial(*RELAYED, *self.options)
        dialer.write(b"a part")
        await acceptor.received(6)
        (server if victim == "server" else dialer).signal("KILL")
        await self.assert_ended(acceptor, 3, RELAY, "the stream broke: .+")


class HAProxyTCPTests(ProxyChecks):
    """HAProxy passes TCP on and says with PROXY v2 who the client is."""

    async def start(self) -> Program:
        """A server and its proxy."""
        server = await self.serve(listen=HAPROXY_ENDPOINT)
        self.start_haproxy(send_proxy="send-proxy-v2")
        return server

    async def test_observed(self) -> None:
        """The client's address is known."""
        await self.check_observed(await self.start())

    async def test_twist(self) -> None:
        """The same with ``twist rdv``."""
        server = await self.twist(listen=HAPROXY_ENDPOINT)
        self.start_haproxy(send_proxy="send-proxy-v2")
        await self.check_observed(server)

    async def test_relayed(self) -> None:
        """A stream goes through it."""
        await self.start()
        await self.check_relayed()

    async def test_half_close(self) -> None:
        """So does the end of one direction."""
        await self.start()
        await self.check_half_close()


class HAProxyPassthroughTests(ProxyChecks):
    """
    HAProxy passes TLS on. It makes an end of any reset, but TLS tells one from the other: that is
    why this is the way for whoever needs to be sure.
    """

    async def start(self) -> Program:
        """A server and its proxy."""
        authority = Authority()
        pem = self.file_of(authority.issue("127.0.0.1"))
        self.options = ("--ca", self.file_of(authority.pem))
        server = await self.serve(
            listen=f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
        )
        self.start_haproxy()
        self.url = self.url.replace("http:", "https:")
        return server

    async def test_relayed(self) -> None:
        """A stream goes through it."""
        await self.start()
        await self.check_relayed()

    async def test_half_close(self) -> None:
        """So does the end of one direction."""
        await self.start()
        await self.check_half_close()

    async def test_sender_killed(self) -> None:
        """The receiver knows that the sender was killed."""
        await self.check_killed("sender", await self.start())

    async def test_server_killed(self) -> None:
        """And that the server was."""
        await self.check_killed("server", await self.start())


class HAProxyHTTPTests(ProxyChecks):
    """HAProxy speaks HTTP, and says in a header who the client is."""

    async def start(self) -> Program:
        """A server and its proxy."""
        server = await self.serve("--observed-header", "X-Client")
        self.start_haproxy(mode="http", rule="http-request set-header X-Client %[src]:%[src_port]")
        return server

    async def test_observed(self) -> None:
        """The client's address is known."""
        await self.check_observed(await self.start())

    async def test_relayed(self) -> None:
        """A stream goes through it, up to the first end."""
        await self.start()
        await self.check_one_end_for_both()

    async def test_file(self) -> None:
        """So does a file."""
        await self.start()
        await self.check_file()


class HAProxyTLSTests(ProxyChecks):
    """HAProxy speaks TLS with the clients, and passes on what is in it."""

    async def test_file(self) -> None:
        """A file goes through it."""
        authority = Authority()
        self.options = ("--ca", self.file_of(authority.pem))
        await self.serve()
        self.start_haproxy(tls=f"ssl crt {self.file_of(authority.issue('127.0.0.1'))}")
        await self.check_file()


class NginxTests(ProxyChecks):
    """nginx speaks https with the clients and http with the server."""

    def setUp(self) -> None:
        """Set up its certificate."""
        authority = Authority()
        self.certificate = self.file_of(authority.issue("127.0.0.1"))
        self.options = ("--ca", self.file_of(authority.pem))

    async def start(self) -> Program:
        """A server and its proxy."""
        server = await self.serve("--observed-header", "X-Client")
        await self.start_nginx(self.certificate)
        return server

    async def test_observed(self) -> None:
        """The client's address is known."""
        await self.check_observed(await self.start())

    async def test_relayed(self) -> None:
        """A stream goes through it, up to the first end."""
        await self.start()
        await self.check_one_end_for_both()

    async def test_file(self) -> None:
        """So does a file; but nginx ends TLS as if something had been cut off."""
        await self.start()
        await self.check_file(3)

    async def test_sender_killed(self) -> None:
        """It makes an end of a reset: what was cut looks complete, as operations.rst says."""
        await self.start()
        acceptor = self.accept(*RELAYED, *self.options, stdin=self.opened(os.devnull))
        dialer = self.dial(*RELAYED, *self.options)
        dialer.write(b"a part")
        await acceptor.received(6)
        dialer.signal("KILL")
        await self.assert_ended(acceptor, 0, RELAY)
