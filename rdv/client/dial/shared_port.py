"""
One local port that listens for the peer and dials it, and the server, at the same time.

The address that the server observes is worth dialling only because the request leaves from the port
on which the client listens.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection
from typing import Any, NoReturn, TypeVar, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import (
    CannotListenError,
    ConnectError,
    ConnectingCancelledError,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
)
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import deferLater
from twisted.internet.tcp import makeBinding
from twisted.python.failure import Failure

from rdv._system.syn_filter import ignore_syns
from rdv._transport.handover import one_protocol
from rdv._transport.quiet import listen_quietly
from rdv.addresses import Address
from rdv.client.dial.socket import dial
from rdv.errors import NoConnection

__all__ = ["IClientReactor", "NobodyListens", "SharedPort"]

P = TypeVar("P", bound=IProtocol)


class NobodyListens(ConnectError):
    """The address is that of our own port: the dial connected to itself."""


class IClientReactor(IReactorTCP, IReactorTime, IReactorPluggableNameResolver):
    """The parts of a reactor that a client needs."""


class SharedPort:
    """
    A port with ``SO_REUSEADDR`` and ``SO_REUSEPORT``, dual stack where the host has IPv6.

    :ivar number: the port's number.
    """

    def __init__(
        self, reactor: IClientReactor, factory: ServerFactory[Any], number: int = 0
    ) -> None:
        """
        :param factory: builds the protocols of accepted connections.
        :param number: a fixed port; 0 lets the system choose.
        :raises NoConnection: when the port is unavailable.
        """
        self._reactor = reactor
        self._ports: list[IListeningPort] = []
        self._closing: list[Deferred[None]] = []
        try:
            try:
                self._listen("::", number, factory)
            except CannotListenError:
                # No IPv6 on this host; if it is the port that is taken, this fails as well.
                self._listen("", number, factory)
            else:
                if _is_v6_only(self._ports[0]):
                    self._listen_on_ipv4_too(number, factory)
        except CannotListenError as error:
            self.close()
            reason = getattr(error.socketError, "strerror", None) or error.socketError
            raise NoConnection(f"cannot listen on local port {number}: {reason}") from None
        self.number = self._chosen

    def _listen_on_ipv4_too(self, number: int, factory: ServerFactory[Any]) -> None:
        try:
            self._listen("", self._chosen, factory)
        except CannotListenError:
            if number:
                raise
            # The port chosen for IPv6 is taken for IPv4, which matters more.
            self._ports.pop().stopListening()
            self._listen("", 0, factory)

    @property
    def _chosen(self) -> int:
        return cast(IPv4Address, self._ports[0].getHost()).port

    def _listen(self, interface: str, number: int, factory: ServerFactory[Any]) -> None:
        binding = _binding(interface, number)
        # There is one for each attempt: not worth a line in a log.
        port = listen_quietly(self._reactor.listenTCP, binding, factory, interface=interface)
        self._ports.append(port)

    def connect(self, address: Address, protocol: P, timeout: float) -> Deferred[P]:
        """
        Dial ``address`` from this port.

        :param timeout: seconds until it fails with ``twisted.internet.error.TimeoutError``.
        :return: fires with ``protocol`` when it is connected; errbacks with a
            ``twisted.internet.error.ConnectError``. Cancelling it closes the socket, in the next
            turn, for which :meth:`close` waits.
        """
        if isinstance(getattr(self._ports[0], "socket", None), socket.socket):
            dialling = dial(
                self._reactor, self.number, address, protocol, timeout, self._close_soon
            )
            return dialling.addCallback(_not_to_itself)
        # A reactor without real sockets, as in tests.
        factory = one_protocol(protocol)
        endpoint_type = TCP4ClientEndpoint if address.ip.version == 4 else TCP6ClientEndpoint
        endpoint = endpoint_type(
            self._reactor,
            str(address.ip),
            address.port,
            timeout=timeout,
            bindAddress=_binding("", self.number),
        )
        connecting = cast("Deferred[P]", endpoint.connect(factory))
        return connecting.addCallbacks(_not_to_itself, _cancelled)

    def _close_soon(self, sock: socket.socket) -> None:
        self._closing.append(deferLater(self._reactor, 0, sock.close))

    def ignore_syns(self, addresses: Collection[Address]) -> None:
        """
        From now on, leave the SYNs of ``addresses``, and of no others, unanswered, if the system
        supports it; see :mod:`rdv._system.syn_filter`.
        """
        for port in self._ports:
            ignore_syns(getattr(port, "socket", None), addresses)

    def close(self) -> Deferred[object]:
        """Stop listening. Connections made from the port stay. Fires when the port is free."""
        stopping = [maybeDeferred(port.stopListening) for port in self._ports]
        stopped = cast("Deferred[object]", gatherResults(stopping))
        return stopped.addCallback(lambda _: gatherResults(self._closing))


def _cancelled(failure: Failure) -> NoReturn:
    """Twisted's endpoints have an error of their own for a cancelled connection."""
    if failure.check(ConnectingCancelledError):
        raise CancelledError
    failure.raiseException()


def _not_to_itself(protocol: P) -> P:
    """A dial from a port to itself connects to itself in TCP, if nothing listens on the port."""
    transport: Any = protocol.transport  # type: ignore[attr-defined]
    if transport.getHost() == transport.getPeer():
        transport.abortConnection()
        raise NobodyListens(errno.ECONNREFUSED)  # type: ignore[no-untyped-call]
    return protocol


def _binding(interface: str, number: int) -> Any:
    # listenTCP and endpoints accept this in place of a port, although their types say int.
    return makeBinding(interface, number, reuseAddress=True, reusePort=True)


def _is_v6_only(port: object) -> bool:
    sock = getattr(port, "socket", None)
    return sock is not None and bool(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
