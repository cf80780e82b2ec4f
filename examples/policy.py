"""
A server that decides which clients may meet, and counts relayed bytes::

    python examples/policy.py tcp:8080 alice bob

admits clients whose token starts with ``alice-`` or ``bob-``, and refuses all others.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import deferLater, react
from twisted.web.server import Site

from rdv.server import Pair, Rendezvous, RendezvousResource


class Policy:
    """
    Decides who may meet, and how long a pair may be idle.

    :ivar relayed: relayed bytes by account.
    """

    def __init__(self, reactor: Any, accounts: list[str]) -> None:
        self._reactor = reactor
        self._accounts = accounts
        self.relayed: Counter[str] = Counter()

    async def is_known(self, account: str) -> bool:
        """A placeholder for a database query."""
        await deferLater(self._reactor, 0)
        return account in self._accounts

    async def serve(self, pair: Pair) -> None:
        """The hook: the clients wait for their answer until it returns."""
        account = pair.token.decode().partition("-")[0]
        if not await self.is_known(account):
            pair.reject(403, f"no such account: {account}")
            return

        def count(data: bytes) -> None:
            self.relayed[account] += len(data)

        pair.idle_timeout = 600.0
        pair.tap_dialer = pair.tap_acceptor = count
        pair.when_ended().addCallback(self.report, account)

    def report(self, pair: Pair, account: str) -> None:
        """Report how the pair ended; on a direct path, nothing was relayed."""
        assert pair.outcome is not None
        there, back = pair.dialer_bytes, pair.acceptor_bytes
        print(f"{account}: {pair.outcome.value}, {there} bytes there, {back} back,", end=" ")
        print(f"{self.relayed[account]} in all", flush=True)


async def main(reactor: Any, endpoint: str, *accounts: str) -> None:
    """Serve until a signal arrives."""
    policy = Policy(reactor, list(accounts))
    rendezvous = Rendezvous(reactor, serve=policy.serve)
    port = await serverFromString(reactor, endpoint).listen(Site(RendezvousResource(rendezvous)))
    print(f"listening on port {port.getHost().port}", flush=True)
    await Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
