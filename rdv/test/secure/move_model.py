"""
A model of the two sides of a stream that may move.

The decisions are made by the real code, :class:`~rdv._secure.stream.Stream` and
:class:`~rdv._secure.order.Order`. The model is what surrounds it: paths that preserve the order of
messages, the applications, and losses, after which any part of what was in flight still arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import NamedTuple, TypeAlias

from rdv._secure.order import Order, Signal
from rdv._secure.stream import Stream
from rdv.errors import ProtocolError
from rdv.test.secure.move_side import Side
from rdv.wire import Role

__all__ = ["CLOSED", "JOIN", "RESET", "Bounds", "Step", "World", "Wrong"]

#: What may be in flight besides numbered pieces of data and signals: the dialer joins; TCP ends.
JOIN, CLOSED, RESET = "join", "closed", "reset"
Item: TypeAlias = "int | Signal | str"
#: An event: its name, the side that causes it, the path, and for a loss, how much still arrives.
Step: TypeAlias = "tuple[str, int, int, tuple[int, int]]"

DIALER, ACCEPTOR = 0, 1
ROLES = Role.DIALER, Role.ACCEPTOR
_NOTHING = 0, 0
#: Events that happen by themselves, sooner or later.
_BY_ITSELF = frozenset({"read", "confirm", "notice"})
_OF_APPLICATIONS = frozenset({"write", "end"})


class Wrong(Exception):
    """A rule was violated."""


class Bounds(NamedTuple):
    """
    How much is explored: pieces that each side writes, paths that are opened, losses.

    :ivar prompt: whether each application takes its end at once.
    """

    pieces: tuple[int, int] = (1, 1)
    joins: int = 1
    losses: int = 1
    prompt: bool = False


class World:
    """
    :ivar way: what is in flight, by path and by the receiving side.
    :ivar cut: the paths that have been lost.
    :ivar lost: those that were lost, and not left by one of the sides.
    """

    __slots__ = ("bounds", "cut", "lost", "sides", "way")

    def __init__(self, bounds: Bounds, kind: type[Stream]) -> None:
        paths = 1 + bounds.joins
        self.bounds = bounds
        self.sides = [Side(role, kind, paths) for role in ROLES]
        self.way: list[list[tuple[Item, ...]]] = [[(), ()] for _ in range(paths)]
        self.cut = [False] * paths
        self.lost: tuple[int, ...] = ()

    def copy(self) -> World:
        """Another one, for another course of events."""
        new: World = copy(self)
        new.sides = [side.copy() for side in self.sides]
        new.way = [way.copy() for way in self.way]
        new.cut = self.cut.copy()
        return new

    def key(self) -> object:
        """Two that are the same have the same."""
        ways = tuple(tuple(way) for way in self.way)
        sides = tuple(side.key() for side in self.sides)
        return sides, ways, tuple(self.cut), self.lost

    # What can happen.

    def steps(self) -> Iterator[Step]:
        """Everything that can happen next."""
        for number, side in enumerate(self.sides):
            if side.outcome is None:
                yield from self._steps_of(number, side)
        dialer = self.sides[DIALER].stream
        if self.sides[DIALER].outcome is None and dialer.can_move:
            new = self._new_path()
            if dialer.joins:
                yield "give up", DIALER, self._path(DIALER, dialer.joins[0]), _NOTHING
            elif new is not None:
                yield "join", DIALER, new, _NOTHING
        if len(self.lost) < self.bounds.losses:
            for path, ways in enumerate(self.way):
                if not self.cut[path] and all(side.open[path] for side in self.sides):
                    for kept in range(len(ways[0]) + 1):
                        for kept_too in range(len(ways[1]) + 1):
                            yield "lose", DIALER, path, (kept, kept_too)

    def _steps_of(self, number: int, side: Side) -> Iterator[Step]:
        stream = side.stream
        writing = stream.writing
        if writing.sent_last is None:
            if side.written < self.bounds.pieces[number]:
                yield "write", number, self._path(number, writing), _NOTHING
            yield "end", number, self._path(number, writing), _NOTHING
        if stream.owes_done and stream.reading is not None:
            yield "confirm", number, self._path(number, stream.reading), _NOTHING
        for path, ways in enumerate(self.way):
            if side.open[path] and ways[number]:
                order = side.orders[path]
                if order is None or stream.reads(order):
                    yield "read", number, path, _NOTHING
                if RESET in ways[number][1:]:
                    # A connection that has been reset may lose what it has not read.
                    yield "notice", number, path, _NOTHING

    def _new_path(self) -> int | None:
        unused = (i for i, order in enumerate(self.sides[DIALER].orders) if order is None)
        return next(unused, None)

    def _path(self, number: int, order: Order) -> int:
        return self.sides[number].orders.index(order)

    # Making it happen.

    def happen(self, step: Step) -> None:
        """
        :raises Wrong: when that shows a fault.
        """
        what, number, path, kept = step
        side = self.sides[number]
        if what == "write":
            side.written += 1
            self._put(number, path, side.written)
        elif what in ("end", "confirm"):
            self._say(number, path, Signal.END if what == "end" else Signal.DONE)
        elif what == "read":
            item, *rest = self.way[path][number]
            self.way[path][number] = tuple(rest)
            self._read(number, path, item)
        elif what == "notice":
            self.way[path][number] = ()
            self._read(number, path, RESET)
        elif what == "join":
            for each in self.sides:
                each.open[path] = True
            side.orders[path] = order = Order(ROLES[DIALER], first=side.stream.first, moves=True)
            side.stream.join(order)
            self._put(number, path, JOIN)
            if self.sides[ACCEPTOR].outcome is not None:
                self._abort(ACCEPTOR, path)
        elif what == "give up":
            self._abort(number, path)
        elif what == "lose":
            self.lost += (path,)
            self.cut[path] = True
            ways = self.way[path]
            ways[:] = [(*way[:count], RESET) for way, count in zip(ways, kept, strict=True)]
        self._follow(number)

    def _put(self, number: int, path: int, item: Item) -> None:
        other = 1 - number
        if self.sides[number].open[path] and self.sides[other].open[path] and not self.cut[path]:
            self.way[path][other] += (item,)

    def _say(self, number: int, path: int, signal: Signal) -> None:
        order = self.sides[number].orders[path]
        assert order is not None
        order.say(signal)
        self._put(number, path, signal)

    def _read(self, number: int, path: int, item: Item) -> None:
        side = self.sides[number]
        order = side.orders[path]
        if item in (CLOSED, RESET):
            self._gone(number, path)
        elif item == JOIN:
            if side.stream.can_move:
                side.orders[path] = order = Order(
                    ROLES[ACCEPTOR], first=side.stream.first, moves=True
                )
                side.stream.join(order)
                self._say(number, path, Signal.READY)
            else:
                self._abort(number, path)
        elif order is None:
            raise Wrong("something comes on a path that is none of the stream's")
        elif isinstance(item, int):
            if not order.takes_data or item != side.read + 1:
                raise Wrong(f"piece {item} behind {side.read}")
            side.read = item
        elif isinstance(item, Signal):
            self._take(number, order, item)

    def _take(self, number: int, order: Order, signal: Signal) -> None:
        side = self.sides[number]
        try:
            order.take(signal)
        except ProtocolError as error:
            raise Wrong(f"{signal} is refused: {error}") from None
        if signal in (Signal.READY, Signal.HERE):
            for each, says in side.stream.take_over(order):
                self._say(number, self._path(number, each), says)
            for each in list(side.stream.joins):
                self._abort(number, self._path(number, each))
        elif signal is Signal.END:
            if side.read != self.sides[1 - number].written:
                raise Wrong("the end comes before all of the data")
            if self.bounds.prompt:
                self._say(number, self._path(number, order), Signal.DONE)

    def _gone(self, number: int, path: int) -> None:
        side, order = self.sides[number], self.sides[number].orders[path]
        side.open[path] = False
        self.way[path][number] = ()
        if order is not None:
            side.stream.lose(order)

    def _abort(self, number: int, path: int) -> None:
        if self.sides[number].open[path]:
            self._put(number, path, RESET)
            self.cut[path] = True
            self._gone(number, path)

    def _close(self, number: int, path: int) -> None:
        if self.sides[number].open[path]:
            unread = self.way[path][number]
            if unread and unread[0] not in (CLOSED, RESET):
                raise Wrong("a path is closed, and something unread on it")
            self._put(number, path, CLOSED)
            self._gone(number, path)

    def _follow(self, number: int) -> None:
        """What a side does behind everything that happens to it."""
        side, stream = self.sides[number], self.sides[number].stream
        if side.outcome is not None:
            return
        if not stream.can_move:
            for each in list(stream.joins):
                self._abort(number, self._path(number, each))
        if stream.broken or stream.over:
            side.outcome = stream.over
            for path, order in enumerate(side.orders):
                if side.outcome and order is not None:
                    self._close(number, path)
                else:
                    self._abort(number, path)
        elif stream.first_is_done:
            self._close(number, 0)

    # What must hold.

    def _needed_one(self) -> bool:
        """Whether the first path was lost, or one on which the dialer has said HERE."""
        joined = self.sides[DIALER].stream.joined
        return any(path == 0 or self.sides[DIALER].orders[path] is joined for path in self.lost)

    def check(self, steps: list[Step]) -> None:
        """
        :param steps: what can happen next.
        :raises Wrong: when that shows a fault.
        """
        outcomes = [side.outcome for side in self.sides]
        kinds = {what for what, *_ in steps}
        if None in outcomes and not kinds & (_BY_ITSELF | _OF_APPLICATIONS):
            raise Wrong("it hangs")
        if False in outcomes and not self._needed_one():
            raise Wrong("it breaks though nothing was lost that it needs")
        for number, side in enumerate(self.sides):
            other = self.sides[1 - number]
            ended = other.stream.reading is not None and other.stream.reading.read_last
            if side.outcome and not (ended is Signal.END and other.read == side.written):
                raise Wrong("it ends well, and the other side has not got everything")
        idle = outcomes == [None, None] and not kinds & _BY_ITSELF
        moved = all(side.stream.joined for side in self.sides)
        if idle and moved and not self.lost and any(side.open[0] for side in self.sides):
            ends = [side.stream.first.sent_last for side in self.sides]
            if Signal.END not in ends:
                raise Wrong("it has moved, and the first path stays open")
