"""
Ports in the file system that several processes can have, one after the other or at once.

Those of Twisted take the name away when they are closed, which may be somebody else's by then, and
change who may connect when they are adopted. Here the name is for the caller to see to, and a
socket that listens already is left as it is.
"""

from __future__ import annotations

import os
import socket
from typing import Any, cast

from twisted.internet import tcp, unix
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from rdv._system.socket_files import remove_stale

__all__ = ["adopt_unix_port", "open_unix_port"]


class _UnixPort(unix.Port):
    """
    One that leaves its name where it is.

    :ivar adopted: a socket that listens already.
    """

    adopted: socket.socket | None = None

    def startListening(self) -> None:
        if self.adopted is None:
            super().startListening()  # type: ignore[no-untyped-call]
            return
        cast(Factory[Any], self.factory).doStart()
        self.socket, self.adopted = self.adopted, None
        self.fileno = self.socket.fileno  # type: ignore[method-assign]
        self.connected = True
        self.numberAccepts = 100
        self.startReading()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure) -> None:
        tcp.Port.connectionLost(self, reason)


def open_unix_port(
    reactor: Any, path: bytes, factory: IProtocolFactory, backlog: int, mode: int
) -> _UnixPort:
    """
    Listen at a name. One that a server has left which is no more is taken over.

    :param mode: who may connect.
    :raises CannotListenError: when it cannot be had.
    """
    try:
        remove_stale(path)
    except OSError as error:
        raise CannotListenError(None, path, error) from error
    port = _UnixPort(path, factory, backlog, mode, reactor)
    port.startListening()
    return port


def adopt_unix_port(reactor: Any, fd: int, factory: IProtocolFactory) -> _UnixPort:
    """
    Accept from a socket that listens already.

    :param fd: for the caller to close.
    """
    sock = socket.socket(fileno=os.dup(fd))
    sock.setblocking(False)
    port = _UnixPort(sock.getsockname() or b"\0", factory, reactor=reactor)
    port.adopted = sock
    port.startListening()
    return port
