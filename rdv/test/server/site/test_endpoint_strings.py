"""Where a server listens: what stands for an endpoint string, and what is one."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from rdv.errors import RdvError
from rdv.server.site.listening import endpoint_strings
from rdv.server.site.service import RendezvousService, ServerSettings


class EndpointStringTests(SynchronousTestCase):
    """``endpoint_strings``."""

    def assert_everywhere(self, text: str, port: int) -> None:
        """It stands for a port on all addresses of this host."""
        found = endpoint_strings(text)
        dual = rf"tcp:{port}:backlog=4096:interface=\:\:"
        self.assertIn(
            found, ([dual], [dual, f"tcp:{port}:backlog=4096"], [f"tcp:{port}:backlog=4096"])
        )

    def test_numbers(self) -> None:
        self.assert_everywhere("8080", 8080)
        self.assert_everywhere("0", 0)
        self.assert_everywhere("65535", 65535)

    def test_port_alone(self) -> None:
        self.assert_everywhere(":8080", 8080)

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
        for text in ("65536", ":65536", "127.0.0.1:65536", "[::1]:99999"):
            error = self.assertRaises(RdvError, endpoint_strings, text)
            self.assertIn("not a port", str(error))

    def test_host_without_ipv6(self) -> None:
        def no_socket(family: int) -> Any:
            raise OSError("no such family")

        self.patch(socket, "socket", no_socket)
        self.assertEqual(endpoint_strings("8080"), ["tcp:8080:backlog=4096"])


class ListenTests(SynchronousTestCase):
    """What becomes of them."""

    def listening(self, *texts: str) -> list[tuple[int, str]]:
        """Ports and interfaces of a service that is to listen there."""
        reactor: Any = MemoryReactorClock()
        service = RendezvousService(reactor, ServerSettings(listen=texts))
        service.privilegedStartService()
        return [(port, interface) for port, _, _, interface in reactor.tcpServers]

    def test_tcp_with_a_port(self) -> None:
        self.assertEqual(self.listening("tcp:8080"), [(8080, "")])

    def test_several(self) -> None:
        found = self.listening("127.0.0.1:8080", "[::1]:8081", "tcp:8082:interface=127.0.0.1")
        self.assertEqual(found, [(8080, "127.0.0.1"), (8081, "::1"), (8082, "127.0.0.1")])

    def test_nonsense(self) -> None:
        for text in ("", "nonsense", "nonsense:8080", "tcp:", "tcp:x", "ssl:8443:privateKey=/no"):
            error = self.assertRaises(RdvError, self.listening, text)
            self.assertIn("cannot listen on ", str(error))
            self.assertNotIn("\n", str(error))
