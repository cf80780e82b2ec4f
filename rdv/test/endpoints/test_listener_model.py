"""
A listener with any events, in any order.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.stream.connection import Connection
from rdv.client.trace import What
from rdv.endpoints.listener import Listener
from rdv.errors import NoConnection, ServerUnreachable
from rdv.test.endpoints.doubles import URL, FakeClient, refused

MOST = 4

#: Events, and to which of the attempts that have not ended they happen.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["asked", "met", "connects", "lost", "no path", "503", "404", "time"]),
        st.integers(0, MOST - 1),
    ),
    max_size=60,
)


class ModelTests(SynchronousTestCase):
    """What holds at all times."""

    @given(STEPS, st.booleans())
    def test_anything(self, steps: list[tuple[str, int]], late: bool) -> None:
        """
        One attempt at most is in the lobby, no more than allowed exist, none is begun in vain
        without a pause; and when it is stopped nothing is left.
        """
        client, delivered, told = FakeClient(), list[Connection](), list[object]()
        client.closes_late = late
        listener = Listener(client, URL, "token", {}, delivered.append, told.append, most=MOST)
        listener.start()
        connected = 0
        for step, index in steps:
            alive = [each for each in client.attempts if not each.result.called]
            self.assertLessEqual(len(alive), MOST)
            self.assertLessEqual(client.most_in_lobby, 1)
            count = len(client.attempts)
            if step == "time":
                client.clock.pump([0, 0.5, 60])
            elif alive:
                attempt = alive[index % len(alive)]
                waited = attempt.in_lobby
                if step == "asked" and waited:
                    attempt.happens(What.ASKED)
                elif step == "met" and waited:
                    attempt.happens(What.ASKED)
                    attempt.happens(What.MET)
                elif step == "connects" and not waited:
                    attempt.connects()
                    connected += 1
                elif step == "no path":
                    attempt.fails(NoConnection("no path"))
                elif step == "lost":
                    attempt.fails(ServerUnreachable("gone"))
                elif step in ("503", "404") and waited:
                    attempt.fails(refused(int(step)))
                if waited:  # whatever happens to the one that waits, the next is not there at once
                    self.assertEqual(len(client.attempts), count)
            self.assertEqual(len(delivered), connected)
        # Trouble and its end are reported alternately.
        self.assertNotIn((True, True), [(bool(a), bool(b)) for a, b in pairwise(told)])
        stopping = listener.stop()
        for attempt in client.attempts:
            if attempt.cancelled and late:
                attempt.fails(CancelledError())
        self.successResultOf(stopping)
        self.assertEqual(client.clock.getDelayedCalls(), [])
        self.assertTrue(all(each.result.called for each in client.attempts))
        self.assertTrue(listener.stopped.fired and listener.waiting.fired)
