"""Without a trace there is nothing of it."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from rdv.client import trace, tracer
from rdv.client.candidate import Candidate
from rdv.test.client.doubles import HELLO, PEER
from rdv.test.client.test_trace_attempt import TraceTestCase, refused


class OffTests(TraceTestCase):
    """A whole attempt, with redials, both kinds of ways, and a choice."""

    def run_attempt(self, **options: Any) -> tuple[list[str], list[Candidate]]:
        """
        :return: the functions of the trace that were called, and all candidates.
        """
        files = {trace.__file__, tracer.__file__}
        called: list[str] = []
        made: list[Candidate] = []
        make = Candidate.__init__

        def profile(frame: FrameType, event: str, argument: object) -> None:
            if event == "call" and frame.f_code.co_filename in files:
                called.append(frame.f_code.co_qualname)

        def remember(self: Candidate, *args: object, **keywords: object) -> None:
            made.append(self)
            make(self, *args, **keywords)  # type: ignore[arg-type]

        self.patch(Candidate, "__init__", remember)
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
        return called, made

    def test_off(self) -> None:
        """No function of it is called, and no candidate has room for it."""
        called, made = self.run_attempt(trace=None)
        self.assertEqual(called, [])
        self.assertGreater(len(made), 5)
        self.assertEqual([each for each in made if "way" in vars(each)], [])

    def test_on(self) -> None:
        """The same attempt shows that the test above would notice."""
        called, made = self.run_attempt()
        self.assertIn("Tracer.__call__", called)
        self.assertIn("Way.dialled", called)
        self.assertGreater(len([each for each in made if "way" in vars(each)]), 5)
