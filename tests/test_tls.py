"""
A server that speaks ``https``.
"""

from __future__ import annotations

import os
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReactorSSL
from twisted.trial.unittest import TestCase
from twisted.web.server import Site

from rdv.server import Rendezvous, RendezvousResource
from rdv.test.certificates import Authority
from tests.servers import (
    CONNECTED,
    DIRECT,
    LISTENING,
    MEGABYTE,
    RELAYED,
    SystemTestCase,
    digest,
    noise,
)

P2P, RELAY = CONNECTED.format("p2p"), CONNECTED.format("relay")


class TLSTestCase(SystemTestCase):
    """
    A server with a certificate of an authority that nobody knows.

    :ivar trust: the options with which a client trusts it.
    """

    def setUp(self) -> None:
        """Set up the authority."""
        self.authority = Authority()
        self.trust = ("--ca", self.file_of(self.authority.pem))

    async def serve_tls(self, *options: str, name: str = "127.0.0.1") -> Any:
        """Start ``rdv serve`` with a certificate for ``name``."""
        pem = self.file_of(self.authority.issue(name))
        server = await self.serve(
            *options, listen=f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
        )
        self.url = f"https://127.0.0.1:{self.port}/rdv"
        return server


class StreamTests(TLSTestCase):
    """Streams by way of such a server."""

    async def check_both_ways(self, said: str, *options: str) -> None:
        """Files both ways at once."""
        await self.serve_tls()
        sent = [self.file_of(noise(seed, size * MEGABYTE)) for seed, size in ((1, 6), (2, 4))]
        (dialed, to_dialer), (accepted, to_acceptor) = self.created(), self.created()
        options = (*options, *self.trust)
        dialer = self.dial(*options, stdin=self.opened(sent[0]), stdout=to_dialer)
        acceptor = self.accept(*options, stdin=self.opened(sent[1]), stdout=to_acceptor)
        await self.assert_ended(dialer, 0, said)
        await self.assert_ended(acceptor, 0, said)
        self.assertEqual([digest(accepted), digest(dialed)], [digest(path) for path in sent])

    async def test_both_ways_direct(self) -> None:
        """Directly."""
        await self.check_both_ways(P2P, *DIRECT)

    async def test_both_ways_relayed(self) -> None:
        """Through the relay."""
        await self.check_both_ways(RELAY, *RELAYED)

    async def test_null(self) -> None:
        """``rdv accept -r </dev/null >file``: TLS has a half-close, too."""
        await self.serve_tls()
        content = noise(3, 5 * MEGABYTE)
        acceptor = self.accept(*RELAYED, *self.trust, stdin=self.opened(os.devnull))
        dialer = self.dial(*RELAYED, *self.trust, stdin=self.opened(self.file_of(content)))
        await self.assert_ended(acceptor, 0, RELAY)
        await self.assert_ended(dialer, 0, RELAY)
        self.assertEqual(acceptor.stdout, content)

    async def test_end_reaches_reader(self) -> None:
        """The end of one direction passes through by itself."""
        await self.serve_tls()
        await self.check_end_reaches_reader(RELAY, *RELAYED, *self.trust)

    async def test_answer_after_the_end(self) -> None:
        """One direction ends, and then the other one begins."""
        await self.serve_tls()
        acceptor, dialer = (start(*RELAYED, *self.trust) for start in (self.accept, self.dial))
        dialer.write(b"all of it")
        dialer.close_stdin()
        await acceptor.received(9)
        answer = noise(4, 3 * MEGABYTE)
        acceptor.write(answer)
        acceptor.close_stdin()
        await self.assert_ended(acceptor, 0, RELAY)
        await self.assert_ended(dialer, 0, RELAY)
        self.assertEqual(dialer.stdout, answer)

    async def test_plain_and_tls(self) -> None:
        """One server with both kinds of ports: their clients meet."""
        pem = self.file_of(self.authority.issue("127.0.0.1"))
        secure = f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
        server = await self.serve("-l", secure)
        plain = self.url
        https = await server.line(rf"(?!.*\b{self.port}\b){LISTENING}")
        dialer = self.rdv("dial", *RELAYED, plain, "t", stdin=self.opened(os.devnull))
        self.url = f"https://127.0.0.1:{https[1]}"
        content = noise(5, 2 * MEGABYTE)
        acceptor = self.accept(
            *RELAYED, *self.trust, token="t", stdin=self.opened(self.file_of(content))
        )
        await self.assert_ended(dialer, 0, RELAY)
        await self.assert_ended(acceptor, 0, RELAY)
        self.assertEqual(dialer.stdout, content)


class VerificationTests(TLSTestCase):
    """Who trusts whom."""

    async def test_unknown_authority(self) -> None:
        """Neither the platform nor another authority knows this server."""
        await self.serve_tls()
        other = self.file_of(Authority("another").pem)
        for options in ((), ("--ca", other)):
            dialer = self.dial(*options)
            await self.assert_ended(
                dialer, 1, f"cannot reach {self.url}: TLS: .*certificate verify failed.*"
            )

    async def test_wrong_name(self) -> None:
        """A certificate for another host."""
        await self.serve_tls(name="127.0.0.2")
        dialer = self.dial(*self.trust)
        await self.assert_ended(dialer, 1, f"cannot reach {self.url}: .{{10,120}}")

    async def test_wrong_scheme(self) -> None:
        """http with a server that speaks https."""
        await self.serve_tls()
        self.url = self.url.replace("https:", "http:")
        said = f"cannot reach {self.url}: .+"
        # A server that stops just then would look the same, and may come back.
        await self.assert_ended(self.dial(*self.trust), 1, f"TROUBLE: {said}", said)

    async def test_unusable_files(self) -> None:
        """What is named as a certificate is none."""
        nonsense = self.file_of(b"nonsense")
        for option in ("--ca", "--cert"):
            client = self.rdv("dial", option, nonsense, "https://127.0.0.1:9/", "t")
            await self.assert_ended(client, 2, f".*{nonsense}.*")


class ClientCertificateTests(TLSTestCase):
    """A server, in this process, that lets only those in whom its authority knows."""

    def setUp(self) -> None:
        """Set up the server."""
        super().setUp()
        rendezvous = Rendezvous(cast(Any, reactor))
        site = Site(RendezvousResource(rendezvous))
        context = self.authority.server_context("127.0.0.1", wants_certificate=True)
        port = cast(IReactorSSL, reactor).listenSSL(0, site, context, interface="127.0.0.1")
        TestCase.addCleanup(self, port.stopListening)
        TestCase.addCleanup(self, rendezvous.close)
        self.url = f"https://127.0.0.1:{cast(IPv4Address, port.getHost()).port}"

    async def test_shown(self) -> None:
        """Clients that show one of it."""
        certificates = [self.file_of(self.authority.issue(name)) for name in ("ann", "ben")]
        content = noise(6, 2 * MEGABYTE)
        dialer = self.dial(
            *RELAYED,
            *self.trust,
            "--cert",
            certificates[0],
            stdin=self.opened(self.file_of(content)),
        )
        acceptor = self.accept(
            *RELAYED, *self.trust, "--cert", certificates[1], stdin=self.opened(os.devnull)
        )
        await self.assert_ended(dialer, 0, RELAY)
        await self.assert_ended(acceptor, 0, RELAY)
        self.assertEqual(acceptor.stdout, content)

    async def test_not_shown(self) -> None:
        """A client without one, and one whose certificate anybody may have signed."""
        foreign = self.file_of(Authority("another").issue("eve"))
        for options in ((), ("--cert", foreign)):
            dialer = self.dial(*self.trust, *options)
            await self.assert_ended(dialer, 1, f"cannot reach {self.url}: .+")
