"""``twist rdv dial`` and ``accept`` that are told to stop."""

from __future__ import annotations

import gc

from twisted.application.service import IService
from twisted.internet import reactor as real_reactor
from twisted.logger import LogEvent, LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rdv.tap import Options, makeService
from rdv.test.client.doubles import ClientReactor
from twisted import internet


class StopTests(SynchronousTestCase):
    """While no peer has arrived yet."""

    def setUp(self) -> None:
        self.reactor = ClientReactor()
        self.assertIsNot(real_reactor, self.reactor)  # the one that trial has installed
        self.patch(internet, "reactor", self.reactor)
        self.said = self.enterContext(capturedLogs())

    def start(self, role: str) -> IService:
        """The service, running."""
        options = Options()
        options.parseOptions([role, "http://192.0.2.80:8080/", "token"])
        service = makeService(options)
        service.startService()
        for function, arguments, keywords in self.reactor.whenRunningHooks:
            function(*arguments, **keywords)
        self.reactor.whenRunningHooks.clear()
        self.assertEqual(len(self.reactor.tcpClients), 1)
        return service

    def errors(self) -> list[LogEvent]:
        """What was logged and needs somebody's attention."""
        return [event for event in self.said if event["log_level"] >= LogLevel.warn]

    def test_waiting_for_the_peer(self) -> None:
        """Nothing went wrong, so nothing is said to have."""
        for role in ("dial", "accept"):
            service = self.start(role)
            server = self.reactor.connected()
            service.stopService()
            self.assertEqual(server.closing, "abort")
            server.lose()
            gc.collect()
            self.assertEqual(self.errors(), [])
            self.assertEqual(self.reactor.getDelayedCalls(), [])
            self.reactor.tcpClients.clear()

    def test_between_two_requests(self) -> None:
        service = self.start("accept")
        server = self.reactor.connected()
        server.deliver(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        server.lose()
        service.stopService()
        self.assertEqual(self.errors(), [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_failure_is_an_error(self) -> None:
        """One that says what went wrong."""
        self.start("dial")
        self.reactor.connected().lose()
        self.reactor.advance(2)  # it may have been stopped in the very moment
        self.reactor.connected(1).lose()
        for event, level in zip(self.errors(), (LogLevel.warn, LogLevel.error), strict=True):
            self.assertIs(event["log_level"], level)
            self.assertIn("the connection ended without an answer", str(event["reason"]))
