"""
A port mapping: it is made, fails, takes too long, and is removed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import Address, parse_address
from rdv.client.reach import port_mapping
from rdv.client.reach.port_mapping import MappedPort
from rdv.test.asyncio_loop import without_asyncio

OUTSIDE = parse_address("203.0.113.9:50000")


def opened(mapped: MappedPort) -> Deferred[list[Address]]:
    """Open port 4000."""
    return Deferred.fromCoroutine(mapped.open(4000))


def closed(mapped: MappedPort) -> Deferred[None]:
    """Close it."""
    return Deferred.fromCoroutine(mapped.close())


class Router:
    """
    Maps ports, when it is told to.

    :ivar asked: fires when the port is mapped.
    :ivar forgets: fires when the mapping is gone.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.asked: Deferred[Address] = Deferred(lambda _: self.said.append("never mind"))
        self.forgets: Deferred[None] = succeed(None)

    @asynccontextmanager
    async def mapping(self, port: int) -> AsyncIterator[list[Address]]:
        """See ``PortMapping``."""
        self.said.append(f"map {port}")
        address = await self.asked
        try:
            yield [address]
        finally:
            self.said.append("undo")
            await self.forgets
            self.said.append("undone")


class MappedPortTests(SynchronousTestCase):
    """``MappedPort``."""

    def setUp(self) -> None:
        without_asyncio(self)
        self.clock = Clock()
        self.router = Router()
        self.mapped = MappedPort(self.clock, self.router.mapping, patience=0.25)

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_for_the_time_of_an_attempt(self) -> None:
        opening = opened(self.mapped)
        self.assertEqual(self.router.said, ["map 4000"])
        self.clock.advance(0.2)
        self.assertNoResult(opening)
        self.router.asked.callback(OUTSIDE)
        self.assertEqual(self.successResultOf(opening), [OUTSIDE])
        self.assertEqual(self.router.said, ["map 4000"])
        self.router.forgets = Deferred()
        closing = closed(self.mapped)
        self.assertNoResult(closing)
        self.router.forgets.callback(None)
        self.successResultOf(closing)
        self.assertEqual(self.router.said, ["map 4000", "undo", "undone"])

    def test_none_wanted(self) -> None:
        """Nothing is begun then: a task of asyncio's may outlive the reactor."""
        self.patch(port_mapping, "deferred_of", None)
        mapped = MappedPort(self.clock, None)
        self.assertEqual(self.successResultOf(opened(mapped)), [])
        self.successResultOf(closed(mapped))

    def test_router_takes_long(self) -> None:
        """The attempt goes on without, and what was under way is cancelled."""
        opening = opened(self.mapped)
        self.clock.advance(0.24)
        self.assertNoResult(opening)
        self.clock.advance(0.02)
        self.assertEqual(self.successResultOf(opening), [])
        self.successResultOf(closed(self.mapped))
        self.assertEqual(self.router.said, ["map 4000", "never mind"])

    def test_router_refuses(self) -> None:
        """Or there is none, which the hook tells at once."""
        opening = opened(self.mapped)
        self.router.asked.errback(OSError("not authorised"))
        self.assertEqual(self.successResultOf(opening), [])
        self.successResultOf(closed(self.mapped))

        def hook(port: int) -> None:
            raise LookupError("no gateway")

        mapped = MappedPort(self.clock, hook)  # type: ignore[arg-type]
        self.assertEqual(self.successResultOf(opened(mapped)), [])

    def test_cancelled(self) -> None:
        """Together with the attempt, which must not go on."""
        opening = opened(self.mapped)
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.successResultOf(closed(self.mapped))

    def test_router_does_not_forget(self) -> None:
        """The end of the attempt does not wait for ever, and undoes it once."""
        for fails in (False, True):
            self.setUp()
            self.router.asked.callback(OUTSIDE)
            self.successResultOf(opened(self.mapped))
            self.router.forgets = Deferred()
            closing = closed(self.mapped)
            self.clock.advance(0.24)
            self.assertNoResult(closing)
            if fails:
                self.router.forgets.errback(OSError("gone"))
            else:
                self.clock.advance(0.02)
            self.assertIsNone(self.successResultOf(closing))
            self.successResultOf(closed(self.mapped))
            self.assertEqual(self.router.said, ["map 4000", "undo"])
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_addresses_that_are_none(self) -> None:
        """What the hook has mapped before it went wrong is undone as well."""

        @asynccontextmanager
        async def mapping(port: int) -> AsyncIterator[None]:
            async with self.router.mapping(port):
                yield None

        self.router.asked.callback(OUTSIDE)
        mapped = MappedPort(self.clock, mapping)  # type: ignore[arg-type]
        self.assertEqual(self.successResultOf(opened(mapped)), [])
        self.successResultOf(closed(mapped))
        self.assertEqual(self.router.said, ["map 4000", "undo", "undone"])
