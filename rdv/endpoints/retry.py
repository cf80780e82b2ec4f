"""
Retries until there is a connection: which failures are final, and how long to wait after the
others.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rdv import _knobs as knobs
from rdv._backoff import Backoff, later
from rdv._secure.secret import Secret, Token, read_token, server_token
from rdv.client.reasons import is_of_tls
from rdv.client.stream.connection import Connection
from rdv.client.trace import Event, Trace, What
from rdv.errors import (
    AttemptTimeout,
    BadToken,
    BadURL,
    NoRelay,
    NoServer,
    NotProven,
    ProtocolError,
    RdvError,
    ServerRefused,
    ServerUnreachable,
    TokenInUse,
)
from rdv.wire import Role, token_hint

__all__ = ["RetryPolicy", "Tell", "harmless", "keep_trying"]

log = Logger()

#: Maximum pause in seconds before the next request to the server: after the first failure, and
#: after many.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
#: The same for a dialer that was replaced by another one.
_FIRST_RETURN, _LONGEST_RETURN = 0.2, 5.0
#: The maximum Retry-After of a server that is respected, in seconds.
_LONGEST_RETRY_AFTER = 300.0
#: Seconds after which a server that has our request would have refused it.
_SETTLED_AFTER = 0.5
#: Seconds: only a rendezvous server lets a request wait for this long.
_PROVEN_AFTER = 30.0

#: Seconds without a disturbance after which we have the token to ourselves again: twice the longest
#: pause of another program that keeps coming back.
_UNDISTURBED = 60.0

#: Access is denied, which does not change by itself.
_FINAL = frozenset((401, 403))
#: Responses of a server, or of a proxy in front of it, that are temporary (RFC 9110, 15.5 and 15.6,
#: and RFC 6585).
_FOR_THE_MOMENT = frozenset((408, 429, 502, 503, 504))

#: Called with the error when trouble begins, not for each failure; and with None when the server
#: lets us wait, for the first time or again.
Tell: TypeAlias = Callable[[RdvError | None], object]


def harmless(tell: Tell | None) -> Tell:
    """
    The same function, but its exceptions are only logged.

    :raises TypeError: when it is not a function.
    """
    told = knobs.function("trouble", tell)

    def call(error: RdvError | None) -> None:
        try:
            if told is not None:
                told(error)
        except Exception:
            log.failure("the trouble callback failed")

    return call


class RetryPolicy:
    """
    The policy for attempts that wait in the lobby one after the other. It is notified of what
    happens to the current one.

    Which failures are final:

    * always: an invalid URL or token, and 401 and 403;
    * never: 408, 429, 502, 503 and 504, and a peer that has not proved that it knows the secret;
    * a 409, another program with the same token: unless the policy is *patient* or *secured*;
    * a server that cannot be reached, or any other 5xx: until the server has let us wait once,
      because the URL may be mistyped; not if the policy is *patient*, nor when retrying has begun;
    * a server that takes our request and ends the connection without a response: the second time,
      because it may have been stopped just when the request arrived; as above, until it has let us
      wait;
    * any other response: until the server has let us wait for long, or has named a peer. After
      that, it is the response of a proxy while the server behind it restarts (404), or of the
      portal of the network that this host has moved to;
    * none of several servers lets us wait: if that is final for each of them;
    * a failure that is not the server's, such as a peer without a path to it, or an unavailable
      local port: unless the policy is patient.

    If another client uses the token (another program has replaced this one, or a peer did not know
    the secret), the policy is in trouble until it has not been disturbed for a minute. Until then
    the pauses continue to grow, however often the server lets it wait.

    :param tell: called with trouble.
    :param patient: for a service, which must be available as soon as possible.
    :param secured: if the token is a secret: a client that replaces this one cannot impersonate it.
    :param chance: a random number from 0 to 1.
    """

    def __init__(
        self,
        clock: IReactorTime,
        tell: Tell,
        *,
        patient: bool = False,
        secured: bool = False,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._patient = patient
        self._secured = secured
        self._chance = chance
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, chance)
        self._asked: float | None = None
        self._settling: IDelayedCall | None = None
        self._had_request = False  # whether the server had the last attempt's request
        self._unanswered = 0
        self._calm_from = -math.inf  # when we count as undisturbed again
        self._reached = self._proven = self._in_trouble = False

    # Events of the waiting attempt.

    def asked(self) -> None:
        """The server has the attempt's request, perhaps not for the first time."""
        if self._asked is None:
            self._asked = self._clock.seconds()
        if self._settling is None:
            self._settle()

    def met(self) -> None:
        """The server has named the attempt's peer."""
        self.over()
        self._proven = True
        if self._clock.seconds() >= self._calm_from:
            self._settled()

    def over(self) -> None:
        """The attempt no longer waits, for any reason."""
        if self._settling is not None and self._settling.active():
            self._settling.cancel()
        self._settling = None
        if self._asked is not None and self._clock.seconds() - self._asked >= _PROVEN_AFTER:
            self._proven = True
        self._had_request = self._asked is not None
        self._asked = None

    def _settle(self) -> None:
        until_calm = self._calm_from - self._clock.seconds()
        self._settling = self._clock.callLater(max(_SETTLED_AFTER, until_calm), self._settled)

    def _settled(self) -> None:
        self._settling = None
        if self._clock.seconds() < self._calm_from:  # disturbed meanwhile
            self._settle()
            return
        self._backoff.reset()
        news = self._in_trouble or not self._reached
        self._reached, self._in_trouble = True, False
        if news:
            self._tell(None)

    # What to do about a failure.

    def is_final(self, error: BaseException) -> bool:
        """Whether a retry is pointless."""
        if isinstance(error, (BadURL, BadToken)):
            return True
        if isinstance(error, NoServer):
            return all(map(self.is_final, error.errors))
        if isinstance(error, NotProven):
            return False
        if isinstance(error, ServerRefused):
            if error.status == 409:
                return not (self._patient or self._secured)
            if error.status in _FINAL or error.status in _FOR_THE_MOMENT:
                return error.status in _FINAL
            if error.status < 500:
                return not self._proven
        elif isinstance(error, ProtocolError):
            return not self._proven
        elif not isinstance(error, ServerUnreachable):
            return not self._patient
        elif self._had_request and not self._reached and not is_of_tls(error):
            return self._unanswered > 0 and not self._patient
        return not (self._patient or self._reached or self._in_trouble)

    def pause(self, error: BaseException) -> float:
        """Seconds until the next attempt: longer each time, and as long as the server asks for."""
        asked_for = error.retry_after if isinstance(error, (ServerRefused, NoServer)) else None
        return self._backoff.next() + later(asked_for, _LONGEST_RETRY_AFTER, self._chance)

    def fails(self, error: RdvError) -> None:
        """The attempt has failed, and will be retried."""
        if isinstance(error, (NoRelay, NotProven, TokenInUse)):
            self._reached = True
            self._calm_from = self._clock.seconds() + _UNDISTURBED
            if self._settling is None and self._asked is not None:
                self._settle()  # the next attempt is already waiting
        if isinstance(error, ServerUnreachable) and self._had_request:
            self._unanswered += 1
        if not self._in_trouble:
            self._in_trouble = True
            self._tell(error)


async def keep_trying(
    attempt: Callable[[float | None, Trace], Awaitable[Connection]],
    clock: IReactorTime,
    role: Role,
    token: Token,
    timeout: float | None,
    *,
    tell: Tell = lambda error: None,
    chance: Callable[[], float] = random.random,
) -> Connection:
    """
    Make one connection, and survive a server restart.

    Temporary failures are retried after a pause; :class:`RetryPolicy` decides which they are. A
    server that was never reached is final. A dialer whose place in the lobby was taken by another
    one (409) retries after a short pause, because the other one leaves the lobby as soon as the
    peer has arrived. An acceptor does so only with a secret, after pauses that grow to half a
    minute: with a plain token the other program gets the peers, and the two would replace each
    other forever. A meeting in which no peer proved that it knows the secret is no result for
    either role.

    :param attempt: makes one attempt within the given seconds, or without a limit, and calls the
        trace with its events.
    :param timeout: seconds for all attempts; None for no limit.
    :param tell: called with trouble with the server, and with None when it lets us wait.
    :param chance: a random number from 0 to 1.
    :raises BadToken: if the token is invalid, or ``BadSecret``.
    :raises TokenInUse: when we were replaced; for a dialer, or with a secret, when no time is left
        to retry.
    :raises AttemptTimeout: when the timeout expired during an attempt.
    :raises RdvError: the final failure, or the last one when no time is left for another attempt.
    """
    hint = token_hint(server_token(token))
    end = None if timeout is None else clock.seconds() + timeout
    secured = isinstance(read_token(token), Secret)
    policy = RetryPolicy(clock, tell, secured=secured, chance=chance)
    replaced = Backoff(_FIRST_RETURN, _LONGEST_RETURN, chance)
    before = ""

    def happened(event: Event) -> None:
        if event.what is What.ASKED:
            policy.asked()
        elif event.what is What.MET:
            policy.over()

    while True:
        failure: RdvError
        try:
            left = None if end is None else max(0.0, end - clock.seconds())
            return await attempt(left, happened)
        except AttemptTimeout as error:
            # This error only knows the time that was left, and not the attempts before.
            assert timeout is not None
            raise AttemptTimeout(timeout, f"{before}{error.lacking}") from None
        except RdvError as error:
            failure = error
        finally:
            policy.over()
        if isinstance(failure, ServerRefused) and failure.status == 409:
            failure = TokenInUse(failure, "dials" if role is Role.DIALER else "accepts")
        comes_back = isinstance(failure, TokenInUse) and role is Role.DIALER
        if not comes_back and policy.is_final(failure):
            raise failure
        pause = replaced.next() if comes_back else policy.pause(failure)
        if end is not None and clock.seconds() + pause >= end:
            raise failure
        if not comes_back:
            policy.fails(failure)
        before = f"{failure}, then "
        log.debug(
            "{token}: {reason}; retrying in {pause:.1f} s",
            token=hint,
            reason=str(failure),
            pause=pause,
        )
        await deferLater(clock, pause)
