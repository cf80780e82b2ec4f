"""
A server's certificate: the whole chain and its key, from files that can be reloaded.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from rdv._transport.certificates import names_issuer
from rdv.errors import BadSettings, RdvError
from rdv.settings import ServerSettings

__all__ = ["Pem", "ServerCertificate", "make_certificate"]

#: A certificate that expires within this time is worth a warning.
_SOON = timedelta(days=14)
#: Maximum number of bytes that are read from a file: a chain has a few KiB.
_MOST = 1 << 20


@dataclass(frozen=True)
class Pem:
    """
    The contents of the files.

    :ivar chain: the server's certificate, and those between it and one that clients trust.
    :ivar key: its private key.
    """

    chain: bytes
    key: bytes


@implementer(IOpenSSLServerConnectionCreator)
class ServerCertificate:
    """
    The TLS configuration of a server: TLS 1.2 or later, with the whole chain.

    :param chain: a file in PEM: the server's certificate first, then those that lead to one that
        clients trust.
    :param key: a file in PEM with its private key; it may be the same one.
    :param pem: their contents, if already read.
    :ivar pem: the contents in use.
    :ivar expires: until when the whole chain is valid.
    :ivar tried: the :meth:`signature` of the files at the last attempt to read them, successful or
        not.
    :raises RdvError: when a file cannot be read, or the two do not belong together.
    """

    def __init__(self, chain: str, key: str, pem: Pem | None = None) -> None:
        self._files = chain, key
        self.tried = self.signature()
        self._use(pem or self._read())

    def reload(self) -> None:
        """
        Reload the files, for all new connections.

        :raises RdvError: as by the constructor; the old certificate stays in use.
        """
        self.tried = self.signature()
        self._use(self._read())

    def signature(self) -> Sequence[object]:
        """A value that changes when the files change."""
        found: list[object] = []
        for name in self._files:
            try:
                status = os.stat(name)
            except OSError as error:
                found.append(error.errno)
            else:
                found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return found

    def warnings(self) -> list[str]:
        """Warnings about a certificate that works, one line each."""
        chain, key = self._files
        left = self.expires - datetime.now(UTC)
        found = []
        if left < timedelta():
            found.append(f"{chain}: expired on {self.expires:%Y-%m-%d}")
        elif left < _SOON:
            found.append(f"{chain}: expires on {self.expires:%Y-%m-%d}")
        if _is_readable_by_all(key):
            found.append(f"{key}: everyone on this host can read the private key")
        return [*found, *(f"{chain}: {problem}" for problem in self._gaps)]

    def serverConnectionForTLS(self, tls: TLSMemoryBIOProtocol) -> SSL.Connection:
        return self._options.serverConnectionForTLS(tls)

    def _read(self) -> Pem:
        chain, key = self._files
        return Pem(_content(chain), _content(key))

    def _use(self, pem: Pem) -> None:
        chain_file, key_file = self._files
        chain = _chain(pem.chain, chain_file)
        key = _key(pem.key, key_file)
        try:
            if not _is_of(chain[0], key):
                if any(_is_of(each, key) for each in chain):
                    raise RdvError(f"{chain_file}: the server's own certificate must come first")
                raise RdvError(f"{key_file} is not the key for {chain_file}")
            options = _options(chain, key)
            gaps = list(_gaps(chain))
            expires = min(each.not_valid_after_utc for each in chain)
        except SSL.Error as error:
            reason = error.args[0][0][-1] if error.args and error.args[0] else "no reason given"
            raise RdvError(f"{chain_file}: OpenSSL rejects it: {reason}") from error
        except RdvError:
            raise
        except Exception as error:  # the parsers raise errors of many kinds
            raise RdvError(f"{chain_file}: malformed, or of an unknown kind") from error
        self._options, self._gaps, self.expires, self.pem = options, gaps, expires, pem


def make_certificate(settings: ServerSettings, pem: Pem | None = None) -> ServerCertificate | None:
    """
    The certificate that ``settings`` name, if they want TLS.

    :param pem: the contents of its files, if already read.
    :raises RdvError: when it cannot be read, or something is missing.
    """
    if not settings.tls:
        for name, value in (("cert", settings.cert), ("key", settings.key)):
            if value is not None:
                raise BadSettings([f"{name}: needs tls"])
        return None
    if settings.cert is None:
        raise BadSettings(["tls: needs cert, a file of the certificate and its key"])
    return ServerCertificate(settings.cert, settings.key or settings.cert, pem)


def _content(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read(_MOST)
    except OSError as error:
        raise RdvError(f"{name}: {error.strerror}") from error


def _chain(pem: bytes, name: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise RdvError(f"{name}: no PEM certificate") from error


def _key(pem: bytes, name: str) -> Any:
    try:
        return load_pem_private_key(pem, None)
    except TypeError as error:
        raise RdvError(
            f"{name}: the private key is encrypted, and there is nobody to ask for the passphrase"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RdvError(f"{name}: no PEM private key") from error


def _options(chain: Sequence[x509.Certificate], key: Any) -> CertificateOptions:
    """Make a TLS context from them. All errors that OpenSSL finds in them are detected here."""
    first, *others = [X509.from_cryptography(each) for each in chain]
    private = PKey.from_cryptography_key(key)
    options = CertificateOptions(privateKey=private, certificate=first, extraCertChain=others)
    options.getContext()
    return options


def _is_of(certificate: x509.Certificate, key: Any) -> bool:
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    own = certificate.public_key().public_bytes(*form)
    return bool(own == key.public_key().public_bytes(*form))


def _is_readable_by_all(name: str) -> bool:
    try:
        return bool(os.stat(name).st_mode & stat.S_IROTH)
    except OSError:
        return False


def _gaps(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    """Gaps in a chain that clients may not be able to bridge."""
    for one, other in pairwise(chain):
        if one.issuer != other.subject:
            yield "its certificates are not in order (each issued by the next)"
            return
    first = chain[0]
    if len(chain) == 1 and first.issuer != first.subject and names_issuer(first):
        yield "it only has the server's own certificate; clients also need the intermediate ones"
