"""Ports of ours of which nothing is logged."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.protocol import ServerFactory
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    globalLogPublisher,
)
from twisted.trial.unittest import TestCase

from rdv._transport.quiet import unless_quiet
from rdv.client.dial.shared_port import SharedPort

REACTOR: Any = reactor


class Silent(ServerFactory[Any]):
    """One of an attempt."""

    noisy = False


class QuietTests(TestCase):
    """With real ports."""

    def observe(self, *predicates: Any) -> list[LogEvent]:
        """What is logged from now on, and passes."""
        seen: list[LogEvent] = []
        collecting = cast(ILogObserver, seen.append)
        observer: Any = FilteringLogObserver(collecting, predicates)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return seen

    async def test_port_of_an_attempt(self) -> None:
        """In a program of somebody else's it is told at ``debug``, by ours not at all."""
        others, ours = self.observe(), self.observe(unless_quiet)
        port = SharedPort(REACTOR, Silent())
        number = port.number
        await port.close()
        self.assertEqual(ours, [])
        about = [event for event in others if str(number) in event["log_text"]]
        self.assertEqual(len(about), 2)
        self.assertEqual({event["log_level"] for event in about}, {LogLevel.debug})

    async def test_other_ports(self) -> None:
        seen = self.observe(unless_quiet)
        await REACTOR.listenTCP(0, Silent(), interface="127.0.0.1").stopListening()
        self.assertEqual([event["log_level"] for event in seen], [LogLevel.info] * 2)
