"""
One line that the other side must send.
"""

from __future__ import annotations

from rdv.errors import ProtocolError

__all__ = ["LineMatcher"]


class LineMatcher:
    """
    Compares a stream with one expected line, however it is split into pieces.

    :ivar expected: that line, with its line end.
    """

    __slots__ = ("_matched", "expected")

    def __init__(self, expected: bytes) -> None:
        self.expected = expected
        self._matched = 0

    @property
    def started(self) -> bool:
        """Whether any byte of the line has arrived."""
        return self._matched > 0

    def feed(self, data: bytes) -> bytes | None:
        """
        Compare the next bytes.

        :return: None while the line is incomplete; then the data after it, which may be ``b""``.
        :raises ProtocolError: at the first byte that differs.
        """
        wanted = self.expected[self._matched : self._matched + len(data)]
        if not data.startswith(wanted):
            raise ProtocolError("the other side did not send the expected handshake line")
        self._matched += len(wanted)
        return data[len(wanted) :] if self._matched == len(self.expected) else None
