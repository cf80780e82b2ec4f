"""
A server with ``https``: which certificates are trusted. For its streams see
:mod:`tests.test_descriptor_kinds`.
"""

from __future__ import annotations

import os
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReactorSSL
from twisted.web.server import Site

from rdv.server import Rendezvous, RendezvousResource
from rdv.test.certificates import Authority
from tests.servers import MEGABYTE, RELAY, RELAYED, SystemTestCase, noise


class VerificationTests(SystemTestCase):
    forked = True

    async def test_unknown_authority(self) -> None:
        """Neither the platform nor another authority knows this server."""
        await self.serve_https()
        other = self.file_of(Authority("another").pem)
        said = f"cannot reach {self.url}: TLS: .*certificate verify failed.*"
        for options in ((), ("--ca", other)):
            await self.assert_ended(self.dial(*options), 1, said)

    async def test_wrong_name(self) -> None:
        """A certificate for another host; and ``http`` with a server that speaks https."""
        await self.serve_https(name="127.0.0.2")
        said = f"cannot reach {self.url}: .{{10,120}}"
        await self.assert_ended(self.dial(*self.trust), 1, said)
        self.url = self.url.replace("https:", "http:")
        said = f"cannot reach {self.url}: .+"
        # A server that stops at that moment would look the same, and may come back.
        await self.assert_ended(self.dial(), 1, f"TROUBLE: {said}", said)

    async def test_client_certificates(self) -> None:
        """A server that lets only those in whom its authority knows, and who show it."""
        authority, rendezvous = Authority(), Rendezvous(cast(Any, reactor))
        site = Site(RendezvousResource(rendezvous))
        context = authority.server_context("127.0.0.1", wants_certificate=True)
        port = cast(IReactorSSL, reactor).listenSSL(0, site, context, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(rendezvous.close)
        self.url = f"https://127.0.0.1:{cast(IPv4Address, port.getHost()).port}"
        trust = ("--ca", self.file_of(authority.pem))
        foreign = self.file_of(Authority("another").issue("eve"))
        for options in ((), ("--cert", foreign)):
            dialer = self.dial(*trust, *options)
            await self.assert_ended(dialer, 1, f"cannot reach {self.url}: .+")
        ann, ben = [
            (*RELAYED, *trust, "--cert", self.file_of(authority.issue(name)))
            for name in ("ann", "ben")
        ]
        content = noise(6, 2 * MEGABYTE)
        dialer = self.dial(*ann, stdin=self.opened(self.file_of(content)))
        acceptor = self.accept(*ben, stdin=self.opened(os.devnull))
        await self.assert_ended(dialer, 0, RELAY)
        await self.assert_ended(acceptor, 0, RELAY)
        self.assertEqual(acceptor.stdout, content)
