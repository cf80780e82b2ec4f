"""
What applications await: in their own way, on either kind of event loop.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv import _awaiting as awaiting
from rdv._awaiting import deferred_of
from rdv.addresses import Address, parse_address
from rdv.client.reach.port_mapping import MappedPort
from rdv.server.relay.pair import Pair
from rdv.test.asyncio_loop import in_asyncio, without_asyncio
from rdv.test.server.doubles import ServerTestCase

OUTSIDE = parse_address("203.0.113.9:4000")


async def never() -> None:
    """Is not run."""
    raise AssertionError("it runs")


def assert_no_warning(test: SynchronousTestCase) -> None:
    """Of a coroutine that was never awaited."""
    gc.collect()
    assert RuntimeWarning not in [each["category"] for each in test.flushWarnings()]


class TwistedTests(SynchronousTestCase):
    """Where no event loop of asyncio's runs."""

    def setUp(self) -> None:
        without_asyncio(self)

    def test_result(self) -> None:
        async def work() -> int:
            return await first + await succeed(1)

        first: Deferred[int] = Deferred()
        working = deferred_of(work())
        self.assertNoResult(working)
        first.callback(1)
        self.assertEqual(self.successResultOf(working), 2)
        self.assertEqual(self.successResultOf(deferred_of(succeed(3))), 3)

    def test_cancel(self) -> None:
        async def work() -> None:
            await Deferred()

        working = deferred_of(work())
        working.cancel()
        self.failureResultOf(working, CancelledError)


class TaskTests(SynchronousTestCase):
    """Where asyncio's event loop runs."""

    @in_asyncio
    async def test_both_kinds(self) -> None:
        """In one coroutine: their results, and their failures."""

        async def work() -> list[object]:
            seen: list[object] = [await deferred]
            await asyncio.sleep(0)
            seen.append(await future)
            seen.append(await asyncio.wait_for(asyncio.sleep(0, "slept"), 5))
            assert asyncio.current_task() is not None
            for awaitable in (fail(KeyError()), failing):
                with self.assertRaises(KeyError):
                    await awaitable
            return [*seen, await succeed("at once")]

        loop = asyncio.get_running_loop()
        deferred: Deferred[str] = Deferred()
        future, failing = loop.create_future(), loop.create_future()
        working = deferred_of(work()).asFuture(loop)
        await asyncio.sleep(0)
        deferred.callback("called")
        await asyncio.sleep(0)
        future.set_result("set")
        failing.set_exception(KeyError())
        self.assertEqual(await working, ["called", "set", "slept", "at once"])

    @in_asyncio
    async def test_failure(self) -> None:
        """Its own is told."""

        async def work() -> None:
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            await deferred_of(work()).asFuture(asyncio.get_running_loop())

    @in_asyncio
    async def test_cancel(self) -> None:
        """What it awaits is cancelled, it may tidy up, and Twisted hears of it in its own words."""
        tidied: list[str] = []

        async def work(kind: str, awaitable: Any, cancelled: type[BaseException]) -> None:
            try:
                await awaitable
            except cancelled:
                await asyncio.sleep(0)
                await succeed(None)
                tidied.append(kind)
                raise

        loop = asyncio.get_running_loop()
        for kind, awaitable, error in (
            ("future", loop.create_future(), asyncio.CancelledError),
            ("deferred", Deferred[None](), CancelledError),
        ):
            working = deferred_of(work(kind, awaitable, error))
            result = working.asFuture(loop)
            await asyncio.sleep(0)
            working.cancel()
            with self.assertRaises(CancelledError):
                await result
        self.assertEqual(tidied, ["future", "deferred"])

    def test_cancel_at_once(self) -> None:
        """Before it has begun: nobody is warned of a coroutine that was never awaited."""

        async def run() -> None:
            working = deferred_of(never())
            result = working.asFuture(asyncio.get_running_loop())
            working.cancel()
            with self.assertRaises(CancelledError):
                await result

        asyncio.run(run())
        assert_no_warning(self)

    @in_asyncio
    async def test_deferred_that_is_slow_to_cancel(self) -> None:
        """It is waited for."""

        async def stubborn() -> str:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(0)
            return "in the end"

        async def work() -> str:
            return await Deferred.fromFuture(asyncio.ensure_future(stubborn()))

        working = deferred_of(work())
        result = working.asFuture(asyncio.get_running_loop())
        for _ in range(2):
            await asyncio.sleep(0)
        working.cancel()
        self.assertEqual(await result, "in the end")


class ReactorToComeTests(SynchronousTestCase):
    """asyncio's reactor is installed, and does not run yet."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.patch(awaiting, "_asyncio_reactor", lambda: self.clock)

    def test_begins_with_the_reactor(self) -> None:
        working = deferred_of(asyncio.wait_for(asyncio.sleep(0, "slept"), 5))
        self.assertNoResult(working)

        async def run() -> None:
            result = working.asFuture(asyncio.get_running_loop())
            self.clock.advance(0)
            self.assertEqual(await result, "slept")

        asyncio.run(run())

    def test_cancelled_before(self) -> None:
        working = deferred_of(never())
        working.cancel()
        self.failureResultOf(working, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        assert_no_warning(self)


class MappingTests(SynchronousTestCase):
    """A port mapping by a library for asyncio."""

    @in_asyncio
    async def test_mapping(self) -> None:
        said: list[object] = []

        @asynccontextmanager
        async def mapping(port: int) -> AsyncIterator[list[Address]]:
            await asyncio.wait_for(asyncio.sleep(0), 5)
            said.append(port)
            try:
                yield [OUTSIDE]
            finally:
                await asyncio.sleep(0)
                said.append("undone")

        loop = asyncio.get_running_loop()
        mapped = MappedPort(Clock(), mapping)
        opening = Deferred.fromCoroutine(mapped.open(4000))
        self.assertEqual(await opening.asFuture(loop), [OUTSIDE])
        await Deferred.fromCoroutine(mapped.close()).asFuture(loop)
        self.assertEqual(said, [4000, "undone"])

    @in_asyncio
    async def test_router_takes_long(self) -> None:
        """The attempt goes on without."""

        @asynccontextmanager
        async def mapping(port: int) -> AsyncIterator[list[Address]]:
            await asyncio.sleep(60)
            yield []

        loop, clock = asyncio.get_running_loop(), Clock()
        before = asyncio.all_tasks()
        mapped = MappedPort(clock, mapping, patience=0.25)
        opening = Deferred.fromCoroutine(mapped.open(4000)).asFuture(loop)
        await asyncio.sleep(0)
        clock.advance(0.25)
        self.assertEqual(await opening, [])
        await Deferred.fromCoroutine(mapped.close()).asFuture(loop)
        self.assertEqual(asyncio.all_tasks(), before)


class HookTests(ServerTestCase):
    """A ``serve`` hook that awaits asyncio's things."""

    @in_asyncio
    async def test_hook(self) -> None:
        async def serve(pair: Pair) -> None:
            await asyncio.wait_for(asyncio.sleep(0), 5)
            pair.reject(403, "not today")

        self.open(serve=serve)
        guests = self.dial(), self.accept()
        while not guests[0].received:
            await asyncio.sleep(0)
            self.settle()
        for guest in guests:
            self.assert_refused(guest, 403, "not today")
