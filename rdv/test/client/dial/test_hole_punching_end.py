"""
What is known about the dials, and how they end.
"""

from __future__ import annotations

import errno
from functools import partial

from twisted.internet.defer import CancelledError

from rdv.addresses import Address
from rdv.client.dial import hole_punching
from rdv.client.dial.targets import Target
from rdv.test.client.dial.test_hole_punching import GUESSED, ONE, TWO, HolePunchingTestCase


class HopelessTests(HolePunchingTestCase):
    """Whether there is anything to wait for."""

    def test_failed(self) -> None:
        """When all have, or there was none; guesses do not count, and it is told once."""
        for targets in ([], [ONE], [TWO, ONE]):
            for guessed in (False, True):
                self.setUp()
                self.begin(*map(Target, targets), *[GUESSED] * guessed)
                for left, address in enumerate(targets, 1 - len(targets)):
                    self.assertFalse(self.puncher.hopeless)
                    self.refuse(errno.EMFILE, address)
                    self.failureResultOf(self.dials[address])
                    self.assertEqual(self.puncher.hopeless, left == 0)
                if guessed:
                    self.refuse(errno.EMFILE, GUESSED.address)
                    self.failureResultOf(self.dials[GUESSED.address])
                self.assertTrue(self.puncher.hopeless)
                self.assertEqual(self.gave_up, bool(targets))

    def test_refused_for_a_while(self) -> None:
        """It is dialled all the same."""
        self.begin(Target(ONE))
        self.refuse()
        self.reactor.advance(hole_punching._HOPELESS_AFTER * 0.9)
        self.refuse()
        self.assertFalse(self.puncher.hopeless)
        self.reactor.advance(hole_punching._HOPELESS_AFTER * 0.2)
        self.refuse()
        self.reactor.advance(0.1)
        self.assertTrue(self.puncher.hopeless)
        self.assertEqual((self.made(), self.gave_up), (4, 1))
        self.refuse()
        self.refuse_all()
        self.assertEqual(self.gave_up, 1)
        self.failureResultOf(self.dials[ONE])


class ForeignTests(HolePunchingTestCase):
    """Addresses whose responses a remote peer must not see."""

    FOREIGN = Target(TWO, redials=0, claimed=True, foreign=True)

    def test_whatever_they_answer(self) -> None:
        """They are waited for for a while, and no longer."""
        for action in (
            lambda: None,
            lambda: self.refuse(address=TWO),
            lambda: self.refuse(errno.EMFILE, TWO),
            lambda: self.connected(TWO),
            lambda: self.connected(TWO).deliver(b"SSH-2.0\r\n"),
        ):
            for others in ([], [ONE]):
                self.setUp()
                self.begin(*map(Target, others), self.FOREIGN)
                self.dials[TWO].addErrback(lambda _: None)
                action()
                for address in others:
                    self.refuse(errno.EMFILE, address)
                    self.failureResultOf(self.dials[address])
                self.reactor.advance(hole_punching._HOPELESS_AFTER * 0.9)
                self.assertFalse(self.puncher.hopeless)
                self.reactor.advance(hole_punching._HOPELESS_AFTER * 0.2)
                self.assertTrue(self.puncher.hopeless)
                self.assertEqual(self.gave_up, 1)

    def test_others_are_waited_for(self) -> None:
        self.begin(Target(ONE), self.FOREIGN)
        self.reactor.advance(hole_punching._HOPELESS_AFTER * 2)
        self.assertFalse(self.puncher.hopeless)
        self.assertEqual(self.gave_up, 0)

    def test_no_route(self) -> None:
        """There is nothing to wait for, and nothing to be seen but that."""
        self.patch(hole_punching, "route_to", lambda ip: None)
        self.begin(self.FOREIGN)
        self.assertTrue(self.puncher.hopeless)

    def test_stopped(self) -> None:
        self.begin(self.FOREIGN)
        self.refuse(errno.EMFILE, TWO)
        self.failureResultOf(self.dials[TWO])
        self.puncher.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class SynFilterTests(HolePunchingTestCase):
    """Whose SYNs the listener does not answer."""

    def test_all_from_the_start(self) -> None:
        """Those that are guessed as well: every SYN is to be met by one of ours."""
        self.begin(Target(ONE), GUESSED)
        self.assertEqual(self.port.ignored, [{ONE, GUESSED.address}])

    def _ignores(self, addresses: set[Address]) -> bool:
        return self.port.ignored[-1] == addresses

    def test_not_in_the_pauses(self) -> None:
        """They are long by now, and the peer may have but one SYN."""
        self.begin(Target(ONE), Target(TWO))
        for ignored in ({TWO}, {ONE, TWO}, {TWO}):  # after a burst, in the next one, after it
            self.refuse_all(until=partial(self._ignores, ignored))
            self.assertNoResult(self.dials[ONE])
        self.refuse_all()
        self.failureResultOf(self.dials[ONE])
        self.assertEqual(self.port.ignored[-1], {TWO})

    def test_one_that_has_failed(self) -> None:
        self.begin(Target(ONE), Target(TWO))
        self.refuse(errno.EMFILE)
        self.failureResultOf(self.dials[ONE])
        self.assertEqual(self.port.ignored[-1], {TWO})

    def test_only_changes_are_told(self) -> None:
        """Each takes a call of the system; at the full rate there are none."""
        self.begin(Target(ONE), Target(TWO))
        for _ in range(20):
            self.refuse()
        self.assertEqual(self.port.ignored, [{ONE, TWO}])


class CancelTests(HolePunchingTestCase):
    """Cancelling leaves nothing."""

    def assert_cancelled(self) -> None:
        """It is, and nothing is left."""
        made = self.made()
        self.dials[ONE].cancel()
        self.failureResultOf(self.dials[ONE], CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.reactor.advance(10)
        self.assertEqual(self.made(), made)

    def test_connecting(self) -> None:
        """Or in a pause."""
        for refusals in (0, 1, None):
            self.setUp()
            self.begin(Target(ONE))
            if refusals is None:
                while not self.reactor.getDelayedCalls():
                    self.refuse()
            else:
                for _ in range(refusals):
                    self.refuse()
            self.assert_cancelled()
            self.assertEqual(self.reactor.connectors[-1].stoppedConnecting, refusals is not None)
            self.assertEqual(self.context.candidates, set())

    def test_in_the_handshake(self) -> None:
        """The connection is closed by whoever has made the candidate."""
        self.begin(Target(ONE))
        transport = self.connected()
        self.assert_cancelled()
        self.assertEqual(transport.closing, "")
