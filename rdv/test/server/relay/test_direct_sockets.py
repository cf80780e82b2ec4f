"""
Clients that have found a direct path, over real sockets: both see a clean end of the server's
connections.
"""

from __future__ import annotations

import socket

from rdv._system.sockets import socket_of
from rdv.server import Outcome
from rdv.test.doubles import present
from rdv.test.server.hand_relay import Far, HandTestCase


class DirectTests(HandTestCase):
    """They close their connections to the server, one of them after a line."""

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

    def test_dies_meanwhile(self) -> None:
        """Whoever has a line counts on this relay: should its process die, that is no good end."""
        relay = self.relay()
        relay.acceptor.say_line()
        relay.until_they("greeted", relay.dialer)
        self.assertTrue(resets(relay.dialer))
        self.assertFalse(resets(relay.acceptor))


def resets(far: Far) -> bool:
    """Whether the kernel breaks the connection to it when this process dies."""
    near = present(socket_of(far.leg.transport))
    return near.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == b"\1" + bytes(7)
