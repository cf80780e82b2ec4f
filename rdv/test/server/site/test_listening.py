"""
Where a server listens; and ports that one process opens and others accept from.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.defer import DeferredList
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    UNIXClientEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.tcp import Port
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from rdv.errors import RdvError
from rdv.server.generations.listeners import Listeners
from rdv.server.site.listening import close_ports, endpoint_strings, listen, make_endpoints
from rdv.server.site.service import RendezvousService
from rdv.settings import ServerSettings
from rdv.test.certificates import Authority
from rdv.test.doubles import Wire
from rdv.test.sockets import REACTOR, socket_path, turn
from rdv.test.transport.doubles import PROXY_HEADER

HERE = "interface=127.0.0.1"
REQUEST = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"


class EndpointStringTests(SynchronousTestCase):
    """``endpoint_strings``."""

    def test_port_alone(self) -> None:
        """It stands for a port on all addresses of this host."""
        for text, port in (
            ("8080", 8080),
            ("0", 0),
            ("65535", 65535),
            (":8080", 8080),
            ("*:8080", 8080),
        ):
            v4 = f"tcp:{port}:backlog=4096"
            dual = rf"{v4}:interface=\:\:"
            self.assertIn(endpoint_strings(text), ([dual], [dual, v4], [v4]))

    def test_host_and_port(self) -> None:
        for text, wanted in (
            ("127.0.0.1:8080", "tcp:8080:backlog=4096:interface=127.0.0.1"),
            ("server.example:8080", "tcp:8080:backlog=4096:interface=server.example"),
            ("server.:8080", "tcp:8080:backlog=4096:interface=server."),
            ("localhost:8080", "tcp:8080:backlog=4096:interface=localhost"),
            ("[::1]:8080", r"tcp:8080:backlog=4096:interface=\:\:1"),
            ("[::]:0", r"tcp:0:backlog=4096:interface=\:\:"),
        ):
            self.assertEqual(endpoint_strings(text), [wanted])

    def test_endpoint_strings(self) -> None:
        """The type of an endpoint is not the name of a host."""
        for text in (
            "tcp:8080",
            "tcp6:8080",
            "tcp:8080:interface=127.0.0.1",
            r"tcp:8080:interface=\:\:1",
            "ssl:8443",
            "ssl:8443:privateKey=key.pem",
            "unix:8080",
            "unix:/run/rdv.sock",
            "haproxy:tcp:8080",
            "systemd:domain=INET:index=0",
            "fd:3",
        ):
            self.assertEqual(endpoint_strings(text), [text])

    def test_no_such_port(self) -> None:
        for text in ("65536", ":65536", "*:65536", "127.0.0.1:65536", "[::1]:99999"):
            error = self.assertRaises(RdvError, endpoint_strings, text)
            self.assertIn("not a port", str(error))

    def test_host_without_ipv6(self) -> None:
        def no_socket(family: int) -> Any:
            raise OSError("no such family")

        self.patch(socket, "socket", no_socket)
        self.assertEqual(endpoint_strings("8080"), ["tcp:8080:backlog=4096"])


class ListenTests(SynchronousTestCase):
    """Listening on them."""

    def listening(self, *texts: str) -> list[tuple[int, str]]:
        """Ports and interfaces of a service that is to listen there."""
        reactor: Any = MemoryReactorClock()
        service = RendezvousService(reactor, ServerSettings(listen=texts))
        service.privilegedStartService()
        return [(port, interface) for port, _, _, interface in reactor.tcpServers]

    def test_several(self) -> None:
        found = self.listening("127.0.0.1:8080", "[::1]:8081", "tcp:8082:interface=127.0.0.1")
        self.assertEqual(found, [(8080, "127.0.0.1"), (8081, "::1"), (8082, "127.0.0.1")])
        self.assertEqual(self.listening("tcp:8080"), [(8080, "")])

    def test_nonsense(self) -> None:
        for text in (
            "",
            "\n",
            "nonsense",
            "nonsense:8080",
            "tcp:",
            "tcp:x",
            "ssl:8443:privateKey=/no",
        ):
            error = self.assertRaises(RdvError, self.listening, text)
            self.assertIn("cannot listen on ", str(error))
            self.assertNotIn("\n", str(error))

    def test_nothing_from_systemd(self) -> None:
        """As of a server that is started by hand."""
        for which in ("index=0", "name=rdv"):
            text = f"systemd:domain=INET:{which}"
            error = self.assertRaises(RdvError, self.listening, text)
            said = f"cannot listen on '{text}': systemd passed no such socket"
            self.assertEqual(str(error), said)


class SharedTests(TestCase):
    """Opened by one process and adopted by two; here, all of them are this process."""

    timeout = 30

    def setUp(self) -> None:
        self.site = Site(Resource(), reactor=REACTOR)

    def open(self, *strings: str) -> list[int]:
        """Open them; their numbers."""
        self.strings = strings
        self.opened = Listeners(REACTOR, accepting=False)
        ports = listen(make_endpoints(self.opened, self.strings), Site(Resource()))
        self.addCleanup(close_ports, ports)
        return [port.getHost().port for port in ports]  # type: ignore[attr-defined]

    def adopt(self) -> list[IListeningPort]:
        """Accept from all of them."""
        inherited = [(name, os.dup(number)) for name, number in self.opened.named]
        adopted = Listeners(REACTOR, inherited)
        ports = listen(make_endpoints(adopted, self.strings), self.site)
        self.addCleanup(close_ports, ports)
        return ports

    async def visit(self, port: int, data: bytes = REQUEST) -> Wire:
        """Connect, and send that."""
        endpoint = TCP4ClientEndpoint(REACTOR, "127.0.0.1", port)
        wire = Wire()
        await connectProtocol(endpoint, wire)
        wire.write(data)
        return wire

    async def test_nobody_accepts_at_first(self) -> None:
        """Who comes before there is a worker waits for the first one."""
        (port,) = self.open(f"tcp:0:{HERE}")
        self.assertEqual([p for p in self.opened.ports if p in REACTOR.getReaders()], [])
        wire = await self.visit(port)
        self.assertEqual(wire.data, b"")
        self.adopt()
        self.assertIn(b" 404 ", await wire.lost())

    async def test_outlast_who_accepts(self) -> None:
        """Who comes while there is none waits for the next one."""
        (port,) = self.open(f"tcp:0:{HERE}")
        first = self.adopt()
        self.assertIn(b" 404 ", await (await self.visit(port)).lost())
        await close_ports(first)
        wire = await self.visit(port)
        self.adopt()
        self.assertIn(b" 404 ", await wire.lost())

    async def test_opener_leaves(self) -> None:
        """The others go on: Twisted would end the socket for all who have it."""
        (port,) = self.open(f"tcp:0:{HERE}")
        self.adopt()
        await self.opened.close()
        self.assertIn(b" 404 ", await (await self.visit(port)).lost())

    async def test_file(self) -> None:
        """It is there, for those who may connect, until the last of its owners is told to go."""
        path = socket_path(self)
        string = f"unix:{path}:mode=600"
        self.strings = (string,)
        self.opened = Listeners(REACTOR, accepting=False)
        listen(make_endpoints(self.opened, self.strings), Site(Resource()))
        self.addCleanup(self.opened.close)
        inherited = [(name, os.dup(number)) for name, number in self.opened.named]
        adopted = Listeners(REACTOR, inherited)
        listen(make_endpoints(adopted, self.strings), self.site)
        self.addCleanup(adopted.close)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        await self.opened.close(for_others=True)
        wire = await connectProtocol(UNIXClientEndpoint(REACTOR, path), Wire())
        wire.write(REQUEST)
        self.assertIn(b" 404 ", await wire.lost())
        self.assertTrue(os.path.exists(path))
        adopted.drop_rest()
        await adopted.close()
        self.assertFalse(os.path.exists(path))

    async def test_file_of_another(self) -> None:
        """Whoever ends before it serves leaves it to the one who has opened it."""
        path = socket_path(self)
        self.strings = (f"unix:{path}",)
        self.opened = Listeners(REACTOR)
        listen(make_endpoints(self.opened, self.strings), Site(Resource()))
        inherited = [(name, os.dup(number)) for name, number in self.opened.named]
        adopted = Listeners(REACTOR, inherited)
        listen(make_endpoints(adopted, self.strings), self.site)
        await adopted.close()
        self.assertTrue(os.path.exists(path))
        await self.opened.close()
        self.assertFalse(os.path.exists(path))

    async def test_rest(self) -> None:
        """What nobody has asked for is closed."""
        (port,) = self.open(f"tcp:0:{HERE}")
        rest = Listeners(REACTOR, [("tcp 1 ", os.dup(self.opened.named[0][1]))])
        await self.opened.close()
        rest.drop_rest()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)

    async def test_several(self) -> None:
        """Each is adopted as what it was opened as, and by more than one."""
        authority = Authority()
        pem = self.mktemp()
        with open(pem, "wb") as file:
            file.write(authority.issue("127.0.0.1"))
        secure = f"ssl:0:privateKey={pem}:certKey={pem}:{HERE}"
        plain, tls, proxy = self.open("127.0.0.1:0", secure, f"haproxy:tcp:0:{HERE}")
        for _ in range(2):
            self.assertEqual(
                [port.getHost().port for port in self.adopt()],  # type: ignore[attr-defined]
                [plain, tls, proxy],
            )
        self.assertIn(b" 404 ", await (await self.visit(plain)).lost())
        wire = await self.visit(proxy, PROXY_HEADER + REQUEST)
        self.assertIn(b" 404 ", await wire.lost())
        trust = optionsForClientTLS("127.0.0.1", Certificate.loadPEM(authority.pem))
        endpoint = TCP4ClientEndpoint(REACTOR, "127.0.0.1", tls)
        wire = await connectProtocol(wrapClientTLS(trust, endpoint), Wire())
        wire.write(REQUEST)
        self.assertIn(b" 404 ", await wire.lost())

    async def test_port_in_use(self) -> None:
        """Then the one that could be had is not kept."""
        with socket.create_server(("127.0.0.1", 0)) as busy:
            string = f"tcp:{busy.getsockname()[1]}:{HERE}"
            error = self.assertRaises(RdvError, self.open, f"tcp:0:{HERE}", string)
        self.assertEqual(str(error), f"cannot listen on {string}: Address already in use")
        await turn()
        self.assertEqual([port.connected for port in self.opened.ports], [False])

    async def test_both_accept(self) -> None:
        """One that is not there does not keep the other from it."""
        (port,) = self.open(f"tcp:0:{HERE}")
        first, second = self.adopt(), self.adopt()
        wires = [await self.visit(port) for _ in range(20)]
        await DeferredList([wire.lost() for wire in wires])
        for ports in (first, second):
            await close_ports(ports)
            self.assertIn(b" 404 ", wires[0].data)
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            pass  # it is still open


class RefusalTests(TestCase):
    """Ports that cannot be shared are refused immediately."""

    def test_other_kinds(self) -> None:
        """It is told in one line."""
        reactor: Any = MemoryReactorClock()
        opened = Listeners(reactor, accepting=False)

        @implementer(IStreamServerEndpoint)
        class Another:
            def listen(self, protocolFactory: IProtocolFactory) -> Any:
                return opened.listenWith(Port, protocolFactory)

        error = self.assertRaises(RdvError, listen, [("another:", Another())], Site(Resource()))
        reason = "several processes can only share TCP and UNIX ports"
        self.assertEqual(str(error), f"cannot listen on another:: {reason}")
        self.assertEqual(opened.ports, [])
        self.assertFalse(hasattr(opened, "listenWith"))

    def test_rest_of_the_reactor(self) -> None:
        """Endpoints may need that too."""
        reactor: Any = MemoryReactorClock()
        opened = Listeners(reactor, accepting=False)
        opened.callLater(5, lambda: None)
        self.assertEqual(len(reactor.getDelayedCalls()), 1)
