"""
The parts of a server: each setting takes effect in its place.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.limits.numbers import NO_LIMITS, Limits
from rdv.server.relay.limits import RelayLimits
from rdv.server.site.parts import limits_of, make_rendezvous
from rdv.settings import ServerSettings


class PartsTests(SynchronousTestCase):
    def test_limits(self) -> None:
        numbers: dict[str, Any] = {name: n for n, name in enumerate(vars(Limits()), 1)}
        settings = ServerSettings(**{f"limit_{name}": n for name, n in numbers.items()})
        self.assertEqual(limits_of(settings), Limits(**numbers))
        self.assertEqual(limits_of(ServerSettings()), Limits())
        self.assertEqual(limits_of(ServerSettings(limits=False)), NO_LIMITS)

    def test_relay(self) -> None:
        """Of what all processes share each has a part."""
        settings = ServerSettings(relay=False, relay_rate=1, relay_rate_total=8, relay_quota=3)
        rendezvous = make_rendezvous(Clock(), settings, processes=4)
        self.assertEqual(
            rendezvous.relaying.limits, RelayLimits(rate=1, total_rate=2, quota=3, allowed=False)
        )
