"""
What the laboratory's own tests have in common.
"""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from tests import natlab
from tests.natlab.lab import PORT
from tests.natlab.model import Box, Expected, Server, Site, Topology

__all__ = ["PATIENCE", "Case", "topology"]

#: Seconds for anything that arrives immediately, if it does.
PATIENCE = 10.0
_PUBLIC = Site()
_SERVER = Server()


def topology(
    dialer: Site = _PUBLIC,
    acceptor: Site = _PUBLIC,
    shared: tuple[Box, ...] = (),
    server: Server = _SERVER,
    *,
    twins: bool = False,
) -> Topology:
    """One without a name."""
    return Topology("For a test.", Expected.DIRECT, dialer, acceptor, shared, server, twins)


class Case(SynchronousTestCase):
    """Builds labs, and opens sockets in them."""

    skip = natlab.unavailable()

    def build(self, plan: Topology, conditions: natlab.Conditions | None = None) -> natlab.Lab:
        lab = natlab.Lab(plan, conditions)
        self.addCleanup(lab.close)
        return lab

    def open(
        self,
        host: natlab.Host | natlab.Namespace,
        port: int = 0,
        kind: socket.SocketKind = socket.SOCK_STREAM,
        family: socket.AddressFamily = socket.AF_INET,
        protocol: int = 0,
        address: str = "",
    ) -> socket.socket:
        """One that waits, but not for ever; shares its port, and is closed with the test."""
        namespace = host.namespace if isinstance(host, natlab.Host) else host
        with namespace.entered():
            sock = socket.socket(family, kind, protocol)
        self.addCleanup(sock.close)
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if kind is not socket.SOCK_RAW:
            sock.bind((address, port))
        return sock

    def listen(
        self,
        host: natlab.Host | natlab.Namespace,
        port: int = PORT,
        family: socket.AddressFamily = socket.AF_INET,
    ) -> socket.socket:
        sock = self.open(host, port, family=family)
        sock.listen()
        return sock
