"""
A certificate authority for tests.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID
from twisted.internet.ssl import Certificate, PrivateCertificate

_KEY = b"-----BEGIN PRIVATE KEY-----"


class Authority:
    """
    Issues certificates.

    :param above: the authority that has signed it; by default, it is self-signed.
    :param days: days until its own certificate expires.
    :ivar pem: its own certificate.
    """

    def __init__(
        self, name: str = "test authority", above: Authority | None = None, days: float = 1
    ) -> None:
        self._key = generate_private_key(SECP256R1())
        self._name = _name(name)
        signs = above or self
        own = self._key.public_key()
        certificate = signs._sign(self._name, own, is_authority=True, days=days)
        self.pem = certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        name: str,
        *,
        days: float = 1,
        names: bytes | None = None,
        names_issuer: bool = False,
    ) -> bytes:
        """
        A certificate and its key in PEM.

        :param name: a host name, or an IP address.
        :param days: until it expires.
        :param names: the ``subjectAltName`` in DER, empty for none; by default that name.
        :param names_issuer: it says where the issuer's certificate is, as those of public
            authorities do.
        """
        key = generate_private_key(SECP256R1())
        alternative: x509.ExtensionType | None
        if names is not None:
            oid = ExtensionOID.SUBJECT_ALTERNATIVE_NAME
            alternative = x509.UnrecognizedExtension(oid, names) if names else None
        else:
            alternative = x509.SubjectAlternativeName([_general(name)])
        extensions: list[x509.ExtensionType] = [] if alternative is None else [alternative]
        if names_issuer:
            where = x509.UniformResourceIdentifier("http://authority.example/issuer.crt")
            method = AuthorityInformationAccessOID.CA_ISSUERS
            access = x509.AccessDescription(method, where)
            extensions.append(x509.AuthorityInformationAccess([access]))
        certificate = self._sign(_name(name), key.public_key(), extensions, days=days)
        return certificate.public_bytes(Encoding.PEM) + _key_pem(key)

    def self_signed(self) -> bytes:
        """Its own certificate and key in PEM."""
        return self.pem + _key_pem(self._key)

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
        extensions: Sequence[x509.ExtensionType] = (),
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
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, SHA256())


class CertificateFiles:
    """
    ``chain.pem`` and ``key.pem`` in a new folder, as a server needs them, issued by an intermediate
    authority.

    :ivar root: the authority that clients trust.
    :ivar authority: the intermediate authority.
    :ivar chain: the path of ``chain.pem``.
    :ivar key: the path of ``key.pem``.
    """

    def __init__(self, folder: str, *, days: float = 30) -> None:
        os.makedirs(folder)
        self.folder = folder
        self.root = Authority("root", days=90)
        self.authority = Authority("between", self.root, days=90)
        self.chain, self.key = (f"{folder}/{name}.pem" for name in ("chain", "key"))
        self.renew(days=days)

    def renew(self, **options: Any) -> None:
        """Another certificate and another key; see :meth:`Authority.issue`."""
        leaf, key = self.issue(**options)
        self.write(self.chain, leaf + self.authority.pem)
        self.write(self.key, key)

    def issue(self, name: str = "127.0.0.1", **options: Any) -> tuple[bytes, bytes]:
        """A certificate, and its key."""
        leaf, marker, key = self.authority.issue(name, **options).partition(_KEY)
        return leaf, marker + key

    def write(self, path: str, content: bytes) -> None:
        """A new file in the place of what was there."""
        with open(f"{path}.new", "wb") as file:
            file.write(content)
        os.chmod(f"{path}.new", 0o600)
        os.replace(f"{path}.new", path)


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
