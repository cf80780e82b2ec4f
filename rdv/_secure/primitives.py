"""
The parts of ``cryptography`` that the channel uses. They are loaded for the first secured stream:
loading them would add a twentieth to the time of a command that makes one plain connection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

__all__ = ["Primitives", "primitives"]


class Primitives(NamedTuple):
    """Two ciphers, the exceptions that they raise, and the creation of keys."""

    aesgcm: type[AESGCM]
    chacha20_poly1305: type[ChaCha20Poly1305]
    invalid_tag: type[InvalidTag]
    new_key: Callable[[], X25519PrivateKey]
    read_key: Callable[[bytes], X25519PublicKey]


@cache
def primitives() -> Primitives:
    """All of them."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

    new_key, read_key = X25519PrivateKey.generate, X25519PublicKey.from_public_bytes
    return Primitives(AESGCM, ChaCha20Poly1305, InvalidTag, new_key, read_key)
