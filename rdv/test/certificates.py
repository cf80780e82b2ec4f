"""
A certificate authority for tests.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtensionOID, NameOID
from twisted.internet.ssl import Certificate, PrivateCertificate


class Authority:
    """
    Issues certificates.

    :ivar pem: its own certificate.
    """

    def __init__(self, name: str = "test authority") -> None:
        self._key = generate_private_key(SECP256R1())
        self._name = _name(name)
        certificate = self._sign(self._name, self._key.public_key(), is_authority=True)
        self.pem = certificate.public_bytes(Encoding.PEM)

    def issue(self, name: str, *, days: float = 1, names: bytes | None = None) -> bytes:
        """
        A certificate and its key in PEM.

        :param name: a host name, or an IP address.
        :param days: until it expires.
        :param names: the ``subjectAltName`` in DER, empty for none; by default that name.
        """
        key = generate_private_key(SECP256R1())
        alternative: x509.ExtensionType | None
        if names is not None:
            oid = ExtensionOID.SUBJECT_ALTERNATIVE_NAME
            alternative = x509.UnrecognizedExtension(oid, names) if names else None
        else:
            alternative = x509.SubjectAlternativeName([_general(name)])
        certificate = self._sign(_name(name), key.public_key(), alternative, days=days)
        return certificate.public_bytes(Encoding.PEM) + key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )

    def server_context(
        self, name: str, *, wants_certificate: bool = False, names: bytes | None = None
    ) -> Any:
        """
        What a server called ``name`` needs to speak TLS.

        :param wants_certificate: clients must have one of this authority.
        :param names: see :meth:`issue`.
        """
        own = PrivateCertificate.loadPEM(self.issue(name, names=names))
        return own.options(Certificate.loadPEM(self.pem)) if wants_certificate else own.options()

    def _sign(
        self,
        subject: x509.Name,
        key: Any,
        alternative: x509.ExtensionType | None = None,
        *,
        is_authority: bool = False,
        days: float = 1,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=min(days, 0) - 1))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )
        if alternative is not None:
            builder = builder.add_extension(alternative, critical=False)
        return builder.sign(self._key, SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
