"""Without a trace nothing is done."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv.client import attempt_trace, trace
from rdv.client.attempt_trace import NO_CANDIDATE_TRACE, NO_TRACE, AttemptTrace, CandidateTrace
from rdv.test.client.doubles import HELLO, PEER
from rdv.test.client.test_trace_attempt import TraceTestCase, refused


class OffTests(TraceTestCase):
    """A whole attempt, with redials, both kinds of ways, and a choice."""

    def run_attempt(self, **options: Any) -> set[str]:
        """The functions of the trace that were called."""
        files = {trace.__file__, attempt_trace.__file__}
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
        self.assertEqual(self.run_attempt(trace=None), {"_nothing", "_NoTrace.way"})

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
