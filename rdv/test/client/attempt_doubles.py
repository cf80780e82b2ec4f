"""
An attempt in memory: the test plays the server, the peer, the network and the clock.
"""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import Address, AddressSpace, parse_address
from rdv.client import Client, Connection
from rdv.test.client.client_doubles import ByteTransport, ClientReactor

TOKEN = "token"
HELLO = b"rdv/1 HELLO token\r\n"
CONFIRM = b"rdv/1 CONFIRM token\r\n"
URL = "http://192.0.2.80:8080/rdv"
OWN = "198.51.100.1:40000"
PEER = "203.0.113.9:41000"


def answer(*peers: str | Address, extra: str = "") -> bytes:
    """A 101 that names ``peers``."""
    names = ", ".join(map(str, peers))
    return (
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rdv/1\r\n"
        f"Rdv-Peer-Addrs: {names}\r\n{extra}\r\n"
    ).encode()


class AttemptTestCase(SynchronousTestCase):
    """
    One attempt of a client whose own address is :data:`OWN`.

    :ivar server: the connection to the server.
    :ivar attempt: its result.
    """

    attempt: Deferred[Connection]
    server: ByteTransport

    def setUp(self) -> None:
        self.reactor = ClientReactor()
        self.addCleanup(self._end, self.reactor)

    def _end(self, reactor: ClientReactor) -> None:
        """Leave no coroutine behind that would have to be killed."""
        self.attempt.addErrback(lambda _: None)
        for transport in reactor.transports:
            if not transport.gone:
                transport.lose()
        self.attempt.cancel()
        gc.collect()  # a Deferred that is dropped with an error in it fails this test, no other

    def client(self, **options: Any) -> Client:
        """A client in memory."""
        options = {
            "spaces": AddressSpace.ALL,
            "self_addresses": lambda port: [parse_address(OWN)],
            **options,
        }
        return Client(self.reactor, **options)

    def dial(self, timeout: float | None = None, **options: Any) -> None:
        """A dialer's request has arrived at the server."""
        self.attempt = self.client(**options).dial(URL, TOKEN, timeout=timeout)
        self.server = self.reactor.connected()

    def accept(self, timeout: float | None = None, **options: Any) -> None:
        """An acceptor's request has arrived at the server."""
        self.attempt = self.client(**options).accept(URL, TOKEN, timeout=timeout)
        self.server = self.reactor.connected()

    def answer(self, *peers: str) -> None:
        """The server introduces the peers."""
        self.server.clear()
        self.server.deliver(answer(*peers))

    def dialled(self) -> list[str]:
        """The peer's addresses that are dialled."""
        return [f"{host}:{port}" for host, port, *_ in self.reactor.tcpClients[1:]]

    def arrive(self, host: str = "203.0.113.9", port: int = 41000) -> ByteTransport:
        """Somebody connects to the shared port."""
        peer = IPv4Address("TCP", host, port)
        protocol: Any = self.reactor.tcpServers[0][1].buildProtocol(peer)
        assert protocol is not None
        transport = ByteTransport(protocol, peer)
        self.reactor.transports.append(transport)
        transport.connect()
        return transport

    def assert_done(self, *transports: ByteTransport) -> None:
        """``transports`` are being closed, and when they are, nothing is left."""
        for transport in transports:
            self.assertNotEqual(transport.closing, "")
            transport.lose()
        self.assertFalse(any(port.open for port in self.reactor.ports))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
