"""
The listening sockets of a server: opened by this process, or inherited from one that opened them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.tcp import Port

from rdv._transport.quiet import listen_quietly
from rdv.errors import RdvError

__all__ = ["Listeners"]


class _NotShared(RdvError, AttributeError):
    """Not a supported way to listen, and therefore a missing attribute."""


class Listeners:
    """
    Replaces the reactor when endpoints call ``listenTCP`` and similar methods. Each socket has a
    name, made from that call, by which another process can request it.

    :param inherited: listening sockets by name, as descriptors; each is closed when requested.
    :param accepting: whether this process accepts from them. If not, any way to listen that cannot
        be shared with the processes that accept is refused.
    :ivar ports: the open ports.
    """

    def __init__(
        self, reactor: Any, inherited: Iterable[tuple[str, int]] = (), *, accepting: bool = True
    ) -> None:
        self._reactor = reactor
        self._inherited = list(inherited)
        self._accepting = accepting
        self._named: list[tuple[str, Any]] = []
        self._passed: dict[int, Any] = {}
        self._paths: list[bytes] = []
        self._adopted_paths: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("listen", "adopt")) and not self._accepting:
            raise _NotShared("several processes can only share TCP and UNIX ports")
        return getattr(self._reactor, name)

    @property
    def ports(self) -> list[Any]:
        return [port for _, port in self._named] + list(self._passed.values())

    @property
    def named(self) -> list[tuple[str, int]]:
        """The names and descriptors that another process inherits."""
        return [(name, port.fileno()) for name, port in self._named]

    @property
    def passed(self) -> dict[int, int]:
        """
        The sockets that the process that started this one, such as systemd, also keeps open:
        descriptors by their original numbers.
        """
        return {number: port.fileno() for number, port in self._passed.items()}

    def is_passed(self, port: object) -> bool:
        """Whether the process that started this one has the socket as well."""
        return any(port is each for each in self._passed.values())

    def close(self, *, for_others: bool = False) -> Deferred[Any]:
        """
        Stop listening.

        :param for_others: whether another process continues with the sockets.
        """
        for path in () if for_others else self._paths:
            with suppress(OSError):
                os.unlink(path)
        self._paths = []
        ports, self._named, self._passed = self.ports, [], {}
        return gatherResults([maybeDeferred(port.stopListening) for port in ports])

    def drop_rest(self) -> None:
        """
        Close the sockets that were not requested. From now on, this process removes the names in
        the file system of those that were; until then, the process that opened them may continue.
        """
        self._paths += self._adopted_paths
        self._adopted_paths = []
        while self._inherited:
            os.close(self._inherited.pop()[1])

    # The methods of a reactor that endpoints call.

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        name = f"tcp {port} {interface}"
        adopted = self._adopted(name, factory)
        return self._keep(
            name, adopted or self._reactor.listenTCP(port, factory, backlog, interface)
        )

    def listenSSL(
        self,
        port: int,
        factory: IProtocolFactory,
        contextFactory: Any,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        from twisted.protocols.tls import TLSMemoryBIOFactory

        secured = TLSMemoryBIOFactory(contextFactory, False, factory)
        return self.listenTCP(port, secured, backlog, interface)

    def listenUNIX(
        self,
        address: str,
        factory: IProtocolFactory,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> IListeningPort:
        from rdv.server.generations.unix_port import open_unix_port

        path = os.fsencode(address)
        name = f"unix {address}"
        adopted = self._adopted(name, factory)
        port = adopted or open_unix_port(self._reactor, path, factory, backlog, mode)
        (self._adopted_paths if adopted else self._paths).append(path)
        return self._keep(name, port)

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory
    ) -> IListeningPort:
        port = self._adopt(fileDescriptor, addressFamily, factory)
        self._passed[fileDescriptor] = port
        return self._watch(port)

    def _adopted(self, name: str, factory: IProtocolFactory) -> Any:
        """
        The inherited socket of that name, if any. Those with the same name come in their order.
        """
        for index, (each, fd) in enumerate(self._inherited):
            if each == name:
                del self._inherited[index]
                with socket.socket(fileno=fd) as sock:
                    # The process that opened it has already logged it.
                    return listen_quietly(self._adopt, fd, sock.family, factory)
        return None

    def _adopt(self, fd: int, family: int, factory: IProtocolFactory) -> Any:
        if family == getattr(socket, "AF_UNIX", None):
            from rdv.server.generations.unix_port import adopt_unix_port

            return adopt_unix_port(self._reactor, fd, factory)
        return self._reactor.adoptStreamPort(fd, family, factory)

    def _keep(self, name: str, port: Any) -> IListeningPort:
        self._named.append((name, port))
        return self._watch(port)

    def _watch(self, port: Any) -> IListeningPort:
        if isinstance(port, Port):
            # Shutting it down would close it in all processes that have it.
            port._shouldShutdown = False
        if not self._accepting:
            port.stopReading()
        listening: IListeningPort = port
        return listening
