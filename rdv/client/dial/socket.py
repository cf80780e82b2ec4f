"""
One dial from one port to one address, at the socket level.

``connectTCP`` would be enough for most dials, but not if a box on the path refuses them:

* An ICMP error that arrives while a system call has the socket does not end the dial. It is kept as
  a "soft" error, and the peer's SYN may still arrive and complete the connection. Twisted would
  close it because of what ``SO_ERROR`` and the error queue still report.
* An ICMP error may wake epoll before the kernel has closed the socket. Twisted takes that for a
  disconnection, and the reason is lost.
* How soon a refused dial is repeated decides how often two SYNs cross; this code takes a quarter of
  the time.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, getConnectError
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.interfaces import (
    IProtocol,
    IReactorFDSet,
    IReactorSocket,
    IReactorTime,
    IReadWriteDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._system.tcp_info import is_closed
from rdv._transport.handover import one_protocol
from rdv.addresses import Address

__all__ = ["dial"]

_UNDER_WAY = frozenset((0, errno.EINPROGRESS, errno.EWOULDBLOCK))


class _IReactor(IReactorTime, IReactorFDSet, IReactorSocket):
    """The parts of a reactor that a dial needs."""


def dial(
    reactor: Any,
    local_port: int,
    address: Address,
    protocol: IProtocol,
    timeout: float,
    given_up: Callable[[socket.socket], object] = socket.socket.close,
) -> Deferred[Any]:
    """
    Connect ``protocol`` to ``address``.

    :param local_port: the port to dial from, shared with other sockets.
    :param timeout: seconds until it fails with ``twisted.internet.error.TimeoutError``.
    :param given_up: closes the socket after a cancellation: in the next turn, because other sockets
        may be connected in this one. The reactor may have detected that the dial was refused, and
        would report it to the new owner of the descriptor number: a newly accepted connection would
        take that for its peer's end.
    :return: fires with ``protocol``; errbacks with a ``twisted.internet.error.ConnectError``.
    """
    return _ConnectingSocket(reactor, protocol, given_up).begin(local_port, address, timeout)


@implementer(IReadWriteDescriptor)
class _ConnectingSocket:
    """A socket until it is connected."""

    def __init__(
        self,
        reactor: _IReactor,
        protocol: IProtocol,
        given_up: Callable[[socket.socket], object],
    ) -> None:
        self._reactor = reactor
        self._protocol = protocol
        self._given_up = given_up
        self._connected: Deferred[IProtocol] = Deferred(lambda _: self._cancel())

    def begin(self, local_port: int, address: Address, timeout: float) -> Deferred[IProtocol]:
        family = socket.AF_INET if address.ip.version == 4 else socket.AF_INET6
        try:
            sock = self._socket = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:  # no such family, no descriptor
            self._connected.errback(_error(error.errno))
            return self._connected
        self._timer = self._reactor.callLater(timeout, self._fail, ConnectTimeoutError())
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("", local_port))
            number = sock.connect_ex((str(address.ip), address.port))
        except OSError as error:
            number = error.errno or errno.EIO
        if number not in _UNDER_WAY:
            self._fail(_error(number))
        elif not self._refused():
            self._reactor.addWriter(self)
        return self._connected

    def _refused(self) -> bool:
        """
        Fail if the dial is over, and return whether it is. A soft error does not end it: the peer's
        SYN may still arrive.
        """
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        over = is_closed(self._socket)
        if over or (over is None and number):
            # The number may be missing: an earlier query, or emptying the error queue, cleared it.
            self._fail(_error(number or errno.ECONNREFUSED))
            return True
        _forget_errors(self._socket)
        return False

    def _is_connected(self) -> bool:
        try:
            self._socket.getpeername()
        except OSError:
            return False
        return True

    def _fail(self, error: Exception) -> None:
        self._end()
        self._connected.errback(Failure(error))

    def _cancel(self) -> None:
        self._leave()
        self._given_up(self._socket)

    def _end(self) -> None:
        self._leave()
        self._socket.close()

    def _leave(self) -> None:
        if self._timer.active():
            self._timer.cancel()
        self._reactor.removeWriter(self)

    # What the reactor calls.

    def doWrite(self) -> None:
        """See :class:`IWriteDescriptor`: it is connected, or refused."""
        if self._refused():
            return
        if not self._is_connected():  # woken too early: neither connected nor refused yet
            return
        factory = one_protocol(self._protocol)
        try:
            self._reactor.adoptStreamConnection(
                self._socket.fileno(), cast(Any, self._socket.family), factory
            )
        except OSError as error:  # already lost again, or no descriptor left
            if not self._refused():
                self._fail(_error(error.errno))
            return
        self._end()
        self._connected.callback(self._protocol)

    def doRead(self) -> None:
        """See :class:`IReadDescriptor`."""

    def connectionLost(self, reason: Failure) -> None:
        """See :class:`IFileDescriptor`: epoll has an error, and has stopped watching the socket."""
        self.doWrite()
        if not self._connected.called:
            self._reactor.addWriter(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "dial"


def _forget_errors(sock: socket.socket) -> None:
    """Empty the error queue, which would keep waking epoll although the dial goes on."""
    queue = getattr(socket, "MSG_ERRQUEUE", 0)
    with suppress(OSError):  # it is empty
        while queue:
            sock.recvmsg(1, 0, queue | socket.MSG_DONTWAIT)


def _error(number: int | None) -> ConnectError:
    number = number or errno.EIO
    return cast(ConnectError, getConnectError((number, os.strerror(number))))
