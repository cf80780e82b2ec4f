"""How fast ports may accept, by the number that the next descriptor would get."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.trial.unittest import TestCase

from rdv.server.site import intake
from rdv.server.site.intake import Intake
from rdv.test.server.test_room import complaints

REACTOR: Any = global_reactor
#: Of so many that are kept free.
RESERVE, FIRST = 80, 1000
#: From here on nobody is accepted.
FULL = FIRST + RESERVE // 2


class IntakeTests(TestCase):
    """Ports of the reactor, to which nobody comes."""

    def setUp(self) -> None:
        self.patch(intake, "reserve", lambda: RESERVE)
        self.patch(intake, "first_reserved", lambda: FIRST)
        self.free = 10
        self.patch(intake, "lowest_free", lambda fd: self.free)
        self.clock: Any = Clock()
        self.intake = Intake(self.clock)

    def watched(self, number: int = 1) -> list[Port]:
        """So many ports, watched."""
        ports = [REACTOR.listenTCP(0, Factory(), interface="127.0.0.1") for _ in range(number)]
        for port in ports:
            self.addCleanup(port.stopListening)
        self.intake.watch(ports)
        return ports

    def is_accepting(self, port: Port) -> bool:
        """Whether the reactor looks at it."""
        return port in REACTOR.getReaders()

    def accept(self, free: int) -> bool:
        """One has come; then so many are free, and the port's turn ends."""
        self.free = free
        is_scarce = self.intake.accepted()
        self.clock.advance(0)
        return is_scarce

    def test_not_too_many_at_once(self) -> None:
        """From the start, and whatever the port makes of it later."""
        (port,) = self.watched()
        self.assertEqual(port.numberAccepts, RESERVE // 4)
        self.assertFalse(self.intake.accepted())
        port.numberAccepts += 20  # as it does at the end of its turn
        self.clock.advance(0)
        self.assertEqual(port.numberAccepts, RESERVE // 4)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_quiet_port(self) -> None:
        """As long as few come nothing is done about it."""
        (port,) = self.watched()
        port.numberAccepts = RESERVE // 4 - 1
        self.intake.accepted()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_several_ports_share(self) -> None:
        """And never is it none at all."""
        ports = self.watched(2)
        self.assertEqual([port.numberAccepts for port in ports], [RESERVE // 8] * 2)
        self.patch(intake, "reserve", lambda: 7)
        self.intake.watch(ports)
        self.assertEqual([port.numberAccepts for port in ports], [1, 1])

    def test_scarce(self) -> None:
        """One at a time."""
        (port,) = self.watched()
        self.assertFalse(self.accept(FIRST))
        self.assertEqual(port.numberAccepts, RESERVE // 4)
        self.assertTrue(self.accept(FIRST + 1))
        self.assertEqual(port.numberAccepts, 1)
        self.assertTrue(self.is_accepting(port))

    def test_full(self) -> None:
        """None, until there is room again."""
        ports = self.watched(2)
        self.accept(FULL - 1)
        for port in ports:
            self.assertTrue(self.is_accepting(port))
        self.accept(FULL)
        for free, is_accepting in ((FULL, False), (FULL + 5, False), (FULL - 1, True)):
            self.free = free
            self.clock.advance(0.02)
            for port in ports:
                self.assertEqual(self.is_accepting(port), is_accepting)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([port.numberAccepts for port in ports], [1, 1])

    def test_complaint(self) -> None:
        """The operator hears of it, but not each time."""
        self.watched()
        events = complaints(self)
        self.accept(FULL - 1)
        self.assertEqual(events, [])
        self.accept(FULL)
        self.clock.pump([0.02] * 10)
        (event,) = events
        self.assertEqual(event["effect"], "accepting nobody for now")

    def test_stop(self) -> None:
        """No port is listened on again, and nothing is due later."""
        self.watched()
        self.accept(FULL)
        self.intake.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.intake.accepted())
        self.intake.stop()

    def test_other_kinds_of_ports(self) -> None:
        """They are left as they are."""
        other: Any = object()
        self.intake.watch([other])
        self.free = FULL
        self.assertFalse(self.intake.accepted())
        self.assertEqual(self.clock.getDelayedCalls(), [])
