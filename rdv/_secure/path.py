"""
One path of a secured stream: which records may follow which.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TypeAlias

from rdv._secure.handshake import Cipher, Session
from rdv._secure.records import Control, Opener, RecordType, Sealer
from rdv.errors import ProtocolError
from rdv.wire import Role

__all__ = ["Event", "SecurePath", "Signal"]

_END = b"\x01\x00"


class Signal(Enum):
    """What the peer says beside its data."""

    #: It is there: its handshake message was no recording. To the dialer only.
    READY = "ready"
    #: Its direction has ended.
    END = "end"
    #: Its application has been given everything, the end included.
    DONE = "done"


#: A piece of data, or a signal.
Event: TypeAlias = memoryview | Signal


class SecurePath:
    """
    Seals what we send on a path, and opens what comes, without I/O.

    :param moves: whether both sides can move to another path.
    :param first: the path of the stream that this one joins; None for a new stream.
    :ivar session: what the handshake has given.
    :ivar ready: whether the peer is known to be there. An acceptor knows by the second message.
    :ivar over: whether both directions have ended, and both ends are known to have arrived.
    """

    __slots__ = (
        "_done",
        "_end",
        "_opener",
        "_peer_done",
        "_peer_end",
        "_sealer",
        "ready",
        "session",
    )

    def __init__(
        self,
        role: Role,
        session: Session,
        cipher: Cipher,
        *,
        moves: bool = False,
        first: SecurePath | None = None,
    ) -> None:
        self.session: Session = session if first is None else session.joined_to(first.session)
        keys = self.session.acceptor_key, self.session.dialer_key
        ours, theirs = keys if role is Role.ACCEPTOR else keys[::-1]
        self._sealer = Sealer(ours, cipher)
        self._opener = Opener(theirs, cipher)
        self.ready = role is Role.ACCEPTOR
        self._end = self._done = self._peer_end = self._peer_done = False

    @property
    def used(self) -> bool:
        """Whether we have sent anything on it."""
        return self._sealer.count > 0

    @property
    def over(self) -> bool:
        """See above."""
        return self._done and self._peer_done

    @property
    def delivered(self) -> bool:
        """Whether the peer's application has been given everything that we sent, and its end."""
        return self._peer_done

    def announce(self) -> list[bytes]:
        """READY, the first record of an acceptor."""
        return self._control(Control.READY)

    def seal(self, data: bytes | memoryview) -> list[bytes]:
        """Records with ``data``."""
        return self._sealer.seal(RecordType.DATA, data)

    def end(self) -> list[bytes]:
        """The end of our direction."""
        self._end = True
        return self._sealer.seal(RecordType.END, _END)

    def confirm_end(self) -> list[bytes]:
        """DONE: our application has been given everything, the peer's end included."""
        self._done = True
        return self._control(Control.DONE)

    def _control(self, message: Control) -> list[bytes]:
        return self._sealer.seal(RecordType.CONTROL, bytes([message]))

    def receive(self, data: bytes) -> Iterator[Event]:
        """
        What is in the next bytes from the peer, in order.

        :raises ProtocolError: behind the last good event, when the next record is forged, or is
            none that may come now.
        """
        for kind, plaintext in self._opener.feed(data):
            if kind == _DATA and self.ready and not self._peer_end:
                yield plaintext
            elif (event := self._take(kind, plaintext)) is not None:
                yield event

    def _take(self, kind: int, plaintext: memoryview) -> Event | None:
        """Whatever is not data in its place."""
        if not self.ready and (kind != RecordType.CONTROL or plaintext[:1] != _READY):
            raise ProtocolError("the peer's first record is not READY")
        if kind == RecordType.CONTROL:
            return self._take_control(plaintext)
        if self._peer_end:
            raise ProtocolError("a record behind the end")
        if kind == RecordType.END and plaintext == _END:
            self._peer_end = True
            return Signal.END
        raise ProtocolError("a record of an unknown type")

    def _take_control(self, plaintext: memoryview) -> Event | None:
        if not plaintext:
            raise ProtocolError("an empty control record")
        message = plaintext[0]
        if message == Control.READY and not self.ready:
            self.ready = True
            return Signal.READY
        if message == Control.DONE and self._end and not self._peer_done:
            self._peer_done = True
            return Signal.DONE
        if message in _NOT_NOW:
            raise ProtocolError("a control record that may not come now")
        return None


_READY = bytes([Control.READY])
_DATA = int(RecordType.DATA)
#: What a peer may send only when both said so, or only once.
_NOT_NOW = frozenset(Control) - {Control.REKEY}
