"""
A connection of Twisted over a socket in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure

from rdv.addresses import Address
from rdv.testing.sockets import MemorySocket

if TYPE_CHECKING:
    from rdv.testing.host import Host

__all__ = ["MemoryTransport", "twisted_address"]

log = Logger()


def twisted_address(address: Address) -> IPv4Address:
    """An address as Twisted has it."""
    return IPv4Address("TCP", str(address.ip), address.port)


class MemoryTransport(Connection):
    """
    Twisted's own TCP connection: buffers, producers, half-close, TLS and closing are as with a real
    one, because it is the same code.

    :param host: the reactor that watches it.
    :ivar memory: its socket.
    :param gone: called with the reason when the connection is gone, after its protocol.
    """

    def __init__(
        self,
        sock: MemorySocket,
        protocol: IProtocol,
        host: Host,
        gone: Callable[[Failure], object] | None = None,
    ) -> None:
        super().__init__(cast(Any, sock), protocol, cast(Any, host))
        self.memory = sock
        self._host = host
        self._gone = gone
        self.logstr = type(protocol).__name__
        self.connected = 1

    def begin(self) -> None:
        """The connection stands."""
        self._host.watch(self)
        self._host.addReader(self)
        self.protocol.makeConnection(self)

    def getHost(self) -> IPv4Address:
        """See :class:`ITransport`."""
        return twisted_address(self.memory.name)

    def getPeer(self) -> IPv4Address:
        """See :class:`ITransport`."""
        return twisted_address(self.memory.peer_name)

    def cut(self) -> None:
        """The network breaks the connection."""
        self.memory.reset()

    def connectionLost(self, reason: Failure) -> None:
        """See :class:`IFileDescriptor`."""
        if self.connected:
            super().connectionLost(reason)
            self._host.forget(self)
            if self._gone is not None:
                self._gone(reason)

    # What the network asks.

    def read_some(self) -> bool:
        """Read what is there. Whether something was."""
        if not self.memory.readable:
            return False
        self._disconnect(self._guarded(self.doRead), reading=True)
        return True

    def write_some(self) -> bool:
        """Write what there is room for. Whether there was any."""
        if not self.memory.writable:
            return False
        self._disconnect(self._guarded(self.doWrite), reading=False)
        return True

    def _guarded(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # as every reactor does
            log.failure("a protocol failed")
            return error

    def _disconnect(self, why: Exception | None, *, reading: bool) -> None:
        if why is None:
            return
        self._host.removeReader(self)
        if reading and type(why) is ConnectionDone:
            self.readConnectionLost(Failure(why))
        else:
            self.connectionLost(Failure(why))
