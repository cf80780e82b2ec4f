"""
``--bearer-file``: clients that present an HTTP bearer token (RFC 6750).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from rdv._secret_file import secret_lines
from rdv._signed_token import check_user
from rdv.errors import RdvError
from rdv.server.access.door import Visitor
from rdv.server.refusals import BEARER_MISSING, BEARER_UNKNOWN, bad_request

__all__ = ["BearerTokens"]


_TOKEN = re.compile(r"[-0-9A-Za-z._~+/]+=*")
#: Minimum length of a token.
_SHORTEST = 16


class BearerTokens:
    """
    A check: the client has presented one of the tokens in the files. If that token has a name, it
    is the visitor's user. Tokens are compared by their hashes, so the time it takes reveals nothing
    about them.

    :param files: their names; a line is ``TOKEN`` or ``NAME:TOKEN``.
    :raises RdvError: when a file cannot be read, or has an invalid line.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self._files = files
        self.reload()

    def reload(self) -> None:
        self._users = {_hash(token): user for token, user in _tokens(self._files)}

    def __call__(self, visitor: Visitor) -> None:
        values = visitor.header(b"Authorization")
        scheme, _, token = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        if scheme.lower() != b"bearer":
            raise bad_request(BEARER_MISSING)
        known = _hash(token.strip(b" "))
        if known not in self._users:
            raise bad_request(BEARER_UNKNOWN)
        visitor.user = self._users[known] or visitor.user


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def _tokens(files: Sequence[str]) -> Iterator[tuple[bytes, str | None]]:
    for file in files:
        for number, line in secret_lines(file):
            name, colon, token = line.rpartition(":")
            try:
                user = check_user(name) if colon else None
            except ValueError as error:
                raise RdvError(f"{file}, line {number}: {error}") from None
            if not _TOKEN.fullmatch(token) or len(token) < _SHORTEST:
                raise RdvError(
                    f"{file}, line {number}: a token has at least {_SHORTEST} letters, digits and "
                    "-._~+/ (openssl rand -hex 32 generates one)"
                )
            yield token.encode(), user
