"""
Unix socket ports that several processes can share, one after the other or at the same time.

Twisted's ports remove the name when they are closed, when it may already belong to another process,
and change its permissions when they are adopted. Here, the caller is responsible for the name, and
a socket that is already listening stays unchanged.
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
    A Unix port that does not remove its name.

    :ivar adopted: a socket that is already listening.
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
    Listen at a name. A name left over from a server that has ended is taken over.

    :param mode: the permissions to connect.
    :raises CannotListenError: when it is not possible.
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
    Accept from a socket that is already listening.

    :param fd: its descriptor, which the caller closes.
    """
    sock = socket.socket(fileno=os.dup(fd))
    sock.setblocking(False)
    port = _UnixPort(sock.getsockname() or b"\0", factory, reactor=reactor)
    port.adopted = sock
    port.startListening()
    return port
