"""
Attempts at several servers for one connection.

Both peers have the servers in the same order (:mod:`rdv.client.order`). Each contacts the first
one, and the next one as soon as that has failed, or 2 seconds later, and so on; it waits at each
server that admits it. After a while, each of the two is therefore waiting at every server that it
can reach, and they meet as soon as there is one that both can reach, whatever else is broken, and
for whichever peer. Normally they meet at the first, and nobody contacts another.

A server that fails is retried after a pause that grows to 15 seconds, and at least as long as its
``Retry-After`` says, as long as another one lets the client wait or has not answered yet. If there
is none, the call fails, and its caller decides, as with one server.

The same applies to one server whose name has several addresses, with one difference: they may lead
to one machine, where each request replaces the one before. The next address is therefore contacted
only if the one before has failed or cannot be reached. If that one is the first address again, it
is retried as above, so that a peer that contacts it later finds this client. Any other response of
a server holds for all addresses: the call fails.

What can go wrong:

* A server is silent: the next one is contacted after 2 seconds anyway.
* The peers meet at two servers at once: both attempts continue. The dialer only confirms on one
  path, because the attempts take turns at that, and the acceptor takes the one that is confirmed.
  Nothing is given up before there is a connection, except attempts that are still waiting a second
  after a meeting: another peer could arrive there in vain.
* Two URLs lead to one server, where the second request replaces the first (409): the first one is
  not repeated. The same happens if another program has the token and replaces this client at each
  server: then the call fails.
* A meeting fails: the call fails, unless there is another meeting.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from rdv._backoff import Backoff, later
from rdv.client.reach.opened import ignoring_cancellation
from rdv.client.servers.urls import MAX_SERVERS, Place
from rdv.errors import NoServer, RdvError, ServerRefused, ServerUnreachable

__all__ = ["Several", "Visit"]

log = Logger()

T = TypeVar("T")

#: Makes attempts at one server, and calls its second argument when that server has named the peer.
Visit = Callable[[Place, Callable[[], object]], Coroutine[Any, Any, T]]

#: Seconds until the next server is contacted as well.
_STEP = 2.0
#: Maximum pause in seconds before a server that has failed is contacted again: after the first
#: failure, and after many.
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 15.0
#: The maximum Retry-After of a server that is respected, in seconds.
_LONGEST_RETRY_AFTER = 60.0
#: Seconds in which a second meeting, which began at the same time as the first, may follow it.
_GRACE = 1.0


class Several(Generic[T]):
    """
    :param servers: in the order of preference.
    :param discard: closes a connection that was established too late.
    :param waits: whether a server that is being contacted has our request. Given when the servers
        are machines of one name.
    :param chance: a random number from 0 to 1.
    """

    def __init__(
        self,
        clock: IReactorTime,
        servers: Sequence[Place],
        visit: Visit[T],
        discard: Callable[[T], Deferred[None]],
        waits: Callable[[Place], bool] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._visit = visit
        self._discard = discard
        self._chance = chance
        self._waits = waits
        self._known = set(servers)
        self._unasked = list(servers)
        self._asking: dict[Place, Deferred[None]] = {}  # contacted now, or again later
        self._under_way: set[Place] = set()
        self._met: set[Place] = set()
        self._errors: dict[Place, RdvError] = {}
        self._next: IDelayedCall | None = None
        self._given_up: IDelayedCall | None = None
        self._result: Deferred[T] = Deferred()

    async def run(self) -> T:
        """
        The result of the first attempt that succeeds. When it fires, or is cancelled, nothing is
        left of the others.

        :raises NoServer: when no server lets us wait.
        :raises RdvError: the result of a failed meeting.
        """
        try:
            self._ask_next()
            return await self._result
        finally:
            _stop(self._next)
            _stop(self._given_up)
            asking = list(self._asking.values())
            for each in asking:
                each.cancel()
            # A coroutine that is discarded unfinished, as by a test, must not await anything.
            if not isinstance(sys.exception(), GeneratorExit):
                await ignoring_cancellation(gatherResults(asking))

    def add(self, servers: Sequence[Place]) -> None:
        """
        Add servers after the others. Known ones are not contacted twice, and their number is
        limited: the owner of a name could otherwise make us contact any number of hosts.
        """
        new = [each for each in servers if each not in self._known]
        del new[max(0, MAX_SERVERS - len(self._known)) :]
        self._unasked += new
        self._known.update(new)
        if self._unasked and not (self._met or self._result.called or _runs(self._next)):
            self._next = self._clock.callLater(_STEP, self._ask_next)

    def _ask_next(self) -> None:
        """Contact the next server, unless one of several machines has our request already."""
        if self._waits is not None and any(map(self._waits, self._under_way)):
            return
        server = self._unasked.pop(0)
        self._next = self._clock.callLater(_STEP, self._ask_next) if self._unasked else None
        self._under_way.add(server)
        asking = Deferred.fromCoroutine(self._keep_asking(server))
        # It cannot fail, unless it is discarded unfinished.
        self._asking[server] = asking.addErrback(lambda _: None)

    async def _keep_asking(self, server: Place) -> None:
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._chance)
        try:
            while not self._met:
                self._under_way.add(server)
                try:
                    result = await self._visit(server, partial(self._meets, server))
                except RdvError as error:
                    if not self._goes_on(server, error):
                        return
                    asked_for = error.retry_after if isinstance(error, ServerRefused) else None
                    away = later(asked_for, _LONGEST_RETRY_AFTER, self._chance)
                    await deferLater(self._clock, backoff.next() + away)
                    continue
                if self._result.called:
                    await ignoring_cancellation(self._discard(result))
                else:
                    self._decide(server, result)
                return
        except CancelledError:
            return
        except Exception:
            self._decide(server, Failure())

    def _meets(self, server: Place) -> None:
        """A server has named the peer: no further one is contacted."""
        if not self._met:
            _stop(self._next)
            self._given_up = self._clock.callLater(_GRACE, self._give_up_waiting)
        self._met.add(server)

    def _give_up_waiting(self) -> None:
        for server, asking in list(self._asking.items()):
            if server not in self._met:
                asking.cancel()

    def _goes_on(self, server: Place, error: RdvError) -> bool:
        """A server has failed. Returns whether to contact it again."""
        log.debug("{server}: {reason}", server=str(server), reason=str(error))
        self._under_way.discard(server)
        if self._met:
            self._met.discard(server)
            if not self._met:
                self._decide(server, Failure(error))
            return False
        self._errors[server] = error
        if self._waits is not None and not _leads_elsewhere(error, bool(self._under_way)):
            self._decide(server, Failure(error))
            return False
        if self._unasked:
            _stop(self._next)
            self._next = self._clock.callLater(0, self._ask_next)
        elif not self._under_way:
            errors = list(self._errors.values())
            self._decide(server, Failure(_sum(errors) if self._waits is None else errors[-1]))
            return False
        return not _is_replaced(error)

    def _decide(self, server: Place, result: T | Failure) -> None:
        self._asking.pop(server, None)  # it has ended, so ``run`` need not wait for it
        if not self._result.called:
            self._result.callback(result)


def _runs(timer: IDelayedCall | None) -> bool:
    return timer is not None and timer.active()


def _stop(timer: IDelayedCall | None) -> None:
    if timer is not None and _runs(timer):
        timer.cancel()


def _leads_elsewhere(error: RdvError, has_others: bool) -> bool:
    """Whether another machine of the same name may respond differently."""
    if _is_replaced(error):
        return has_others  # by our own request, at another address of the same machine
    return isinstance(error, ServerUnreachable) or (
        isinstance(error, ServerRefused) and error.status == HTTPStatus.SERVICE_UNAVAILABLE
    )


def _is_replaced(error: RdvError) -> bool:
    return isinstance(error, ServerRefused) and error.status == 409


def _sum(errors: list[RdvError]) -> RdvError:
    """The error for all servers. If the client was replaced everywhere, it says so."""
    return errors[-1] if all(map(_is_replaced, errors)) else NoServer(errors)
