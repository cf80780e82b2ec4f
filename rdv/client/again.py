"""
Dialling again when another dialer has taken the place in the lobby.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from rdv.client.backoff import Backoff
from rdv.client.connection import Connection
from rdv.errors import AttemptTimeout, ServerRefused, TokenInUse
from rdv.wire import check_token, token_hint

__all__ = ["dial_again"]

log = Logger()

#: Seconds, at most, until a dialer that was replaced tries again: at first, and in the end.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


async def dial_again(
    dial: Callable[[float | None], Awaitable[Connection]],
    clock: IReactorTime,
    token: str | bytes,
    timeout: float | None,
    chance: Callable[[], float] = random.random,
) -> Connection:
    """
    Dial, and dial again after a random pause that grows when another dialer with the same token
    took our place in the lobby (409): it is gone from there as soon as the peer has come.

    This is not for an acceptor: two that share a token would throw each other out for ever.

    :param dial: makes one attempt, within the seconds that it is given, or as long as it takes.
    :param timeout: seconds for all of them; None for as long as it takes.
    :param chance: a random number from 0 to 1.
    :raises BadToken: when the token cannot be one.
    :raises TokenInUse: when we were replaced, and there is no time left for another attempt.
    :raises AttemptTimeout: when time was up in an attempt.
    :raises RdvError: what else ``dial`` fails with.
    """
    hint = token_hint(check_token(token))
    end = None if timeout is None else clock.seconds() + timeout
    backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, chance)
    replaced = ""
    while True:
        try:
            return await dial(None if end is None else max(0.0, end - clock.seconds()))
        except AttemptTimeout as error:
            # It knows only of the time that was left for it, and not of the attempts before.
            assert timeout is not None
            raise AttemptTimeout(timeout, f"{replaced}{error.lacking}") from None
        except ServerRefused as refused:
            if refused.status != 409:
                raise
            pause = backoff.next()
            if end is not None and clock.seconds() + pause >= end:
                raise TokenInUse(refused, "dials") from refused
        replaced = "another program dials with the same token and took our place, then "
        log.debug(
            "{token}: another dialer took our place, again in {pause:.1f} s",
            token=hint,
            pause=pause,
        )
        await deferLater(clock, pause)
