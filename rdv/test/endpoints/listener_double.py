"""
A listener over a client that does as the test says.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv.client.connection import Connection
from rdv.endpoints.listener import Listener
from rdv.errors import RdvError
from rdv.test.endpoints.endpoint_doubles import URL, FakeClient


class ListenerTestCase(SynchronousTestCase):
    """A listener that has begun; no pause is shortened at random."""

    def setUp(self) -> None:
        self.client = FakeClient()
        self.clock = self.client.clock
        self.delivered: list[Connection] = []
        self.told: list[RdvError | None] = []
        self.listener = self.listen()

    def listen(self, **options: Any) -> Listener:
        """Start one."""
        listener = Listener(
            self.client,
            URL,
            "token",
            {"headers": {"X": "1"}},
            self.delivered.append,
            self.told.append,
            chance=lambda: 1.0,
            **options,
        )
        listener.start()
        return listener

    def assert_nothing_left(self) -> None:
        """No timer, and no attempt."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for attempt in self.client.attempts:
            self.assertTrue(attempt.result.called)
