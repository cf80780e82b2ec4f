"""
Repeated dials.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from dataclasses import replace
from random import Random
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.protocol import ServerFactory
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rdv._allowance import Allowance
from rdv.addresses import Address, parse_address
from rdv.client.candidates.candidate import Candidate
from rdv.client.context import Syns
from rdv.client.dial import hole_punching
from rdv.client.dial.hole_punching import HolePuncher
from rdv.client.dial.shared_port import SharedPort
from rdv.client.dial.targets import OFTEN, SELDOM, Target
from rdv.client.tracing.candidate_trace import NO_CANDIDATE_TRACE
from rdv.errors import ProtocolError
from rdv.test.client.doubles import ByteTransport, ClientReactor, context, tcp_address

HELLO = b"rdv/1 HELLO token\r\n"
ONE, TWO = parse_address("203.0.113.9:41000"), parse_address("192.168.7.2:41000")
GUESSED = Target(parse_address("203.0.113.9:41001"), guessed=True, redials=10)

#: Seconds for some turns of the reactor.
AT_ONCE = 0.001

#: A reset, and what systems report for ICMP errors.
REFUSALS = (
    errno.ECONNREFUSED,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ECONNRESET,
    errno.EACCES,
    errno.ENOPROTOOPT,
    errno.EPROTO,
)
TAKEN = (errno.EADDRNOTAVAIL, errno.EADDRINUSE)


class Port(SharedPort):
    """:ivar ignored: the addresses whose SYNs are not answered, after each change."""

    def __init__(self, reactor: ClientReactor) -> None:
        self.ignored: list[set[Address]] = []
        super().__init__(reactor, ServerFactory())

    def ignore_syns(self, addresses: Collection[Address]) -> None:
        self.ignored.append(set(addresses))


class HolePunchingTestCase(SynchronousTestCase):
    """
    The dialler's side, in memory.

    :ivar dials: by address.
    :ivar gave_up: how often it reported that there is nothing to wait for.
    """

    def setUp(self) -> None:
        self.reactor = ClientReactor()
        self.port = Port(self.reactor)
        self.context = context(self.reactor)
        self.dials: dict[Address, Deferred[Candidate]] = {}
        self.gave_up = 0
        self.patch(hole_punching, "route_to", lambda ip: ip)

    def begin(self, *targets: Target) -> None:
        """Dial them."""
        self.puncher = HolePuncher(self.context, self.port, targets, self._gave_up, Random(1))
        for target in targets:
            dial = self.puncher.dial(target, self._contend, NO_CANDIDATE_TRACE)
            self.dials[target.address] = Deferred.fromCoroutine(dial)

    def _gave_up(self) -> None:
        self.assertTrue(self.puncher.hopeless)
        self.gave_up += 1

    async def _contend(self, candidate: Candidate) -> Candidate:
        return await candidate.shaken()

    def made(self, address: Address = ONE) -> int:
        """How many dials so far."""
        return len(self._places(address))

    def _places(self, address: Address) -> list[int]:
        wanted = (str(address.ip), address.port)
        return [n for n, each in enumerate(self.reactor.tcpClients) if each[:2] == wanted]

    def refuse(self, number: int = errno.ECONNREFUSED, address: Address = ONE) -> None:
        """The latest dial is refused."""
        self.reactor.failed(ConnectError(osError=number), self._places(address)[-1])
        self.reactor.advance(AT_ONCE)

    def refuse_all(
        self,
        address: Address = ONE,
        took: float = 0.0,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Every dial is, until there are no more."""
        for _ in range(10_000):
            if self.dials[address].called or until():
                return
            self.reactor.advance(took)
            self.reactor.failed(Refused(osError=errno.ECONNREFUSED), self._places(address)[-1])
            calls = self.reactor.getDelayedCalls()
            if calls:
                self.reactor.advance(calls[0].getTime() - self.reactor.seconds())
        raise AssertionError("it goes on for ever")

    def connected(self, address: Address = ONE) -> ByteTransport:
        """The latest dial succeeds."""
        return self.reactor.connected(self._places(address)[-1])

    def assert_nothing_left(self) -> None:
        """Neither timers nor dials nor connections."""
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertLessEqual(len(self.context.candidates), 1)


class RedialTests(HolePunchingTestCase):
    """Which addresses are redialled."""

    def test_again(self) -> None:
        """When it was refused, be it by a reset that came a little late; from the same port."""
        expected = [(number, True) for number in REFUSALS]
        expected += [(number, False) for number in TAKEN]  # temporary, and not the peer's refusal
        for number, refused in [*expected, (0, True)]:
            self.setUp()
            self.begin(Target(ONE))
            if number:
                self.refuse(number)
            else:
                self.connected().lose(ConnectionLost())
                self.reactor.advance(AT_ONCE)
            self.assertEqual(self.made(), 2)
            self.assertNoResult(self.dials[ONE])
            self.assertEqual(ONE in self.puncher.refused, refused)
            ports = [cast(Any, each[4])._port for each in self.reactor.tcpClients]
            self.assertEqual(ports, [self.port.number] * 2)
            self.assertEqual([each[3] for each in self.reactor.tcpClients], [30, 30])
            self.connected().deliver(HELLO)
            self.assertEqual({self.successResultOf(self.dials[ONE])}, self.context.candidates)
            self.assert_nothing_left()

    def test_not_again(self) -> None:
        """What speaks for nobody, for somebody else, or for one who does not want us."""
        ends: tuple[tuple[Callable[[], object], type[Exception]], ...] = (
            (lambda: self.reactor.failed(ConnectError(osError=errno.EMFILE)), ConnectError),
            (lambda: self.reactor.failed(ConnectTimeoutError()), ConnectTimeoutError),
            (lambda: self.connected().lose(), ConnectionDone),
            (lambda: self.connected().end(), ConnectionDone),
            (lambda: self.connected().deliver(b"SSH-2.0\r\n"), ProtocolError),
        )
        for end, kind in ends:
            self.setUp()
            self.begin(Target(ONE))
            end()
            self.failureResultOf(self.dials[ONE], kind)
            self.assertEqual((self.made(), self.puncher.refused, self.gave_up), (1, {}, 1))
            self.assert_nothing_left()

    def test_no_route(self) -> None:
        """There is nothing to wait for, unless it is a router that says so."""
        for number in hole_punching._NO_ROUTE:
            self.setUp()
            self.begin(Target(ONE))
            self.refuse(number)
            self.assertEqual(self.made(), 2)
            self.patch(hole_punching, "route_to", lambda ip: None)
            self.refuse(errno.ECONNREFUSED)  # a response, whatever the routes are
            self.assertEqual(self.made(), 3)
            self.refuse(number)
            self.failureResultOf(self.dials[ONE], ConnectError)
            self.assertEqual((self.made(), self.gave_up), (3, 1))

    def test_unanswered(self) -> None:
        """It is the system's turn: a new SYN would collide with the answer to the old one."""
        self.begin(Target(ONE), Target(TWO))
        self.reactor.advance(29)
        self.refuse(address=TWO)
        self.reactor.advance(29)
        self.assertEqual(self.made(ONE), 1)
        self.assertFalse(self.puncher.hopeless)
        self.assertFalse(self.reactor.connectors[0].stoppedConnecting)

    def test_slower_and_slower(self) -> None:
        """And not for ever; then it fails with the last refusal."""
        self.begin(Target(ONE))
        self.refuse_all(took=0.01)
        self.failureResultOf(self.dials[ONE], ConnectError)
        self.assertGreater(self.made(), 100)
        self.assertLess(self.made(), 1000)
        self.assert_nothing_left()

    def test_the_other_direction_has_won(self) -> None:
        """There is nothing to be dialled as long as that connection stands."""
        for cancelled in (False, True):
            self.setUp()
            self.begin(Target(ONE), Target(TWO))
            candidate = self.context.new_candidate()
            transport = ByteTransport(candidate, tcp_address(str(ONE.ip), ONE.port))
            transport.connect()
            for address in (ONE, TWO):
                self.refuse(TAKEN[0], address)
            self.reactor.advance(10)
            self.assertEqual((self.made(ONE), self.made(TWO)), (1, 2))
            if cancelled:
                self.dials[ONE].cancel()
                self.failureResultOf(self.dials[ONE], CancelledError)
            candidate.close()
            transport.lose()
            self.reactor.advance(AT_ONCE)
            self.assertEqual(self.made(ONE), 1 if cancelled else 2)

    def test_no_more_often_than_it_may_be(self) -> None:
        for number in (0, 10):
            self.setUp()
            self.begin(Target(ONE), Target(TWO, redials=number))
            self.refuse_all(TWO)
            self.failureResultOf(self.dials[TWO], ConnectError)
            self.assertEqual(self.made(TWO), 1 + number)

    def test_budget_of_the_client(self) -> None:
        """
        Attempts in a row use it up; then each address is dialled once, which counts too. In the
        long run there are so many a second.
        """
        self.context = replace(self.context, syns=Syns(known=Allowance(100, 2)))
        with capturedLogs() as events:
            for _ in range(20):
                self.begin(Target(ONE))
                self.refuse_all(until=lambda: self.dials[ONE].called)
                self.failureResultOf(self.dials[ONE], ConnectError)
        self.assertGreater(self.made(), 100)
        self.assertLessEqual(self.made(), 100 + 2 * self.reactor.seconds() + 20)
        texts = [event["log_format"] for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(set(texts), {hole_punching.TOO_MANY})
        self.reactor.advance(60)
        before = self.made()
        self.begin(Target(ONE))
        self.refuse_all(until=lambda: self.dials[ONE].called)
        self.failureResultOf(self.dials[ONE], ConnectError)
        self.assertGreater(self.made() - before, 90)

    def test_budget(self) -> None:
        """All of them share it."""
        self.patch(hole_punching, "SYN_BUDGET", 5)
        self.begin(Target(ONE), Target(TWO))
        for address in (ONE, TWO, ONE, ONE, TWO):
            self.refuse(address=address)
        self.assertEqual((self.made(ONE), self.made(TWO)), (4, 3))
        for address in (ONE, TWO):
            self.refuse(address=address)
            self.failureResultOf(self.dials[address], ConnectError)
        self.assertEqual((self.made(ONE), self.made(TWO)), (4, 3))
        self.assert_nothing_left()


class ClaimedTests(HolePunchingTestCase):
    """Addresses that only the peer claims."""

    def claim(self, *redials: int, refuse: bool = True) -> list[int]:
        """Dial as many addresses in an attempt; how often each was redialled."""
        found = [parse_address(f"198.51.100.{n}:41000") for n, _ in enumerate(redials, 1)]
        before = [self.made(address) for address in found]
        targets = zip(found, redials, strict=True)
        self.begin(*[Target(address, redials=n, claimed=True) for address, n in targets])
        for address in found if refuse else ():
            self.refuse_all(address)
            self.failureResultOf(self.dials[address], ConnectError)
        return [self.made(address) - n - 1 for address, n in zip(found, before, strict=True)]

    def test_paid_for_before(self) -> None:
        """So what one address answers is not to be seen at another one, in no attempt."""
        for refuse in (True, False):
            self.setUp()
            self.context = replace(self.context, syns=Syns(claimed=Allowance(500, 0)))
            with capturedLogs() as events:
                for expected in ([OFTEN, SELDOM], [SELDOM, SELDOM]):
                    made = self.claim(OFTEN, SELDOM, refuse=refuse)
                    self.assertEqual(made, expected if refuse else [0, 0])
                self.claim(*[SELDOM] * 15, refuse=refuse)
                self.assertEqual(self.claim(OFTEN, SELDOM), [0, 0])
            texts = [each["log_format"] for each in events if each["log_level"] is LogLevel.warn]
            self.assertEqual(texts, [hole_punching.TOO_MANY])

    def test_others_are_not_charged(self) -> None:
        """Nor do they take from what known addresses have."""
        self.patch(hole_punching, "SYN_BUDGET", 5)
        self.begin(Target(ONE), Target(TWO, redials=SELDOM, claimed=True))
        self.refuse_all(TWO)
        self.failureResultOf(self.dials[TWO], ConnectError)
        for _ in range(6):
            self.refuse()
        self.failureResultOf(self.dials[ONE], ConnectError)
        self.assertEqual((self.made(ONE), self.made(TWO)), (1 + 5, 1 + SELDOM))

    def test_not_at_all(self) -> None:
        """Where that many are owed already; the others are dialled."""
        self.context = replace(self.context, syns=Syns(claimed=Allowance(4, 1)))
        for expected in (1, 1, 0, 0):
            made = self.made(TWO)
            self.begin(Target(TWO, claimed=True), Target(ONE))
            self.assertEqual(self.made(TWO) - made, expected)
            self.assertEqual(self.dials[TWO].called, not expected)
            if not expected:
                self.assertIn(hole_punching.TOO_MANY, str(self.failureResultOf(self.dials[TWO])))
                self.assertFalse(self.puncher.hopeless)
            self.assertNoResult(self.dials[ONE])
        self.reactor.advance(4)
        self.begin(Target(TWO, claimed=True))
        self.assertNoResult(self.dials[TWO])

    def test_in_the_long_run(self) -> None:
        self.context = replace(self.context, syns=Syns(claimed=Allowance(10, 1)))
        for expected in (SELDOM, 0, 0):
            self.assertEqual(self.claim(SELDOM), [expected])
        self.reactor.advance(60)
        self.assertEqual(self.claim(SELDOM), [SELDOM])
