"""Clients that have found a direct path, over real sockets: both see the server end in order."""

from __future__ import annotations

from rdv.server import Outcome
from rdv.test.server.hand_relay import HandTestCase


class DirectTests(HandTestCase):
    """They close what they have with the server, one of them behind a line."""

    def test_ends_in_order(self) -> None:
        """Also for the dialer, whom a server that is killed at that moment would reset."""
        relay = self.relay()
        relay.acceptor.say_line()
        relay.until_they("greeted", relay.dialer)
        relay.dialer.end()
        relay.until(lambda: all(far.ended or far.broken for far in relay.fars))
        self.assertEqual([far.ended for far in relay.fars], [True, True])
        relay.until_over()
        self.assertIs(relay.pair.outcome, Outcome.DIRECT)
