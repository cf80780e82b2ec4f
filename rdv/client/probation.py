"""
The time in which a choice can still be taken back.

A direct path may die between the choice and the first byte, or may never carry a byte at all: a NAT
that remembers an earlier dial may let HELLO through and drop all that we send. So the relay, if it
lives, is kept until the peer is known to have made the same choice. If the chosen path proves dead
before, the relay takes its place and gets all that was written so far. Nothing is delivered twice:
a peer leaves a candidate for another one only if nothing but CONFIRM has come on it.

A path may also let small segments through, and drop full ones. A dialer whose application writes
something at once can tell: CONFIRM is acknowledged, and of that nothing is.

A NAT that remembers a refused dial may pass HELLO and drop all that we send. Two things stand
against it, both on our side alone. A connection that the listener took from an address that has
refused us is *suspect*: it counts as chosen only when the CONFIRM was acknowledged (``tcp_info``),
one round trip later. Every other direct choice is used at once, but on ``Probation``: the relay is
kept until the CONFIRM is acknowledged (a dialer), or the other side has ended the relay (an
acceptor), or the first byte has come. A dialer also gives the application a tenth of a second to
say something, and waits until some of that is acknowledged: a path may pass CONFIRM and drop full
segments. If the path proves dead before, the relay takes its place and gets all that was written.
Nothing is delivered twice, since a peer leaves a candidate for another one only if nothing but
CONFIRM has come on it. Against an old dialer, which trusts its own CONFIRM, an acceptor has one
more means: where such a connection is possible at all (a round trip below 10 ms), it sends the
first byte of HELLO alone, and the rest when that was acknowledged. An old peer closes the relay at
once; then there is nothing to fall back to, and the loss is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from rdv._system.sockets import linger
from rdv._system.tcp_info import round_trip
from rdv._transport.interfaces import TCPTransport
from rdv.client.candidate import Candidate
from rdv.wire import Role

__all__ = ["Probation"]

log = Logger()

#: Seconds for a dialer's CONFIRM to be acknowledged, and for an acceptor's peer to end the relay.
_CONFIRMED_WITHIN, _ENDED_WITHIN = 1.5, 10.0
#: Seconds that a dialer's application gets for its first bytes, and those to be acknowledged: five
#: retransmissions on a short way, and the peer still has the relay.
_SAID_WITHIN, _DELIVERED_WITHIN = 0.1, 5.0
#: On a long way the system sends a lost CONFIRM again after three round trips.
_ROUND_TRIPS = 6
#: The kernel has no event for an acknowledgement: seconds until the first look, and how the pause
#: grows.
_FIRST_LOOK, _GROWTH, _LONGEST_PAUSE = 0.002, 1.5, 0.05
#: So many bytes go to the chosen path while the choice is not final; what is written behind them
#: waits. A new TCP connection would hardly send more in that time.
_LIMIT = 1 << 16


class Probation:
    """
    Stands between a connection and its transport until the choice is final.

    :param chosen: the direct candidate that was chosen.
    :param transport: the connection's transport now.
    :param relay: what may replace it.
    :param replace: makes the relay the connection's and returns the new transport.
    :param final: called when the choice is final; this object does nothing after that.
    :param begin: delivers what has come on the new transport.
    """

    def __init__(
        self,
        chosen: Candidate,
        transport: TCPTransport,
        relay: Candidate,
        replace: Callable[[Candidate], TCPTransport],
        final: Callable[[], object],
        begin: Callable[[], object],
    ) -> None:
        self._clock = chosen.clock
        self._chosen = chosen
        self._transport = transport
        self._relay = relay
        self._replace = replace
        self._final = final
        self._begin = begin
        self._over = False
        self._report_loss: Callable[[], object] | None = None
        self._switching: Deferred[None] | None = None
        # What the application does meanwhile.
        self._written = bytearray()
        self._passed_on = 0
        self._write_ended = self._closing = False
        self._producer: Any = None
        self._streaming = self._producer_paused = False

        self._pulling: IDelayedCall | None = None
        self._pause = _FIRST_LOOK
        patience = max(_CONFIRMED_WITHIN, _ROUND_TRIPS * (round_trip(transport) or 0.0))
        self._begun, self._patience = self._clock.seconds(), patience
        if chosen.role is Role.DIALER:
            self._timer = self._clock.callLater(self._pause, self._look)
        else:
            self._timer = self._clock.callLater(_ENDED_WITHIN, self.settle, "time is up")
            self._switch()  # when the peer says CONFIRM on the relay
        relay.closed.addCallback(lambda _: self._relay_gone())

    # What happens.

    def settle(self, reason: str = "the peer has said something") -> None:
        """
        The choice stands: the relay is closed, and what was held back is written.

        :param reason: for a trace.
        """
        if not self._over:
            self._settled(reason)
            self._without_relay()
            self._pass_on()

    def lost(self, report: Callable[[], object]) -> None:
        """
        The chosen path is gone.

        :param report: called when the relay does not take its place.
        """
        self._report_loss = report
        self._switch()
        self._limit()

    def abort(self) -> None:
        """
        The application does not want any of it. The relay is reset too: were it only ended, a peer
        that falls back to it now could take that for the end of the stream.
        """
        if not self._over:
            self._without_relay(abort=True)
            self._stop_producer()
            if self._report_loss is not None:
                self._report_loss()

    def reset_on_exit(self, enabled: bool) -> None:
        """As :meth:`rdv.client.Connection.break_on_exit`, for the relay."""
        linger(self._relay.transport, enabled)

    def _settled(self, reason: str) -> None:
        self._chosen.trace.settled(reason)

    def _without_relay(self, *, abort: bool = False) -> None:
        self._finish()
        if self._switching is not None:
            self._switching.cancel()
        self._relay.close(abort=abort)

    def _limit(self) -> None:
        """If the relay cannot be used soon, it goes, which is noticed."""
        if not self._over:
            if self._timer.active():
                self._timer.cancel()
            self._timer = self._clock.callLater(_ENDED_WITHIN, self._relay.close)

    def _look(self) -> None:
        passed, patience = self._clock.seconds() - self._begun, self._patience
        confirmed = self._chosen.confirmed()
        if confirmed:
            patience = max(patience, _DELIVERED_WITHIN)
        if confirmed is None or (confirmed and self._is_tried(passed)):
            self.settle("CONFIRM was acknowledged")
        elif passed >= patience:
            self._switch()
            self._limit()
        else:
            self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE)
            self._timer = self._clock.callLater(self._pause, self._look)

    def _is_tried(self, passed: float) -> bool:
        """Whether what the application has written behind CONFIRM gets through, if it has."""
        if self._passed_on:
            return self._chosen.confirmed(behind=1) is not False
        return passed >= _SAID_WITHIN or self._write_ended or self._closing

    def _switch(self) -> None:
        if self._switching is None:
            self._switching = Deferred.fromCoroutine(self._to_the_relay())
            self._switching.addErrback(self._not_switched)

    def _not_switched(self, failure: Failure) -> None:
        if not self._over:  # the relay has failed as well; that it is closed is noticed
            self._relay.close()
        elif not failure.check(CancelledError):  # an error of the application's, as in a reactor
            log.failure("the protocol failed", failure=failure)
            self._transport.abortConnection()

    async def _to_the_relay(self) -> None:
        await self._relay.shaken()
        await self._relay.choose()
        self._finish()
        self._transport = self._replace(self._relay)
        self._relay.trace.switched(self._relay.peer_address)
        self._passed_on = 0
        self._pass_on()
        self._begin()

    def _relay_gone(self) -> None:
        if self._over:
            return
        report = self._report_loss
        self._finish()
        if report is None:
            self._settled("the peer has ended the relay")
            self._pass_on()
        else:
            self._stop_producer()
            report()

    def _stop_producer(self) -> None:
        if self._producer is not None:
            self._producer.stopProducing()

    def _finish(self) -> None:
        self._over = True
        for call in (self._timer, self._pulling):
            if call is not None and call.active():
                call.cancel()
        self._final()

    def _pass_on(self) -> None:
        """Give the transport everything that it has not got yet."""
        transport, producer = self._transport, self._producer
        if left := bytes(self._written[self._passed_on :]):
            transport.write(left)
        if self._write_ended:
            transport.loseWriteConnection()
        if producer is not None:
            transport.registerProducer(producer, self._streaming)
            if self._producer_paused:
                producer.resumeProducing()
        if self._closing:
            transport.loseConnection()

    # What the application does.

    def write(self, data: bytes) -> None:
        """As much as may go now goes; the rest waits."""
        self._written += data
        room = _LIMIT - self._passed_on
        if room > 0:
            if not self._passed_on and self._chosen.role is Role.DIALER and self._switching is None:
                self._pause = _FIRST_LOOK
                self._timer.reset(self._pause)
            self._transport.write(data[:room])
            self._passed_on += min(len(data), room)
        if self._streaming and self._producer is not None:
            self._pause_producer()

    def end_writing(self) -> None:
        """
        As ``loseWriteConnection``, when the choice is final: the application is told once that all
        it wrote is with the system, and not of a path that is given up.
        """
        self._write_ended = True

    def close(self) -> None:
        """As ``loseConnection``, when the choice is final."""
        self._closing = True

    def register(self, producer: object, streaming: bool) -> None:
        """As ``registerProducer``: it may produce until the limit is reached."""
        if self._producer is not None:
            raise RuntimeError("there is a producer already")
        self._producer, self._streaming = producer, streaming
        if streaming:
            self._pause_producer()
        else:
            self._pulling = self._clock.callLater(0, self._pull)

    def unregister(self) -> None:
        """As ``unregisterProducer``."""
        self._producer = None
        self._producer_paused = False
        if self._pulling is not None and self._pulling.active():
            self._pulling.cancel()

    def _pause_producer(self) -> None:
        if len(self._written) >= _LIMIT and not self._producer_paused:
            self._producer_paused = True
            self._producer.pauseProducing()

    def _pull(self) -> None:
        if self._producer is not None and len(self._written) < _LIMIT:
            producer = self._producer
            producer.resumeProducing()
            if not self._over and self._producer is producer:
                self._pulling = self._clock.callLater(0, self._pull)
