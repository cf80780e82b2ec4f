"""
TLS with certificates on both sides, from peer to peer, over any path::

    python examples/authenticated.py accept URL SECRET bob.crt alice.pem bob
    python examples/authenticated.py dial   URL SECRET alice.crt bob.pem alice

docs/howto/identity.rst shows how to make the files. A last argument names the addresses to use.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS
from twisted.internet.task import react
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv.addresses import AddressSpace
from rdv.client import Client


@implementer(IHandshakeListener)
class Greeter(Protocol):
    """Sends and accepts nothing until the peer has proved its identity."""

    transport: Any

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self.ended: Deferred[None] = Deferred()

    def handshakeCompleted(self) -> None:
        try:
            verify_hostname(self.transport.getHandle(), self._peer)
        except (CertificateError, VerificationError):
            print(f"this is not {self._peer}", flush=True)
            self.transport.abortConnection()
            return
        self.transport.write(f"hello, {self._peer}".encode())

    def dataReceived(self, data: bytes) -> None:
        print(f"{self._peer} says: {data.decode()}", flush=True)
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        print(f"end: {reason.getErrorMessage()}", flush=True)
        self.ended.callback(None)


async def main(
    reactor: Any, role: str, url: str, token: str, authority: str, own: str, peer: str, *more: str
) -> None:
    """The dialer is the TLS client, the acceptor the TLS server."""
    trusted = Certificate.loadPEM(Path(authority).read_bytes())
    certificate = PrivateCertificate.loadPEM(Path(own).read_bytes())
    client = Client(reactor, spaces=AddressSpace[(more or ("default",))[0].upper()])
    greeter = Greeter(peer)
    if is_client := role == "dial":
        connection = await client.dial(url, token)
        options = optionsForClientTLS(peer, trusted, certificate)
    else:
        connection = await client.accept(url, token)
        options = certificate.options(trusted)
    factory = TLSMemoryBIOFactory(options, is_client, Factory.forProtocol(lambda: greeter), reactor)
    connection.attach(factory.buildProtocol(connection.getPeer()))
    await greeter.ended


if __name__ == "__main__":
    react(main, sys.argv[1:])
