"""
One candidate: HELLO and CONFIRM.

:mod:`rdv._secure.exchange` decides what is sent and expected, including the handshake of a secured
stream; ``shaken`` ends when the exchange is complete, and ``release`` hands over the resulting
transport.
"""

from __future__ import annotations

import math
from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IReactorTime,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._secure.exchange import Exchange
from rdv._secure.path import SecurePath
from rdv._system.sockets import linger, tune
from rdv._system.tcp_info import bytes_acknowledged
from rdv._transport.handover import hand_over
from rdv._transport.interfaces import StreamTransport
from rdv._transport.prompt import hasten
from rdv._transport.secured import SecureTransport
from rdv.addresses import Address, endpoint_address
from rdv.client.candidates.acknowledgement import may_be_half_dead, say
from rdv.client.candidates.waiting import Waiting
from rdv.client.trace import What
from rdv.client.tracing.candidate_trace import NO_CANDIDATE_TRACE, CandidateTrace
from rdv.errors import ProtocolError
from rdv.wire import Role

__all__ = ["Candidate"]

#: Seconds from a line to the end of the handshake message after it.
_MESSAGE_WITHIN = 5.0


@implementer(IProtocol, IHalfCloseableProtocol)
class Candidate:
    """
    A connection to the peer, or to the server for the relay, until it is chosen or closed.

    The acceptor sends HELLO (:meth:`begin`) and waits for CONFIRM (:meth:`shaken`). The dialer
    waits for HELLO, then for a better candidate (:meth:`stays`), and sends CONFIRM when it has
    chosen (:meth:`choose`). Any other data closes this candidate, and nothing else. There is one
    wait at a time; cancelling it ends the wait, not the connection.

    :ivar exchange: the handshake; by default the lines of a plain stream.
    :param held: for an acceptor: send nothing before :meth:`begin`.
    :ivar clock: the clock of its waits.
    :ivar role: our role.
    :ivar is_relay: whether it is the connection to the server.
    :ivar suspect: whether a NAT on the path may drop everything that this side sends: the candidate
        then only counts as chosen once the other side's system has acknowledged the CONFIRM.
    :ivar detour: whether it goes through a NAT that both peers are behind.
    :ivar horizon: for the relay: within how many seconds a direct path can be expected.
    :ivar since: when the connection was established.
    :ivar closed: fires with None when the connection is closed, or has been handed over.
    :ivar trace: gets its events.
    """

    transport: StreamTransport

    def __init__(
        self,
        clock: IReactorTime,
        role: Role,
        token: bytes,
        trace: CandidateTrace = NO_CANDIDATE_TRACE,
        *,
        exchange: Exchange | None = None,
        is_relay: bool = False,
        held: bool = False,
    ) -> None:
        self.clock = clock
        self.role = role
        self.trace = trace
        self.exchange = exchange or Exchange(role, token)
        self._held = held
        self._connected = False
        self._is_shaken = self._is_answered = False
        self._message: Waiting[None] = Waiting(clock)
        self._early = b""
        self._failure: Failure | None = None
        self._waiting: Waiting[Candidate] = Waiting(clock)
        self._unconfirmed = 0
        self._saying: Deferred[None] | None = None
        self.is_relay = is_relay
        self.suspect = self.detour = False
        self.horizon, self.since = math.inf, 0.0
        self.closed: Deferred[None] = Deferred()

    @property
    def peer_address(self) -> Address:
        """The other end of the connection: the peer, or the server for the relay."""
        peer = cast(IPv4Address, self.transport.getPeer())
        return endpoint_address(peer.host, peer.port)

    @property
    def connected(self) -> bool:
        """Whether the connection is established and has not failed."""
        return self._connected and self._failure is None

    @property
    def failure(self) -> BaseException | None:
        """Why it cannot be used; None if it can."""
        return self._failure and self._failure.value

    def confirmed(self, behind: int = 0) -> bool | None:
        """
        Whether the other side's system has acknowledged a dialer's CONFIRM, and this many bytes
        ``behind`` it; on a secured path, the peer must also have proved that it is live. None if
        the system does not report it.
        """
        if self.exchange.is_secure and not (self.path and self.path.ready):
            return False
        return self._acknowledged(behind)

    def answered(self) -> bool | None:
        """
        Whether anything shows that a dialer's CONFIRM has arrived, including data that followed it.
        For use before the connection is handed over; also on a secured path.
        """
        return self._is_answered or self._acknowledged()

    def _acknowledged(self, behind: int = 0) -> bool | None:
        count = bytes_acknowledged(self.transport)
        return None if count is None else count >= self._unconfirmed + behind

    def begin(self) -> None:
        """Start the handshake on a held candidate."""
        self._held = False
        if not self.connected or self.role is not Role.ACCEPTOR:
            return
        in_two = not self.is_relay and may_be_half_dead(self.transport, self.peer_address)
        if in_two:
            self.trace(What.PROBED)
        self._saying = say(self.clock, self.transport, self.exchange.hello, in_two=in_two)
        self._saying.addCallbacks(lambda _: self.trace(What.SAID, line="HELLO"), lambda _: None)

    def shaken(self) -> Deferred[Candidate]:
        """
        :return: fires with this candidate when the awaited line has arrived; errbacks with
            :class:`ProtocolError` or the reason why the connection was lost.
        """
        return self._wait(0 if self._is_shaken else math.inf)

    def stays(self, seconds: float) -> Deferred[Candidate]:
        """
        :param seconds: may be ``math.inf``.
        :return: fires with this candidate after ``seconds``, or at :meth:`hurry`; errbacks as soon
            as the connection is lost.
        """
        return self._wait(seconds)

    def _wait(self, seconds: float) -> Deferred[Candidate]:
        if seconds > 0 and self._failure is None:
            return self._waiting.begin(seconds, self)
        over: Deferred[Candidate] = Deferred()
        over.callback(self._failure or self)
        return over

    def hurry(self) -> None:
        """End the wait of :meth:`stays`: there is nothing left to wait for."""
        if self._is_shaken and self._waiting:
            self.trace(What.HURRIED)
            self._waiting.end(self)

    async def choose(self) -> None:
        """
        Choose this candidate; a dialer sends CONFIRM.

        :raises ConnectionLost: when the connection is lost.
        """
        if self._failure is not None:
            self._failure.raiseException()
        if self.role is Role.DIALER:
            lines = self.exchange.confirm()
            self._unconfirmed = (bytes_acknowledged(self.transport) or 0) + len(lines)
            self.transport.write(lines)
            self.trace(What.SAID, line="CONFIRM")

    def release(self, protocol: IProtocol, *, joins: bool = False) -> bytes:
        """
        Hand the connection over.

        :param joins: ``protocol`` gets the records of the secured path, not their contents.
        :return: data that arrived after the line, and is still to be delivered.
        """
        early, self._early = self._early, b""
        self._connected = False
        if self._saying is not None:
            self._saying.cancel()  # a peer that confirms half a HELLO does not get the rest
        if self.path is not None and not joins:
            protocol, early = SecureTransport(self.clock, self.path, protocol, early).first, b""
        hand_over(cast(ITransport, self.transport), protocol)
        self._close_done()
        return early

    @property
    def path(self) -> SecurePath | None:
        """The secured path, once the handshake is complete; None for a plain candidate."""
        return self.exchange.path

    def close(self, reason: Failure | None = None, *, abort: bool = False) -> None:
        """
        Close the connection, if there is one. A direct connection is reset, so that its port is
        free immediately; the relay is only reset with ``abort``.

        :param reason: why it cannot be used, if it has not failed yet.
        """
        self._fail(reason or Failure(ConnectionLost("closed")))
        if not self._connected:
            self._close_done()
        elif self.is_relay and not abort:
            linger(self.transport, False)
            hasten(self.transport)
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()

    def makeConnection(self, transport: ITransport) -> None:
        self.transport = cast(StreamTransport, transport)
        self._connected = True
        self.since = self.clock.seconds()
        if not self.is_relay:  # the request has already set the options of that one
            tune(transport)
        # The peer may rely on the connection as soon as it has our line: if this process is killed
        # after that, the peer must not see an end.
        linger(transport, True)
        self.trace.stands(transport)
        if self._failure is not None:
            self.close()
        elif not self._held:
            self.begin()

    def connectionMade(self) -> None:
        """See :class:`IProtocol`."""

    def dataReceived(self, data: bytes) -> None:
        if self._failure is not None:
            return
        try:
            self._take(data)
        except ProtocolError:
            self.close(Failure())

    def _take(self, data: bytes) -> None:
        if self._held:
            raise ProtocolError("data before HELLO")
        if self._is_shaken:
            self._early += data
            if len(self._early) > self.exchange.early_limit:
                raise ProtocolError("too much data before the choice")
            if self._unconfirmed:
                self._is_answered = True
                self._waiting.end(self)
        elif (rest := self.exchange.feed(data)) is not None:
            self._heard(rest)
        elif self.exchange.begun and not self._message:
            silent = Failure(ProtocolError("the other side did not finish its handshake"))
            self._message.begin(_MESSAGE_WITHIN, silent).addErrback(self.close)

    def _heard(self, behind: bytes) -> None:
        """The other side's part has arrived: the candidate is ready."""
        self._is_shaken = True
        self._early = behind
        self.trace.heard("HELLO" if self.role is Role.DIALER else "CONFIRM")
        self._message.forget()
        self._waiting.end(self)

    def readConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`: a usable candidate never ends before the choice."""
        self.close(Failure(ConnectionDone("the other side closed before the choice")))

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""

    def connectionLost(self, reason: Failure) -> None:
        self._connected = False
        self._fail(reason)
        self._close_done()

    def _fail(self, reason: Failure) -> None:
        self._failure = self._failure or reason
        if self._saying is not None:
            self._saying.cancel()
        self._message.forget()
        self._waiting.end(reason)

    def _close_done(self) -> None:
        if not self.closed.called:
            self.closed.callback(None)
