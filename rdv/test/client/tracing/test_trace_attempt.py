"""
The events of an attempt: about itself, the server, and each way to the peer.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError
from twisted.internet.error import CannotListenError, ConnectError, ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimeoutError

from rdv.addresses import Address, AddressSpace, parse_address
from rdv.client import Client
from rdv.client.race.inbound import Inbound
from rdv.client.trace import Event, What
from rdv.test.asyncio_loop import without_asyncio
from rdv.test.client.doubles import CONFIRM, HELLO, OWN, PEER, TOKEN, URL, AttemptTestCase, answer

REQUEST = [
    What.BEGUN,
    What.ADDRESSES,
    What.RESOLVED,
    What.CALLED,
    What.REACHED,
    What.ASKED,
]
#: Events that name a way and may follow its end.
OUTCOMES = (What.CONNECTED, What.MOVED, What.SWITCHED)
ANSWER = [What.ANSWERED, What.MET, What.WAY, What.STANDS]


def refused() -> Refused:
    """As the system has it."""
    return Refused(errno.ECONNREFUSED, "x")


class TraceTestCase(AttemptTestCase):
    """:ivar events: all events."""

    def setUp(self) -> None:
        super().setUp()
        without_asyncio(self)
        self.events: list[Event] = []

    def client(self, **options: Any) -> Client:
        return super().client(**{"trace": self.events.append, **options})

    def kinds(self) -> list[What]:
        """What has happened."""
        return [event.what for event in self.events]

    def fields(self, what: What) -> dict[str, Any]:
        """The fields of the only event of this kind."""
        (event,) = [event for event in self.events if event.what is what]
        return dict(event.fields)

    def of_way(self, number: int) -> list[Event]:
        """What was told of one way."""
        return [event for event in self.events if event.fields.get("way") == number]

    def end(self) -> None:
        """Every connection that is being closed is gone."""
        for transport in self.reactor.transports:
            if transport.closing and not transport.gone:
                transport.lose()

    def assert_well_formed(self) -> None:
        """What every attempt keeps to."""
        kinds = self.kinds()
        ends = (What.CONNECTED, What.FAILED)
        self.assertEqual(kinds[0], What.BEGUN)
        self.assertEqual(kinds.count(What.BEGUN), 1)
        self.assertEqual(sum(kind in ends for kind in kinds), 1)
        end = next(i for i, kind in enumerate(kinds) if kind in ends)
        if self.events[end].fields.get("moves"):
            ends = (What.MOVED, What.STAYED)
            self.assertEqual(sum(kind in ends for kind in kinds), 1)
            end = next(i for i, kind in enumerate(kinds) if kind in ends)
        self.assertLessEqual(set(kinds[end + 1 :]), {What.SETTLED, What.SWITCHED})
        times = [event.time for event in self.events]
        self.assertEqual(times, sorted(times))
        for way in {event.fields["way"] for event in self.events if event.what is What.WAY}:
            told = [e.what for e in self.of_way(cast(int, way)) if e.what not in OUTCOMES]
            self.assertEqual(told[0], What.WAY)
            self.assertEqual([w for w in told if w in (What.CHOSEN, What.LOST)], told[-1:])


class ServerTests(TraceTestCase):
    """Up to the server's answer."""

    def test_request(self) -> None:
        self.dial()
        self.assertEqual(self.kinds(), REQUEST)
        self.assertEqual(self.fields(What.BEGUN), {"role": "dialer", "server": URL, "port": 40000})
        own = parse_address(OWN)
        self.assertEqual(
            self.fields(What.ADDRESSES),
            {"addresses": [own], "spaces": ["public4"], "mapped": []},
        )
        self.assertEqual(str(self.fields(What.CALLED)["address"]), "192.0.2.80:8080")

    def test_mapped(self) -> None:
        """Of the addresses that a router has mapped those that the server is told."""
        outside = [parse_address("198.51.100.9:5"), parse_address("10.9.9.9:5")]

        @asynccontextmanager
        async def mapping(port: int) -> AsyncIterator[list[Address]]:
            yield outside

        self.dial(port_mapping=mapping, spaces=AddressSpace.PUBLIC4)
        self.assertEqual(
            self.fields(What.ADDRESSES),
            {
                "addresses": [outside[0], parse_address(OWN)],
                "spaces": ["public4", "public4"],
                "mapped": outside[:1],
            },
        )

    def test_answer(self) -> None:
        self.accept()
        self.reactor.advance(5)
        self.answer(PEER)
        self.assertEqual(self.kinds()[: len(REQUEST) + 4], REQUEST + ANSWER)
        answered = self.fields(What.ANSWERED)
        self.assertEqual((answered["status"], answered["round_trip"]), (101, None))
        met = next(event for event in self.events if event.what is What.MET)
        self.assertEqual(met.time, 5.0)
        self.assertEqual(met.fields["peer_addresses"], [parse_address(PEER)])

    def test_unreachable(self) -> None:
        """Each address that was tried, and in words why not."""
        self.reactor.resolver.names = {"one.example": ["192.0.2.1", "192.0.2.2"]}
        self.attempt = self.client().dial("http://one.example/", TOKEN)
        self.reactor.advance(0.5)
        self.reactor.failed(refused())
        self.reactor.advance(0)  # to the attempt at the other one
        self.reactor.advance(1)
        self.reactor.failed(ConnectTimeoutError())
        self.failureResultOf(self.attempt)
        told = [dict(e.fields) for e in self.events if e.what is What.UNREACHED]
        self.assertEqual(
            [each["reason"] for each in told], ["connection refused", "no answer in time"]
        )
        self.assertEqual([each["seconds"] for each in told], [0.5, 1.0])
        events = self.events
        for number, reason in enumerate(("connection refused", "no answer in time"), 1):
            self.events = [each for each in events if each.attempt == number]
            self.assertIn(reason, self.fields(What.FAILED)["reason"])
            self.assert_well_formed()

    def test_refused(self) -> None:
        self.dial()
        self.server.deliver(b"HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\n\r\nno!")
        self.server.lose()
        self.failureResultOf(self.attempt)
        self.assertEqual(self.kinds(), [*REQUEST, What.ANSWERED, What.FAILED])
        self.assertEqual(self.fields(What.ANSWERED)["status"], 409)
        self.assertIn("409 Conflict", self.fields(What.FAILED)["reason"])

    def test_no_port(self) -> None:
        """An attempt that cannot even listen has a beginning and an end."""

        def busy(*args: object, **options: object) -> None:
            raise CannotListenError("", 7, OSError(errno.EADDRINUSE, "in use"))

        self.patch(self.reactor, "listenTCP", busy)
        self.attempt = self.client(local_port=7).dial(URL, TOKEN)
        self.failureResultOf(self.attempt)
        self.assertEqual(self.kinds(), [What.BEGUN, What.FAILED])
        self.assertEqual(self.fields(What.BEGUN)["port"], 7)

    def test_again(self) -> None:
        """A server that says that nobody came is asked in another attempt."""
        self.accept()
        self.server.deliver(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        self.server.lose()
        self.reactor.advance(1)
        self.assertEqual([e.attempt for e in self.events if e.what is What.BEGUN], [1, 2])
        self.assertEqual([e.attempt for e in self.events if e.what is What.FAILED], [1])


class WayTests(TraceTestCase):
    """From the answer to the choice."""

    def test_direct(self) -> None:
        """The whole story of the winner, and why the relay lost."""
        self.dial()
        self.answer(PEER)
        self.reactor.advance(0.25)
        peer = self.reactor.connected()
        peer.deliver(HELLO)
        self.end()
        self.successResultOf(self.attempt)
        told = [(e.what, e.fields) for e in self.of_way(2)]
        self.assertEqual(
            told,
            [
                (
                    What.WAY,
                    {
                        "way": 2,
                        "kind": "dial",
                        "address": parse_address(PEER),
                        "space": "public4",
                        "guessed": False,
                    },
                ),
                (What.DIALLED, {"way": 2, "dial": 1}),
                (What.STANDS, {"way": 2, "seconds": 0.25, "round_trip": None}),
                (What.HEARD, {"way": 2, "line": "HELLO"}),
                (What.SAID, {"way": 2, "line": "CONFIRM"}),
                (What.CHOSEN, {"way": 2, "dials": 1}),
                (
                    What.CONNECTED,
                    {"path": "p2p", "peer": parse_address(PEER), "way": 2, "moves": False},
                ),
            ],
        )
        self.assertEqual(
            self.of_way(1)[-1].fields, {"way": 1, "reason": "a direct path was faster", "dials": 0}
        )
        self.assert_well_formed()

    def test_redials(self) -> None:
        """Each dial is counted, with the word of the system for its end."""
        self.dial()
        self.answer(PEER)
        for number in (1, 2, 3):
            self.reactor.advance(0.01)
            self.reactor.failed(refused())
            told = [e.fields for e in self.of_way(2) if e.what is What.REFUSED]
            self.assertEqual([each["dial"] for each in told], [*range(1, number + 1)])
            self.assertEqual(
                (told[-1]["reason"], told[-1]["errno"]), ("connection refused", "ECONNREFUSED")
            )
            self.assertAlmostEqual(told[-1]["seconds"], 0.01)
            while self.of_way(2)[-1].what is not What.DIALLED:
                self.reactor.advance(0.0005)
        self.reactor.connected().deliver(HELLO)
        self.end()
        self.assertEqual(self.fields(What.CHOSEN), {"way": 2, "dials": 4})

    def test_lost_to_another(self) -> None:
        """What it came to itself says more than that another one was faster."""
        for fail, reason in (
            (lambda: self.reactor.failed(refused()), "connection refused"),
            (
                lambda: self.reactor.failed(ConnectError(osError=errno.EADDRNOTAVAIL)),
                "the connection from the other side took its place",
            ),
            (lambda: self.reactor.connected().lose(ConnectionLost()), "the connection was reset"),
        ):
            self.setUp()
            self.dial()
            self.answer(PEER)
            fail()
            self.arrive().deliver(HELLO)
            self.end()
            self.assertFalse(self.successResultOf(self.attempt).is_relay)
            self.assertEqual(self.of_way(2)[-1].fields["reason"], reason)
            self.assert_well_formed()

    def test_hopeless(self) -> None:
        """After a second of refusals the relay is told not to wait, and waits no more."""
        self.dial()
        self.answer(PEER)
        self.server.deliver(HELLO)
        waits = self.fields(What.WAITS)
        self.assertEqual(waits["seconds"], 2.0)
        self.reactor.advance(1.1)
        self.reactor.failed(refused())
        self.end()
        kinds = self.kinds()
        self.assertLess(kinds.index(What.HOPELESS), kinds.index(What.HURRIED))
        self.assertLess(kinds.index(What.HURRIED), kinds.index(What.CHOSEN))
        self.assertEqual(self.of_way(2)[-1].fields["reason"], "connection refused")
        self.assert_well_formed()

    def test_relay_after_its_patience(self) -> None:
        self.dial(penalty=3)
        self.answer(PEER)
        self.server.deliver(HELLO)
        self.reactor.advance(3)
        self.end()
        self.assertTrue(self.successResultOf(self.attempt).is_relay)
        self.assertEqual(self.fields(What.WAITS)["seconds"], 3)
        self.assertEqual(self.of_way(2)[-1].fields["reason"], "no answer")
        connected = self.fields(What.CONNECTED)
        self.assertEqual((connected["path"], connected["way"]), ("relay", 1))
        self.assert_well_formed()

    def test_stranger(self) -> None:
        """What says something else, or is lost, is lost for that; the others are not."""
        self.accept()
        self.arrive("203.0.113.77").lose(ConnectionLost())  # before the answer
        self.answer(PEER)
        self.arrive("203.0.113.77").deliver(b"GET / HTTP/1.0\r\n")
        reasons = ["the connection was reset", "it did not send CONFIRM"]
        lost = [e.fields for e in self.events if e.what is What.LOST]
        self.assertEqual([each["reason"] for each in lost], reasons)
        kinds = [self.of_way(cast(int, each["way"]))[0].fields["kind"] for each in lost]
        self.assertEqual(kinds, ["inbound"] * 2)
        self.server.deliver(CONFIRM)
        self.end()
        self.successResultOf(self.attempt)
        self.assert_well_formed()

    def test_too_many_strangers(self) -> None:
        """The oldest goes, and it is said why."""
        self.accept()
        for port in range(1024, 1024 + Inbound.limit + 1):
            self.arrive("203.0.113.77", port)
        self.end()
        (lost,) = [event.fields for event in self.events if event.what is What.LOST]
        self.assertEqual((lost["way"], lost["reason"]), (1, "it was replaced by newer connections"))

    def test_unwanted(self) -> None:
        """Somebody from a space that is not used."""
        self.accept(spaces=AddressSpace.PUBLIC4)
        factory = self.reactor.tcpServers[0][1]
        self.assertIsNone(factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 9)))
        address = parse_address("127.0.0.1:9")
        self.assertEqual(self.fields(What.REJECTED), {"address": address, "space": "loopback"})

    def test_acceptor(self) -> None:
        """It says HELLO, and the dialer chooses."""
        self.accept(witness=False)
        self.answer(PEER)
        peer = self.reactor.connected()
        peer.deliver(CONFIRM)
        self.end()
        self.successResultOf(self.attempt)
        lines = [(e.what, e.fields["line"]) for e in self.of_way(2) if "line" in e.fields]
        self.assertEqual(lines, [(What.SAID, "HELLO"), (What.HEARD, "CONFIRM")])
        self.assertEqual(self.of_way(1)[-1].fields["reason"], "the peer chose a direct path")
        self.assert_well_formed()

    def test_no_path(self) -> None:
        """Nothing in thirty seconds: each way says what it lacked."""
        self.dial()
        self.answer(PEER)
        self.reactor.advance(30)
        self.end()
        self.failureResultOf(self.attempt)
        reasons = {e.fields["way"]: e.fields["reason"] for e in self.events if e.what is What.LOST}
        self.assertEqual(reasons[1], "no HELLO came")
        self.assertEqual(reasons[2], "no answer")
        self.assert_well_formed()


class BehaviourTests(TraceTestCase):
    """A trace only observes, and changes nothing."""

    def run_once(self, **options: Any) -> tuple[bytes, bytes, bytes]:
        """All that one attempt writes."""
        self.setUp()
        self.dial(**options)
        asked = self.server.value()
        self.server.clear()
        self.server.deliver(answer(PEER))
        peer = self.reactor.connected()
        peer.deliver(HELLO)
        self.end()
        self.successResultOf(self.attempt)
        return asked, self.server.value(), peer.value()

    def test_failing(self) -> None:
        """It fails at every event: each is logged, and the attempt is as without it."""

        def fail(event: Event) -> None:
            self.events.append(event)
            raise RuntimeError("not my day")

        plain = self.run_once(trace=None)
        self.assertEqual(self.events, [])
        self.assertEqual(self.run_once(trace=fail), plain)
        self.assertGreater(len(self.events), 10)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), len(self.events))

    def test_called(self) -> None:
        """Whoever looks whether it is over sees the same as without a trace."""
        for options in ({}, {"trace": None}):
            self.dial(**options)
            self.assertFalse(self.attempt.called)
            self.attempt.cancel()
            self.end()
            self.failureResultOf(self.attempt, CancelledError)
            self.assertTrue(self.attempt.called)
