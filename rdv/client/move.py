"""
Moving from the relay to a direct path, while the stream runs.

A secured stream whose peers both support moving does not wait for a direct path: it starts on the
relay, and the resources of the attempt stay open in the background. The same race continues with
another goal: the dialer offers direct candidates to the stream, one at a time, and the first that
is proved in both directions takes over. The race ends when that has happened, when there is no data
left to move, when the time for a path is up, or when too many other streams of the client have
started since.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from rdv._observer import OneShotObserver
from rdv.client.candidates.candidate import Candidate
from rdv.client.race.joining import Stream
from rdv.client.reach.opened import Reach
from rdv.client.stream.connection import Connection

if TYPE_CHECKING:
    from rdv.client.context import Context
    from rdv.client.race.contest import Contest

__all__ = ["Move"]

#: How many streams of a client may move at a time: each has a port open, and dials.
_MOST = 64


class Move:
    """
    The period in which a stream can move.

    :param contest: the race that the relay has won.
    :param reach: is closed at the end.
    :param relay: the winner.
    :param connection: its stream.
    :ivar over: fires when the period is over, and everything that was open for it is closed.
    """

    def __init__(
        self,
        context: Context,
        contest: Contest,
        reach: Reach,
        relay: Candidate,
        connection: Connection,
    ) -> None:
        self._context = context
        self._contest = contest
        self._reach = reach
        self._relay = relay
        self._stream = cast(Stream, connection.transport)
        self._ended = False
        self.over: OneShotObserver[None] = OneShotObserver()
        clock = context.reactor
        left = max(0.0, contest.ends - clock.seconds())
        self._limit = clock.callLater(left, self.end, "no direct path opened in time")
        self._stream.on_over = partial(self.end, "there is no data left to move")
        self._tell = connection.moves_until(self.over)
        self._stream.expect_move()
        assert relay.path is not None
        if relay.path.ready:
            self._join()
        else:
            self._stream.on_ready = self._join
        context.moves[self] = None
        if len(context.moves) > _MOST:
            next(iter(context.moves)).end("too many other streams are trying to move")

    def end(self, reason: str) -> None:
        """End the period: the stream stays on the relay. Does nothing if it has already ended."""
        if self._ended:
            return
        self._ended = True
        self._contest.end()
        self._stream.stay()
        self._context.trace.stayed(reason)
        self._close()

    def _join(self) -> None:
        if not self._ended and self._context.secured is not None:
            self._context.secured.stream = self._relay.path
            self._contest.join(self._stream, self._moved)

    def _moved(self, candidate: Candidate) -> None:
        """The stream has moved. The peer of an acceptor may decide that even after the end."""
        self._tell(candidate)
        if not self._ended:
            self._ended = True
            self._context.trace.moved(candidate.trace, candidate.peer_address)
            self._contest.end()  # after the event: this ends the ways without knowing the winner
            self._close()

    def _close(self) -> None:
        self._context.moves.pop(self, None)
        if self._limit.active():
            self._limit.cancel()
        self._stream.on_over = self._stream.on_ready = _nothing  # drops its references to this
        self._reach.close().addCallback(lambda _: self.over.fire(None))


def _nothing() -> None:
    pass
