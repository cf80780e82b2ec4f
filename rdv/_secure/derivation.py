"""
HMAC and HKDF with SHA-256, as far as the secure channel needs them.

``cryptography`` has the same functions, but needs an object and its checks for each of the twenty
calls of a handshake.
"""

from __future__ import annotations

import hmac

__all__ = ["expand", "keyed", "noise_hkdf"]


def keyed(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104)."""
    return hmac.digest(key, message, "sha256")


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """
    HKDF-Expand (RFC 5869, 2.3).

    :raises ValueError: for a length out of range.
    """
    if not 0 < length <= 255 * 32:
        raise ValueError(f"length: from 1 to {255 * 32}, not {length}")
    blocks = [b""]
    while len(blocks) <= -(-length // 32):
        blocks.append(keyed(key, blocks[-1] + info + bytes([len(blocks)])))
    return b"".join(blocks)[:length]


def noise_hkdf(chaining_key: bytes, material: bytes, count: int) -> list[bytes]:
    """``count`` keys from ``material`` (Noise revision 34, 4.3)."""
    joined = expand(keyed(chaining_key, material), b"", 32 * count)
    return [joined[i : i + 32] for i in range(0, len(joined), 32)]
