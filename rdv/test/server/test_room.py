"""Clients for whom there is no descriptor: told so over HTTP, and the others are not harmed."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from rdv._system import descriptors
from rdv.server import room
from rdv.server.room import Room
from rdv.test.server.doubles import Browser, WebTestCase, request
from rdv.wire import RETRY_AFTER

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
        if event.get("log_namespace") == "rdv.server.room":
            events.append(event)

    observer = cast(ILogObserver, observe)
    globalLogPublisher.addObserver(observer)
    test.addCleanup(globalLogPublisher.removeObserver, observer)
    return events


class RoomTests(SynchronousTestCase):
    """Who may stay."""

    def setUp(self) -> None:
        self.patch(descriptors, "limit", lambda: LIMIT)
        self.patch(room, "limit", lambda: LIMIT)
        self.patch(room, "socket_of", lambda transport: transport)
        self.clock = Clock()
        self.room = Room(self.clock)

    def admitted(self, number: int, expected: bool = False) -> bool:
        transport: Any = Numbered(number)
        return self.room.has_place(transport, expected)

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
        self.assertTrue(Room(Clock()).has_place(object(), expected=False))

    def test_real_socket(self) -> None:
        with socket.socket() as sock:
            wrapped: Any = Numbered(0)
            wrapped.transport = Numbered(0)
            wrapped.transport.getHandle = lambda: sock
            for number, may_stay in ((sock.fileno() + 1, True), (sock.fileno(), False)):
                self.patch(room, "first_reserved", lambda number=number: number)
                self.assertEqual(Room(Clock()).has_place(wrapped, expected=False), may_stay)


class RefusalTests(WebTestCase):
    """Over HTTP."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(descriptors, "limit", lambda: LIMIT)
        self.number = 3
        self.patch(room, "socket_of", lambda transport: Numbered(self.number))

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
