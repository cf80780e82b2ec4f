"""
Trying again until there is a connection, or no point in it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rdv.client.connection import Connection
from rdv.client.trace import Event, Trace, What
from rdv.endpoints.backoff import Backoff
from rdv.endpoints.standing import Standing, Tell
from rdv.errors import AttemptTimeout, RdvError, ServerRefused, TokenInUse
from rdv.wire import Role, check_token, token_hint

__all__ = ["keep_trying"]

log = Logger()

#: Seconds, at most, until a dialer that was replaced tries again: at first, and in the end.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


async def keep_trying(
    attempt: Callable[[float | None, Trace], Awaitable[Connection]],
    clock: IReactorTime,
    role: Role,
    token: str | bytes,
    timeout: float | None,
    *,
    tell: Tell = lambda error: None,
    chance: Callable[[], float] = random.random,
) -> Connection:
    """
    Make one connection, and outlive a server that restarts.

    What may come right again is tried again after a pause; :class:`rdv.endpoints.standing.Standing`
    says what that is. A server that was never there is final. A dialer whose place in the lobby was
    taken by another one (409) comes back after a short one, as the other one is gone from there as
    soon as the peer has come. An acceptor does not: two that share a token would throw each other
    out for ever.

    :param attempt: makes one attempt within the seconds that it is given, or as long as it takes,
        and tells the trace what happens.
    :param timeout: seconds for all of them; None for as long as it takes.
    :param tell: told of trouble with the server, and with None when it lets us wait.
    :param chance: a random number from 0 to 1.
    :raises BadToken: when the token cannot be one.
    :raises TokenInUse: when we were replaced; for a dialer, when no time is left to come back.
    :raises AttemptTimeout: when time was up in an attempt.
    :raises RdvError: what was final, or the last failure when no time is left for another attempt.
    """
    hint = token_hint(check_token(token))
    end = None if timeout is None else clock.seconds() + timeout
    standing = Standing(clock, tell, chance=chance)
    replaced = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, chance)
    before = ""

    def happened(event: Event) -> None:
        if event.what is What.ASKED:
            standing.asked()
        elif event.what is What.MET:
            standing.over()

    while True:
        failure: RdvError
        try:
            left = None if end is None else max(0.0, end - clock.seconds())
            return await attempt(left, happened)
        except AttemptTimeout as error:
            # It knows only of the time that was left for it, and not of the attempts before.
            assert timeout is not None
            raise AttemptTimeout(timeout, f"{before}{error.lacking}") from None
        except RdvError as error:
            failure = error
        finally:
            standing.over()
        if isinstance(failure, ServerRefused) and failure.status == 409:
            failure = TokenInUse(failure, "dials" if role is Role.DIALER else "accepts")
        comes_back = isinstance(failure, TokenInUse) and role is Role.DIALER
        if not comes_back and standing.is_final(failure):
            raise failure
        pause = replaced.next() if comes_back else standing.pause(failure)
        if end is not None and clock.seconds() + pause >= end:
            raise failure
        if not comes_back:
            standing.fails(failure)
        before = f"{failure}, then "
        log.debug(
            "{token}: {reason}; again in {pause:.1f} s",
            token=hint,
            reason=str(failure),
            pause=pause,
        )
        await deferLater(clock, pause)
