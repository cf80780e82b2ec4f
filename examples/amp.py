"""
AMP, Twisted's protocol of commands and answers, between two hosts that share a secret. One host
answers::

    python examples/amp.py answer 'rdv:https\\://example.com/rdv:tokenFile=secret.txt'

and the other one asks::

    python examples/amp.py ask 'rdv:https\\://example.com/rdv:tokenFile=secret.txt' 13 29
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.amp import AMP, Command, Integer


class Sum(Command):
    """The command that both sides share."""

    arguments = [(b"a", Integer()), (b"b", Integer())]
    response = [(b"total", Integer())]


class Calculator(AMP):
    """Answers commands."""

    @Sum.responder
    def add(self, a: int, b: int) -> dict[str, int]:
        return {"total": a + b}


async def answer(reactor: Any, description: str) -> None:
    """Answer all peers, forever."""
    await serverFromString(reactor, description).listen(Factory.forProtocol(Calculator))
    await Deferred()


async def ask(reactor: Any, description: str, *numbers: str) -> None:
    """Ask twice, without waiting in between."""
    peer = await connectProtocol(clientFromString(reactor, description), AMP())
    a, b = map(int, numbers)
    questions = [peer.callRemote(Sum, a=a, b=b), peer.callRemote(Sum, a=a, b=-b)]
    for each in await gatherResults(questions):
        print(f"the peer says: {each['total']}", flush=True)
    peer.transport.loseConnection()


async def main(reactor: Any, side: str, *arguments: str) -> None:
    """Be one of the two."""
    await {"answer": answer, "ask": ask}[side](reactor, *arguments)


if __name__ == "__main__":
    react(main, sys.argv[1:])
