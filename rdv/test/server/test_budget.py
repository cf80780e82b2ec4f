"""Clients for whom there is no descriptor: told so over HTTP, and the others are not harmed."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from rdv._system import descriptors
from rdv.server import budget
from rdv.server.budget import AcceptThrottle, DescriptorBudget
from rdv.test.server.doubles import Browser, WebTestCase, request
from rdv.wire import RETRY_AFTER

REACTOR: Any = global_reactor
#: A limit, of which 128 are kept free.
LIMIT = 1024
FIRST = LIMIT - 128
NO_ROOM = "no room for more clients, try again later\n"


class Numbered:
    """Stands for a socket, and the transport above it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        return self.number


def complaints(test: SynchronousTestCase) -> list[LogEvent]:
    """What will be logged for the operator."""
    events: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_namespace") == "rdv.server.budget":
            events.append(event)

    observer = cast(ILogObserver, observe)
    globalLogPublisher.addObserver(observer)
    test.addCleanup(globalLogPublisher.removeObserver, observer)
    return events


class BudgetTests(SynchronousTestCase):
    """Who may stay."""

    def setUp(self) -> None:
        self.patch(descriptors, "limit", lambda: LIMIT)
        self.patch(budget, "limit", lambda: LIMIT)
        self.patch(budget, "socket_of", lambda transport: transport)
        self.clock = Clock()
        self.budget = DescriptorBudget(self.clock)

    def admitted(self, number: int, expected: bool = False) -> bool:
        transport: Any = Numbered(number)
        return self.budget.has_place(transport, expected)

    def test_by_its_number(self) -> None:
        for number, may_stay in ((3, True), (FIRST - 1, True), (FIRST, False), (LIMIT - 1, False)):
            self.assertEqual(self.admitted(number), may_stay)

    def test_one_whose_partner_waits(self) -> None:
        """A quarter of what is kept free is for them."""
        for number, may_stay in ((3, True), (FIRST + 31, True), (FIRST + 32, False)):
            self.assertEqual(self.admitted(number, expected=True), may_stay)

    def test_complaint(self) -> None:
        """Once, and once more when it still goes on after a minute. It shows everywhere."""
        events = complaints(self)
        self.admitted(FIRST - 1)
        self.assertEqual(events, [])
        for seconds, count in ((0, 1), (0, 1), (59, 1), (1, 2), (1, 2)):
            self.clock.advance(seconds)
            self.admitted(FIRST)
            self.assertEqual(len(events), count)
        self.assertEqual((events[0]["log_level"], events[0]["limit"]), (LogLevel.critical, LIMIT))


class NoSocketTests(SynchronousTestCase):
    """A connection in memory."""

    def test_has_no_number(self) -> None:
        self.patch(descriptors, "limit", lambda: 0)
        self.assertTrue(DescriptorBudget(Clock()).has_place(object(), expected=False))

    def test_real_socket(self) -> None:
        with socket.socket() as sock:
            wrapped: Any = Numbered(0)
            wrapped.transport = Numbered(0)
            wrapped.transport.getHandle = lambda: sock
            for number, may_stay in ((sock.fileno() + 1, True), (sock.fileno(), False)):
                self.patch(budget, "first_reserved", lambda number=number: number)
                self.assertEqual(
                    DescriptorBudget(Clock()).has_place(wrapped, expected=False), may_stay
                )


class RefusalTests(WebTestCase):
    """Over HTTP."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(descriptors, "limit", lambda: LIMIT)
        self.number = 3
        self.patch(budget, "socket_of", lambda transport: Numbered(self.number))

    def assert_refused(self, browser: Browser) -> None:
        """It is told so, when to come again, and that is the end."""
        answer = browser.answer()
        self.assertEqual((answer.status, answer.body), (503, NO_ROOM))
        self.assertEqual(answer.headers["retry-after"], str(RETRY_AFTER))
        self.assertEqual(answer.headers["connection"], "close")
        self.assertEqual(browser.read_ended, 1)
        self.assertFalse(self.at_server.connected)

    def test_no_room(self) -> None:
        """Whoever waits goes on waiting. When somebody has left there is room again."""
        first = self.browse(request())
        self.number = FIRST
        self.assert_refused(self.browse(request(rdv_token=b"another")))
        self.assert_waiting(first)
        self.number = FIRST - 1
        self.browse(request(rdv_token=b"another"))
        self.assertEqual(self.rendezvous.waiting, 2)

    def test_partner(self) -> None:
        """One who is waited for is let in. One who would take a place is not."""
        first = self.browse(request(b"DIAL"))
        self.number = FIRST
        self.assert_refused(self.browse(request(b"DIAL")))
        self.assert_waiting(first)
        second = self.browse(request(b"ACCEPT"))
        for browser in (first, second):
            self.assertTrue(browser.received.startswith(b"HTTP/1.1 101 "))

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
        late = self.browse(request())
        for browser in (waiting, late):
            answer = browser.answer()
            self.assertEqual((answer.status, answer.body), (503, "shutting down, try again\n"))
            self.assertEqual(answer.headers["retry-after"], str(RETRY_AFTER))
            self.assertEqual(answer.headers["connection"], "close")
            self.assertEqual(browser.read_ended, 1)


#: Of so many that are kept free.
SPARE, EDGE = 80, 1000
#: From here on nobody is accepted.
FULL = EDGE + SPARE // 2


class ThrottleTests(TestCase):
    """Ports of the reactor, to which nobody comes."""

    def setUp(self) -> None:
        self.patch(budget, "reserve", lambda: SPARE)
        self.patch(budget, "first_reserved", lambda: EDGE)
        self.free = 10
        self.patch(budget, "lowest_free", lambda fd: self.free)
        self.clock: Any = Clock()
        self.throttle = AcceptThrottle(self.clock)

    def watched(self, number: int = 1) -> list[Port]:
        """So many ports, watched."""
        ports = [REACTOR.listenTCP(0, Factory(), interface="127.0.0.1") for _ in range(number)]
        for port in ports:
            self.addCleanup(port.stopListening)
        self.throttle.watch(ports)
        return ports

    def is_accepting(self, port: Port) -> bool:
        """Whether the reactor looks at it."""
        return port in REACTOR.getReaders()

    def accept(self, free: int) -> bool:
        """One has come; then so many are free, and the port's turn ends."""
        self.free = free
        is_scarce = self.throttle.accepted()
        self.clock.advance(0)
        return is_scarce

    def test_not_too_many_at_once(self) -> None:
        """From the start, and whatever the port makes of it later."""
        (port,) = self.watched()
        self.assertEqual(port.numberAccepts, SPARE // 4)
        self.assertFalse(self.throttle.accepted())
        port.numberAccepts += 20  # as it does at the end of its turn
        self.clock.advance(0)
        self.assertEqual(port.numberAccepts, SPARE // 4)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_quiet_port(self) -> None:
        """As long as few come nothing is done about it."""
        (port,) = self.watched()
        port.numberAccepts = SPARE // 4 - 1
        self.throttle.accepted()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_several_ports_share(self) -> None:
        """And never is it none at all."""
        ports = self.watched(2)
        self.assertEqual([port.numberAccepts for port in ports], [SPARE // 8] * 2)
        self.patch(budget, "reserve", lambda: 7)
        self.throttle.watch(ports)
        self.assertEqual([port.numberAccepts for port in ports], [1, 1])

    def test_scarce(self) -> None:
        """One at a time."""
        (port,) = self.watched()
        self.assertFalse(self.accept(EDGE))
        self.assertEqual(port.numberAccepts, SPARE // 4)
        self.assertTrue(self.accept(EDGE + 1))
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
        self.throttle.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.throttle.accepted())
        self.throttle.stop()

    def test_other_kinds_of_ports(self) -> None:
        """They are left as they are."""
        other: Any = object()
        self.throttle.watch([other])
        self.free = FULL
        self.assertFalse(self.throttle.accepted())
        self.assertEqual(self.clock.getDelayedCalls(), [])
