"""
Passes a certificate and its key to a worker, which may not be allowed to read the files: a parent
that was started as root may run as another user when it restarts a worker. A command line would
show them to other users.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rdv.server.site.certificate import Pem, ServerCertificate

__all__ = ["inherited_pem", "pem_for_child"]

#: Separates the two; PEM is text.
_BETWEEN = b"\0"


@contextmanager
def pem_for_child(certificate: ServerCertificate | None) -> Iterator[Sequence[int]]:
    """
    The descriptor that a child inherits, if there is a certificate. It is the end of a pipe that
    already contains everything, so that nobody has to wait.

    :raises OSError: when the pipe is too small.
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
    """Read what the parent has put into the pipe."""
    with os.fdopen(number, "rb") as file:
        chain, _, key = file.read().partition(_BETWEEN)
    return Pem(chain, key)
