"""The two handshake lines, and the matcher that reads one however it is cut."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv._line_matcher import LineMatcher
from rdv.errors import ProtocolError
from rdv.test.client.doubles import pieces
from rdv.wire import confirm_line, hello_line

LINE = b"rdv/1 HELLO token\r\n"


class LineTests(SynchronousTestCase):
    """The lines as bytes."""

    def test_exact(self) -> None:
        self.assertEqual(hello_line(b"a b"), b"rdv/1 HELLO a b\r\n")
        self.assertEqual(confirm_line("ä".encode()), b"rdv/1 CONFIRM \xc3\xa4\r\n")


class LineMatcherTests(SynchronousTestCase):
    """``LineMatcher``."""

    @example(b"", list(range(len(LINE))))
    @given(st.binary(max_size=60), st.lists(st.integers(0, 1000)))
    def test_any_pieces(self, behind: bytes, places: list[int]) -> None:
        """The answer comes with the piece that ends the line, and loses nothing behind it."""
        matcher = LineMatcher(LINE)
        fed = 0
        for piece in pieces(LINE + behind, places):
            self.assertEqual(matcher.started, fed > 0)
            rest = matcher.feed(piece)
            fed += len(piece)
            if fed < len(LINE):
                self.assertIsNone(rest)
            else:
                self.assertEqual(rest, (LINE + behind)[len(LINE) : fed])
                return
        self.fail("the line never ended")

    @given(
        st.integers(0, len(LINE) - 1),
        st.integers(1, 255),
        st.lists(st.integers(0, 1000)),
    )
    def test_first_wrong_byte(self, place: int, change: int, places: list[int]) -> None:
        """The piece with the first wrong byte fails, none before it."""
        data = bytearray(LINE)
        data[place] ^= change
        matcher = LineMatcher(LINE)
        fed = 0
        for piece in pieces(bytes(data), places):
            fed += len(piece)
            if fed > place:
                self.assertRaises(ProtocolError, matcher.feed, piece)
                return
            self.assertIsNone(matcher.feed(piece))
        self.fail("the wrong byte passed")

    def test_near_misses(self) -> None:
        for wrong in (
            b"rdv/1 HELLO token \r\n",
            b"rdv/1 HELLO tokens\r\n",
            b"rdv/1 CONFIRM token\r\n",
            b"\r\nrdv/1 HELLO token\r\n",
        ):
            self.assertRaises(ProtocolError, LineMatcher(LINE).feed, wrong)
