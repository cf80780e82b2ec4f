"""
Which records may follow which on one path of a secured stream.
"""

from __future__ import annotations

from enum import Enum

from rdv.errors import ProtocolError
from rdv.wire import Role

__all__ = ["Order", "Signal"]


class Signal(Enum):
    """What a side sends besides its data."""

    #: The acceptor is live: its handshake message was not a recording. Only to the dialer.
    READY = "ready"
    #: The sender's direction continues on the joining path; here, only DONE may follow.
    MOVE = "move"
    #: READY has arrived on the joining path. Only to the acceptor.
    HERE = "here"
    #: The sender's direction has ended.
    END = "end"
    #: The sender's application has received everything, including the end.
    DONE = "done"


class Order:
    """
    The messages on a path so far, as far as they decide what may come next.

    :param first: the path that this one joins; None for the first path itself.
    :param moves: whether both sides can move to another path.
    :ivar awaited: what the peer must send before anything else; None when it has.
    :ivar sent_last: MOVE or END, after which we send nothing here but DONE.
    :ivar read_last: the same from the peer.
    :ivar sent_done: whether we have sent DONE here.
    :ivar read_done: whether the peer has.
    """

    __slots__ = (
        "awaited",
        "first",
        "moves",
        "read_done",
        "read_last",
        "role",
        "sent_done",
        "sent_last",
    )

    def __init__(self, role: Role, *, first: Order | None = None, moves: bool = False) -> None:
        self.role = role
        self.first = first
        self.moves = moves
        self.awaited: Signal | None = None
        if role is Role.DIALER:
            self.awaited = Signal.READY
        elif first is not None:
            self.awaited = Signal.HERE
        self.sent_last: Signal | None = None
        self.read_last: Signal | None = None
        self.sent_done = self.read_done = False

    @property
    def takes_data(self) -> bool:
        """Whether data, or the end, may arrive."""
        if self.awaited is not None or self.read_last is not None:
            return False
        return self.first is None or self.first.read_last is Signal.MOVE

    def take(self, signal: Signal) -> None:
        """
        A signal from the peer has arrived.

        :raises ProtocolError: if it is not allowed now, or not on this path.
        """
        if self.awaited is not None:
            self.refuse_before_first(signal)
            self.awaited = None
        elif signal is Signal.DONE and self.sent_last is Signal.END and not self.read_done:
            self.read_done = True
        elif signal is Signal.END or (signal is Signal.MOVE and self.moves and self.first is None):
            if not self.takes_data:
                raise ProtocolError("a record after the end")
            self.read_last = signal
        else:
            raise ProtocolError("an unexpected control record")

    def refuse_before_first(self, signal: Signal | None) -> None:
        """
        :param signal: the received signal; None for data, and for anything that is not a signal.
        :raises ProtocolError: if another signal must arrive first.
        """
        if self.awaited is not None and signal is not self.awaited:
            raise ProtocolError(f"the peer's first record is not {self.awaited.name}")

    def say(self, signal: Signal) -> None:
        """We send a signal. The caller makes sure that it is allowed."""
        if signal is Signal.DONE:
            self.sent_done = True
        elif signal in (Signal.MOVE, Signal.END):
            self.sent_last = signal
