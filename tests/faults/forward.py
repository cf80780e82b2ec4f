"""
A local program sends through ``rdv connect`` and ``rdv expose``, and the target answers when
everything has arrived.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol

from tests.faults.scene import Scene
from tests.faults.table import Victim
from tests.faults.verdict import End
from tests.forwarding import Target
from tests.talker import Talker

__all__ = ["Forward"]

REACTOR: Any = reactor
ANSWER = b"got it"


class Forward(Scene):
    """See above."""

    parties = (Victim.CONNECT, Victim.EXPOSE)
    _target: Target
    _local: Talker
    _visitor: Talker | None = None

    async def start(self, who: Victim) -> None:
        if who is Victim.EXPOSE:
            self._target = Target(self.test)
            endpoint = TCP4ServerEndpoint(REACTOR, 0, interface="127.0.0.1")
            port: Any = await endpoint.listen(self._target)
            self.test.addCleanup(port.stopListening)
            self.rdv(who, f"127.0.0.1:{port.getHost().port}")
            return
        connect = self.rdv(who, "--listen", "0")
        found = await connect.line(r"(?:LISTENING: |\"address\": \")127\.0\.0\.1:(\d+)")
        there = TCP4ClientEndpoint(REACTOR, "127.0.0.1", int(found[1]))
        self._local = await connectProtocol(there, Talker())
        self.test.addCleanup(self._local.close)

    async def replace(self) -> None:
        if self.case.victim is Victim.CONNECT:
            await self._local.over()
            self.lost.append(self._end_of_local())
        await super().replace()

    async def meet(self) -> None:
        """Wait for the visitor, or until there will be none."""
        visitor = self._target.visitors.get().addCallback(self._came)
        waiting: list[Deferred[Any]] = [visitor, self._local.gone()]
        await DeferredList(waiting, fireOnOneCallback=True, consumeErrors=True)

    def _came(self, visitor: Talker) -> None:
        self._visitor = visitor

    async def feed(self, piece: bytes, *, until: int = 0) -> None:
        self._local.write(piece)
        if until:
            assert self._visitor is not None
            await self._visitor.received(until)

    def end(self) -> None:
        self._local.end()

    async def ends(self) -> list[End]:
        if self._visitor is None:
            await self.meet()
        if self._visitor is None:
            return [self._end_of_local(), End("the target", False, b"", self.content)]
        visitor = self._visitor
        await visitor.over()
        if visitor.read_ended:
            visitor.write(ANSWER)
            visitor.transport.loseConnection()
        await self._local.over()
        name = f"the target ({visitor.why_lost})"
        return [
            self._end_of_local(),
            End(name, visitor.read_ended, bytes(visitor.data), self.content),
        ]

    def _end_of_local(self) -> End:
        local = self._local
        name = f"the local program ({local.why_lost})"
        return End(name, local.read_ended, bytes(local.data), ANSWER, vouches=True)
