"""
Accepting one peer after the other under one token.

The lobby keeps one waiting client for each token and role; a second one replaces the first (409). A
listener therefore has one attempt waiting at a time. It starts the next one as soon as the server
has named the peer of the current one (``What.MET``), not when a path is established, which can take
seconds with the relay. It first leaves the CPU to that race for 20 milliseconds, after which a
short path has won, because preparing the next attempt takes some of that time. In between, no
attempt is waiting; a dialer that arrives then waits itself.

For the same reason, the dials of one endpoint are queued for the lobby, and a dial that was
replaced by another client's retries after a random, growing pause within its timeout. So does the
command ``rdv dial``, because many may be started at once against one listener. A listener that was
replaced comes back too; otherwise, anyone who learned the token could end it with one request. It
does so after pauses that grow to half a minute, and reports it, because two listeners with one
token replace each other for as long as both run. A single acceptor gives up, unless its token is a
secret.

``retry`` decides what else is retried, for listeners and for single connections. They differ in one
respect: for a listener, a server that was never reached is not there *yet*; for an interactive
user, it is probably a typo. ``Client.dial`` and ``accept`` leave everything except a 408 to their
caller.

``listen()`` fires immediately if its arguments are valid: an unreachable server is no reason for a
service not to start. The port's ``waiting`` fires when peers can connect: the server has the
request and has not refused it for half a second. The server sends nothing before a peer arrives.

What can go wrong:

* The server cannot be reached or returns 429 or 5xx, or the local port is in use: retried after a
  random, growing pause plus what ``Retry-After`` asks for; reported once.
* Another program accepts (409), or a peer does not know the secret: the same, and over after a
  minute without incidents. Such a peer causes no pause, because the next attempt is already
  waiting.
* 401 or 403: the port stops and says why.
* Any other refusal, or a response that is not rdv/1: likewise at first contact, but retried once
  the server has let the port wait for long or has named a peer, because proxies return 404 while
  the server restarts.
* A peer arrives and there is no path: that attempt fails; the next one started long ago.
* A client with the token starts many attempts and abandons them: their number is bounded, and new
  ones replace the oldest. Beyond half of the limit, they start so slowly that each has a few
  seconds.
* The port is stopped: waiting and running attempts are cancelled, delivered connections stay.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from rdv import _knobs as knobs
from rdv._allowance import Allowance
from rdv._observer import OneShotObserver
from rdv._secure.secret import Token, server_token
from rdv.client.http.request import RequestOptions
from rdv.client.iclient import IClient
from rdv.client.stream.connection import Connection
from rdv.client.trace import Event, What
from rdv.endpoints.dial_queue import LobbyStay
from rdv.endpoints.retry import RetryPolicy, Tell, harmless
from rdv.errors import NoRelay, NotProven, RdvError, ServerRefused, TokenInUse
from rdv.wire import token_hint

__all__ = ["Listener", "Trouble"]

log = Logger()

#: Called with an error when peers cannot connect, and with None when that is over.
Trouble = Tell

#: How many attempts there may be at a time, including the one that waits.
_MOST_ATTEMPTS = 64
#: Seconds that an attempt has after it has met its peer, before it may have to make room: more than
#: a dialer needs to choose the relay, whose penalty is 2 seconds.
_BEFORE_MAKING_ROOM = 3.0
#: How many attempts may meet a peer and fail, at once and per second, before new ones begin more
#: slowly: each attempt dials the addresses that its peer names.
_IN_VAIN_AT_ONCE, _IN_VAIN_PER_SECOND = 64, 10


class Listener:
    """
    Keeps accepting. One attempt at a time waits in the lobby, and the next begins as soon as the
    server has named the peer of that one: a path may take seconds, and other peers may want to
    connect.

    After a temporary problem it continues, after a growing pause;
    :class:`rdv.endpoints.retry.RetryPolicy` decides which problems are temporary.

    :param options: for the client's ``accept``.
    :param deliver: called with each connection.
    :param trouble: called once with the error when peers cannot reach us, and with None when that
        is over.
    :param chance: a random number from 0 to 1.
    :param most: how many attempts there may be at a time.
    :raises BadToken: if the token is invalid, or ``BadSecret``.
    :raises TypeError: when one of them is of the wrong type; the text names it.
    :raises ValueError: when one is out of range; likewise.
    :ivar waiting: fires when the server has our request and has not refused it, or fails with the
        first problem.
    :ivar stopped: fires after :meth:`stop`, or fails with a final problem.
    :ivar closed: fires when no attempt is running any more.
    """

    def __init__(
        self,
        client: IClient,
        url: str,
        token: Token,
        options: RequestOptions,
        deliver: Callable[[Connection], object],
        trouble: Trouble | None = None,
        *,
        chance: Callable[[], float] = random.random,
        most: int = _MOST_ATTEMPTS,
    ) -> None:
        self._client = client
        self._clock = client.clock
        self._url = url
        self._token = token
        self._hint = token_hint(server_token(token))
        self._options = options
        self._deliver = deliver
        self._tell = harmless(trouble)
        self._policy = RetryPolicy(client.clock, self._news, patient=True, chance=chance)
        self._room = DeferredSemaphore(knobs.whole("most", most, 1, sys.maxsize))
        self._attempts: dict[Deferred[Any], None] = {}  # the oldest first
        self._in_vain = Allowance(_IN_VAIN_AT_ONCE, _IN_VAIN_PER_SECOND)
        self._accepting: Deferred[None] | None = None
        self._stopping = self._over = self._in_trouble = self._crowded = False
        self.waiting: OneShotObserver[None] = OneShotObserver()
        self.stopped: OneShotObserver[None] = OneShotObserver()
        self.closed: OneShotObserver[None] = OneShotObserver()

    def start(self) -> None:
        """Begin. Once only."""
        self._accepting = Deferred.fromCoroutine(self._keep_accepting())
        self._accepting.addErrback(self._give_up).addBoth(lambda _: self._loop_ended())

    def stop(self) -> Deferred[None]:
        """
        Accept no more, and cancel all attempts.

        :return: fires when they are closed.
        """
        self._stopping = True
        if self._accepting is None:
            self._loop_ended()
        else:
            self._accepting.cancel()
        for attempt in list(self._attempts):
            attempt.cancel()
        return self.closed.when_fired()

    async def _keep_accepting(self) -> None:
        while True:
            await self._make_room()
            error = await self._in_the_lobby()
            if error is None:
                # Two turns: in between, the reactor sends what a new protocol has written.
                await deferLater(self._clock, 0)
                await deferLater(self._clock, 0)
                continue
            if isinstance(error, ServerRefused) and error.status == 409:
                error = TokenInUse(error, "accepts")
            if self._policy.is_final(error):
                raise error
            self._fails(error)
            if self._stopping:  # the trouble callback has stopped this
                return
            await deferLater(self._clock, self._policy.pause(error))

    async def _make_room(self) -> None:
        """Wait until the next attempt may begin: not long, even if the others never end."""
        freely = self._room.limit // 2
        if len(self._attempts) <= freely:
            self._crowded = False
        else:
            await deferLater(self._clock, _BEFORE_MAKING_ROOM / (self._room.limit - freely))
        if self._in_vain.left(self._clock.seconds()) < 1:
            await deferLater(self._clock, 1 / _IN_VAIN_PER_SECOND)
        if not self._room.tokens:
            if not self._crowded:
                text = "{token}: {most} pending attempts: the oldest are replaced"
                log.warn(text, token=self._hint, most=len(self._attempts))
            self._crowded = True
            next(iter(self._attempts)).cancel()
        await self._room.acquire()

    def _in_the_lobby(self) -> Deferred[BaseException | None]:
        """
        Begin an attempt. Fires with None when it has met its peer and had a head start, or has
        succeeded; or with the reason why it has failed before it met a peer.
        """
        stay = LobbyStay(self._clock)

        def happened(event: Event) -> None:
            if event.what is What.ASKED:
                self._policy.asked()
            elif event.what is What.MET:
                self._policy.met()
                stay.met()

        def ended(result: Connection | Failure) -> None:
            self._attempts.pop(attempt, None)
            if isinstance(result, Failure) and not stay.has_met:
                self._policy.over()
                stay.leave(result.value)
            else:
                if not stay.has_met:
                    self._policy.met()
                self._hand_out(result)
                stay.leave()
            self._room.release()
            self._check_closed()

        attempt = self._client.accept(
            self._url, self._token, timeout=None, trace=happened, **self._options
        )
        self._attempts[attempt] = None
        attempt.addCallback(self._unless_stopping)
        attempt.addBoth(ended)
        return stay.left

    def _unless_stopping(self, connection: Connection) -> Connection | Deferred[Connection]:
        if not self._stopping:
            return connection
        too_late = Failure(CancelledError())
        return connection.discard().addCallback(lambda _: too_late)

    def _hand_out(self, result: Connection | Failure) -> None:
        """Handle the result of an attempt that has met its peer."""
        if not isinstance(result, Failure):
            try:
                self._deliver(result)
            except Exception:
                log.failure("the protocol for a peer failed")
                result.abortConnection()
        elif result.check(RdvError):
            self._in_vain.take(self._clock.seconds())
            text = "{token}: a peer arrived, but {reason}"
            log.info(text, token=self._hint, reason=result.getErrorMessage())
            if isinstance(result.value, (NotProven, NoRelay)) and not self._stopping:
                self._policy.fails(result.value)
        elif not result.check(CancelledError):
            log.failure("{token}: an attempt failed", result, token=self._hint)

    # The state at the server.

    def _news(self, error: RdvError | None) -> None:
        if error is None:
            log.info("{token}: waiting for peers at {server}", token=self._hint, server=self._url)
            self.waiting.fire(None)
        else:
            log.warn("{token}: trouble: {reason}", token=self._hint, reason=str(error))
            self.waiting.fire(Failure(error))
        if error is not None or self._in_trouble:
            self._in_trouble = error is not None
            self._tell(error)

    def _fails(self, error: BaseException) -> None:
        if not isinstance(error, RdvError):
            log.failure("{token}: an attempt failed", Failure(error), token=self._hint)
            error = RdvError(f"unexpected: {error!r}")
        self._policy.fails(error)

    # The end.

    def _give_up(self, failure: Failure) -> None:
        if self._stopping and failure.check(CancelledError):
            return
        log.error(
            "{token}: accepting no more: {reason}",
            token=self._hint,
            reason=failure.getErrorMessage(),
        )
        self.waiting.fire(failure)
        self.stopped.fire(failure)

    def _loop_ended(self) -> None:
        self._over = True
        self._policy.over()
        self._check_closed()

    def _check_closed(self) -> None:
        if self._over and not self._attempts:
            self.waiting.fire(Failure(CancelledError()))
            self.stopped.fire(None)
            self.closed.fire(None)
