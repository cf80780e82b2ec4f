"""
What two peers send to each other, to show that their connection works.

Each sends its first message as soon as it is connected, and one more whenever it has got one, until
it has sent :data:`ROUNDS`. So the later messages are segments of their own, whatever happened to
the first, and the counters at the peers recognize them. The messages do not depend on the role.
"""

from __future__ import annotations

from tests.natlab.rules import MARK

__all__ = ["ROUNDS", "SIZE", "Exchange"]

ROUNDS = 3
SIZE = 64


class Exchange:
    """
    One peer's part, without I/O.

    :ivar received: messages.
    """

    def __init__(self) -> None:
        self.received = 0
        self._sent = 0
        self._part = b""

    def begin(self) -> bytes:
        """What to send at once."""
        self._sent += 1
        return MARK + b"%02d" % self._sent + bytes(SIZE - len(MARK) - 2)

    def take(self, data: bytes) -> bytes:
        """
        Bytes came; returns what to send.

        :raises ValueError: when they are not what the other peer should say.
        """
        answer = b""
        self._part += data
        while len(self._part) >= SIZE:
            message, self._part = self._part[:SIZE], self._part[SIZE:]
            self.received += 1
            if message[:6] != MARK + b"%02d" % self.received:
                raise ValueError(f"not the message number {self.received}: {message!r}")
            if self._sent < ROUNDS:
                answer += self.begin()
        return answer

    @property
    def complete(self) -> bool:
        """Whether there is nothing more to come or to send."""
        return self.received == self._sent == ROUNDS
