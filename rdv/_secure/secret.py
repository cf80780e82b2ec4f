"""
The secret that the two peers of a secured stream share.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import TypeAlias

from rdv._secure.derivation import expand, keyed
from rdv._signed_token import read_signed
from rdv.errors import BadSecret
from rdv.wire import check_token, is_secret, token_hint

__all__ = ["Secret", "Token", "read_token", "server_token"]

#: What the peers share: a secret or its text, or a plain token.
Token: TypeAlias = "str | bytes | Secret"

_PREFIX = "rdvs1-"
#: In a secret's text, separates it from a token that was signed for it.
_SIGNED_FROM = "@"
_CONTEXT = b"rdv secure 1"
_RANDOM = 16
_CHECK = 4


class Secret:
    """
    128 random bits, from which the peers of a secured stream derive their tokens and keys.

    Anyone who has it can act as either peer. A program that both accepts and dials with one secret
    may connect to itself: use one for each direction. Only :meth:`reveal` shows its text; ``repr``,
    ``str`` and errors do not.

    :ivar server_token: represents it at the server and in the lines that the server forwards. The
        secret cannot be derived from it. For a :meth:`signed` secret, the token that was signed.
    :ivar direct_token: represents it in the lines on direct connections.
    :ivar psk: the pre-shared key of the handshake.
    """

    __slots__ = ("_random", "_signed", "direct_token", "psk", "server_token")

    def __init__(self, random: bytes) -> None:
        """
        :param random: 16 random bytes; :meth:`generate` takes them from the system.
        """
        if len(random) != _RANDOM:
            raise ValueError(f"random: {_RANDOM} bytes, not {len(random)}")
        self._random = bytes(random)
        self._signed = ""
        key = keyed(_CONTEXT, self._random)
        self.server_token = _token(key, b"server token")
        self.direct_token = _token(key, b"direct token")
        self.psk = _derive(key, b"psk", 32)

    @classmethod
    def generate(cls) -> Secret:
        """Generate a new secret from the system's random numbers."""
        return cls(secrets.token_bytes(_RANDOM))

    @classmethod
    def parse(cls, text: str) -> Secret:
        """
        Parse the text from :meth:`reveal`. Case, and hyphens after the prefix, are ignored in the
        secret itself.

        :raises BadSecret: for anything else. The message does not contain any of ``text``.
        """
        text, at, signed = text.partition(_SIGNED_FROM)
        head, rest = text[: len(_PREFIX)], text[len(_PREFIX) :]
        if head.lower() != _PREFIX:
            known = "a secret of another version" if is_secret(text) else "not a secret"
            raise BadSecret(f"{known}: it does not start with {_PREFIX}")
        packed = rest.replace("-", "").upper()
        try:
            raw = base64.b32decode(packed + "=" * (-len(packed) % 8))
        except (binascii.Error, ValueError):
            raise BadSecret("not a secret: it contains invalid characters") from None
        random, check = raw[:_RANDOM], raw[_RANDOM:]
        # Encoded again, because decoding ignores excess bits at the end.
        if len(check) != _CHECK or _base32(raw).upper() != packed:
            raise BadSecret("not a secret: it is too short or too long")
        if not hmac.compare_digest(check, _check(random)):
            raise BadSecret("not a secret: a character is wrong or two are swapped")
        return cls(random).signed(signed) if at else cls(random)

    def reveal(self) -> str:
        """The text to give to the peer, and only to the peer."""
        own = _PREFIX + _base32(self._random + _check(self._random))
        return f"{own}{_SIGNED_FROM}{self._signed}" if self._signed else own

    def signed(self, token: str) -> Secret:
        """
        The same secret, with peers that meet under a token that the server's operator has signed
        for its :attr:`server_token`. Both peers need the same one.

        :raises BadSecret: if the token is not signed, or was signed for another secret.
        """
        plain = Secret(self._random)
        read = read_signed(token.encode(errors="replace"))
        if read is None:
            raise BadSecret(
                "the secret is not followed by a signed token: EXPIRY:USER:NONCE.SIGNATURE"
            )
        if read.nonce.encode() != plain.server_token:
            raise BadSecret("the token after the secret was signed for another secret")
        plain._signed = token
        plain.server_token = token.encode()
        return plain

    def token(self, *, is_relay: bool) -> bytes:
        """The token in the lines (HELLO and CONFIRM) on that kind of candidate."""
        return self.server_token if is_relay else self.direct_token

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        same = hmac.compare_digest(self._random, other._random)
        return same and self._signed == other._signed

    def __hash__(self) -> int:
        return hash(self.server_token)

    def __repr__(self) -> str:
        return f"<Secret of {_TOKEN_PREFIX.decode()}{token_hint(self.server_token)}>"

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled: use reveal()")


def read_token(token: Token) -> Secret | bytes:
    """
    Read what a program or a user has given: a secret, or a plain token in the form that is sent.

    :raises BadSecret: for an invalid secret.
    :raises BadToken: for an invalid token.
    :raises TypeError: if it is of another type.
    """
    if isinstance(token, Secret):
        return token
    raw = check_token(token, may_be_secret=True)
    text = raw.decode()
    return Secret.parse(text) if is_secret(text) else raw


def server_token(token: Token) -> bytes:
    """The token for the server; the errors are those of :func:`read_token`."""
    read = read_token(token)
    return read.server_token if isinstance(read, Secret) else read


_TOKEN_PREFIX = b"rdv-secure-1-"


def _derive(key: bytes, label: bytes, length: int) -> bytes:
    return expand(key, _CONTEXT + b" " + label, length)


def _token(key: bytes, label: bytes) -> bytes:
    return _TOKEN_PREFIX + _base32(_derive(key, label, 20)).encode()


def _check(random: bytes) -> bytes:
    return hashlib.sha256(_CONTEXT + b" check" + random).digest()[:_CHECK]


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().lower().rstrip("=")
