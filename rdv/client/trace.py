"""
What happens in an attempt, as events: for a person who wants to know why it came out as it did.

::

    def trace(event):
        print(event.attempt, event.time, event.what, dict(event.fields))

    client = Client(reactor, trace=trace)

An attempt begins with ``BEGUN`` and ends with ``CONNECTED`` or ``FAILED``. In between there are
the events of the attempt itself, those of the request to the server, and, from the server's answer
on, those of the *ways* to the peer: the relay, each address that is dialled, and each connection
that has come in. A way has a number, counted from 1 on in its attempt; it begins with ``WAY`` and
ends with ``CHOSEN`` or ``LOST``.

A stream that begins on the relay and may still move to a direct path says so in ``CONNECTED``
(``moves``). Then the other ways go on behind it, and the attempt ends with ``MOVED`` or ``STAYED``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

__all__ = ["Event", "Trace", "What"]


class What(StrEnum):
    """
    What has happened. The fields of each event are named behind it. Times are in seconds, addresses
    are :class:`rdv.addresses.Address`, and spaces the lower case names of
    :class:`rdv.addresses.AddressSpace`.
    """

    # The attempt.

    #: An attempt: ``role`` (``dialer`` or ``acceptor``), ``server`` (its URL), ``port`` (the local
    #: one; where it could not be had, what was asked for).
    BEGUN = "begun"
    #: This host's addresses that the server will be told: ``addresses``, ``spaces`` (of each), and
    #: ``mapped``, those among them that a router has mapped for us.
    ADDRESSES = "addresses"
    #: There is a connection: ``path`` (``relay`` or ``p2p``), ``peer``, ``way``, and ``moves``:
    #: whether it may still move to a direct path, so that ``MOVED`` or ``STAYED`` will follow.
    CONNECTED = "connected"
    #: There is none: ``reason``.
    FAILED = "failed"

    # The server.

    #: It is reached through an HTTP proxy: ``proxy`` (its URL, without a password). What is
    #: resolved and dialled is that one then, and it is reached when it has reached the server.
    PROXIED = "proxied"
    #: Its name means these addresses, or those of one kind: ``host``, ``addresses``.
    RESOLVED = "resolved"
    #: One of its addresses is dialled: ``address``.
    CALLED = "called"
    #: That connection stands: ``address``, ``seconds``.
    REACHED = "reached"
    #: There is none: ``address``, ``reason``, ``seconds``.
    UNREACHED = "unreached"
    #: The TLS handshake is done: ``version``, ``cipher``.
    SECURED = "secured"
    #: The server has been reached, and has our request.
    ASKED = "asked"
    #: It has answered: ``status`` and ``phrase`` of HTTP, ``round_trip`` (of the kernel; None where
    #: the system does not tell).
    ANSWERED = "answered"
    #: It has named the peer: ``observed``, ``peer_addresses``.
    MET = "met"

    # The ways to the peer. Each of these has the number of the ``way``.

    #: There is one more: ``kind`` (``relay``, ``dial`` or ``inbound``), ``address`` (the other end)
    #: and its ``space``, ``guessed`` (whether the port was predicted).
    WAY = "way"
    #: Its address is dialled: ``dial``, counted from 1 on.
    DIALLED = "dialled"
    #: That dial came to nothing: ``dial``, ``reason``, ``errno`` (its symbolic name, as
    #: ``ECONNREFUSED``; None when nothing has answered, and for a connection that stood and was
    #: lost), ``seconds``. There may be a next one.
    REFUSED = "refused"
    #: The connection stands: ``seconds`` since it was dialled (None when we have not), and
    #: ``round_trip``.
    STANDS = "stands"
    #: The first byte of our HELLO was sent alone, to see whether anything arrives.
    PROBED = "probed"
    #: We have said a line of the handshake: ``line`` (``HELLO`` or ``CONFIRM``).
    SAID = "said"
    #: The peer has said one: ``line``.
    HEARD = "heard"
    #: It is ready, but a better one may still come: ``seconds`` (None for ever), ``reason``.
    WAITS = "waits"
    #: It need not wait any longer, as nothing better can come.
    HURRIED = "hurried"
    #: Something between may drop all that we send: chosen only when CONFIRM is acknowledged.
    SUSPECT = "suspect"
    #: The other side's system has acknowledged our CONFIRM on a suspect one.
    ACKNOWLEDGED = "acknowledged"
    #: It has been refused for so long that the relay does not wait for it any more.
    HOPELESS = "hopeless"
    #: It has won: ``dials`` (how many were made).
    CHOSEN = "chosen"
    #: It has not: ``reason``, ``dials``.
    LOST = "lost"
    #: Not of a way: somebody has connected whom we do not want: ``address``, ``space``.
    REJECTED = "rejected"

    # After CONNECTED.

    #: The stream has moved from the relay to a direct path: what we send goes there now, and the
    #: peer will do likewise: ``way``, ``peer``.
    MOVED = "moved"
    #: It has not, and will not: ``reason``.
    STAYED = "stayed"
    #: The choice is final: ``reason``.
    SETTLED = "settled"
    #: The path that was chosen has proved dead, and the relay has taken its place: ``way``,
    #: ``peer``.
    SWITCHED = "switched"


@dataclass(frozen=True, slots=True)
class Event:
    """
    :ivar time: seconds, by the client's clock: only differences mean anything.
    :ivar attempt: the number of the attempt, counted by the client from 1 on. A server that says
        that nobody came is asked again in another one.
    :ivar what: what has happened.
    :ivar fields: the details; see :class:`What`.
    """

    time: float
    attempt: int
    what: What
    fields: Mapping[str, object] = field(default_factory=dict)

    def record(self) -> dict[str, object]:
        """The event as JSON can say it; ``what`` is called ``event`` there."""
        fields = {name: _plain(value) for name, value in self.fields.items()}
        return {"event": self.what.value, "time": self.time, "attempt": self.attempt, **fields}


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value)


#: Is called with each event, at once. An exception is logged, and changes nothing. It may cancel
#: the attempt, which is done in the next turn of the reactor.
Trace: TypeAlias = Callable[[Event], object]
