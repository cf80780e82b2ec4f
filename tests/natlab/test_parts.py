"""Tests of the laboratory's parts that need no network."""

from __future__ import annotations

import os
import shutil
from ipaddress import ip_address
from random import Random

from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.natlab import meeting
from tests.natlab.agent import Conversation
from tests.natlab.forwarder import Forwarder, Routes
from tests.natlab.messages import ROUNDS, SIZE, Exchange
from tests.natlab.model import Conditions
from tests.natlab.namespaces import LabError
from tests.natlab.report import Report, Result
from tests.natlab.rules import COUNTERS, MARK

NETWORKS = (["203.0.113.0/24", "2001:db8:a::/48"], ["192.0.2.0/24", "2001:db8:b::/48"])


def packet(source: str, target: str, text: bytes = b"") -> bytes:
    """As much of an IP packet as a forwarder reads."""
    start = b"\x45" + bytes(11) if "." in source else b"\x60" + bytes(7)
    return start + ip_address(source).packed + ip_address(target).packed + text


ONE = packet("203.0.113.1", "192.0.2.9")


class ForwarderTests(SynchronousTestCase):
    """
    What happens to a packet between two sites, 10 s apart in one direction and 20 s in the other.
    """

    def forwarder(self, jitter: float = 0.0) -> Forwarder:
        delays = [[0.0, 10.0], [20.0, 0.0]]
        return Forwarder(Routes(NETWORKS), delays, jitter, 0.0, Random(1).random)

    def test_delay(self) -> None:
        """Each way has its own."""
        forwarder = self.forwarder()
        forwarder.take(0, ONE, 100.0)
        self.assertEqual(forwarder.next_due, 110.0)
        self.assertEqual(forwarder.pop(), (1, ONE))
        self.assertIsNone(forwarder.next_due)
        forwarder.take(1, packet("2001:db8:b::1", "2001:db8:a:1::2"), 100.0)
        self.assertEqual(forwarder.next_due, 120.0)

    def test_earliest_first(self) -> None:
        """A packet on the shorter way overtakes one on the longer."""
        forwarder = self.forwarder()
        forwarder.take(1, packet("192.0.2.1", "203.0.113.9"), 100.0)
        forwarder.take(0, ONE, 101.0)
        self.assertEqual([forwarder.pop()[0], forwarder.pop()[0]], [1, 0])

    def test_nobodys(self) -> None:
        """Nothing goes to an address without a site, nor from one of another site."""
        forwarder = self.forwarder()
        forwarder.take(0, packet("203.0.113.1", "192.168.1.1"), 0.0)
        forwarder.take(0, packet("192.168.1.1", "192.0.2.9"), 0.0)
        forwarder.take(1, ONE, 0.0)
        self.assertIsNone(forwarder.next_due)

    def test_jitter(self) -> None:
        """It lengthens the delay, by up to what was asked, and changes no order."""
        forwarder, random = self.forwarder(jitter=5.0), Random(1)
        latest = 0.0
        sent = [packet("203.0.113.1", "192.0.2.9", bytes([n])) for n in range(20)]
        for number, each in enumerate(sent):
            forwarder.take(0, each, number)
        for number, each in enumerate(sent):
            latest = max(latest, number + 10.0 + 5.0 * random.random())
            self.assertEqual(forwarder.next_due, latest)
            self.assertEqual(forwarder.pop(), (1, each))


class ConditionsTests(SynchronousTestCase):
    def distances(self, conditions: Conditions) -> list[float]:
        pairs = ("dialer", "server"), ("server", "acceptor"), ("dialer", "acceptor")
        return [conditions.between(*pair) for pair in pairs]

    def test_names(self) -> None:
        for name, distances in (
            ("0", [0, 0, 0]),
            ("20", [10, 10, 20]),
            ("unequal", [5, 40, 45]),
            ("unequal-acceptor", [40, 5, 45]),
            ("far", [20, 100, 5]),
            ("far-acceptor", [100, 20, 5]),
        ):
            self.assertEqual(self.distances(Conditions.named(name)), distances)
        self.assertEqual(Conditions.named("unequal").between("server", "shared"), 22.5)
        self.assertEqual(Conditions.named("20").between("server", "server"), 0)

        self.assertRaises(ValueError, Conditions.named, "near")

    def test_ideal(self) -> None:
        """The kernel alone has neither delay nor loss."""
        self.assertTrue(Conditions.named("0").ideal)
        for less in Conditions.named("1"), Conditions(loss=1), Conditions(jitter=1):
            self.assertFalse(less.ideal)


class Transport(StringTransport):
    """A transport that can be half-closed."""

    def loseWriteConnection(self) -> None:
        """It makes no difference here."""


class ExchangeTests(SynchronousTestCase):
    """What peers send to each other."""

    def test_conversation(self) -> None:
        """However it is cut, each says as much as the other, and each message has the mark."""
        for size in (1, SIZE, 1000):
            one, other = Exchange(), Exchange()
            to_other, to_one = one.begin(), other.begin()
            said = len(to_other)
            while to_other or to_one:
                for start in range(0, len(to_other), size):
                    to_one += other.take(to_other[start : start + size])
                to_other, to_one = one.take(to_one), b""
                self.assertTrue(to_other[:4] in (MARK, b""))
                said += len(to_other)
            self.assertTrue(one.complete and other.complete)
            self.assertEqual(said, ROUNDS * SIZE)

    def begin(self) -> tuple[Conversation, Report, Transport, Clock]:
        """What an agent does on its connection."""
        clock, report, transport = Clock(), Report(), Transport()
        conversation = Conversation(clock, report, 5.0)
        conversation.makeConnection(transport)
        return conversation, report, transport, clock

    def test_patience(self) -> None:
        """It is for each byte; when the first one came is noted."""
        conversation, report, transport, clock = self.begin()
        message = Exchange().begin()
        clock.advance(4)
        self.assertIsNone(report.first_byte)
        conversation.dataReceived(message[:1])
        first = report.first_byte
        self.assertIsNotNone(first)
        conversation.dataReceived(message[1:])
        self.assertEqual(report.first_byte, first)
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
        """And one who breaks off."""
        conversation, report, transport, _ = self.begin()
        conversation.dataReceived(bytes(SIZE))
        self.assertTrue(transport.disconnecting)
        self.assertRegex(report.error, "^not the message number 1: ")
        conversation, report, _, _ = self.begin()
        conversation.connectionLost(Failure(ConnectionLost()))
        self.assertRegex(report.error, "^the connection broke: ")
        self.assertFalse(report.complete)


def counters(**counted: int) -> dict[str, int]:
    """Those of a peer that saw nothing else."""
    return {**dict.fromkeys(COUNTERS, 0), **counted}


DIRECT = counters(data_in_other=2, syn_server=1, syn_other=3)
RELAYED = counters(data_in_server=2, syn_server=1, syn_other=1)


class ResultTests(SynchronousTestCase):
    """The conclusions from counters and reports."""

    def result(self, dialer: dict[str, int], acceptor: dict[str, int]) -> Result:
        said = Report(called=1.0, connected=2.0, first_byte=3.5, is_relay=True, complete=True)
        return Result(said, said, dialer, acceptor)

    def test_path(self) -> None:
        """It is what the counters saw, whatever the programs say."""
        both = counters(data_in_other=1, data_in_server=1)
        # Packets that were only sent, or were not the application's, do not count as arrived.
        sent = counters(data_out_other=3, payload_in_other=5, payload_in_server=5)
        for dialer, acceptor, path in (
            (DIRECT, DIRECT, "direct"),
            (RELAYED, RELAYED, "relay"),
            (DIRECT, RELAYED, "mixed"),
            (both, DIRECT, "mixed"),
            (DIRECT, sent, "none"),
            (sent, sent, "none"),
        ):
            self.assertEqual(self.result(dialer, acceptor).path, path)

    def test_figures(self) -> None:
        result = self.result(DIRECT, RELAYED)
        self.assertEqual(result.syns, (4, 2))
        self.assertEqual((result.connect_seconds, result.seconds), (1.0, 2.5))
        self.assertTrue(result.ok)

    def test_half_dead(self) -> None:
        """It is when one side has a connection without a byte."""
        good, dead = Report(1.0, 2.0, 3.0), Report(1.0, 2.0, error="nothing came")
        refused = Report(1.0, error="refused")
        for dialer, acceptor, half_dead in (
            (good, good, False),
            (refused, refused, False),
            (dead, good, True),
            (refused, dead, True),
        ):
            result = Result(dialer, acceptor, DIRECT, DIRECT)
            self.assertEqual(result.half_dead, half_dead)
            self.assertFalse(result.ok)


class UnavailableTests(SynchronousTestCase):
    def test_what_is_missing(self) -> None:
        """Rights, or a program."""
        self.patch(os, "geteuid", lambda: 1000)
        self.assertEqual(why_not(), "only root may make network namespaces")
        self.patch(os, "geteuid", lambda: 0)
        self.patch(shutil, "which", lambda name: None if name == "nft" else f"/sbin/{name}")
        self.assertEqual(why_not(), "nft is not installed")

    def test_not_allowed(self) -> None:
        """As in most containers."""

        def forbidden(*_: object) -> None:
            raise LabError("Operation not permitted")

        self.patch(os, "geteuid", lambda: 0)
        self.patch(shutil, "which", lambda name: f"/sbin/{name}")
        self.patch(meeting, "Lab", forbidden)
        self.assertEqual(why_not(), "no laboratory here: Operation not permitted")


def why_not() -> str | None:
    """Ask anew, not what was found out before."""
    return meeting.unavailable.__wrapped__()
