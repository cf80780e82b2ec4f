"""
An ordinary Twisted protocol over a connection to a peer, with a secret from ``rdv token``. On one
host::

    python examples/echo.py accept http://example.com:8080 rdvs1-...

and on another::

    python examples/echo.py dial http://example.com:8080 rdvs1-...

A fourth argument names the addresses to use, such as ``none`` for the relay, or ``loopback`` to try
it on one host.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import react
from twisted.python.failure import Failure

from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.errors import RdvError


class Echo(Protocol):
    """The acceptor's protocol: echoes everything."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(None)


class Ask(Echo):
    """The dialer's protocol: sends something, and closes once it has come back."""

    question = b"Is anybody there?"

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.answer = b""
        self.transport.write(self.question)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.answer += data
        if len(self.answer) >= len(self.question):
            print(f"the peer says: {self.answer.decode()}", flush=True)
            self.transport.loseConnection()


async def main(reactor: Any, role: str, url: str, token: str, space: str = "default") -> None:
    """Dial or accept one connection."""
    client = Client(reactor, spaces=AddressSpace[space.upper()])
    connect, protocol = (client.dial, Ask()) if role == "dial" else (client.accept, Echo())
    try:
        connection = await connect(url, token)
    except RdvError as error:
        sys.exit(str(error))
    kind = "the relay" if connection.is_relay else "a direct path"
    print(f"connected to {connection.peer_address} by {kind}", flush=True)
    connection.attach(protocol)
    await protocol.ended


if __name__ == "__main__":
    react(main, sys.argv[1:])
