"""
``rdv demo``: a server, a dialer and an acceptor in one process move real bytes, directly and
relayed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.server import Site
from zope.interface import implementer

from rdv._secure.secret import Secret
from rdv._stdio.console import Console
from rdv.addresses import Address, AddressSpace
from rdv.client import Client
from rdv.commands.running import BROKEN, OK
from rdv.server import Rendezvous, RendezvousResource

__all__ = ["run"]

_SIZE = 8 << 20


async def run(reactor: Any, arguments: argparse.Namespace, console: Console) -> int:
    """Show that all bytes arrive as they were sent. Nothing leaves this host."""

    def say(text: str) -> None:
        console.tell("step", text)

    rendezvous = Rendezvous(reactor)
    site = Site(RendezvousResource(rendezvous), reactor=reactor)
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    url = f"http://127.0.0.1:{port.getHost().port}/rdv"
    say(f"server: {url}")
    try:
        direct = await _move(reactor, say, url, AddressSpace.LOOPBACK)
        relayed = await _move(reactor, say, url, AddressSpace.NONE)
    finally:
        await rendezvous.close()
        await port.stopListening()
    counts = ", ".join(f"{n} {outcome.value}" for outcome, n in rendezvous.outcomes.items())
    say(f"server: {counts}")
    return OK if direct and relayed else BROKEN


async def _move(reactor: Any, say: Callable[[str], object], url: str, spaces: AddressSpace) -> bool:
    client = Client(
        reactor,
        spaces=spaces,
        self_addresses=lambda port: [Address(IPv4Address("127.0.0.1"), port)],
        penalty=2.0 if spaces else 0.0,
        move=False,  # each of the two shows one path
    )
    token = Secret.generate()
    begun = reactor.seconds()
    accepting, dialling = client.accept(url, token), client.dial(url, token)
    try:
        acceptor, dialer = await gatherResults([accepting, dialling], consumeErrors=True)
    except FirstError as error:
        accepting.cancel()
        dialling.cancel()
        error.subFailure.raiseException()
    connected = reactor.seconds()
    kind = "relay" if dialer.is_relay else "p2p"
    elapsed = (connected - begun) * 1000
    say(f"dialer: connected, {kind} {dialer.peer_address}, {elapsed:.0f}ms")
    one, other = _Exchange(), _Exchange()
    acceptor.attach(one)
    dialer.attach(other)
    await gatherResults([one.done, other.done])
    took = reactor.seconds() - connected
    good = one.received.digest() == other.sent and other.received.digest() == one.sent
    verdict = "all as sent" if good else "NOT as sent"
    say(f"dialer and acceptor: {_SIZE >> 20} MiB each way in {took * 1000:.0f}ms, {verdict}")
    return good


@implementer(IHalfCloseableProtocol)
class _Exchange(Protocol):
    """Sends random bytes and its end, and reads until the other side's end."""

    def __init__(self) -> None:
        self._data = os.urandom(_SIZE)
        self.sent = hashlib.sha256(self._data).digest()
        self.received = hashlib.sha256()
        self.done: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(self._data)  # type: ignore[union-attr]
        self.transport.loseWriteConnection()  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.received.update(data)

    def readConnectionLost(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        self.done.callback(None)
