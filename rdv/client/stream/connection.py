"""
What an attempt ends in: the transport that the application's protocol sees.

The peer may count on a candidate as soon as it has our line, and our process may be killed before
the application has the stream. So every candidate lingers 0 seconds from the start, and so does the
``Connection`` until a protocol is attached: that one says how it shall be (``break_on_exit``), or
that the system's way will do. An attempt that chooses nothing resets its relay, too; one that has a
direct path ends it.

What can go wrong, and which clock ends it: the server does not resolve, refuses, or is silent at
connect or TLS handshake (``server_timeout``, for all of that together, of which IPv4 leaves a share
to IPv6); its head starts and stalls, or an error body stalls (``server_timeout`` again); nobody
comes (overall ``timeout``; a 408 re-enters the lobby while it lasts); the answer is malformed (an
error at once); the peer vanishes after the 101 (``handshake_timeout``, or a few seconds after the
relay has closed).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IConsumer,
    IProtocol,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.web.http_headers import Headers
from zope.interface import implementer

from rdv._observer import OneShotObserver
from rdv._system.sockets import linger, push
from rdv._transport.interfaces import TCPForwarding, TCPTransport
from rdv._transport.secured import SecureTransport
from rdv.addresses import Address
from rdv.client.candidates.candidate import Candidate
from rdv.client.stream.probation import Probation
from rdv.client.stream.receiver import Receiver

__all__ = ["Connection"]


@implementer(ITCPTransport, IConsumer, IPushProducer)
class Connection(TCPForwarding):
    """
    A stream to the peer. Give it a protocol with :meth:`attach`; until then nothing is read.

    It is a transport in the sense of Twisted (``ITCPTransport``, ``IConsumer``, ``IPushProducer``),
    with half-close: ``loseWriteConnection`` ends our direction, and a protocol that provides
    ``IHalfCloseableProtocol`` is told when the peer has ended its own; for any other protocol that
    closes the connection, as with TCP.

    When the peer has vanished, the protocol's ``connectionLost`` gets a
    :class:`rdv._transport.liveness.PeerVanished` within two minutes, on Linux whatever is on its
    way.

    A direct path that proves dead before the peer has got anything is replaced by the relay;
    :mod:`rdv.client.stream.probation` tells how. A protocol that provides :class:`IPathListener` is
    told when the path has changed.

    :param relay: what may replace a direct winner.
    :ivar is_relay: whether it goes through the server.
    :ivar peer_address: the peer's address, or for a relayed connection the server's, or that of the
        proxy through which it is reached.
    :ivar observed_address: this host's address as the server saw it; None when the server does not
        know it, as behind a proxy, be it one that we use or one in front of the server that does
        not tell. Direct paths through NATs are unlikely then.
    :ivar headers: the headers of the server's answer.
    :ivar disconnecting: whether this side is closing it, as Twisted's own protocols ask.
    """

    def __init__(
        self,
        winner: Candidate,
        observed_address: Address | None,
        headers: Headers,
        relay: Candidate | None = None,
    ) -> None:
        self.observed_address = observed_address
        self.headers = headers
        self.disconnecting = False
        self._reset_on_exit: bool | None = None  # the application has not said
        self._reserve = relay
        self._moving: OneShotObserver[None] | None = None
        self._receiver = Receiver(winner.clock)
        early = winner.release(self._receiver)
        self._receiver.dataReceived(early)
        self._use(winner)
        if relay is not None and early:  # the peer has chosen it too
            relay.close()
        elif relay is not None:
            Probation(winner, relay, self._receiver, self._use)

    def _use(self, candidate: Candidate) -> None:
        self._winner = candidate
        self.is_relay = candidate.is_relay
        self.peer_address = candidate.peer_address
        self._receiver.path_changed()

    @property
    def may_move(self) -> bool:
        """
        Whether it goes through the server, and goes on directly as soon as there is a path. Then
        :attr:`is_relay` becomes False; the server does not see it.
        """
        return self.is_relay and self._moving is not None and not self._moving.fired

    def moves_until(self, over: OneShotObserver[None]) -> Callable[[Candidate], None]:
        """
        For the attempt: the stream may move, until ``over`` happens.

        :return: to be called with the candidate that it has moved to.
        """
        self._moving = over
        return self._use

    @property
    def transport(self) -> TCPTransport:  # type: ignore[override]
        """What is below, down to the socket."""
        return self._receiver.transport

    @property
    def is_secure(self) -> bool:
        """Whether it is encrypted from end to end."""
        return self._winner.path is not None

    def exporter(self, label: str, length: int) -> bytes:
        """
        Bytes that both peers, and nobody else, can compute for this connection alone: to bind
        another proof to it, as RFC 9266 does for TLS.

        :param label: what they are for.
        :raises RuntimeError: when the stream is plain, or the peer is not yet known to be there, or
            another path may still take the place of this one: when anything has been received,
            that is over.
        """
        path = self._winner.path
        if path is None or not path.ready or self.final_transport is None:
            raise RuntimeError("no secured stream yet")
        return path.session.export(label.encode(), length)

    def __repr__(self) -> str:
        return f"<Connection {'relay' if self.is_relay else 'p2p'} {self.peer_address}>"

    def attach(
        self, protocol: IProtocol | Protocol, ended: Callable[[], object] | None = None
    ) -> None:
        """
        Connect ``protocol`` to the peer. It gets what has already been received first.

        :param ended: called when ``protocol`` has been told that the connection is gone.
        :raises RuntimeError: when there is a protocol already.
        """
        self._receiver.deliver_to(protocol, ended)
        protocol.makeConnection(self)
        self._leave_exit_alone()
        self._receiver.begin()

    @property
    def final_transport(self) -> TCPTransport | None:
        """The transport below; None as long as another one may take its place."""
        transport = self.transport
        return None if isinstance(transport, Probation) else transport

    # What the application's protocol calls.

    def loseConnection(self) -> None:
        """Close the connection when everything written has been sent."""
        self.disconnecting = True
        self._leave_exit_alone()
        self._receiver.close()
        self.transport.loseConnection()

    def loseWriteConnection(self) -> None:
        """End our direction behind what has been written; the other one goes on."""
        self.transport.loseWriteConnection()

    def abortConnection(self) -> None:
        """Close at once. The peer sees a broken stream."""
        self.disconnecting = True
        self._receiver.close()
        if not self._winner.confirmed():
            # Without the CONFIRM the peer would wait for another way.
            push(self.transport)
        self.transport.abortConnection()

    def discard(self) -> Deferred[None]:
        """
        Abort a connection that was given to nobody.

        :return: fires when it is closed, and so is what might have taken its place.
        """
        gone: Deferred[None] = Deferred()
        if self._reserve is not None:
            closed = self._reserve.closed
            gone.addCallback(lambda _: closed)
        if self._moving is not None:
            over = self._moving.when_fired()
            gone.addCallback(lambda _: over)
        self.attach(Protocol(), lambda: gone.callback(None))
        self.abortConnection()
        return gone

    def break_on_exit(self, enabled: bool) -> None:
        """
        Whether the peer is to see a broken stream, not an end, when this process dies while the
        connection is open. It is, until there is a protocol; behind that protocol's
        ``connectionMade`` it is not, unless it was asked for.

        To be turned off again before the connection is closed in good order.
        """
        self._reset_on_exit = enabled
        if isinstance(self.transport, (Probation, SecureTransport)):
            self.transport.break_on_exit(enabled)
        else:
            linger(self.transport, enabled)

    def _leave_exit_alone(self) -> None:
        if self._reset_on_exit is None:
            self.break_on_exit(False)

    def pauseProducing(self) -> None:
        self._receiver.pause()

    def resumeProducing(self) -> None:
        self._receiver.resume()
