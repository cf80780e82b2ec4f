"""
The short time in which a choice can still be undone.

A direct path may die between the choice and the first byte. A NAT that remembers a refused dial may
pass HELLO and drop everything that we send; another NAT may pass small segments and drop full ones.
A live relay is therefore kept until the peer is known to have made the same choice. If the chosen
path proves dead before that, the relay replaces it and gets everything written so far. Nothing is
delivered twice: a peer leaves a candidate for another one only if it has received nothing but
CONFIRM on it.

All of this happens on our side alone. A dialer keeps the relay until its CONFIRM is acknowledged
(``tcp_info``). It also gives the application a tenth of a second to send something, or a hundredth
if the acceptor waits for the end of the relay, and then waits until some of that is acknowledged.
An acceptor keeps the relay until the other side has ended it. For both, the first received byte is
proof. A connection that the listener accepted from an address that has refused our dials is
*suspect*: it is not even chosen before the CONFIRM is acknowledged, one round trip later.

A secured direct path that answered before the relay may be a recording of the peer. Nothing is
written on it until READY arrives, or until HELLO on the relay shows that it is the same peer. If
that HELLO shows a different peer, the relay replaces the path immediately.

Against an old dialer, which trusts its own CONFIRM, an acceptor has one more measure: where such a
connection is possible at all (a round trip below 10 ms), it sends the first byte of HELLO alone,
and the rest when that byte has been acknowledged. An old peer closes the relay immediately; then no
fallback is left, and the loss is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, ITransport
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._system.sockets import linger
from rdv._system.tcp_info import round_trip
from rdv._transport.handover import receive_from
from rdv._transport.interfaces import TCPTransport
from rdv._transport.liveness import unwatch, watch
from rdv._transport.secured import SecureTransport
from rdv.client.candidates.acknowledgement import pauses, proven_within
from rdv.client.candidates.candidate import Candidate
from rdv.client.dial.targets import is_global
from rdv.client.reasons import without_stack
from rdv.client.stream.receiver import Receiver
from rdv.client.stream.replay import LIMIT, ReplayTransport
from rdv.wire import Role

__all__ = ["Probation"]

log = Logger()

#: Seconds for an acceptor's peer to end the relay.
_ENDED_WITHIN = 10.0
#: Seconds for a dialer's application to send something: fewer on a plain path within a network,
#: where the acceptor waits for the end of the relay (:mod:`rdv.client.race.witness`). And seconds
#: for that to be acknowledged: five retransmissions on a short path, while the peer still has the
#: relay.
_SAID_WITHIN, _SAID_NEARBY, _DELIVERED_WITHIN = 0.1, 0.01, 5.0


@implementer(IProtocol, IHalfCloseableProtocol)
class Probation(ReplayTransport):
    """
    A transport between a protocol and the chosen path, until the choice is final. It then steps out
    and connects the protocol directly to the chosen path, or to the relay.

    :param chosen: the direct candidate that was chosen.
    :param relay: what may replace it.
    :param protocol: the protocol whose transport is the chosen path. It gets this object instead.
    :param replaced: called with the relay when it has replaced the chosen path.
    :ivar transport: the chosen path, or the relay when it has replaced that.
    """

    def __init__(
        self,
        chosen: Candidate,
        relay: Candidate,
        protocol: Receiver,
        replaced: Callable[[Candidate], object],
    ) -> None:
        super().__init__(chosen.clock, protocol.transport)
        self.protocol = protocol
        self._chosen = chosen
        self._relay = relay
        self._replaced = replaced
        self._loss: Failure | None = None
        self._switching: Deferred[None] | None = None
        protocol.transport = self
        receive_from(cast(ITransport, self.transport), self)
        self._pauses = pauses(round_trip(self.transport))
        self._begun, self._patience = self._clock.seconds(), proven_within(self.transport)
        is_awaited = chosen.path is None and not is_global(chosen.peer_address.ip)
        self._said_within = _SAID_NEARBY if is_awaited else _SAID_WITHIN
        if chosen.role is Role.DIALER:
            if not chosen.exchange.is_the_peers:
                self._may_pass = 0
            self._timer = self._clock.callLater(next(self._pauses), self._look)
            if isinstance(self.transport, SecureTransport):
                self.transport.on_ready = self._look_now
        else:
            self._timer = self._clock.callLater(_ENDED_WITHIN, self._settle, "time is up")
            self._switch()  # if the peer sends CONFIRM on the relay
        relay.closed.addCallback(lambda _: self._relay_gone())

    # The decision.

    def _settle(self, reason: str = "the peer sent something") -> None:
        """The choice is final: close the relay, and write what was held back."""
        self._chosen.trace.settled(reason)
        self._without_relay()
        self._pass_on()

    def _without_relay(self, *, abort: bool = False) -> None:
        self._leave()
        if self._switching is not None:
            self._switching.cancel()
        self._relay.close(abort=abort)

    def _limit(self) -> None:
        """Close the relay if it cannot be used soon; :meth:`_relay_gone` then reports the loss."""
        if not self._over:
            if self._timer.active():
                self._timer.cancel()
            self._timer = self._clock.callLater(_ENDED_WITHIN, self._relay.close)

    def _look(self) -> None:
        passed, patience = self._clock.seconds() - self._begun, self._patience
        confirmed = self._chosen.confirmed()
        is_the_peers = confirmed is not False or self._chosen.exchange.is_the_peers
        if is_the_peers and not self._may_pass:
            self._may_pass = LIMIT
            self._pass_some_on()
        if confirmed:
            patience = max(patience, _DELIVERED_WITHIN)
        if confirmed is None or (confirmed and self._is_tried(passed)):
            self._settle("CONFIRM was acknowledged")
        elif passed >= patience or is_the_peers is False:
            self._switch()
            self._limit()
        else:
            self._timer = self._clock.callLater(next(self._pauses), self._look)

    def _look_now(self) -> None:
        if self._switching is None and not self._over:
            self._timer.cancel()
            self._look()

    def _is_tried(self, passed: float) -> bool:
        """
        Whether data that the application has written after CONFIRM has been acknowledged; if there
        is none, whether it has had its time to write.
        """
        if self._passed_on:
            return self._chosen.confirmed(behind=1) is not False
        return passed >= self._said_within or self._write_ended or self._closing

    def _switch(self) -> None:
        if self._switching is None:
            self._switching = Deferred.fromCoroutine(self._to_the_relay())
            self._switching.addErrback(self._not_switched)

    def _not_switched(self, failure: Failure) -> None:
        # If this is not over, the relay has failed as well, which ``_relay_gone`` handles. An error
        # of the application's protocol is handled as in a reactor.
        if self._over and not failure.check(CancelledError):
            log.failure("the protocol failed", failure=failure)
            self.transport.abortConnection()
        else:  # nobody shows its stack
            without_stack(failure)

    async def _to_the_relay(self) -> None:
        await self._relay.shaken()
        await self._relay.choose()
        self._finish()
        dead = self.transport
        unwatch(self._clock, dead)
        receive_from(cast(ITransport, dead), Protocol())
        dead.abortConnection()
        early = self._relay.release(self)
        self._leave()
        self._replaced(self._relay)
        self._relay.trace.switched(self._relay.peer_address)
        self._pass_on(again=True)
        if early:
            self.protocol.dataReceived(early)

    def _relay_gone(self) -> None:
        if self._over:
            return
        if self._loss is None:
            self._settle("the peer ended the relay")
        else:
            self._leave()
            self._stop_producer()
            self.protocol.connectionLost(self._loss)

    def _finish(self) -> None:
        super()._finish()
        if self._timer.active():
            self._timer.cancel()
        if (
            isinstance(self.transport, SecureTransport)
            and self.transport.on_ready == self._look_now
        ):
            del self.transport.on_ready  # breaks a reference cycle

    def _leave(self) -> None:
        """Step out: connect the transport below and the protocol directly."""
        self._finish()
        self.protocol.transport = self.transport
        receive_from(cast(ITransport, self.transport), self.protocol)

    # The protocol, to the transport below.

    def makeConnection(self, transport: ITransport) -> None:
        """The relay replaces the chosen path."""
        self.transport = cast(TCPTransport, transport)
        if self._reading_paused:
            self.transport.pauseProducing()
        watch(self._clock, self.transport)

    def connectionMade(self) -> None:
        """See :class:`IProtocol`."""

    def dataReceived(self, data: bytes) -> None:
        self._settle()
        self.protocol.dataReceived(data)

    def readConnectionLost(self) -> None:
        self._settle()
        self.protocol.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`: our direction has not ended yet."""

    def connectionLost(self, reason: Failure) -> None:
        """Report a loss if the relay cannot replace the path."""
        if reason.check(ConnectionDone):
            self._settle()
            self.protocol.connectionLost(reason)
        else:
            unwatch(self._clock, self.transport)
            self._loss = reason
            self._switch()
            self._limit()

    # The transport, to the protocol above.

    def write(self, data: bytes) -> None:
        """See :class:`ITransport`. Check soon whether the first data is acknowledged."""
        if not self._passed_on and self._switching is None:
            self._pauses = pauses(round_trip(self.transport))
            self._timer.reset(next(self._pauses))
        super().write(data)

    def abortConnection(self) -> None:
        """
        The application wants neither path. The relay is also reset: if it were only ended, a peer
        that falls back to it now could take that for the end of the stream.
        """
        self._without_relay(abort=True)
        self._stop_producer()
        if self._loss is not None:
            self.protocol.connectionLost(self._loss)
        self.transport.abortConnection()

    def break_on_exit(self, enabled: bool) -> None:
        """As :meth:`rdv.client.Connection.break_on_exit`, for both paths."""
        if isinstance(self.transport, SecureTransport):
            self.transport.break_on_exit(enabled)
        else:
            linger(self.transport, enabled)
        linger(self._relay.transport, enabled)
