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
#: Control records of a feature that this version never agrees to.
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
        Whether the peer is known to be live. An acceptor knows that from the second handshake
        message, and on a joining path when HERE has arrived; a dialer when READY has arrived.
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
        """The record of ``signal``. The caller makes sure that it is allowed."""
        self.order.say(signal)
        if signal is Signal.END:
            return self._sealer.seal(RecordType.END, _END)
        return self._sealer.seal(RecordType.CONTROL, _CONTROLS[signal])

    def receive(self, data: bytes) -> Iterator[Event]:
        """
        The data and signals in the next bytes from the peer, in order. The caller may interrupt the
        iteration and continue it later, but before the next call.

        :raises ProtocolError: after the last good event, if the next record is forged or is not
            allowed now.
        """
        order = self.order
        for kind, plaintext in self._opener.feed(data):
            if kind == _DATA and order.takes_data:
                yield plaintext
            elif (signal := self._signal(kind, plaintext)) is not None:
                order.take(signal)
                yield signal

    def _signal(self, kind: int, plaintext: memoryview) -> Signal | None:
        """
        The signal in a record other than allowed data; None for a control record that this version
        does not know.

        :raises ProtocolError: for a record that is not allowed now.
        """
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
