"""Ports that one process opens and others accept from; here all of them are this one."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.defer import DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IListeningPort
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from rdv.errors import RdvError
from rdv.server.site.listening import AdoptedPorts, OpenedPorts, close_ports, listen, make_endpoints
from rdv.test.certificates import Authority
from rdv.test.doubles import Wire
from rdv.test.server.workers.doubles import REACTOR, turn
from rdv.test.transport.doubles import PROXY_HEADER

HERE = "interface=127.0.0.1"
REQUEST = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"


class SharedTests(TestCase):
    """Opened, and then adopted by two."""

    timeout = 30

    def setUp(self) -> None:
        self.site = Site(Resource(), reactor=REACTOR)

    def open(self, *strings: str) -> list[int]:
        """Open them; their numbers."""
        self.strings = strings
        self.opened = OpenedPorts(REACTOR)
        ports = listen(make_endpoints(self.opened, self.strings), Site(Resource()))
        self.addCleanup(close_ports, ports)
        return [port.getHost().port for port in ports]  # type: ignore[attr-defined]

    def adopt(self) -> list[IListeningPort]:
        """Accept from all of them."""
        descriptors = [os.dup(port.fileno()) for port in self.opened.ports]
        adopted = AdoptedPorts(REACTOR, descriptors)
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
    """What cannot be shared is known at once."""

    def assert_refused(self, string: str, reason: str) -> None:
        """It is told in one line."""
        reactor: Any = MemoryReactorClock()
        opened = OpenedPorts(reactor)

        def start() -> None:
            listen(make_endpoints(opened, [string]), Site(Resource()))

        error = self.assertRaises(RdvError, start)
        self.assertIn(reason, str(error))
        self.assertNotIn("\n", str(error))
        self.assertEqual(opened.ports, [])

    def test_other_kinds(self) -> None:
        reason = "several workers can share nothing but TCP ports"
        self.assert_refused("unix:/nowhere", f"cannot listen on unix:/nowhere: {reason}")
        self.assert_refused("haproxy:unix:/nowhere", reason)
        self.patch_systemd()
        self.assert_refused("systemd:domain=INET:index=0", reason)

    def patch_systemd(self) -> None:
        """As if systemd had given us a socket."""
        from twisted.internet.endpoints import _SystemdParser
        from twisted.python.systemd import ListenFDs

        descriptor = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        self.patch(_SystemdParser, "_sddaemon", ListenFDs([descriptor], ()))

    def test_nonsense(self) -> None:
        self.assert_refused("nonsense:8080", "cannot listen on 'nonsense:8080'")

    def test_rest_of_the_reactor(self) -> None:
        """Endpoints may need that too."""
        reactor: Any = MemoryReactorClock()
        opened = OpenedPorts(reactor)
        opened.callLater(5, lambda: None)
        self.assertEqual(len(reactor.getDelayedCalls()), 1)
        self.assertFalse(hasattr(opened, "listenUNIX"))
        self.assertFalse(hasattr(opened, "adoptStreamPort"))
