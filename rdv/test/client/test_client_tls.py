"""
Over ``https``, with a certificate authority made for the test.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import gatherResults
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface.verify import verifyObject

from rdv.addresses import AddressSpace
from rdv.client import tls_policy
from rdv.client.http.verification import Problem, issuer_problem
from rdv.client.trace import Event, What
from rdv.errors import AttemptTimeout, RdvError, ServerUnreachable
from rdv.test.certificates import Authority
from rdv.test.client.loopback import LoopbackTestCase, RawServer, RealServer
from rdv.test.doubles import HalfWire


class PolicyTests(SynchronousTestCase):
    """What a policy can be made of."""

    def test_interface(self) -> None:
        verifyObject(IPolicyForHTTPS, tls_policy())

    def test_no_certificates(self) -> None:
        for pem in (b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n"):
            error = self.assertRaises(RdvError, tls_policy, ca=pem)
            self.assertEqual(str(error), "not a PEM certificate")
            self.assertRaises(RdvError, tls_policy, certificate=pem)

    def test_certificate_without_its_key(self) -> None:
        error = self.assertRaises(RdvError, tls_policy, certificate=Authority().pem)
        self.assertEqual(str(error), "not a PEM certificate with its private key")

    def test_unreadable_issuer(self) -> None:
        """What a server shows may be anything."""

        class Unreadable:
            def to_cryptography(self) -> None:
                raise ValueError("error parsing asn1 value")

        said = Problem("its issuer is not trusted", False)
        self.assertEqual(issuer_problem(Unreadable(), 0), said)


class TLSTests(LoopbackTestCase):
    """Clients of a server with a certificate for 127.0.0.1."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority()

    def server(self, *, name: str = "127.0.0.1", **options: Any) -> RealServer:
        """The real server under TLS."""
        return RealServer(self, self.authority.server_context(name, **options))

    async def assert_joins(self, server: RealServer, **options: Any) -> None:
        """Two clients meet, and bytes and ends go both ways."""
        client = self.client(penalty=0, **options)
        here, there = await gatherResults(
            [client.dial(server.url, "token"), client.accept(server.url, "token")]
        )
        self.assertEqual(here.is_relay, options.get("spaces") is AddressSpace.NONE)
        wires = HalfWire(), HalfWire()
        data = b"from the dialer" * 10_000, b"from the acceptor" * 10_000
        for connection, wire, each in zip((here, there), wires, data, strict=True):
            connection.attach(wire)
            self.addCleanup(self._hang_up, wire)
            connection.write(each)
        here.loseWriteConnection()
        self.assertTrue(await wires[1].ended() == data[0])
        there.write(b"the end")
        there.loseWriteConnection()
        self.assertTrue(await wires[0].ended() == data[1] + b"the end")

    async def error(self, server: RealServer | RawServer, **options: Any) -> str:
        """What a client's failure says: one line, and nothing is left."""
        attempt = self.client(**options).dial(server.url, "token")
        error: RdvError = await self.assertFailure(cast(Any, attempt), ServerUnreachable)
        text = str(error)
        self.assertTrue(text.startswith(f"cannot reach {server.url}: TLS: "), text)
        self.assertNotIn("\n", text)
        self.assert_nothing_left()
        return text

    async def test_joins(self) -> None:
        """Directly and relayed, with one of several authorities, and with a certificate."""
        own, both = self.authority.pem, Authority("another").pem + self.authority.pem
        certificate = self.authority.issue("a client")
        for ca, wanted, spaces in (
            (own, None, {}),
            (both, None, {"spaces": AddressSpace.NONE}),
            (own, certificate, {"spaces": AddressSpace.NONE}),
        ):
            policy = tls_policy(ca=ca, certificate=wanted)
            server = self.server(wants_certificate=wanted is not None)
            await self.assert_joins(server, tls=policy, **spaces)

    async def test_client_certificate_that_will_not_do(self) -> None:
        """There is none, or another authority's."""
        for certificate in (None, Authority("x").issue("a client")):
            policy = tls_policy(ca=self.authority.pem, certificate=certificate)
            await self.error(self.server(wants_certificate=True), tls=policy)

    async def test_unknown_authority(self) -> None:
        """The platform does not know it either."""
        for policy in (tls_policy(ca=Authority("another").pem), tls_policy()):
            text = await self.error(self.server(), tls=policy)
            said = "certificate verify failed: its issuer, test authority, is not trusted"
            self.assertTrue(text.endswith(f": TLS: {said}"), text)

    async def test_other_problems(self) -> None:
        """The words of OpenSSL's error numbers, for the client and the check."""
        expired = self.authority.issue("127.0.0.1", days=-1)
        for pem, said in (
            (expired, "it has expired"),
            (Authority().self_signed(), "it is self-signed"),
        ):
            server = RealServer(self, PrivateCertificate.loadPEM(pem).options())
            text = await self.error(server, tls=tls_policy(ca=self.authority.pem))
            self.assertTrue(text.endswith(f": TLS: certificate verify failed: {said}"), text)

    async def test_incomplete_chain(self) -> None:
        """As of a server that sends ``cert.pem`` instead of ``fullchain.pem``."""
        between = Authority("between", self.authority)
        pem = between.issue("127.0.0.1", names_issuer=True)
        server = RealServer(self, PrivateCertificate.loadPEM(pem).options())
        text = await self.error(server, tls=tls_policy(ca=self.authority.pem))
        said = "its chain is incomplete: the server does not send the certificate of between"
        self.assertTrue(text.endswith(f": TLS: certificate verify failed: {said}"), text)

    async def test_unknown_root(self) -> None:
        """The chain is whole, but nobody knows where it ends."""
        between = Authority("between", self.authority)
        own = PrivateCertificate.loadPEM(between.issue("127.0.0.1", names_issuer=True))
        chain = CertificateOptions(
            privateKey=own.privateKey.original,
            certificate=own.original,
            extraCertChain=[Certificate.loadPEM(between.pem).original],
        )
        text = await self.error(RealServer(self, chain), tls=tls_policy(ca=Authority("x").pem))
        said = "its issuer, test authority, is not trusted"
        self.assertTrue(text.endswith(f": TLS: certificate verify failed: {said}"), text)

    async def test_another_name(self) -> None:
        """Or none, as in the certificate of a user; or one that nobody can read."""
        policy = tls_policy(ca=self.authority.pem)
        await self.error(self.server(name="example.com"), tls=policy)
        text = await self.error(self.server(names=b""), tls=policy)
        self.assertIn("the certificate is not for this name", text)
        for names in (b"\xff\xff", bytes.fromhex("3004a3023000"), bytes.fromhex("30058703010203")):
            await self.error(self.server(names=names), tls=policy)

    async def test_server_speaks_no_tls(self) -> None:
        server = RawServer(self)
        server.url = server.url.replace("http:", "https:")
        server.greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        await self.error(server, tls=tls_policy(ca=self.authority.pem))

    async def test_server_does_not_shake_hands(self) -> None:
        """It has not been asked for a peer then, and nobody says that it was."""
        server = RawServer(self)
        url = server.url.replace("http:", "https:")
        client = self.client(tls=tls_policy(ca=self.authority.pem))
        for seconds, kind, said in (
            (10, ServerUnreachable, "TLS handshake did not complete within 10 s"),
            (5, AttemptTimeout, f"no connection within 5 s: {url} did not answer"),
        ):
            attempt = client.dial(url, "token", timeout=5 if kind is AttemptTimeout else 60)
            await (await server.arrival()).until(b"\x16\x03")
            self.reactor.clock.advance(seconds)
            error: RdvError = await self.assertFailure(cast(Any, attempt), kind)
            self.assertIn(said, str(error))
            self.assert_nothing_left()

    async def test_refusal(self) -> None:
        server = self.server()
        client = self.client(tls=tls_policy(ca=self.authority.pem))
        attempt = client.dial(server.url + "x", "token")
        error: RdvError = await self.assertFailure(cast(Any, attempt), RdvError)
        self.assertIn("404", str(error))
        self.assert_nothing_left()

    async def test_trace(self) -> None:
        """A trace tells of the handshake, and that the request went behind it."""
        events: list[Event] = []
        server = self.server()
        options = {"tls": tls_policy(ca=self.authority.pem), "trace": events.append}
        await self.assert_joins(server, spaces=AddressSpace.NONE, **options)
        for attempt in (1, 2):
            kinds = [event.what for event in events if event.attempt == attempt]
            wanted = [What.CALLED, What.REACHED, What.SECURED, What.ASKED, What.ANSWERED]
            self.assertEqual([kind for kind in kinds if kind in wanted], wanted)
        secured = next(event for event in events if event.what is What.SECURED)
        self.assertEqual(secured.fields["version"], "TLSv1.3")
