"""
What comes from one client of a pair and goes to the other: first its line, then bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from rdv._flows.flow import Flow
from rdv._flows.kernel.takeover import SplicedFlow
from rdv._flows.rate import RateLimit
from rdv._system.sockets import linger
from rdv.server.leg import Leg
from rdv.wire import LineMatcher

__all__ = ["Direction", "Tap"]

#: Sees each piece of one direction as it passes.
Tap: TypeAlias = Callable[[bytes], object]


class Direction:
    """What comes from one leg: first its line, then a flow."""

    __slots__ = ("flow", "line", "matcher", "sink", "source")

    def __init__(
        self, source: Leg, sink: Leg, line: bytes, tap: Tap | None, limit: RateLimit | None
    ) -> None:
        self.source = source
        self.sink = sink
        self.line = line
        self.matcher: LineMatcher | None = LineMatcher(line)
        self.flow: Flow | SplicedFlow = Flow(source.transport, sink.transport, tap, limit)

    def feed(self, data: bytes) -> bool:
        """
        Move what came; true when it completed the line.

        :raises ProtocolError: when the line is wrong.
        """
        if self.matcher is None:
            self.flow.write(data)
            return False
        rest = self.matcher.feed(data)
        if rest is None:
            return False
        self.matcher = None
        # Whoever has a line counts on this relay: should our process die, that is no end.
        linger(self.sink.transport, True)
        self.sink.transport.write(self.line)
        if rest:
            self.flow.write(rest)
        return True
