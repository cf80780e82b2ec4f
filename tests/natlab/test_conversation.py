"""Tests of the application that the laboratory's agents run on their connections."""

from __future__ import annotations

from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.natlab.agent import Conversation
from tests.natlab.messages import ROUNDS, SIZE, Exchange
from tests.natlab.report import Report


class Transport(StringTransport):
    """One that can be half closed."""

    def loseWriteConnection(self) -> None:
        """It makes no difference here."""


class ConversationTests(SynchronousTestCase):
    """The application of an agent."""

    def begin(self) -> tuple[Conversation, Report, Transport, Clock]:
        clock, report, transport = Clock(), Report(), Transport()
        conversation = Conversation(clock, report, 5.0)
        conversation.makeConnection(transport)
        return conversation, report, transport, clock

    def test_first_byte(self) -> None:
        """It counts when it came, even before the message is whole; later ones do not."""
        conversation, report, _, _ = self.begin()
        message = Exchange().begin()
        self.assertIsNone(report.first_byte)
        conversation.dataReceived(message[:1])
        first = report.first_byte
        self.assertIsNotNone(first)
        conversation.dataReceived(message[1:])
        self.assertEqual(report.first_byte, first)
        conversation.connectionLost(Failure(ConnectionLost()))
        self.assertRegex(report.error, "^the connection broke: ")
        self.assertFalse(report.complete)

    def test_patience(self) -> None:
        """It is for each byte."""
        conversation, report, transport, clock = self.begin()
        clock.advance(4)
        conversation.dataReceived(Exchange().begin())
        clock.advance(4)
        self.assertFalse(transport.disconnected)
        clock.advance(1)
        self.assertTrue(transport.disconnected)
        self.assertEqual(report.error, "nothing more came for 5 s, after 1 messages")

    def test_no_end(self) -> None:
        """All was said, and the other side does not close: that is no good end."""
        conversation, report, _, clock = self.begin()
        other = Exchange()
        for _ in range(ROUNDS):
            conversation.dataReceived(other.begin())
        clock.advance(5)
        conversation.connectionLost(Failure(ConnectionAborted()))
        self.assertFalse(report.complete)
        self.assertEqual(report.error, "nothing more came for 5 s, after 3 messages")

    def test_stranger(self) -> None:
        conversation, report, transport, _ = self.begin()
        conversation.dataReceived(bytes(SIZE))
        self.assertTrue(transport.disconnecting)
        self.assertRegex(report.error, "^not the message number 1: ")
