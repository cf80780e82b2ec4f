"""
The policy for verifying an ``https`` server. The verification code is loaded for the first such
server: without it, a command that makes one connection to an ``http`` server takes a third less
time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from rdv import _knobs as knobs

if TYPE_CHECKING:
    from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

__all__ = ["tls_policy"]


def tls_policy(*, ca: bytes | None = None, certificate: bytes | None = None) -> IPolicyForHTTPS:
    """
    Make a policy for the ``tls`` parameter of :class:`rdv.client.Client`, which has one like it by
    default.

    :param ca: PEM certificates to trust instead of the platform's.
    :param certificate: a client certificate and its private key, in PEM, to present to the server.
    :raises RdvError: when one of them cannot be read.
    :raises TypeError: if one of them is not bytes, such as a file name.
    """
    for name, value in (("ca", ca), ("certificate", certificate)):
        knobs.instance(name, value, (bytes, type(None)), "PEM in bytes")
    if ca is None and certificate is None:
        return _Policy(None, None)
    from rdv.client.http.verification import read

    return _Policy(*read(ca, certificate))


@implementer(IPolicyForHTTPS)
class _Policy:
    """The arguments are those of :func:`rdv.client.http.verification.creator`."""

    def __init__(self, roots: Any, own: Any) -> None:
        self._roots = roots
        self._own = own

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        from rdv.client.http.verification import creator

        return creator(hostname.decode("ascii"), self._roots, self._own)
