"""
Whether a client is silent, from the kernel's counts or from what there is to read.
"""

from __future__ import annotations

import sys
import unittest
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.joint import LegOwner
from rdv._system.sockets import linger
from rdv.server import leg as leg_module
from rdv.server.leg import Leg
from rdv.test.doubles import CLIENT, ends
from rdv.test.sockets import Handle, tcp_pair
from rdv.wire import Offer, Role

REQUEST = b"DIAL"


class Owner(LegOwner[Leg]):
    """:ivar told: the events, in order."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def leg_received(self, leg: Leg, data: bytes) -> None:
        self.told.append(data)

    def leg_ended(self, leg: Leg) -> None:
        self.told.append("end")


class WaitTests(SynchronousTestCase):
    """What a leg keeps while it waits."""

    def test_id(self) -> None:
        """It stays, until it is given another one."""
        leg = Leg(Offer(Role.DIALER, b"token"), "", Owner())
        first = leg.id
        self.assertEqual(leg.id, first)
        leg.rename(7)
        self.assertEqual(leg.id, 7)
        leg.rename()
        self.assertNotIn(leg.id, (0, 7, first))

    def test_observed(self) -> None:
        """Its own address is found out again, if it was the connection's; another's is kept."""
        for heard, observed in ((5, f"{CLIENT.host}:{CLIENT.port}"), (0, "198.51.100.7:80")):
            leg = Leg(Offer(Role.DIALER, b"token"), "198.51.100.7:80", Owner())
            transport, _ = ends(Clock())
            leg.heard = heard
            leg.makeConnection(transport)
            leg.shrink()
            self.assertEqual(leg.observed, observed)

    def test_one_time(self) -> None:
        """Of arrival and of waiting, unless something has come between the two."""
        transport, _ = ends(Clock())
        for since, kept in ((50.0005, 50.0005), (51.5, 50.0)):
            leg = Leg(Offer(Role.DIALER, b"token"), "", Owner())
            leg.makeConnection(transport)
            leg.arrived, leg.since = 50.0, since
            leg.shrink()
            self.assertEqual((leg.arrived, leg.since), (kept, since))
            self.assertEqual(leg.arrived is leg.since, kept == since)


class SilenceTests(SynchronousTestCase):
    """``is_silent``."""

    def setUp(self) -> None:
        self.near, self.far = tcp_pair()
        self.addCleanup(self.near.close)
        self.addCleanup(self.far.close)
        self.far.sendall(REQUEST)
        self.assertEqual(self.near.recv(100), REQUEST)
        self.near.setblocking(False)
        self.owner = Owner()
        self.leg = Leg(Offer(Role.DIALER, b"token"), "", self.owner)
        transport: Any = Handle(self.near)
        self.leg.makeConnection(transport)

    def assert_speaks(self, said: object) -> None:
        """However it is asked, and the owner is told."""
        for heard in (0, len(REQUEST)):
            self.leg.heard = heard
            self.assertFalse(self.leg.is_silent())
            self.assertEqual(self.owner.told.pop(), said)

    @unittest.skipUnless(sys.platform == "linux", "only Linux counts")
    def test_counted(self) -> None:
        """Nothing is read then, and the round trip is known."""
        self.patch(leg_module, "unread", self.fail)
        self.leg.heard = len(REQUEST)
        self.assertTrue(self.leg.is_silent())
        self.assertTrue(0 < self.leg.trip < 1)

    def test_not_counted(self) -> None:
        """Where the system does not count, or nobody has."""
        for heard, platform in ((0, sys.platform), (len(REQUEST), "darwin")):
            self.patch(sys, "platform", platform)
            self.leg.heard = heard
            self.assertTrue(self.leg.is_silent())
            self.assertEqual((self.leg.trip, self.owner.told), (0.0, []))

    def test_more(self) -> None:
        self.far.sendall(b"x")
        self.assert_speaks(b"x")

    def test_end(self) -> None:
        self.far.close()
        self.assert_speaks("end")

    def test_reset(self) -> None:
        linger(Handle(self.far), True)
        self.far.close()
        self.assert_speaks("end")
