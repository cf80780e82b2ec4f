"""
Which path carries which direction of a secured stream that may move.

A stream begins on its first path. If both sides can move, the dialer may open others that join it.
One of those takes over: READY tells the dialer that it works, HERE tells the acceptor. Each side
then moves its own direction, with MOVE as its last message on the first path. A direction whose END
has already been sent no longer moves.
"""

from __future__ import annotations

from rdv._secure.order import Order, Signal
from rdv.wire import Role

__all__ = ["Stream"]


class Stream:
    """
    Decides what to send on which path, from which to read, when the first path is finished, and
    whether the loss of a path breaks the stream. It does no I/O; the owner of the connections asks
    it whenever something has been sent, has arrived, or is lost.

    :ivar first: the path on which the stream began.
    :ivar joined: the path that has taken over; both sides are known to be there.
    :ivar joins: the paths that may still take over: one for a dialer, any number for an acceptor.
    :ivar gone: the paths that have been lost or closed, of the first and the joined one.
    """

    __slots__ = ("first", "gone", "joined", "joins")

    def __init__(self, first: Order) -> None:
        self.first = first
        self.joined: Order | None = None
        self.joins: list[Order] = []
        self.gone: list[Order] = []

    @property
    def writing(self) -> Order:
        """The path on which we write, or have written the end."""
        moved = self.first.sent_last is Signal.MOVE
        return self.joined if moved and self.joined is not None else self.first

    @property
    def reading(self) -> Order | None:
        """
        The path on which the peer's data arrives, or its end has arrived. None if the peer has
        moved, and its HERE, which shows the new path, has not arrived yet.
        """
        return self.joined if self.first.read_last is Signal.MOVE else self.first

    @property
    def over(self) -> bool:
        """Whether both directions have ended, and both ends are known to have arrived."""
        return self._written(self.writing) and self._read(self.reading)

    @property
    def delivered(self) -> bool:
        """Whether the peer's application has received all our data and our end."""
        return self._written(self.writing)

    @property
    def owes_done(self) -> bool:
        """Whether the peer's end has arrived, and DONE must be sent on the same path."""
        order = self.reading
        return order is not None and order.read_last is Signal.END and not order.sent_done

    @property
    def can_move(self) -> bool:
        """Whether another path may still take over: there is something left to move."""
        ends = self.first.sent_last, self.first.read_last
        return self.first.moves and self.joined is None and ends != (Signal.END, Signal.END)

    def join(self, path: Order) -> None:
        """``path`` may take over."""
        self.joins.append(path)

    def lose(self, path: Order) -> None:
        """``path`` is lost, closed, or given up before it has taken over."""
        if path in self.joins:
            self.joins.remove(path)
        else:
            self.gone.append(path)

    def take_over(self, path: Order) -> list[tuple[Order, Signal]]:
        """
        READY or HERE has arrived on ``path``, which was joining. The others in ``joins`` must be
        given up.

        :return: the signals to send on each path, in this order.
        """
        self.joins.remove(path)
        self.joined = path
        says = [(path, Signal.HERE)] if path.role is Role.DIALER else []
        if self.first.sent_last is None:
            says.append((self.first, Signal.MOVE))
        return says

    def reads(self, path: Order, *, paused: bool = False) -> bool:
        """
        Whether data that arrives on ``path`` is processed now. Other data waits in the connection.

        :param paused: whether the application has paused reading.
        """
        if path.awaited is not None:
            return True
        if path is self.reading:
            # After the end, which the application has received, there is nothing to hold back.
            return path.sent_done or not paused
        # On the first path, which the peer has left, only DONE may arrive. Data on the joined path
        # waits until the peer's direction on the first one is complete.
        return path is self.first or self.first.read_last is Signal.END

    @property
    def first_is_done(self) -> bool:
        """
        Whether the first path can be closed. Not before both sides have sent their last signal on
        it and an end on it is confirmed: some servers end both directions when one ends.
        """
        both = self.first.sent_last and self.first.read_last
        return bool(both) and not self._needs(self.first)

    @property
    def broken(self) -> bool:
        """
        Whether data can no longer arrive, or its arrival no longer be confirmed, because a path is
        gone.
        """
        nowhere = self.reading is None and (self.first.role is Role.DIALER or not self.joins)
        return nowhere or any(map(self._needs, self.gone))

    def _needs(self, path: Order) -> bool:
        written = path is not self.writing or self._written(path)
        return not (written and (path is not self.reading or self._read(path)))

    def _written(self, path: Order) -> bool:
        return path.sent_last is Signal.END and path.read_done

    def _read(self, path: Order | None) -> bool:
        return path is not None and path.read_last is Signal.END and path.sent_done
