"""
One side of a stream that may move, in the model.
"""

from __future__ import annotations

from copy import copy

from rdv._secure.order import Order, Signal
from rdv._secure.stream import Stream
from rdv.wire import Role

__all__ = ["Side"]


class Side:
    """
    :ivar orders: the messages on each path; None as long as the path does not belong to the stream.
    :ivar open: the paths of which this side has a connection.
    :ivar outcome: whether it has ended well; None while it goes on.
    """

    __slots__ = ("open", "orders", "outcome", "read", "stream", "written")

    def __init__(self, role: Role, kind: type[Stream], paths: int) -> None:
        first = Order(role, moves=True)
        if role is Role.DIALER:
            first.take(Signal.READY)
        self.stream = kind(first)
        self.orders: list[Order | None] = [first, *[None] * (paths - 1)]
        self.open = [True, *[False] * (paths - 1)]
        self.outcome: bool | None = None
        self.written = self.read = 0

    def copy(self) -> Side:
        """Another one, for another course of events."""
        new: Side = copy(self)
        clones = {}
        for order in self.orders:
            if order is not None:
                clones[order] = clone = copy(order)
                if clone.first is not None:
                    clone.first = clones[clone.first]
        new.orders = [order and clones[order] for order in self.orders]
        new.open = self.open.copy()
        new.stream = stream = copy(self.stream)
        stream.first = clones[stream.first]
        stream.joined = stream.joined and clones[stream.joined]
        stream.joins = [clones[each] for each in stream.joins]
        stream.gone = [clones[each] for each in stream.gone]
        return new

    def key(self) -> object:
        """Two that are the same have the same."""
        stream = self.stream
        return (
            self.written,
            self.read,
            self.outcome,
            *self.open,
            *(
                each
                and (
                    each.awaited,
                    each.sent_last,
                    each.read_last,
                    each.sent_done,
                    each.read_done,
                    each is stream.joined,
                    each in stream.joins,
                    each in stream.gone,
                )
                for each in self.orders
            ),
        )
