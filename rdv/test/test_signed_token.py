"""Tokens that an operator has signed."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv._signed_token import (
    MAX_USER,
    SignedToken,
    check_user,
    new_nonce,
    read_signed,
    sign,
    verifies,
)
from rdv.wire import check_token, token_hint

KEY = b"0123456789abcdef"
SIGNATURE = "0" * 64
users = st.text(min_size=1, max_size=64).filter(lambda text: text.isprintable() and text.strip())
users = users.map(str.strip)
signed_tokens = st.builds(
    SignedToken,
    st.integers(1, 10**12 - 1),
    users,
    st.text(st.sampled_from("aZ09-_"), min_size=1, max_size=64),
)


class SignedTokenTests(SynchronousTestCase):
    """Signing and reading."""

    def test_vector(self) -> None:
        """That of docs/protocol.rst; whoever writes a program that signs needs no more."""
        token = sign(KEY, SignedToken(1796000000, "alice", "n0nce"))
        payload = b"1796000000:alice:n0nce"
        by_hand = hmac.new(KEY, payload, hashlib.sha256).hexdigest().encode()
        self.assertEqual(token, payload + b"." + by_hand)
        self.assertTrue(by_hand.startswith(b"6a4ffe9c55200a64ad8638d3ee6c440c"))

    @given(signed_tokens, st.binary(min_size=16, max_size=80))
    def test_round_trip(self, token: SignedToken, key: bytes) -> None:
        """It can travel, says what it said, and holds with its key only."""
        raw = sign(key, token)
        self.assertEqual(check_token(raw), raw)
        self.assertEqual(read_signed(raw), token)
        self.assertTrue(verifies(key, raw))
        self.assertFalse(verifies(key + b"x", raw))

    @given(signed_tokens, st.data())
    def test_changed(self, token: SignedToken, data: st.DataObject) -> None:
        """Whatever is changed of it, it holds no longer."""
        raw = sign(KEY, token)
        place = data.draw(st.integers(0, len(raw) - 1))
        byte = data.draw(st.integers(0, 255).filter(lambda value: value != raw[place]))
        changed = raw[:place] + bytes([byte]) + raw[place + 1 :]
        self.assertFalse(verifies(KEY, changed))
        self.assertFalse(verifies(KEY, raw[:place]))
        self.assertFalse(verifies(KEY, raw + b"0"))

    @given(st.binary(max_size=100) | st.text(st.sampled_from("1:.a0\n ü")).map(str.encode))
    @example(b"")
    @example(b".")
    def test_anything(self, token: bytes) -> None:
        """Is no error, whoever sends it."""
        self.assertFalse(verifies(KEY, token))
        read = read_signed(token)
        if read is not None:
            self.assertEqual(sign(KEY, read).rpartition(b".")[0], token.rpartition(b".")[0])

    def test_other_forms(self) -> None:
        """Nothing but the one form, or a token would have two."""
        good = f"1796000000:alice:n0nce.{SIGNATURE}"
        self.assertIsNotNone(read_signed(good.encode()))
        for text in (
            good[1:].replace("7", "0", 1),
            good[10:],
            f"-{good}",
            f"+{good}",
            f" {good}",
            f"{good}\n",
            f"{good}0",
            good.replace("1796000000", "1796000000000"),
            good.replace("1796000000", "\u0661"),
            good.replace("alice", ""),
            good.replace("alice", " alice"),
            good.replace("alice", "al\tice"),
            good.replace("alice", "x" * (MAX_USER + 1)),
            good.replace("n0nce", ""),
            good.replace("n0nce", "n nce"),
            good.replace("n0nce", "x" * 65),
            good.replace(".", ":"),
            good.replace("0" * 64, "0" * 63 + "A"),
            "1796000000",
            "rdv-secure-1-sitgxzusiojeidpu63ascxu54igcgux2",
        ):
            self.assertIsNone(read_signed(text.encode()), text)
        self.assertIsNone(read_signed(b"1796000000:\xff:n." + SIGNATURE.encode()))

    def test_colons_in_a_name(self) -> None:
        """The nonce has none."""
        read = read_signed(f"1796000000:urn:user: 7:x.{SIGNATURE}".encode())
        self.assertEqual(read, SignedToken(1796000000, "urn:user: 7", "x"))

    def test_not_signed(self) -> None:
        """What no token can say."""
        for token in (
            SignedToken(0, "alice", "x"),
            SignedToken(-1, "alice", "x"),
            SignedToken(10**12, "alice", "x"),
            SignedToken(1, "", "x"),
            SignedToken(1, "alice", ""),
            SignedToken(1, "alice", "a.b"),
            SignedToken(1, "alice", "ü"),
        ):
            self.assertRaises(ValueError, sign, KEY, token)

    def test_nonces(self) -> None:
        """Two are never the same."""
        self.assertNotEqual(new_nonce(), new_nonce())
        sign(KEY, SignedToken(1, "alice", new_nonce()))

    def test_users(self) -> None:
        """Text on one line, with an end."""
        for name in ("alice", "alice@example.com", "Ünïcode: 7", "x" * MAX_USER):
            self.assertEqual(check_user(name), name)
        for name in ("", " x", "x ", "a\nb", "a\tb", "\x7f", "\ud800", "ü" * (MAX_USER // 2 + 1)):
            self.assertRaises(ValueError, check_user, name)

    def test_hint(self) -> None:
        """In a log it is known by its nonce: neither its time nor its user tells it from others."""
        for nonce in ("abcdefgh", "rdv-secure-1-abcdefgh"):
            token = sign(KEY, SignedToken(1796000000, "alice", nonce))
            self.assertEqual(token_hint(token), "abcd…")
