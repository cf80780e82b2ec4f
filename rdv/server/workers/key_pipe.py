"""
Passes a certificate and its key to a worker, which may not be allowed to read the files: a parent
that was started as root may run as another user when it restarts a worker. A command line would
show them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rdv.server.site.certificate import Pem, ServerCertificate

__all__ = ["inherited_pem", "pem_for_child"]

#: Between the two. PEM is text.
_BETWEEN = b"\0"


@contextmanager
def pem_for_child(certificate: ServerCertificate | None) -> Iterator[Sequence[int]]:
    """
    The descriptor, if there is anything to read from it, that a child inherits. It is a pipe, which
    holds all of it: nobody has to wait.

    :raises OSError: when it does not.
    """
    if certificate is None:
        yield ()
        return
    pem = certificate.pem
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        content = pem.chain + _BETWEEN + pem.key
        try:
            if os.write(writing, content) < len(content):
                raise OSError(None, "the certificate is too long for a pipe")
        finally:
            os.close(writing)
        yield [reading]
    finally:
        os.close(reading)


def inherited_pem(number: int) -> Pem:
    """What the parent has put into it."""
    with os.fdopen(number, "rb") as file:
        chain, _, key = file.read().partition(_BETWEEN)
    return Pem(chain, key)
