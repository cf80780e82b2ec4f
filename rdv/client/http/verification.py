"""
How an ``https`` server is verified, and how a client shows who it is.
"""

from __future__ import annotations

from typing import Any

from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import X509
from OpenSSL.crypto import Error as CryptoError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from rdv import _knobs as knobs
from rdv.client.http.tls_name import named
from rdv.errors import RdvError

__all__ = ["tls_policy"]


def tls_policy(*, ca: bytes | None = None, certificate: bytes | None = None) -> IPolicyForHTTPS:
    """
    Make a policy for the ``tls`` of a :class:`rdv.client.Client`, which has such a one by default.

    :param ca: certificates in PEM that are trusted instead of the platform's.
    :param certificate: a client certificate and its private key, in PEM, to be shown to the server.
    :raises RdvError: when one of them cannot be read.
    :raises TypeError: when one of them is not bytes, as the name of a file.
    """
    for name, value in (("ca", ca), ("certificate", certificate)):
        knobs.instance(name, value, (bytes, type(None)), "PEM in bytes")
    try:
        roots = None
        if ca is not None:
            found = load_pem_x509_certificates(ca)
            roots = trustRootFromCertificates(Certificate(X509.from_cryptography(x)) for x in found)
        own = None if certificate is None else PrivateCertificate.loadPEM(certificate)
    except (ValueError, CryptoError) as error:
        raise RdvError(f"not a certificate in PEM: {error}") from error
    return _Policy(roots, own)


@implementer(IPolicyForHTTPS)
class _Policy:
    def __init__(self, roots: Any, own: PrivateCertificate | None) -> None:
        self._roots = roots
        self._own = own

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """See :class:`IPolicyForHTTPS`."""
        name = hostname.decode("ascii")
        return named(optionsForClientTLS(name, self._roots, self._own), name)
