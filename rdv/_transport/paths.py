"""
The connections of one secured stream.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from rdv._secure.order import Order
from rdv._secure.path import SecurePath
from rdv._secure.stream import Stream
from rdv._system.sockets import limit_unsent, linger
from rdv._transport.interfaces import TCPTransport
from rdv._transport.liveness import unwatch, watch
from rdv._transport.path_end import CUT_OFF, FirstPathLost, Joining, PathEnd, PathOwner
from rdv.wire import Role

__all__ = ["Paths"]

#: Unsent bytes that the kernel may hold on the first path while the stream may leave it: MOVE has
#: to wait for them. Enough to keep the path busy.
_UNSENT = 1 << 17
#: How many paths may be joining. An acceptor cannot tell which of them are from its peer.
_MOST_JOINS = {Role.DIALER: 1, Role.ACCEPTOR: 16}
_NO_USE = "the stream no longer needs another path"


class Paths:
    """
    The first connection, and those that join it.

    :param early: data that has already arrived on the first one.
    :ivar stream: which of them carries which direction.
    :ivar first: the one on which the stream began.
    :ivar writing: the one on which we write.
    :ivar role: ours.
    """

    def __init__(
        self, clock: IReactorTime, owner: PathOwner, path: SecurePath, early: bytes
    ) -> None:
        self.stream = Stream(path.order)
        self.first = self.writing = PathEnd(clock, owner, path, early)
        self.role = path.order.role
        self._clock = clock
        self._ends = [self.first]
        self._reset_on_exit: bool | None = None
        self._limited = False

    @property
    def all_lost(self) -> bool:
        """Whether no connection is left."""
        return not self._ends

    @property
    def reading(self) -> PathEnd:
        """The path on which the peer's end has arrived."""
        order = self.stream.reading
        assert order is not None
        return self._end_of(order)

    def _end_of(self, order: Order) -> PathEnd:
        return next(end for end in self._ends if end.path.order is order)

    def join(self, owner: PathOwner, path: SecurePath, early: bytes) -> Joining:
        """
        Let ``path``, whose handshake is complete, take over as soon as it can.

        A dialer has one such path at a time, and may give it up before it has taken over, by
        cancelling ``proven``. An acceptor may have 16: the first one on which its peer sends HERE
        takes over, and the others are aborted.

        :param early: data that has already arrived on it.
        :return: the protocol for its connection. ``proven`` reports the result.
        :raises RuntimeError: when there are too many already.
        """
        if len(self.stream.joins) >= _MOST_JOINS[self.role]:
            raise RuntimeError("too many paths want to join the stream")
        joining = Joining(self._clock, owner, path, early, self._waits_no_longer)
        self._ends.append(joining)
        self.stream.join(path.order)
        return joining

    def begin(self, end: PathEnd) -> None:
        """The connection of a path is established."""
        if end is not self.first:  # the user of the stream watches that one
            watch(self._clock, end)

    def limit(self) -> None:
        """The stream may leave the first path soon: limit the unsent data on it."""
        self._limited = True
        limit_unsent(self.first, _UNSENT)

    def take_over(self, end: PathEnd) -> list[tuple[TCPTransport, list[bytes]]]:
        """
        ``end`` takes over. The caller must then :meth:`give_up` the others.

        :return: records to write, each with its transport, in this order.
        """
        says = self.stream.take_over(end.path.order)
        ends = [(self._end_of(order), signal) for order, signal in says]
        sealed = [(each.transport, each.path.say(signal)) for each, signal in ends]
        if self.stream.writing is end.path.order:
            self.writing = end
        if self._reset_on_exit is not None:
            linger(end, self._reset_on_exit)
        self.unlimit()
        return sealed

    def _waits_no_longer(self, joining: Joining) -> None:
        if self.role is Role.DIALER:
            joining.abort()
            self._remove(joining)

    def unlimit(self) -> None:
        """The stream has left the first path, or never will: remove the limit."""
        if self._limited:
            self._limited = False
            if self.first.is_open:
                limit_unsent(self.first, 0)

    def give_up(self) -> None:
        """Abort the paths that are joining."""
        for end in list(self._ends):
            if end.path.order in self.stream.joins and isinstance(end, Joining):
                end.abort()
                self.lose(end, Failure(ConnectionLost(_NO_USE)))

    def follow(self, *, paused: bool) -> None:
        """
        Act on the messages so far: read on the right path, close the first one.

        :param paused: whether the application accepts no data at the moment.
        """
        if self.stream.first_is_done:
            self.first.leave()
        for end in list(self._ends):
            end.read(self.stream.reads(end.path.order, paused=paused))

    def lose(self, end: PathEnd, reason: Failure) -> Failure | None:
        """
        The connection of ``end`` is gone.

        :return: the reason, in case this breaks the stream; None if the loss was already known.
        """
        if isinstance(end, Joining):
            end.has_failed(reason)
        elif self.stream.joined is not None and not reason.check(ConnectionAborted):
            reason = Failure(FirstPathLost(CUT_OFF))
        return reason if self._remove(end) else None

    def _remove(self, end: PathEnd) -> bool:
        unwatch(self._clock, end)
        if end not in self._ends:
            return False
        self._ends.remove(end)
        self.stream.lose(end.path.order)
        return True

    def carriers(self) -> list[TCPTransport]:
        """
        The connections on which our data is sent or may still be in flight. After a move, that
        includes the first one until its transport has gone.
        """
        return [end.transport for end in self._ends if end.path.order not in self.stream.joins]

    def close(self) -> None:
        """Close all paths cleanly."""
        self.give_up()
        for end in list(self._ends):
            end.close()

    def abort(self) -> None:
        """Abort all paths immediately."""
        self.give_up()
        for end in list(self._ends):
            end.abort()

    def break_on_exit(self, enabled: bool) -> None:
        """Set for all paths whether the peer sees a broken stream if this process dies."""
        self._reset_on_exit = enabled
        for end in self._ends:
            if end.is_open and end.path.order not in self.stream.joins:
                linger(end, enabled)
