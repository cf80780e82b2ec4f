"""A certificate from files: what is sent, what is refused, what is read again."""

from __future__ import annotations

import os
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from rdv.errors import BadSettings, RdvError
from rdv.server.site.certificate import Pem, ServerCertificate, make_certificate
from rdv.server.site.listening import close_ports, endpoint_kinds, resolved
from rdv.server.site.parts import named_ports
from rdv.server.site.service import RendezvousService
from rdv.settings import ServerSettings
from rdv.test import certificates
from rdv.test.certificates import Authority, CertificateFiles
from rdv.test.doubles import Wire
from rdv.test.server.test_ports import at
from rdv.test.sockets import REACTOR

BEGIN, END = (f"-----{word} CERTIFICATE-----" for word in ("BEGIN", "END"))


class FilesTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.files = CertificateFiles(self.mktemp())

    def load(self) -> ServerCertificate:
        return ServerCertificate(self.files.chain, self.files.key)

    def shortened(self, text: str) -> str:
        """Without the path of the folder."""
        return text.replace(f"{self.files.folder}/", "")


class ReadTests(FilesTestCase):
    def assert_refused(self, said: str) -> None:
        """In one line."""
        error = self.assertRaises(RdvError, self.load)
        self.assertEqual(self.shortened(str(error)), said)

    def test_interface(self) -> None:
        verifyObject(IOpenSSLServerConnectionCreator, self.load())

    def test_expires(self) -> None:
        """With the first one of the chain."""
        self.files.renew(days=0.5)
        left = self.load().expires - datetime.now(UTC)
        self.assertTrue(timedelta(hours=11) < left < timedelta(hours=13), left)
        self.files.renew(days=900)
        self.assertTrue(self.load().expires - datetime.now(UTC) < timedelta(days=91))

    def test_one_file(self) -> None:
        """It may hold both."""
        leaf, key = self.files.issue()
        self.files.write(self.files.chain, key + leaf + self.files.authority.pem)
        settings = ServerSettings(tls=["443"], cert=self.files.chain)
        self.assertIsNotNone(make_certificate(settings))

    def test_missing(self) -> None:
        os.unlink(self.files.key)
        self.assert_refused("key.pem: No such file or directory")
        os.unlink(self.files.chain)
        os.mkdir(self.files.chain)
        self.assert_refused("chain.pem: Is a directory")

    def test_nonsense(self) -> None:
        leaf, key = self.files.issue()
        for chain in (b"", b"nonsense", key, leaf[:-40], leaf.replace(b"M", b"-")):
            self.files.write(self.files.chain, chain)
            self.assert_refused("chain.pem: no PEM certificate")
        self.files.write(self.files.chain, leaf)
        for text in (b"", b"nonsense", leaf, key[:-40]):
            self.files.write(self.files.key, text)
            self.assert_refused("key.pem: no PEM private key")

    def test_any_byte_is_another(self) -> None:
        """Nothing but one line comes of it; many make no difference to a server."""
        leaf, key = self.files.issue()
        der = load_pem_x509_certificate(leaf).public_bytes(Encoding.DER)
        counts = {True: 0, False: 0}
        for position in range(len(der)):
            for mask in (0x01, 0xFF):
                changed = bytearray(der)
                changed[position] ^= mask
                text = f"{BEGIN}\n{b64encode(changed).decode()}\n{END}\n".encode()
                try:
                    certificate = ServerCertificate("chain", "key", Pem(text, key))
                    certificate.warnings()
                except RdvError as error:
                    self.assertNotIn("\n", str(error))
                    counts[False] += 1
                else:
                    counts[True] += 1
        self.assertGreater(min(counts.values()), 10)

    def test_encrypted(self) -> None:
        leaf, key = self.files.issue()
        private: Any = load_pem_private_key(key, None)
        secret = BestAvailableEncryption(b"x")
        self.files.write(self.files.chain, leaf)
        self.files.write(
            self.files.key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
        )
        self.assert_refused(
            "key.pem: the private key is encrypted, and there is nobody to ask for the passphrase"
        )

    def test_not_its_key(self) -> None:
        leaf, key = self.files.issue()
        self.files.write(self.files.key, key)
        self.assert_refused("key.pem is not the key for chain.pem")
        self.files.write(self.files.chain, self.files.authority.pem + leaf)
        self.assert_refused("chain.pem: the server's own certificate must come first")

    def test_weak(self) -> None:
        """What OpenSSL does not want."""
        weak = generate_private_key(65537, 1024)
        self.patch(certificates, "generate_private_key", lambda curve: weak)
        self.files.renew()
        self.assert_refused("chain.pem: OpenSSL rejects it: ee key too small")

    def test_settings(self) -> None:
        """What is only good together."""
        self.assertIsNone(make_certificate(ServerSettings()))
        for settings, said in (
            (ServerSettings(tls=["443"]), "tls: needs cert, a file of the certificate and its key"),
            (ServerSettings(cert=self.files.chain), "cert: needs tls"),
            (ServerSettings(key=self.files.key), "key: needs tls"),
        ):
            error = self.assertRaises(BadSettings, make_certificate, settings)
            self.assertEqual(str(error), said)


class WarningTests(FilesTestCase):
    """What works, but is worth a warning."""

    def assert_warned(self, *said: str) -> None:
        found = [self.shortened(each) for each in self.load().warnings()]
        self.assertEqual(found, [*said])

    def assert_soon(self, word: str) -> None:
        (found,) = self.load().warnings()
        self.assertRegex(found, rf"chain.pem: {word} on \d{{4}}-\d\d-\d\d$")

    def test_dates(self) -> None:
        for days, word in ((-0.5, "expired"), (0.5, "expires")):
            self.files.renew(days=days)
            self.assert_soon(word)

    def test_chain(self) -> None:
        self.files.renew(days=30, names_issuer=True)
        self.assert_warned()
        leaf, key = self.files.issue(days=30, names_issuer=True)
        self.files.write(self.files.key, key)
        self.files.write(self.files.chain, leaf)
        self.assert_warned(
            "chain.pem: it only has the server's own certificate; clients also need the "
            "intermediate ones"
        )
        self.files.write(self.files.chain, leaf + Authority("another", days=90).pem)
        self.assert_warned("chain.pem: its certificates are not in order (each issued by the next)")
        leaf, key = self.files.issue(days=30)  # of an authority that may be trusted by itself
        self.files.write(self.files.key, key)
        self.files.write(self.files.chain, leaf)
        self.assert_warned()
        os.chmod(self.files.key, 0o644)
        self.assert_warned("key.pem: everyone on this host can read the private key")


class SettingsTests(SynchronousTestCase):
    """Ports with TLS among the others."""

    def test_kinds(self) -> None:
        settings = ServerSettings(
            listen=["127.0.0.1:1", "ssl:2"], tls=["192.0.2.1:3", "haproxy:tcp:4"]
        )
        self.assertEqual(endpoint_kinds(settings), ["tcp", "ssl", "ssl", "tls:haproxy"])
        again = resolved(settings)
        self.assertEqual(endpoint_kinds(again), endpoint_kinds(settings))
        self.assertEqual(again.tls, ("tcp:3:backlog=4096:interface=192.0.2.1", "haproxy:tcp:4"))

    def test_named(self) -> None:
        """A client is told of them."""
        settings = ServerSettings(listen=["tcp:1"], tls=["tcp:2", "tcp:3", "haproxy:tcp:4"])
        ports = named_ports(settings, [at(1), at(2), at(3), at(4)])
        self.assertEqual(ports[:2], ((1,), (2, 3)))


class SentTests(TestCase):
    """What a client receives."""

    timeout = 30

    def setUp(self) -> None:
        self.files = CertificateFiles(self.mktemp())

    async def visit(self, port: int) -> None:
        """A client that trusts the root, and knows of no other."""
        trust: Any = optionsForClientTLS(
            "127.0.0.1",
            Certificate.loadPEM(self.files.root.pem),
            acceptableProtocols=[b"h2", b"http/1.1"],
        )
        endpoint = TCP4ClientEndpoint(REACTOR, "127.0.0.1", port)
        wire = await connectProtocol(wrapClientTLS(trust, endpoint), Wire())
        wire.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        transport: Any = wire.transport
        self.assertIn(b" 426 ", await wire.lost())
        self.assertEqual(transport.negotiatedProtocol, b"http/1.1")

    async def test_whole_chain(self) -> None:
        """A renewed one goes to those that come later."""
        settings = ServerSettings(
            listen=(), tls=["127.0.0.1:0"], cert=self.files.chain, key=self.files.key
        )
        service = RendezvousService(REACTOR, settings)
        os.rename(self.files.key, f"{self.files.key}.secret")  # as for a user who may not read it
        service.privilegedStartService()
        self.addCleanup(close_ports, service.ports)
        port = service.ports[0].getHost().port  # type: ignore[attr-defined]
        await self.visit(port)
        self.files.renew()
        assert service.certificate is not None
        service.certificate.reload()
        await self.visit(port)
