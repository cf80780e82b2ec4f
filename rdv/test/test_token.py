"""
Tokens: which are valid, and how little of one is shown.
"""

from __future__ import annotations

from hypothesis import assume, example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv.errors import BadToken
from rdv.wire import MAX_TOKEN, check_token, token_hint

CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
sendable = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=100
).map(lambda text: text.strip(" ") or "-")


class CheckTokenTests(SynchronousTestCase):
    """``check_token``."""

    def refused(self, token: str | bytes) -> str:
        """Assert that the token cannot travel, as text or as bytes; why."""
        error: BadToken = self.assertRaises(BadToken, check_token, token)
        if isinstance(token, str):
            raw = token.encode("utf-8", "surrogatepass")
            self.assertEqual(str(self.assertRaises(BadToken, check_token, raw)), str(error))
        return str(error)

    @given(sendable)
    def test_sendable(self, text: str) -> None:
        """It travels as UTF-8, unchanged, and checking what travels yields the same again."""
        self.assertEqual(check_token(text), text.encode())
        self.assertEqual(check_token(text.encode()), text.encode())

    @given(st.text() | st.binary(max_size=50))
    @example("\ud800")
    @example(b"\xff")
    def test_arbitrary(self, token: str | bytes) -> None:
        """BadToken or the same bytes, and what passes fits in a header and in a line."""
        try:
            raw = check_token(token)
        except BadToken:
            return
        self.assertEqual(raw, token.encode() if isinstance(token, str) else token)
        self.assertTrue(raw)
        self.assertEqual(raw, raw.strip())
        self.assertFalse(set(raw) & {0, 10, 13})

    def test_length_in_bytes(self) -> None:
        self.assertEqual(MAX_TOKEN, 8192)
        for longest in ("x" * 8192, "ä" * 4096, "€" * 2730 + "xx"):
            self.assertEqual(len(check_token(longest)), 8192)
            self.assertEqual(
                self.refused(longest + "x"), "the token has 8193 bytes, more than 8192"
            )
        self.refused("x" * 900_000)

    def test_every_control_character(self) -> None:
        self.assertEqual(len(CONTROLS), 65)
        for char in CONTROLS:
            for token in (f"a{char}b", f"{char}b", f"a{char}", char):
                self.assertIn("control character", self.refused(token))

    def test_empty_and_blanks(self) -> None:
        self.assertEqual(self.refused(""), "the token is empty")
        for token in (" a", "a ", " ", "  a  "):
            self.assertIn("a space", self.refused(token))
        self.assertEqual(check_token("a  b c"), b"a  b c")

    def test_secret(self) -> None:
        """What names itself a secret, of any version, is shown to nobody."""
        for text in ("rdvs1-abc", "RDVS1-", "rdvs27-x", "Rdvs0-"):
            self.assertEqual(self.refused(text), "a secret must not be used as a token")
            self.assertEqual(check_token(text, may_be_secret=True), text.encode())
        for text in ("rdvs-1", "rdvs1", "rvds1-abc", "rdv-secure-1-x", " rdvs1-x".strip()[1:]):
            self.assertEqual(check_token(text), text.encode())

    def test_no_utf8(self) -> None:
        for raw in (b"\xff", b"ab\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"):
            self.assertEqual(self.refused(raw), "the token is not valid UTF-8")
        self.assertEqual(self.refused("a\ud800"), "the token is not valid UTF-8")

    def test_characters_that_are_only_odd(self) -> None:
        """Not printable in Python's eyes, but no control characters: they travel."""
        for token in ("a\u200bb", "\ue000", "a\u2028b", "\U000e0001", "e\u0301", "\u00a0"):
            self.assertEqual(check_token(token), token.encode())

    @given(sendable)
    def test_message_never_shows_it(self, text: str) -> None:
        assume(len(text) > 3 and text not in "the token contains a control character")
        self.assertNotIn(text, self.refused(text + "\x00"))


class TokenHintTests(SynchronousTestCase):
    """``token_hint``."""

    def test_server_token(self) -> None:
        """What all of them begin with would not tell one from another."""
        self.assertEqual(token_hint(b"rdv-secure-1-abcdefghij"), "abcd…")

    def test_examples(self) -> None:
        self.assertEqual(token_hint(b"5f0c6a4e-0d0f-4a51"), "5f0c…")
        self.assertEqual(token_hint(b"abcd"), "ab…")
        self.assertEqual(token_hint(b"x"), "…")
        self.assertEqual(token_hint("äöüß€".encode()), "äö…")
        self.assertEqual(token_hint("a\u202eb\x9b31m; and more".encode()), "a?b?…")

    @given(st.binary(max_size=40))
    def test_at_most_half_of_it_and_four_characters(self, token: bytes) -> None:
        hint = token_hint(token)
        self.assertTrue(hint.endswith("…"))
        text = token.decode(errors="replace")
        self.assertLessEqual(len(hint) - 1, min(4, len(text) / 2))
        for shown, char in zip(hint[:-1], text, strict=False):
            self.assertEqual(shown, char if char.isprintable() else "?")

    @given(st.text(st.sampled_from("a\x1b\n\x9b\u200b\u202e\u2066\ufeff\U000e0041"), min_size=2))
    def test_printable(self, token: str) -> None:
        """No character that a terminal, or a reader's eye, takes for something else."""
        self.assertTrue(token_hint(token.encode()).isprintable())
