"""
One path of a secured stream: its records, and which may follow which.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from rdv._secure.handshake import Cipher, Session
from rdv._secure.order import Order, Signal
from rdv._secure.records import Control, Opener, RecordType, Sealer
from rdv.errors import ProtocolError
from rdv.wire import Role

__all__ = ["Event", "SecurePath", "Signal"]

_END = b"\x01\x00"
_SIGNALS: dict[int, Signal] = {
    Control.READY: Signal.READY,
    Control.MOVE: Signal.MOVE,
    Control.HERE: Signal.HERE,
    Control.DONE: Signal.DONE,
}
_CONTROLS = {signal: bytes([control]) for control, signal in _SIGNALS.items()}
#: What no path has agreed on.
_NEVER = frozenset({Control.RESUME, Control.ACK})

#: A piece of data, or a signal.
Event: TypeAlias = memoryview | Signal


class SecurePath:
    """
    Seals what we send on a path, and opens what arrives, without I/O.

    :param moves: whether both sides can move to another path.
    :param first: the path of the stream that this one joins; None for a new stream.
    :ivar session: the result of the handshake; for a path that joins, the session of the first one,
        with separate keys.
    :ivar order: what may arrive, and what has been sent.
    """

    __slots__ = ("_opener", "_sealer", "order", "session")

    order: Order
    session: Session

    def __init__(
        self,
        role: Role,
        session: Session,
        cipher: Cipher,
        *,
        moves: bool = False,
        first: SecurePath | None = None,
    ) -> None:
        if first is not None:
            session = session.joined_to(first.session)
        keys = session.acceptor_key, session.dialer_key
        ours, theirs = keys if role is Role.ACCEPTOR else keys[::-1]
        self.session = session
        self.order = Order(role, first=None if first is None else first.order, moves=moves)
        self._sealer = Sealer(ours, cipher)
        self._opener = Opener(theirs, cipher)

    @property
    def ready(self) -> bool:
        """
        Whether the peer is known to be there. An acceptor knows by the second message; of a path
        that joins, when the peer has said that it uses it.
        """
        return self.order.awaited is None

    @property
    def used(self) -> bool:
        """Whether we have sent anything on it."""
        return self._sealer.count > 0

    def seal(self, data: bytes | memoryview) -> list[bytes]:
        """Records with ``data``."""
        return self._sealer.seal(RecordType.DATA, data)

    def say(self, signal: Signal) -> list[bytes]:
        """The record of ``signal``; that it may come now is the caller's affair."""
        self.order.say(signal)
        if signal is Signal.END:
            return self._sealer.seal(RecordType.END, _END)
        return self._sealer.seal(RecordType.CONTROL, _CONTROLS[signal])

    def receive(self, data: bytes) -> Iterator[Event]:
        """
        What is in the next bytes from the peer, in order. Whoever stops in between may go on later,
        before the next call.

        :raises ProtocolError: behind the last good event, when the next record is forged, or is
            none that may come now.
        """
        order = self.order
        for kind, plaintext in self._opener.feed(data):
            if kind == _DATA and order.takes_data:
                yield plaintext
            elif (signal := self._signal(kind, plaintext)) is not None:
                order.take(signal)
                yield signal

    def _signal(self, kind: int, plaintext: memoryview) -> Signal | None:
        """What is not data in its place; None for what says nothing to this version."""
        signal = None
        if kind == RecordType.CONTROL and plaintext:
            signal = _SIGNALS.get(plaintext[0])
        elif kind == RecordType.END and plaintext == _END:
            signal = Signal.END
        self.order.refuse_before_first(signal)
        if signal is None and kind != RecordType.CONTROL:
            known = kind == _DATA
            raise ProtocolError("a record after the end" if known else "a record of unknown type")
        if signal is None and (not plaintext or plaintext[0] in _NEVER):
            raise ProtocolError("an unexpected control record")
        return signal


_DATA = int(RecordType.DATA)
