"""
The first clients of a server: a warning if their addresses look like a proxy's.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.joint import LegOwner
from rdv.server.leg import Leg
from rdv.server.logs.first_clients import FirstClients
from rdv.settings import ServerSettings
from rdv.wire import Offer, Role

FAR, INSIDE = IPv4Address("TCP", "203.0.113.1", 80), IPv4Address("TCP", "10.0.0.1", 80)


class FirstClientsTests(SynchronousTestCase):
    def warned(
        self, observed: Any, here: Any = INSIDE, named: str = "", number: int = 50, **settings: Any
    ) -> str:
        """
        What is said once so many clients have come.

        :param observed: where each of them comes from, by its number.
        """
        clients = FirstClients(ServerSettings(**settings))
        with capturedLogs() as events:
            for index in range(number):
                offer = Offer(Role.DIALER, b"token", named)
                leg = Leg(offer, observed(index), cast(LegOwner[Leg], None))
                leg.makeConnection(cast(Any, StringTransport(hostAddress=here)))
                clients(leg)
        self.assertTrue(all(each["event"] == "hidden" for each in events))
        self.assertLessEqual(len(events), 1)
        return "".join(str(formatEvent(each)) for each in events)

    def test_one_address(self) -> None:
        """A port of its own each; whatever kind of address it is."""
        for host in ("10.0.0.7", "[fd00::7]", "127.0.0.1", "198.51.100.7"):
            said = self.warned(lambda index, host=host: f"{host}:{index + 1}")
            self.assertTrue(said.startswith("the first 50 clients all come from "), said)
            self.assertIn("--listen haproxy:", said)
            self.assertIn("--observed-header", said)

    def test_not_yet(self) -> None:
        self.assertEqual(self.warned(lambda _: "10.0.0.7:1", number=49), "")

    def test_unknown(self) -> None:
        """The proxy was to name them: see what it says."""
        for settings in (
            {"observed_header": "X-Real-IP"},
            {"listen": ["haproxy:tcp:8080"]},
            {"listen": (), "tls": ["haproxy:tcp:8080"]},
        ):
            said = self.warned(lambda _: "", **settings)
            self.assertTrue(said.startswith("the address of none of the first 50 "), said)
            self.assertIn("check what the proxy in front puts into ", said)

    def test_none_is_public(self) -> None:
        """Although the server is at such an address, or one of them says that it has one."""
        for here, named, is_wrong in (
            (FAR, "", True),
            (INSIDE, "10.0.0.7:1, 198.51.100.7:4", True),
            (INSIDE, "10.0.0.7:1, [2001:db8::7]:4", True),
            (INSIDE, "10.0.0.7:1, [fd00::7]:4", False),
            (UNIXAddress("/run/rdv"), "", False),
        ):
            said = self.warned(lambda index: f"10.0.0.{index}:1", here, named)
            wanted = "none of the first 50 clients comes from a public address"
            self.assertEqual(said.startswith(wanted), is_wrong, said)

    def test_well(self) -> None:
        """Nothing more is looked at as soon as two are known, of which one comes from afar."""

        def observed(index: int) -> str:
            return ("10.0.0.7:1", "198.51.100.7:1", *[""] * 200)[index]

        self.assertEqual(self.warned(observed, FAR, number=200), "")

    def test_one_is_public(self) -> None:
        """That one, and somebody inside: the last one tells."""
        self.assertEqual(
            self.warned(lambda index: "198.51.100.7:1" if index == 49 else "10.0.0.7:1", FAR), ""
        )
