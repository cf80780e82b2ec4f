"""
How an ``https`` server is verified, and how a client authenticates itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import ref

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509
from OpenSSL.crypto import Error as CryptoError
from service_identity import VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._transport.certificates import name_text, names_issuer
from rdv.addresses import parse_ip
from rdv.errors import RdvError

__all__ = ["Problem", "check_name", "creator", "issuer_problem", "problem_of", "read"]

#: OpenSSL's error numbers when the issuer of a certificate is unknown.
_NO_ISSUER = (20, 21)
#: Others, in words.
_PROBLEMS = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed",
    19: "its chain ends in a self-signed certificate that is not trusted",
    23: "it was revoked",
    26: "it is not meant for a server",
}


def read(ca: bytes | None, certificate: bytes | None) -> tuple[Any, PrivateCertificate | None]:
    """
    The trusted roots and the client certificate, as :func:`creator` takes them. The arguments are
    those of :func:`rdv.client.tls_policy`.

    :raises RdvError: when one of them cannot be read.
    """
    roots = own = None
    expected = "certificate"
    try:
        if ca is not None:
            found = x509.load_pem_x509_certificates(ca)
            roots = trustRootFromCertificates(Certificate(X509.from_cryptography(x)) for x in found)
        if certificate is not None:
            expected = "certificate with its private key"
            own = PrivateCertificate.loadPEM(certificate)
    except (ValueError, CryptoError) as error:  # its text is that of a library's internals
        raise RdvError(f"not a PEM {expected}") from error
    return roots, own


def creator(
    host: str, roots: Any, own: PrivateCertificate | None
) -> IOpenSSLClientConnectionCreator:
    """
    Creates the TLS connections to a server.

    :param host: a name in ASCII, or an address.
    :param roots: of trust; None for the platform's.
    :param own: the certificate and key to present to the server.
    :raises ValueError: when the host is not a valid name.
    """
    return _Named(optionsForClientTLS(host, roots, own), host)


@implementer(IOpenSSLClientConnectionCreator)
class _Named:
    """
    Refuses a certificate that is not known to be for ``host``. Twisted 26.10 checks that itself,
    but accepts a certificate that it cannot check: one without names, as many client certificates
    are, or with unreadable names, would be valid for every server.

    :param creator: verifies everything else, such as the issuer.
    :param host: a name in ASCII, or an address.
    """

    def __init__(self, creator: IOpenSSLClientConnectionCreator, host: str) -> None:
        self._creator = creator
        self._host = host

    def clientConnectionForTLS(self, tls: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = self._creator.clientConnectionForTLS(tls)
        told = ref(tls)  # weak, because it owns the connection, which owns the callback
        host = self._host

        def fail(failure: Exception) -> bool:
            protocol = told()
            if protocol is not None:
                protocol.failVerification(Failure(failure))
            return False

        def verified(_: object, certificate: Any, error: int, depth: int, good: int) -> bool:
            if not good:
                return fail(_Untrusted(problem_of(error, certificate, depth).text))
            if depth:
                return True
            try:
                check_name(certificate.to_cryptography(), host)
            except Exception as failure:
                if not isinstance(failure, VerificationError):
                    failure = VerificationError(errors=[])
                return fail(failure)
            return True

        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verified)
        return connection


class _Untrusted(SSL.Error):
    """Replaces OpenSSL's own error, which only says that verification failed."""

    def __init__(self, problem: str) -> None:
        super().__init__([("SSL routines", "", f"certificate verify failed: {problem}")])


class Problem(NamedTuple):
    """
    Why a certificate is not trusted.

    :ivar text: for a human.
    :ivar is_unsent: whether the server should have sent the issuer's certificate: the problem is
        the server's own certificate, and its issuer is an intermediate authority.
    """

    text: str
    is_unsent: bool


def problem_of(number: int, certificate: Any, depth: int) -> Problem:
    """
    :param number: OpenSSL's error number.
    :param certificate: as pyOpenSSL has it.
    :param depth: its position in the chain; 0 for the server's own.
    """
    if number in _NO_ISSUER:
        return issuer_problem(certificate, depth)
    return Problem(_PROBLEMS.get(number, f"verification error {number} of OpenSSL"), False)


def issuer_problem(certificate: Any, depth: int) -> Problem:
    """
    What is wrong when the issuer is unknown.

    :param certificate: as pyOpenSSL has it.
    :param depth: its position in the chain; 0 for the server's own.
    """
    try:
        found = certificate.to_cryptography()
        issuer = name_text(found.issuer)
        is_unsent = not depth and names_issuer(found)
    except Exception:  # the certificate may be malformed in any way
        return Problem("its issuer is not trusted", False)
    if is_unsent:
        text = f"its chain is incomplete: the server does not send the certificate of {issuer}"
        return Problem(text, True)
    return Problem(f"its issuer, {issuer}, is not trusted", False)


def check_name(certificate: x509.Certificate, host: str) -> None:
    """
    :param host: a name in ASCII, or an address.
    :raises Exception: of any type, when the certificate is not known to be for that host.
    """
    try:
        address = str(parse_ip(host))
    except ValueError:  # a name
        verify_certificate_hostname(certificate, host)
    else:
        verify_certificate_ip_address(certificate, address)
