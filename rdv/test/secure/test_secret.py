"""
Tests of :mod:`rdv._secure.secret`.
"""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.derivation import expand
from rdv._secure.secret import Secret, read_token
from rdv._signed_token import SignedToken, sign
from rdv.errors import BadSecret

TEXT = "rdvs1-aaaqeayeaudaocajbifqydiob7dohwt4"
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def _signed(nonce: str, expiry: int = 1796000000) -> str:
    return sign(b"0123456789abcdef", SignedToken(expiry, "alice", nonce)).decode()


class SecretTests(SynchronousTestCase):
    """A secret, its text, and what is derived from it."""

    def test_vector(self) -> None:
        """The vector of docs/protocol.rst."""
        secret = Secret(bytes(range(16)))
        self.assertEqual(secret.reveal(), TEXT)
        server = b"rdv-secure-1-sitgxzusiojeidpu63ascxu54igcgux2"
        direct = b"rdv-secure-1-cx5fqclto4qn3o7vs2m3y73yddbpklrd"
        self.assertEqual((secret.server_token, secret.direct_token), (server, direct))
        self.assertEqual(
            secret.psk.hex(), "919b10dd641a8dbdc57245934e7d5fe816466647c7e36e5a5583519438893dd4"
        )
        tokens = [secret.token(is_relay=relay) for relay in (True, False)]
        self.assertEqual(tokens, [server, direct])

    def test_expand(self) -> None:
        """RFC 5869, A.1 has a vector of HKDF-Expand."""
        key = bytes.fromhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
        expected = (
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        )
        info = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9")
        self.assertEqual(expand(key, info, 42).hex(), expected)
        for length in (0, 255 * 32 + 1):
            self.assertRaises(ValueError, expand, key, info, length)

    @given(st.binary(min_size=16, max_size=16), st.data())
    def test_round_trip(self, random: bytes, data: st.DataObject) -> None:
        """Case and hyphens behind the prefix change nothing."""
        text = Secret(random).reveal()
        cut = data.draw(st.integers(6, len(text)))
        for written in (text, text.upper(), f"{text[:cut]}-{text[cut:]}--"):
            self.assertEqual(Secret.parse(written), Secret(random))

    @given(st.integers(6, len(TEXT) - 1), st.sampled_from(ALPHABET))
    def test_wrong_character(self, position: int, character: str) -> None:
        """The check finds any wrong character, and the error tells nothing of the secret."""
        text = TEXT[:position] + character + TEXT[position + 1 :]
        if text != TEXT:
            error = self.assertRaises(BadSecret, Secret.parse, text)
            self.assertNotIn(TEXT[10:16], str(error))

    def test_not_a_secret(self) -> None:
        """Other versions, other lengths and other characters."""
        for text in (
            "",
            "rdvs1-",
            "RDVS1-",
            "rdvs2-" + TEXT[6:],
            "rvds1-" + TEXT[6:],
            "rdvs" + TEXT[6:],
            TEXT[:-1],
            TEXT + "a",
            TEXT + "aaaaaaaa",
            TEXT[:-1] + "=",
            TEXT[:-1] + "\N{LATIN SMALL LETTER E WITH ACUTE}",
            TEXT[:-1] + "1",
            "rdvs1- " + TEXT[6:],
        ):
            self.assertRaises(BadSecret, Secret.parse, text)

    def test_generated(self) -> None:
        """Two are never the same."""
        self.assertNotEqual(Secret.generate(), Secret.generate())

    def test_hidden(self) -> None:
        """Nothing but ``reveal`` shows it."""
        secret = Secret.parse(TEXT)
        self.assertEqual(repr(secret), "<Secret of rdv-secure-1-sitg…>")
        self.assertEqual(f"{secret}", repr(secret))
        self.assertRaises(TypeError, pickle.dumps, secret)

    def test_signed(self) -> None:
        """The server's operator has signed its server token; nothing else of it is different."""
        plain = Secret.parse(TEXT)
        token = _signed(plain.server_token.decode())
        secret = Secret.parse(f"{TEXT.upper()}@{token}")
        self.assertEqual(secret.reveal(), f"{TEXT}@{token}")
        self.assertEqual(Secret.parse(secret.reveal()), secret)
        self.assertEqual(secret.token(is_relay=True), token.encode())
        self.assertEqual(secret.token(is_relay=False), plain.direct_token)
        self.assertEqual((secret.psk, read_token(secret.reveal())), (plain.psk, secret))
        self.assertNotEqual(secret, plain)
        self.assertEqual(repr(secret), repr(plain))
        again = _signed(plain.server_token.decode(), expiry=1797000000)
        self.assertEqual(secret.signed(again), plain.signed(again))

    def test_signed_for_another(self) -> None:
        """Or not at all: a mistake that is found before anything is sent."""
        other = _signed(Secret.generate().server_token.decode())
        for token in ("", "x", other, other[:-1], f"{other}@x", "\ud800"):
            error = self.assertRaises(BadSecret, Secret.parse, f"{TEXT}@{token}")
            self.assertNotIn(TEXT[6:12], str(error))
            self.assertNotIn(other[20:], str(error))

    def test_compared(self) -> None:
        """It can be a key, and is like no other thing."""
        self.assertEqual(len({Secret.parse(TEXT), Secret.parse(TEXT.upper())}), 1)
        self.assertNotEqual(Secret.parse(TEXT), TEXT)

    def test_wrong_size(self) -> None:
        """Bytes that are no secret are a mistake of the program."""
        self.assertRaises(ValueError, Secret, bytes(15))
