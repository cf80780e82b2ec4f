"""
``embedded.py REACTOR embedded|own``: a program with a server and clients in it. It takes the next
step at each line on stdin, and prints what happened.

In the mode ``own`` it gives its reactor another clock, as our own programs do.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import react
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.protocols.basic import LineReceiver
from twisted.protocols.wire import Echo
from twisted.python.failure import Failure
from twisted.web.server import Site
from zope.interface import provider

from rdv._system.clock import use_monotonic_clock
from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.errors import AttemptTimeout
from rdv.server import Rendezvous, RendezvousResource

LONG = 600.0


class Lines(LineReceiver):
    """Waits for lines on stdin."""

    delimiter = b"\n"

    def __init__(self) -> None:
        self.next: Deferred[None] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        found, self.next = self.next, Deferred()
        found.callback(None)


class Asker(Protocol):
    """Waits for an answer."""

    def __init__(self) -> None:
        self.answered: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.answered.callback(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.answered.called:
            self.answered.errback(reason)


def say(text: str) -> None:
    """On stdout, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main(reactor: Any, mode: str) -> None:
    """Wait for a peer, be idle, and wait in vain."""
    if mode == "own":
        assert use_monotonic_clock(reactor)
    rendezvous = Rendezvous(reactor, lobby_timeout=LONG, handshake_timeout=LONG, idle_timeout=LONG)
    # twisted.web asks the reactor for the date, which nobody will read here.
    site = Site(RendezvousResource(rendezvous), reactor=reactor)
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    url = f"http://127.0.0.1:{port.getHost().port}/"
    client = Client(reactor, spaces=AddressSpace.NONE)
    lines, asker = Lines(), Asker()
    StandardIO(lines, reactor=reactor)
    globalLogPublisher.addObserver(_note)

    accepting = client.accept(url, "a token", timeout=LONG)
    await lines.next
    dialling = client.dial(url, "a token", timeout=LONG)
    (await accepting).attach(Echo())
    connection = await dialling
    connection.attach(asker)
    say("connected")
    await lines.next
    connection.write(b"hello")
    await asker.answered
    failing = client.dial(url, "nobody has it", timeout=1)
    say("echoed")
    try:
        await failing
    except AttemptTimeout as error:
        say(str(error))
    connection.abortConnection()
    await rendezvous.close()


@provider(ILogObserver)
def _note(event: LogEvent) -> None:
    if event.get("event") == "waiting":
        say("waiting")


if __name__ == "__main__":
    name, mode = sys.argv[1:]
    import_module(f"twisted.internet.{name}reactor").install()
    react(main, (mode,))
