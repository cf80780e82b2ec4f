"""What pairs may use of the relay, and how long they may be silent."""

from __future__ import annotations

from typing import Any

from rdv._flows.rate import Limits, Quota, RateLimit
from rdv.server import Pair, RelayLimits, Rendezvous
from rdv.server.relay.joining import idle_time
from rdv.server.site.parts import make_rendezvous
from rdv.settings import ServerSettings
from rdv.test.server.doubles import ServerTestCase


class RelayLimitsTests(ServerTestCase):
    def limits_of(self, **limits: Any) -> tuple[type, ...]:
        """What a flow of a new pair has to keep."""
        self.open(relay=RelayLimits(**limits))
        pair = Pair(self.rendezvous, self.dial().leg, self.accept(b"another").leg, 0)
        flows = self.rendezvous.relaying.flow_limits(pair)
        self.assertEqual(type(flows[0]), type(flows[1]))
        if isinstance(flows[0], Limits):
            return tuple(map(type, flows[0]._limits))
        return () if flows[0] is None else (type(flows[0]),)

    def test_none(self) -> None:
        """Then there is nothing in the way."""
        self.assertEqual(self.limits_of(), ())

    def test_which(self) -> None:
        self.assertEqual(self.limits_of(rate=1), (RateLimit,))
        self.assertEqual(self.limits_of(quota=1), (Quota,))
        self.assertEqual(len(self.limits_of(total_rate=1)), 1)
        self.assertEqual(len(self.limits_of(rate=1, quota=1, total_rate=1)), 3)

    def test_wrong(self) -> None:
        for name in ("rate", "total_rate", "quota"):
            for value, error in ((-1, ValueError), (float("nan"), ValueError), ("1", TypeError)):
                wrong: Any = {name: value}
                with self.assertRaises(error) as caught:
                    RelayLimits(**wrong)
                self.assertTrue(str(caught.exception).startswith(f"{name}: "))
        wrong = 5
        self.assertRaises(TypeError, Rendezvous, self.clock, relay=wrong)

    def test_settings(self) -> None:
        """Several processes share what all pairs may use."""
        settings = ServerSettings(relay_rate=1, relay_rate_total=8, relay_quota=3)
        relaying = make_rendezvous(self.clock, settings, 4).relaying
        self.assertEqual(relaying.limits, RelayLimits(1, 2, 3))


class IdleTimeTests(ServerTestCase):
    def test_whom_it_knows(self) -> None:
        """They may be silent for longer, unless the operator says how long everybody may."""
        for wanted, user, seconds in (
            (None, None, 600),
            (None, "ann", 3600),
            (0, None, 0),
            (7.0, "ann", 7),
        ):
            self.assertEqual(idle_time(wanted, user), seconds)

    def test_of_a_pair(self) -> None:
        """It is enough to know one of them."""
        seen: list[float] = []
        self.open(serve=lambda pair: seen.append(pair.idle_timeout))
        for user in (None, "ann"):
            waiting = self.dial()
            waiting.leg.user = user
            self.accept()
        self.assertEqual(seen, [600, 3600])
        self.open(idle_timeout=5, serve=lambda pair: seen.append(pair.idle_timeout))
        self.pair()
        self.assertEqual(seen[2:], [5])
