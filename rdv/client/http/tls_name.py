"""
Whether a certificate is for the server's name.

Twisted 26.10 checks that itself, but takes what it cannot check for good: a certificate without
names, as those of users often are, or with unreadable ones, would do for every server.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

from cryptography.x509 import Certificate
from OpenSSL import SSL
from service_identity import VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv.addresses import parse_ip

__all__ = ["check_name", "named"]


def named(creator: IOpenSSLClientConnectionCreator, host: str) -> IOpenSSLClientConnectionCreator:
    """
    The same, but a certificate that is not known to be for ``host`` is refused.

    :param creator: with a verification of its own for the rest: whom to trust.
    :param host: a name in ASCII, or an address.
    """
    return _Named(creator, host)


@implementer(IOpenSSLClientConnectionCreator)
class _Named:
    def __init__(self, creator: IOpenSSLClientConnectionCreator, host: str) -> None:
        self._creator = creator
        self._host = host

    def clientConnectionForTLS(self, tls: TLSMemoryBIOProtocol) -> SSL.Connection:
        """See :class:`IOpenSSLClientConnectionCreator`."""
        connection = self._creator.clientConnectionForTLS(tls)
        told = ref(tls)  # which has the connection, and that has the callback
        host = self._host

        def verified(_: object, certificate: Any, error: int, depth: int, good: int) -> bool:
            if depth or not good:
                return bool(good)
            try:
                check_name(certificate.to_cryptography(), host)
            except Exception as failure:
                if not isinstance(failure, VerificationError):
                    failure = VerificationError(errors=[])
                protocol = told()
                if protocol is not None:
                    protocol.failVerification(Failure(failure))
                return False
            return True

        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verified)
        return connection


def check_name(certificate: Certificate, host: str) -> None:
    """
    :param host: a name in ASCII, or an address.
    :raises Exception: whatever comes of it when the certificate is not known to be for that.
    """
    try:
        address = str(parse_ip(host))
    except ValueError:  # a name
        verify_certificate_hostname(certificate, host)
    else:
        verify_certificate_ip_address(certificate, address)
