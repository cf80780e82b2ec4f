"""Tokens that must not be shown."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import parse_address
from rdv.wire import Offer, Role


class OfferTests(SynchronousTestCase):
    """An offer, as a traceback or a careless log line shows it."""

    def test_no_token(self) -> None:
        offer = Offer(Role.DIALER, b"a-secret-token", [parse_address("192.0.2.1:5")])
        for text in (repr(offer), str(offer), f"{offer}", f"{[offer]}"):
            self.assertNotIn("secret", text)
            self.assertIn("DIALER", text)
            self.assertIn("192.0.2.1", text)

    def test_still_compared(self) -> None:
        self.assertNotEqual(Offer(Role.DIALER, b"a", ()), Offer(Role.DIALER, b"b", ()))
