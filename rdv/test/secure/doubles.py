"""
Two ends of a secured path.
"""

from __future__ import annotations

from rdv._secure.handshake import Cipher, Session
from rdv._secure.path import SecurePath
from rdv.wire import Role

#: What a handshake might have given.
SESSION = Session(bytes([1] * 32), bytes([2] * 32), bytes(16), bytes([3] * 32), bytes([4] * 32))


def paths() -> tuple[SecurePath, SecurePath]:
    """The acceptor's end, and the dialer's."""
    acceptor, dialer = (
        SecurePath(role, SESSION, Cipher.AES_256_GCM) for role in (Role.ACCEPTOR, Role.DIALER)
    )
    return acceptor, dialer
