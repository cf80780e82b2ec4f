"""
Ports that open and close without log messages.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import ServerFactory
from twisted.logger import LogLevel, PredicateResult, capturedLogs
from twisted.trial.unittest import TestCase

from rdv._transport.quiet import unless_quiet
from rdv.client.dial.shared_port import SharedPort

REACTOR: Any = reactor


class Silent(ServerFactory[Any]):
    """One of an attempt."""

    noisy = False


class QuietTests(TestCase):
    """With real ports: our programs' logs omit only the port of an attempt."""

    async def test_port_of_an_attempt(self) -> None:
        """In a program of somebody else's it is told at ``debug``, by ours not at all."""
        with capturedLogs() as events:
            port = SharedPort(REACTOR, Silent())
            number = port.number
            await port.close()
        about = [event for event in events if str(number) in event["log_text"]]
        told = [(event["log_level"], unless_quiet(event)) for event in about]
        self.assertEqual(told, [(LogLevel.debug, PredicateResult.no)] * 2)

    async def test_other_ports(self) -> None:
        with capturedLogs() as events:
            await REACTOR.listenTCP(0, Silent(), interface="127.0.0.1").stopListening()
        told = [(event["log_level"], unless_quiet(event)) for event in events]
        self.assertEqual(told, [(LogLevel.info, PredicateResult.maybe)] * 2)
