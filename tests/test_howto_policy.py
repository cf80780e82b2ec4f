"""
``docs/howto/policy.rst`` does what it says; its example is run by ``test_examples``.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from rdv.server import Pair
from tests.documents import execute, runs

PAGE = "docs/howto/policy.rst"


class HookTests(SynchronousTestCase):
    """A hook in memory."""

    @runs(PAGE, "MemoryRendezvous(serve")
    def test_refused(self, source: str) -> None:
        """The client gets what the hook says."""

        class Policy:
            def serve(self, pair: Pair) -> None:
                pair.reject(403, f"no such account: {pair.token.decode()}")

        said: list[str] = []
        running = Deferred.fromCoroutine(execute(source, policy=Policy(), report=said.append))
        self.successResultOf(running)["rendezvous"].assert_nothing_left()
        self.assertEqual(len(said), 1)
        self.assertIn("no such account: mallory-1", said[0])
