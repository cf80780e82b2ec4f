"""
Two ends of a secured path.
"""

from __future__ import annotations

from rdv._secure.handshake import Cipher, Session
from rdv._secure.path import SecurePath
from rdv.wire import Role

#: A session, as from a handshake.
SESSION = Session(bytes([1] * 32), bytes([2] * 32), bytes(16), bytes([3] * 32), bytes([4] * 32))


#: The session of another path, before its keys are mixed with the join key of the first one.
JOINING = Session(bytes([5] * 32), bytes([6] * 32), bytes(16), bytes(32), bytes(32))


def paths(*, moves: bool = False) -> tuple[SecurePath, SecurePath]:
    """The acceptor's end, and the dialer's."""
    acceptor, dialer = (
        SecurePath(role, SESSION, Cipher.AES_256_GCM, moves=moves)
        for role in (Role.ACCEPTOR, Role.DIALER)
    )
    return acceptor, dialer


def joining(*first: SecurePath) -> tuple[SecurePath, SecurePath]:
    """Another path, to join the stream whose both ends are ``first``."""
    acceptor, dialer = (
        SecurePath(each.order.role, JOINING, Cipher.AES_256_GCM, moves=True, first=each)
        for each in first
    )
    return acceptor, dialer
