"""
Tokens signed by an operator: ``EXPIRY:USER:NONCE.SIGNATURE``.

From such a token alone, a server that has the key knows which user to admit, and until when; it
does not need to look anything up. EXPIRY is in seconds since 1970, NONCE makes tokens distinct, and
SIGNATURE is the HMAC-SHA256 of everything before the last dot, in hexadecimal digits.

For a secret, the nonce is the secret's own server token: both peers of a secured stream then meet
under the signed token, and the signer does not need to know the secret.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import NamedTuple

__all__ = ["MAX_USER", "SignedToken", "check_user", "new_nonce", "read_signed", "sign", "verifies"]

#: Bytes of a user's name at most.
MAX_USER = 256

_EXPIRY = rb"[1-9][0-9]{0,11}"
_NONCE = rb"[-0-9A-Z_a-z]{1,64}"
_FORM = re.compile(rb"(%s):(.{1,256}):(%s)\.[0-9a-f]{64}" % (_EXPIRY, _NONCE))
_IS_EXPIRY, _IS_NONCE = re.compile(_EXPIRY), re.compile(_NONCE)


class SignedToken(NamedTuple):
    """
    The contents of a signed token.

    :ivar expiry: when the token expires, in seconds since 1970.
    """

    expiry: int
    user: str
    nonce: str


def check_user(name: str) -> str:
    """
    Check a user's name, and encode it for hooks and other processes.

    :raises ValueError: when it is empty, longer than :data:`MAX_USER` bytes, or has a character
        that cannot be printed, or a blank at an end.
    """
    if not name or name != name.strip() or not name.isprintable():
        raise ValueError("a user name must be printable text")
    if len(name.encode(errors="replace")) > MAX_USER:
        raise ValueError(f"a user name may have at most {MAX_USER} bytes")
    return name


def new_nonce() -> str:
    """A nonce that no other token has: 120 random bits."""
    return secrets.token_urlsafe(15)


def sign(key: bytes, token: SignedToken) -> bytes:
    """
    The token as it is sent.

    :raises ValueError: when a part of it is invalid.
    """
    check_user(token.user)
    expiry, nonce = str(token.expiry).encode(), token.nonce.encode()
    if not _IS_EXPIRY.fullmatch(expiry):
        raise ValueError("a token must expire between 1970 and the year 33658")
    if not _IS_NONCE.fullmatch(nonce):
        raise ValueError("a nonce may have up to 64 letters, digits, hyphens and underscores")
    payload = b"%s:%s:%s" % (expiry, token.user.encode(), nonce)
    return payload + b"." + _signature(key, payload)


def verifies(key: bytes, token: bytes) -> bool:
    """Whether ``token`` was signed with ``key``, which takes the same time for any signature."""
    payload, _, signature = token.rpartition(b".")
    return hmac.compare_digest(_signature(key, payload), signature)


def read_signed(token: bytes) -> SignedToken | None:
    """The contents of a token, without checking its signature; None if it has another form."""
    found = _FORM.fullmatch(token)
    if found is None:
        return None
    try:
        return SignedToken(int(found[1]), check_user(found[2].decode()), found[3].decode())
    except ValueError:
        return None


def _signature(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, payload, "sha256").hex().encode()
