"""
Events of an attempt, and which traces get them; without a trace, nothing is done.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import parse_address
from rdv.client import trace
from rdv.client.trace import Event, What
from rdv.client.tracing import attempt_trace, candidate_trace
from rdv.client.tracing.attempt_trace import NO_TRACE, AttemptTrace
from rdv.client.tracing.candidate_trace import NO_CANDIDATE_TRACE, CandidateTrace
from rdv.test.client.doubles import HELLO, PEER
from rdv.test.client.tracing.test_trace_attempt import TraceTestCase, refused


class AttemptTraceTests(SynchronousTestCase):
    """The events of one attempt."""

    def test_event(self) -> None:
        """Everybody gets it, with the time and the attempt; one that fails is logged."""
        clock = Clock()
        clock.advance(7)
        seen: list[Event] = []

        def fail(event: Event) -> None:
            raise RuntimeError("not my day")

        traces = (seen.append, fail, seen.append)
        AttemptTrace(clock, 3, traces)(What.ASKED, port=1)
        self.assertEqual(seen, [Event(7.0, 3, What.ASKED, {"port": 1})] * 2)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class RecordTests(SynchronousTestCase):
    """An event for JSON."""

    def test_fields(self) -> None:
        """Addresses become texts, within lists too; what JSON knows stays."""
        address = parse_address("192.0.2.1:7")
        fields = {"observed": None, "port": 1, "peer_addresses": [address], "peer": address}
        self.assertEqual(
            Event(1.5, 2, What.MET, fields).record(),
            {
                "event": "met",
                "time": 1.5,
                "attempt": 2,
                "observed": None,
                "port": 1,
                "peer_addresses": ["192.0.2.1:7"],
                "peer": "192.0.2.1:7",
            },
        )


class OffTests(TraceTestCase):
    """A whole attempt, with redials, both kinds of ways, and a choice."""

    def run_attempt(self, **options: Any) -> set[str]:
        """The functions of the trace that were called."""
        files = {trace.__file__, attempt_trace.__file__, candidate_trace.__file__}
        called: set[str] = set()

        def profile(frame: FrameType, event: str, argument: object) -> None:
            if event == "call" and frame.f_code.co_filename in files:
                called.add(frame.f_code.co_qualname)

        sys.setprofile(profile)
        try:
            self.dial(**options)
            self.answer(PEER)
            self.arrive("203.0.113.77")
            for _ in range(5):
                self.reactor.advance(0.01)
                self.reactor.failed(refused())
                self.reactor.pump([0.001] * 20)
            self.server.deliver(HELLO)
            self.reactor.connected().deliver(HELLO)
            self.end()
        finally:
            sys.setprofile(None)
        self.successResultOf(self.attempt)
        return called

    def test_off(self) -> None:
        """Only functions that do nothing are called."""
        self.assertEqual(self.run_attempt(trace=None), {"nothing", "_NoTrace.way"})

    def test_on(self) -> None:
        """The same attempt shows that the test above would notice."""
        called = self.run_attempt()
        self.assertLess({"AttemptTrace.__call__", "CandidateTrace.dialled"}, called)


class NullTests(SynchronousTestCase):
    """The null objects."""

    def test_all_methods(self) -> None:
        """Whatever an attempt may call, it is one of theirs."""
        for null, real in ((NO_TRACE, AttemptTrace), (NO_CANDIDATE_TRACE, CandidateTrace)):
            told = {name for name in vars(real) if callable(getattr(real, name))}
            public = {name for name in told if not name.startswith("_")} - {"over"}
            self.assertLessEqual({*public, "__call__"}, set(vars(type(null))))
