"""
``rdv token``. It does not need Twisted.
"""

from __future__ import annotations

import argparse
import sys
import time

from rdv._secret_file import secret_lines, signing_keys
from rdv._secure.secret import Secret
from rdv._signed_token import SignedToken, new_nonce, sign
from rdv._stdio.console import Console
from rdv.errors import BadToken, RdvError

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """
    Print a new secret, or a token that is signed.

    :return: the exit status.
    """
    try:
        sys.stdout.write(f"{_made(arguments)}\n")
    except (RdvError, ValueError) as error:
        Console().fail(str(error), 1 if isinstance(error, RdvError) else 2)
        return 1 if isinstance(error, RdvError) else 2
    return 0


def _made(arguments: argparse.Namespace) -> str:
    if arguments.server_token is not None:
        return _secret_in(arguments.server_token).server_token.decode()
    if arguments.key is None:
        needing = (arguments.user, arguments.ttl, arguments.signed_for)
        if arguments.plain or any(each is not None for each in needing):
            raise ValueError("--user, --ttl, --plain and --for need --key FILE")
        return Secret.generate().reveal()
    if arguments.user is None:
        raise ValueError("--key needs --user NAME")
    ttl = 3600.0 if arguments.ttl is None else arguments.ttl
    if not ttl:
        raise ValueError("--ttl: a token must be valid for some time")
    key = signing_keys(arguments.key)[0]
    expiry = int(time.time() + ttl)

    def signed(nonce: str) -> str:
        return sign(key, SignedToken(expiry, arguments.user, nonce)).decode()

    if arguments.signed_for is not None:
        return signed(arguments.signed_for)
    if arguments.plain:
        return signed(new_nonce())
    secret = Secret.generate()
    return secret.signed(signed(secret.server_token.decode())).reveal()


def _secret_in(path: str) -> Secret:
    try:
        return Secret.parse(secret_lines(path)[0][1])
    except BadToken as error:
        raise RdvError(f"{path}: {error}") from error
