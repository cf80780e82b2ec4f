"""
Hosts whose IP stacks are not as usual.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, cast

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.tcp import Port, makeBinding

from rdv.test.client.client_loopback import REACTOR
from rdv.test.client.dial.stepped_reactor import SteppedReactor


class WithoutIPv6(SteppedReactor):
    """A host that knows no IPv6."""

    def listenTCP(
        self, port: Any, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        if ":" in interface:
            error = OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            raise CannotListenError(interface, port, error)
        return super().listenTCP(port, factory, backlog, interface)


class V6OnlyPort(Port):
    """Listens as on a host whose IPv6 sockets do not take IPv4."""

    def createInternetSocket(self) -> socket.socket:  # noqa: N802
        sock: socket.socket = super().createInternetSocket()
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return sock


class SeparateStacks(SteppedReactor):
    """A host where ``::`` does not include IPv4."""

    def listenTCP(
        self, port: Any, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        if ":" not in interface:
            return super().listenTCP(port, factory, backlog, interface)
        listening = V6OnlyPort(port, factory, backlog, interface, REACTOR)
        listening.startListening()
        self.ports.append(listening.getHost().port)
        return cast(IListeningPort, listening)


class Unlucky(SeparateStacks):
    """
    Such a host, where the first port that the system chooses for IPv6 is taken for IPv4.

    :ivar taken: the number of that port.
    """

    taken = 0

    def listenTCP(
        self, port: Any, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        if self.taken and not self.ports:
            port = makeBinding(interface, self.taken, reuseAddress=True, reusePort=True)
        return super().listenTCP(port, factory, backlog, interface)
