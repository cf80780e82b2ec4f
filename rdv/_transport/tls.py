"""
TLS with half-close.

Twisted's TLS transport answers a close_notify by closing both directions, and cannot send one
alone. A relay over ``https`` needs both: otherwise, the end of one direction would cut off the
other (RFC 8446, 6.1: a close_notify ends one direction only). :class:`HalfCloseTLS` therefore takes
over the OpenSSL connection of a Twisted TLS transport whose handshake is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from OpenSSL.SSL import Connection, Error, WantReadError, ZeroReturnError
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ISSLTransport,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._transport.ending import EndingTransport
from rdv._transport.interfaces import TCPTransport

if TYPE_CHECKING:
    from twisted.protocols.tls import TLSMemoryBIOProtocol

__all__ = ["HalfCloseTLS"]

_CHUNK = 1 << 16


@implementer(IProtocol, IHalfCloseableProtocol, ISSLTransport, IConsumer, IPushProducer)
class HalfCloseTLS(EndingTransport):
    """
    A protocol for the transport below, a transport for the protocol above.

    ``loseWriteConnection`` sends close_notify; a received close_notify is reported as
    ``readConnectionLost``, or closes the connection when the protocol does not support half-close.
    The end of the TCP stream without a close_notify is a truncation: ``connectionLost`` with
    ``ConnectionLost``.

    After ``pauseProducing``, at most the data of one read of the transport below still arrives.
    """

    __slots__ = ("_read_ended", "_tls")

    def __init__(self, tls: Connection, protocol: IProtocol) -> None:
        super().__init__(protocol)
        self._tls = tls
        self._read_ended = False

    @classmethod
    def take_over(cls, tls: TLSMemoryBIOProtocol, protocol: IProtocol) -> HalfCloseTLS:
        """
        Replace ``tls`` by a new instance that delivers to ``protocol``. The caller must make it the
        receiver of the transport below.

        May be called while ``tls`` delivers data: what it has decrypted beyond that reaches
        ``protocol`` too, though a close_notify in the same read ends both directions.
        """
        # Small writes to a Twisted TLS transport wait for a turn; ours must not overtake them.
        flush = getattr(getattr(tls.write, "__self__", None), "flush", None)
        if flush is not None:
            flush()
        self = cls(tls.getHandle(), protocol)
        tls.wrappedProtocol = protocol
        tls.factory.unregisterProtocol(tls)
        self.makeConnection(cast(ITransport, tls.transport))
        return self

    # The protocol, to the transport below.

    def makeConnection(self, transport: ITransport) -> None:
        self.transport = cast(TCPTransport, transport)

    def connectionMade(self) -> None:
        """See :class:`IProtocol`."""

    @property
    def _takes(self) -> bool:
        return self.connected and not self._read_ended and not self.disconnecting

    def dataReceived(self, data: bytes) -> None:
        """Decrypt received data and deliver it; drop data that has no receiver any more."""
        # OpenSSL would keep unread data until the connection is closed.
        if self._takes:
            self._tls.bio_write(data)
        while self._takes:
            try:
                plain = self._tls.recv(_CHUNK)
            except WantReadError:
                break
            except ZeroReturnError:
                self._end_reading()
            except Error:
                self._fail(Failure())
            else:
                self.protocol.dataReceived(plain)
        self._flush()

    def readConnectionLost(self) -> None:
        """The end of TCP has no meaning after the end of TLS; before it, it is a truncation."""
        if self._takes:
            self._fail(Failure(ConnectionLost("TLS stream ended without close_notify")))

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`: TCP is never half-closed."""

    def connectionLost(self, reason: Failure) -> None:
        self._lose(reason)

    def _end_reading(self) -> None:
        self._read_ended = True
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.readConnectionLost()
        else:
            self.loseConnection()

    def _fail(self, reason: Failure) -> None:
        self.connected = False
        self.transport.abortConnection()
        self.protocol.connectionLost(reason)

    # The transport, to the protocol above.

    def write(self, data: bytes) -> None:
        if not self.connected or self._write_ended:
            return
        view = memoryview(data)
        while view:
            try:
                view = view[self._tls.send(view[:_CHUNK]) :]
            except Error:  # also if TLS 1.2 wants to renegotiate, which is not supported
                self._fail(Failure())
                return
        self._flush()

    def _flush(self) -> None:
        while True:
            try:
                self.transport.write(self._tls.bio_read(_CHUNK))
            except WantReadError:
                return

    def loseConnection(self) -> None:
        """
        Send close_notify and close the connection below, but not before a registered producer has
        finished.

        It does not wait for the peer's close_notify (RFC 8446, 6.1, does not require it).
        """
        self.disconnecting = True
        if self._producer is not None:
            self.transport.pauseProducing()
        else:
            self._end()
            self.transport.loseConnection()

    def _send_end(self) -> None:
        try:
            self._tls.shutdown()
        except Error:
            return  # the connection is broken already, and that is reported elsewhere
        self._flush()

    def abortConnection(self) -> None:
        """Close immediately, without a close_notify."""
        self.disconnecting = True
        self._write_ended = True
        self.transport.abortConnection()

    def getHandle(self) -> Connection:
        """The OpenSSL connection."""
        return self._tls

    def getPeerCertificate(self) -> object:
        return self._tls.get_peer_certificate()
