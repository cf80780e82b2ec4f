"""A server that says that it does not relay."""

from __future__ import annotations

from rdv import Secret
from rdv.addresses import AddressSpace
from rdv.errors import NoConnection, NoRelay, NotProven
from rdv.test.client.doubles import CONFIRM, HELLO, PEER, URL, answer
from rdv.test.client.test_attempt import RaceTestCase


class NoRelayTests(RaceTestCase):
    def answer(self, *peers: str) -> None:
        """The server introduces the peers."""
        self.server.clear()
        head = answer(*peers)
        self.server.deliver(head.replace(b"\r\n\r\n", b"\r\nRdv-Relay: none\r\n\r\n"))

    def assert_failed(self) -> None:
        """In one line that says why."""
        self.assert_done(self.server)
        error: NoRelay = self.failureResultOf(self.attempt, NoRelay).value
        self.assertEqual(str(error), "no path to the peer: relay: this server does not relay")

    def test_direct(self) -> None:
        """The connection to the server is not kept in reserve."""
        for begin in (self.dial, self.accept):
            self.setUp()
            begin(witness=False)
            self.answer(PEER)
            peer = self.reactor.connected()
            peer.deliver((HELLO if begin == self.dial else CONFIRM) + b"data")
            self.assert_won(peer, self.server, data=b"data")

    def test_hello_on_the_relay(self) -> None:
        """Even if that should come it is not taken."""
        self.dial()
        self.answer(PEER)
        self.server.deliver(HELLO)
        self.reactor.advance(10)
        self.assertEqual(self.server.value(), b"")
        self.assertNoResult(self.attempt)

    def test_relay_only(self) -> None:
        """There is nothing to wait for."""
        for begin in (self.dial, self.accept):
            self.setUp()
            begin(spaces=AddressSpace.NONE)
            self.answer(PEER)
            self.assert_failed()

    def test_secured_relay_only(self) -> None:
        """The same for a secured stream: whoever the other one is, there never can be a path."""
        for call in ("dial", "accept"):
            self.setUp()
            self._ask(getattr(self.client(spaces=AddressSpace.NONE), call)(URL, Secret.generate()))
            self.answer(PEER)
            self.assert_failed()

    def test_secured(self) -> None:
        """
        Without a path nobody says that somebody came who did not know the secret. Another one may
        have a path, so that it is worth trying again.
        """
        for comes in (False, True):
            self.setUp()
            self._ask(self.client().dial(URL, Secret.generate()))
            self.answer(PEER)
            if comes:
                peer = self.reactor.connected()
                peer.deliver(HELLO)
                peer.lose()
            self.reactor.advance(30)
            self.server.lose()
            error = self.failureResultOf(self.attempt, NotProven).value
            said = (
                "the peer did not prove that it knows the secret"
                if comes
                else "no path to the peer"
            )
            self.assertRegex(str(error), f"^{said}.*relay: this server does not relay")

    def test_no_direct_path(self) -> None:
        """The same is said when time is up, and when the server ends it."""
        for ends in (False, True):
            self.setUp()
            self.dial()
            self.answer(PEER)
            if ends:
                self.server.lose()
                self.reactor.advance(5)
            else:
                self.reactor.advance(30)
                self.server.lose()
            error = self.failureResultOf(self.attempt, NoConnection).value
            self.assertIn("relay: this server does not relay", str(error))
