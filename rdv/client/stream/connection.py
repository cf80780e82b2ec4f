"""
The result of an attempt: the transport that the application's protocol sees.

The peer may rely on a candidate as soon as it has our line, and our process may be killed before
the application has the stream. Every candidate therefore has a linger time of 0 seconds from the
start, and so does the ``Connection`` until a protocol is attached. The protocol then chooses
(``break_on_exit``) between that and the system's default. An attempt that chooses nothing also
resets its relay; one that has chosen a direct path closes the relay normally.

What can go wrong, and which timeout ends it: the server's name does not resolve, or the server
refuses, or is silent during connect or TLS handshake (``server_timeout``, for all of these
together; IPv4 leaves a share of it to IPv6); the head of its response starts and stalls, or an
error body stalls (``server_timeout`` again); no peer arrives (the overall ``timeout``; after a 408,
the client re-enters the lobby until it expires); the answer is malformed (an immediate error); the
peer vanishes after the 101 (``handshake_timeout``, or a few seconds after the relay has closed).
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
    A stream to the peer. Give it a protocol with :meth:`attach`; nothing is read until then.

    It is a transport in the sense of Twisted (``ITCPTransport``, ``IConsumer``, ``IPushProducer``),
    with half-close: ``loseWriteConnection`` ends this direction, and a protocol that provides
    ``IHalfCloseableProtocol`` is notified when the peer has ended the other one; for any other
    protocol, that closes the connection, as with TCP.

    When the peer has vanished, the protocol's ``connectionLost`` gets a
    :class:`rdv._transport.liveness.PeerVanished` within two minutes, on Linux whatever is on its
    way.

    A direct path that proves dead before the peer has received anything is replaced by the relay;
    see :mod:`rdv.client.stream.probation`. A protocol that provides :class:`IPathListener` is
    notified when the path has changed.

    :param relay: the relay that may replace a direct path.
    :ivar is_relay: whether it goes through the server.
    :ivar peer_address: the peer's address; for a relayed connection, the address of the server, or
        of the proxy through which it is reached.
    :ivar observed_address: this host's address as the server saw it; None if the server does not
        know it, for example because of a proxy on either side that does not report it. Direct paths
        through NATs are then unlikely.
    :ivar headers: the headers of the server's response.
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
        self._reset_on_exit: bool | None = None  # None: not set by the application
        self._reserve = relay
        self._moving: OneShotObserver[None] | None = None
        self._receiver = Receiver(winner.clock)
        early = winner.release(self._receiver)
        self._receiver.dataReceived(early)
        self._use(winner)
        if relay is not None and early:  # proof that the peer has chosen the same path
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
        Whether it goes through the server, and will move to a direct path as soon as one opens.
        :attr:`is_relay` then becomes False; the server does not see this.
        """
        return self.is_relay and self._moving is not None and not self._moving.fired

    def moves_until(self, over: OneShotObserver[None]) -> Callable[[Candidate], None]:
        """
        For the attempt: the stream may move until ``over`` fires.

        :return: to be called with the candidate that it has moved to.
        """
        self._moving = over
        return self._use

    @property
    def transport(self) -> TCPTransport:  # type: ignore[override]
        """The underlying transport, down to the socket."""
        return self._receiver.transport

    @property
    def is_secure(self) -> bool:
        """Whether it is encrypted end to end."""
        return self._winner.path is not None

    def exporter(self, label: str, length: int) -> bytes:
        """
        Bytes that only the two peers can compute, and only for this connection: use them to bind
        another proof to it, as RFC 9266 does for TLS.

        :param label: what they are for.
        :raises RuntimeError: if the stream is plain, or the peer has not yet proved that it is
            live, or another path may still replace this one. Once anything has been received, only
            a plain stream raises it.
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
        Connect ``protocol`` to the peer. It first gets the data that has already been received.

        :param ended: called after ``protocol`` has been notified that the connection is lost.
        :raises RuntimeError: if a protocol is already attached.
        """
        self._receiver.deliver_to(protocol, ended)
        protocol.makeConnection(self)
        self._leave_exit_alone()
        self._receiver.begin()

    @property
    def final_transport(self) -> TCPTransport | None:
        """The underlying transport; None while another one may replace it."""
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
        """
        End this direction after everything that has been written; the other direction continues.
        """
        self.transport.loseWriteConnection()

    def abortConnection(self) -> None:
        """Close immediately. The peer sees a broken stream."""
        self.disconnecting = True
        self._receiver.close()
        if not self._winner.confirmed():
            # A reset discards unsent data: without CONFIRM, the peer would wait for another path.
            push(self.transport)
        self.transport.abortConnection()

    def discard(self) -> Deferred[None]:
        """
        Abort an unused connection.

        :return: fires when it is closed, along with anything that might have replaced it.
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
        Whether the peer sees a broken stream instead of an end if this process dies while the
        connection is open. This is enabled until there is a protocol; after that protocol's
        ``connectionMade``, it is disabled unless it was requested.

        Turn it off again before closing the connection cleanly.
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
