"""
Awaits what an application returns: a Twisted awaitable, and under Twisted's asyncio reactor also an
asyncio one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Coroutine, Generator
from types import coroutine
from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

__all__ = ["deferred_of", "install_asyncio", "is_asyncio"]

T = TypeVar("T")


def deferred_of(awaitable: Awaitable[T]) -> Deferred[T]:
    """
    Wait for ``awaitable``. If asyncio's event loop is running, or will run with its reactor, it
    becomes a task that may await asyncio futures and Twisted Deferreds.

    :return: fires with its result. Cancelling it cancels what is being awaited; it then errbacks
        with Twisted's ``CancelledError``, even if asyncio raises its own.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        if not asyncio.isfuture(awaitable):
            reactor = _asyncio_reactor()
            if reactor is None:
                return Deferred.fromCoroutine(_wait(awaitable))
            # The loop is not running yet, as in a function that ``react`` calls.
            begun = deferLater(reactor, 0, deferred_of, awaitable)
            return begun.addBoth(_closed, awaitable)
        future = awaitable
    else:
        awaiting = _wait(awaitable)
        # Through _wait(), because a task does not accept a generator since Python 3.12.
        future = loop.create_task(_wait(_either(awaiting, loop)))
        future.add_done_callback(lambda _: _closed(None, awaiting, awaitable))
    return Deferred.fromFuture(future).addErrback(_translated)


def _translated(failure: Failure) -> NoReturn:
    if failure.check(asyncio.CancelledError):
        raise CancelledError
    failure.raiseException()


def is_asyncio(reactor: object) -> bool:
    """Whether it is Twisted's asyncio reactor. Does not import its module, which takes time."""
    module: Any = sys.modules.get("twisted.internet.asyncioreactor")
    return module is not None and isinstance(reactor, module.AsyncioSelectorReactor)


def install_asyncio() -> None:
    """Install the asyncio reactor in this process, which has no reactor yet."""
    from twisted.internet.asyncioreactor import install

    install()


def _asyncio_reactor() -> Any:
    """The reactor of this process, if it is asyncio's. Importing the reactor would install one."""
    reactor = sys.modules.get("twisted.internet.reactor")
    return reactor if is_asyncio(reactor) else None


def _closed(result: T, *awaited: object) -> T:
    """
    Close a coroutine that was cancelled before it began, to avoid a warning that it was never
    awaited.
    """
    for each in awaited:
        if asyncio.iscoroutine(each):
            each.close()
    return result


async def _wait(awaitable: Awaitable[T]) -> T:
    return await awaitable


@coroutine
def _either(
    awaiting: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop
) -> Generator[Any, Any, T]:
    """A coroutine that a task can run: a task only awaits futures, so each Deferred becomes one."""
    resume: Any = awaiting.send
    value: object = None
    while True:
        try:
            wanted = resume(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        resume, value = awaiting.send, None
        try:
            if isinstance(wanted, Deferred):
                yield from _called(wanted, loop).__await__()
            else:
                value = yield wanted
        except GeneratorExit:
            awaiting.close()
            raise
        except BaseException as error:
            if isinstance(wanted, Deferred):
                wanted.cancel()  # and await its reaction
            else:
                resume, value = awaiting.throw, error


def _called(deferred: Deferred[Any], loop: asyncio.AbstractEventLoop) -> Awaitable[None]:
    """Done when ``deferred`` has a result, which it keeps."""
    called = loop.create_future()

    def wake(result: Any) -> Any:
        if not called.done():
            called.set_result(None)
        return result

    deferred.addBoth(wake)
    return called
