"""
What may lie between a connection and its protocol: PROXY headers, TLS, and a TLS peer that is not
ours.
"""

from __future__ import annotations

import datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.ssl import Certificate, CertificateOptions, TLSVersion, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.protocols.haproxy import proxyEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from rdv.test.doubles import HalfCloseRecorder, present

PROXY_HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 7777 8080\r\n"
HOST = "rdv.test"
#: A fixed day within the certificate's time would end; these bounds do not.
_BEGIN, _END = datetime.datetime(2000, 1, 1), datetime.datetime(2900, 1, 1)


@implementer(IStreamServerEndpoint)
class NowhereEndpoint:
    """Does not listen. :ivar factory: the factory that it was given."""

    factory: IProtocolFactory

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        self.factory = protocolFactory
        return Deferred()


def proxied(factory: IProtocolFactory) -> IProtocolFactory:
    """``factory`` as it is behind a ``haproxy:`` endpoint: it wants a PROXY header first."""
    endpoint = NowhereEndpoint()
    proxyEndpoint(endpoint).listen(factory)
    return endpoint.factory


@cache
def key_and_certificate() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A self-signed certificate for :data:`HOST`, made once."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def with_tls(
    factory: IProtocolFactory, clock: Clock, is_client: bool, version: TLSVersion
) -> TLSMemoryBIOFactory:
    """``factory`` above Twisted's TLS, of no other version."""
    raw_key, raw_certificate = key_and_certificate()
    key = PKey.from_cryptography_key(raw_key)
    certificate = X509.from_cryptography(raw_certificate)
    # One bound at its default would be refused when it lies beyond the other.
    bounds = {"insecurelyLowerMinimumTo": version, "lowerMaximumSecurityTo": version}
    options = (
        optionsForClientTLS(HOST, Certificate(certificate), extraCertificateOptions=bounds)
        if is_client
        else CertificateOptions(key, certificate, **bounds)
    )
    return TLSMemoryBIOFactory(options, is_client, factory, clock)


class TLSPeer(HalfCloseRecorder):
    """
    The other side of a TLS connection, with only OpenSSL.

    :ivar plain: what it has decrypted.
    :ivar notified: whether a close_notify has arrived.
    """

    def __init__(self, is_client: bool) -> None:
        super().__init__()
        key, certificate = key_and_certificate()
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_privatekey(key)
        context.use_certificate(certificate)
        self._tls = SSL.Connection(context, None)
        if is_client:
            self._tls.set_tlsext_host_name(HOST.encode())
            self._tls.set_connect_state()
        else:
            self._tls.set_accept_state()
        self._handshaking = True
        self.plain = b""
        self.notified = False

    @property
    def version(self) -> str:
        """What was negotiated."""
        return self._tls.get_protocol_version_name()

    def sealed(self, data: bytes) -> bytes:
        """``data``, encrypted, to be sent by the test."""
        while data:
            data = data[self._tls.send(data[: 1 << 14]) :]
        return self._pending()

    def sealed_end(self) -> bytes:
        """A close_notify, to be sent by the test."""
        self._tls.shutdown()
        return self._pending()

    def connectionMade(self) -> None:
        self._shake_hands()

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self._tls.bio_write(data)
        if self._handshaking:
            self._shake_hands()
        try:
            while True:
                self.plain += self._tls.recv(1 << 16)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.notified = True

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
            self._handshaking = False
        except SSL.WantReadError:
            pass
        present(self.transport).write(self._pending())

    def _pending(self) -> bytes:
        pending = b""
        try:
            while True:
                pending += self._tls.bio_read(1 << 16)
        except SSL.WantReadError:
            return pending
