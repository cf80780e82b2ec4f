"""
``--token-key``: only tokens that the operator has signed are accepted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rdv._secret_file import signing_keys
from rdv._signed_token import read_signed, verifies
from rdv.server.access.door import Visitor
from rdv.server.refusals import EXPIRED, FORGED, UNSIGNED, bad_request

__all__ = ["TokenKeys"]


class TokenKeys:
    """
    A check: the token is signed with one of the keys, and has not expired. The user in it becomes
    the visitor's.

    :param files: their names; each contains one or more keys.
    :param now: returns the time in seconds since 1970.
    :raises RdvError: when one cannot be read.
    """

    def __init__(self, files: Sequence[str], now: Callable[[], float] = time.time) -> None:
        self._files = files
        self._now = now
        self.reload()

    def reload(self) -> None:
        self._keys = [key for file in self._files for key in signing_keys(file)]

    def __call__(self, visitor: Visitor) -> None:
        token = visitor.offer.token
        signed = read_signed(token)
        if signed is None:
            raise bad_request(UNSIGNED)
        if not any(verifies(key, token) for key in self._keys):
            raise bad_request(FORGED)
        if signed.expiry <= self._now():
            raise bad_request(EXPIRED)
        visitor.user = signed.user
