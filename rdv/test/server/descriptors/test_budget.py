"""
Descriptors run out: clients are refused over HTTP, ports accept fewer connections, and nothing
breaks.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.logger import LogEvent, LogLevel
from twisted.trial.unittest import SynchronousTestCase, TestCase

from rdv._system import descriptors
from rdv.server.descriptors import budget
from rdv.server.descriptors.budget import PAUSE, AcceptThrottle, DescriptorBudget
from rdv.test.server.doubles import Browser, WebTestCase, request
from rdv.wire import RETRY_AFTER

REACTOR: Any = global_reactor
#: A limit, and how many of its descriptors are reserved.
LIMIT, RESERVE = 1024, 128
FIRST = LIMIT - RESERVE
#: The next descriptor of a server that accepts no connections.
FULL = FIRST + RESERVE // 2


class Numbered:
    """Stands for a socket, and the transport above it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        return self.number


def limit_descriptors(test: SynchronousTestCase) -> list[LogEvent]:
    """Set that limit, and collect what will be logged for the operator."""
    for module in (descriptors, budget):
        test.patch(module, "limit", lambda: LIMIT)
    events: list[LogEvent] = []
    test.patch(budget.log, "observer", events.append)
    return events


class BudgetTests(SynchronousTestCase):
    """Which connections may stay."""

    def setUp(self) -> None:
        self.events = limit_descriptors(self)
        self.clock = Clock()
        self.budget = DescriptorBudget(self.clock)

    def test_by_its_number(self) -> None:
        """A quarter of what is kept free is for those whose partner waits."""
        self.patch(budget, "socket_of", lambda transport: transport)
        for expected, first in ((False, FIRST), (True, FIRST + 32)):
            for number, may_stay in ((3, True), (first - 1, True), (first, False)):
                self.assertEqual(self.budget.has_place(Numbered(number), expected), may_stay)

    def test_too_early(self) -> None:
        """Who came while others were still there may stay if there is room by now."""
        self.patch(budget, "socket_of", lambda transport: transport)
        for free, number, may_stay in (
            (FIRST - 1, FIRST, True),
            (FIRST - 1, FIRST + 95, True),
            (FIRST - 1, FIRST + 96, False),
            (FIRST, FIRST + 1, False),
        ):
            self.patch(budget, "lowest_free", lambda fd, free=free: free)
            self.assertEqual(self.budget.has_place(Numbered(number), False), may_stay)

    def test_being_closed(self) -> None:
        """Whoever comes may stay when more are being closed, until it shows what that frees."""
        self.patch(budget, "socket_of", lambda transport: transport)
        self.patch(budget, "lowest_free", lambda fd: FIRST + 9)
        turns: list[bool] = []

        def turn() -> None:
            turns.append(self.budget.has_place(Numbered(FIRST + 8), expected=False))

        turn()
        self.budget.will_close(9)
        turn()
        self.budget.will_close(1)
        turn()
        self.clock.callLater(0, turn)  # connections that are being closed are closed in this turn
        self.clock.advance(0)
        turn()
        self.assertEqual(turns, [False, False, True, True, False])

    def test_makes_room(self) -> None:
        """Whoever finds none has it made, if it can be; that is tried now and then only."""
        self.patch(budget, "socket_of", lambda transport: transport)
        self.patch(budget, "lowest_free", lambda fd: FIRST)
        tries: list[float] = []
        self.budget.make_room = lambda: tries.append(self.clock.seconds())
        for _ in range(3):
            self.assertFalse(self.budget.has_place(Numbered(FIRST), expected=False))
        self.clock.advance(PAUSE)
        self.budget.make_room = lambda: self.budget.will_close(1)
        self.assertTrue(self.budget.has_place(Numbered(FIRST), expected=False))
        self.assertFalse(self.budget.fits(Numbered(FIRST + 96), expected=False))
        self.assertEqual((tries, len(self.events)), ([0.0], 1))

    def test_real_socket(self) -> None:
        """Below a wrapper. A connection in memory has no number."""
        self.patch(descriptors, "limit", lambda: 0)
        self.assertTrue(self.budget.has_place(object(), expected=False))
        with socket.socket() as sock:
            wrapped: Any = Numbered(0)
            wrapped.transport = Numbered(0)
            wrapped.transport.getHandle = lambda: sock
            for number, may_stay in ((sock.fileno() + 1, True), (sock.fileno(), False)):
                self.patch(budget, "first_reserved", lambda number=number: number)
                self.clock.advance(1)
                self.assertEqual(self.budget.has_place(wrapped, expected=False), may_stay)

    def test_waiting(self) -> None:
        """Three quarters of what clients have, and no more."""
        most = FIRST * 3 // 4
        self.assertTrue(self.budget.may_wait(most - 1))
        self.assertEqual(self.events, [])
        self.assertFalse(self.budget.may_wait(most))
        self.assertEqual(len(self.events), 1)

    def test_limit_stands(self) -> None:
        """For a second: it is asked for that seldom, however many come."""
        asked: list[None] = []

        def first_reserved() -> int:
            asked.append(None)
            return FIRST

        self.patch(budget, "socket_of", lambda transport: transport)
        self.patch(budget, "first_reserved", first_reserved)
        for seconds, count in ((0.0, 1), (0.9, 1), (0.1, 2)):
            self.clock.advance(seconds)
            for _ in range(3):
                self.assertTrue(self.budget.has_place(Numbered(3), expected=False))
            self.assertEqual(len(asked), count)

    def test_complaint(self) -> None:
        """Once, and once more when it still goes on after a minute. It shows everywhere."""
        self.patch(budget, "socket_of", lambda transport: transport)
        self.budget.has_place(Numbered(FIRST - 1), expected=False)
        self.assertEqual(self.events, [])
        for seconds, count in ((0, 1), (0, 1), (59, 1), (1, 2), (1, 2)):
            self.clock.advance(seconds)
            self.budget.has_place(Numbered(FIRST), expected=False)
            self.assertEqual(len(self.events), count)
        event = self.events[0]
        self.assertEqual((event["log_level"], event["limit"]), (LogLevel.critical, LIMIT))


class RefusalTests(WebTestCase):
    """Over HTTP."""

    def setUp(self) -> None:
        super().setUp()
        self.events = limit_descriptors(self)
        self.number = 3
        self.patch(budget, "socket_of", lambda transport: Numbered(self.number))

    def assert_refused(
        self, browser: Browser, text: str = "no room for more clients, try again later"
    ) -> None:
        """It is told so, when to come again, and that is the end."""
        answer = browser.answer()
        self.assertEqual((answer.status, answer.body), (503, f"{text}\n"))
        self.assertEqual(answer.headers["retry-after"], str(RETRY_AFTER))
        self.assertEqual(answer.headers["connection"], "close")
        self.assertEqual(browser.read_ended, 1)

    def test_no_room(self) -> None:
        """
        Whoever waits goes on waiting, and one who is waited for is let in. One who would take a
        place is not. When somebody has left there is room again.
        """
        first = self.browse(request())
        self.number = FIRST
        for token in (b"another", b"token"):
            self.assert_refused(self.browse(request(rdv_token=token)))
            self.assertFalse(self.at_server.connected)
        self.assert_waiting(first)
        second = self.browse(request(b"ACCEPT"))
        for browser in (first, second):
            self.assertTrue(browser.received.startswith(b"HTTP/1.1 101 "))
        self.number = FIRST - 1
        self.assert_waiting(self.browse(request(rdv_token=b"another")))

    def test_many_wait(self) -> None:
        """
        Whoever would wait too is refused; not who is waited for, nor who comes in the place of
        another.
        """
        self.patch(budget, "first_reserved", lambda: 4)
        waiting = [self.browse(request(rdv_token=b"token %d" % n)) for n in range(3)]
        self.assert_refused(self.browse(request()))
        self.assertEqual(self.rendezvous.waiting, 3)
        again = self.browse(request(rdv_token=b"token 0"))
        self.assertEqual((waiting[0].answer().status, again.received), (409, b""))
        self.browse(request(b"ACCEPT", rdv_token=b"token 1"))
        self.assertTrue(waiting[1].received.startswith(b"HTTP/1.1 101 "))
        self.browse(request())
        self.assertEqual(self.rendezvous.waiting, 3)

    def test_fair(self) -> None:
        """When no more may wait one of those of whom most do gives way, and is told so."""
        self.patch(budget, "first_reserved", lambda: 4)
        waiting = [self.browse(request(rdv_token=b"token %d" % n)) for n in range(3)]
        guest = IPv4Address("TCP", "192.0.2.99", 4000)
        one = self.browse(request(), guest)
        self.assert_refused(waiting[2])
        self.assertEqual((self.rendezvous.waiting, one.received), (3, b""))
        self.assert_refused(self.browse(request(rdv_token=b"another"), guest))
        self.assertEqual([each.received for each in (*waiting[:2], one)], [b""] * 3)
        self.assertEqual(self.events[0]["effect"], "refusing clients")

    def test_bad_request(self) -> None:
        """What is wrong with it is told first, and the connection stays."""
        self.number = FIRST
        browser = self.browse(request(upgrade=None))
        self.assertEqual(browser.answer().status, 426)
        self.assertIsNone(browser.lost)

    def test_shutting_down(self) -> None:
        """Then, too, a client hears when to come again, whether it has waited or comes now."""
        waiting = self.browse(request())
        self.rendezvous.close()
        self.clock.advance(0)
        for browser in (waiting, self.browse(request())):
            self.assert_refused(browser, "shutting down, try again")


class ThrottleTests(TestCase):
    """Ports of the reactor, without connections."""

    def setUp(self) -> None:
        self.events = limit_descriptors(self)
        self.free = 10
        self.patch(budget, "lowest_free", lambda fd: self.free)
        self.clock: Any = Clock()
        self.wanted: list[int] = []
        self.throttle = AcceptThrottle(self.clock, self.shed)

    def shed(self, number: int) -> int:
        """One fewer than is wanted can be dropped."""
        self.wanted.append(number)
        return number - 1

    def watched(self, number: int = 1) -> list[Port]:
        """So many ports, watched."""
        ports = [REACTOR.listenTCP(0, Factory(), interface="127.0.0.1") for _ in range(number)]
        for port in ports:
            self.addCleanup(port.stopListening)
        self.throttle.watch(ports)
        return ports

    def accept(self, free: int) -> None:
        """Some have come; so many are free then, and the port's turn ends."""
        self.free = free
        for _ in range(RESERVE // 8):
            self.throttle.accepted()
        self.clock.advance(0)

    def test_looks(self) -> None:
        """Few, as long as there is room; for each client, when there is little."""
        self.watched()
        looks: list[int] = []

        def look(fd: int) -> int:
            looks.append(fd)
            return self.free

        self.patch(budget, "lowest_free", look)
        for free, count in ((10, 1), (FIRST, 1), (FIRST + 1, RESERVE // 8), (10, 1)):
            looks.clear()
            self.free = free
            for _ in range(RESERVE // 8):
                self.throttle.accepted()
            self.assertEqual(len(looks), count)
        self.clock.advance(0)

    def test_not_too_many_at_once(self) -> None:
        """
        From the start, and whatever the port makes of it later. As long as few come nothing is done
        about it.
        """
        (port,) = self.watched()
        self.assertEqual(port.numberAccepts, RESERVE // 4)
        self.throttle.accepted()
        port.numberAccepts += 20  # as it does at the end of its turn
        self.clock.advance(0)
        self.assertEqual(port.numberAccepts, RESERVE // 4)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        port.numberAccepts -= 1
        self.accept(10)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_several_ports_share(self) -> None:
        """And never is it none at all."""
        ports = self.watched(2)
        self.assertEqual([port.numberAccepts for port in ports], [RESERVE // 8] * 2)
        ports[0].numberAccepts, ports[1].numberAccepts = RESERVE, 3
        self.accept(10)
        self.assertEqual([port.numberAccepts for port in ports], [RESERVE // 8, 3])
        self.patch(budget, "reserve", lambda: 7)
        self.throttle.watch(ports)
        self.assertEqual([port.numberAccepts for port in ports], [1, 1])

    def test_scarce(self) -> None:
        """One at a time; then none, until there is room again. The operator hears of it once."""
        ports = self.watched(2)
        self.patch(self.throttle, "_shed", lambda number: 0)
        for free, most in ((FIRST, RESERVE // 8), (FIRST + 1, 1)):
            self.accept(free)
            self.assertEqual([port.numberAccepts for port in ports], [most] * 2)
        self.accept(FULL - 1)
        self.assertTrue(all(port in REACTOR.getReaders() for port in ports))
        self.assertEqual(self.events, [])
        self.accept(FULL)
        for free, is_accepting in ((FULL, False), (FULL + 5, False), (FULL - 1, True)):
            self.free = free
            self.clock.advance(0.02)
            for port in ports:
                self.assertEqual(port in REACTOR.getReaders(), is_accepting)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([port.numberAccepts for port in ports], [1, 1])
        (event,) = self.events
        self.assertEqual(event["effect"], "not accepting connections for now")

    def test_sheds(self) -> None:
        """
        Before the reserve is touched: so many that half as much is free again, and as many as come
        until the next look; while nobody is accepted, each time. The operator hears of it once.
        """
        self.watched()
        before, more = FIRST - RESERVE // 2, RESERVE // 8 - 1
        for free, wanted in ((before, []), (before + 1, [1 + more]), (FIRST, [64 + more])):
            self.wanted.clear()
            self.accept(free)
            self.assertEqual(self.wanted, wanted)
        self.accept(FULL)
        self.wanted.clear()
        self.clock.advance(0.02)
        self.assertEqual(self.wanted, [128 + more])
        told = [event["effect"] for event in self.events]
        self.assertEqual(told.count("dropping connections without a request"), 1)
        self.throttle.stop()

    def test_no_turn_in_between(self) -> None:
        """A reactor may have events before calls: until the look the ports are left alone."""
        ports = self.watched(2)
        self.throttle.accepted()
        self.assertFalse({*ports} & {*REACTOR.getReaders()})
        self.clock.advance(0)
        self.assertTrue({*ports} <= {*REACTOR.getReaders()})

    def test_asked(self) -> None:
        """When somebody asks for room, whatever has come since the last look; not without ports."""
        self.throttle.make_room()
        self.watched()
        self.free = FIRST
        self.throttle.make_room()
        self.assertEqual(self.wanted, [RESERVE // 2 + RESERVE // 8 - 1])

    def test_stop(self) -> None:
        """No port is listened on again, and nothing is due later."""
        self.watched()
        self.accept(FULL)
        for _ in range(2):
            self.throttle.stop()
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.throttle.accepted()

    def test_other_kinds_of_ports(self) -> None:
        """They are left as they are."""
        other: Any = object()
        self.throttle.watch([other])
        self.free = FULL
        self.throttle.accepted()
        self.assertEqual((self.wanted, self.clock.getDelayedCalls()), ([], []))
