"""
What happens during an attempt, as events: to find out why it ended as it did.

::

    def trace(event):
        print(event.attempt, event.time, event.what, dict(event.fields))

    client = Client(reactor, trace=trace)

An attempt begins with ``BEGUN`` and ends with ``CONNECTED`` or ``FAILED``. In between, there are
the events of the attempt itself, those of the request to the server, and, from the server's
response on, those of the *ways* to the peer: the relay, each address that is dialled, and each
incoming connection. A way has a number within its attempt, starting at 1; it begins with ``WAY``
and ends with ``CHOSEN`` or ``LOST``.

A stream that begins on the relay and may still move to a direct path says so in ``CONNECTED``
(``moves``). The other ways then continue after it, and the attempt ends with ``MOVED`` or
``STAYED``.
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
    What happened. The description of each event names its fields. Times are in seconds, addresses
    are :class:`rdv.addresses.Address`, and spaces the lower case names of
    :class:`rdv.addresses.AddressSpace`.
    """

    # The attempt.

    #: An attempt begins: ``role`` (``dialer`` or ``acceptor``), ``server`` (its URL), ``port`` (the
    #: local one; if it was unavailable, the requested one).
    BEGUN = "begun"
    #: This host's addresses that will be reported to the server: ``addresses``, ``spaces`` (of
    #: each), and ``mapped``, those that a router has mapped.
    ADDRESSES = "addresses"
    #: The connection is established: ``path`` (``relay`` or ``p2p``), ``peer``, ``way``, and
    #: ``moves``: whether it may still move to a direct path, so that ``MOVED`` or ``STAYED`` will
    #: follow.
    CONNECTED = "connected"
    #: The attempt failed: ``reason``.
    FAILED = "failed"

    # The server.

    #: The server is reached through an HTTP proxy: ``proxy`` (its URL, without a password). The
    #: following events are then about the proxy, which is reached once it has reached the server.
    PROXIED = "proxied"
    #: The name was resolved to these addresses, or those of one kind: ``host``, ``addresses``.
    RESOLVED = "resolved"
    #: One of the server's addresses is dialled: ``address``.
    CALLED = "called"
    #: That connection is established: ``address``, ``seconds``.
    REACHED = "reached"
    #: That connection failed: ``address``, ``reason``, ``seconds``.
    UNREACHED = "unreached"
    #: The TLS handshake is complete: ``version``, ``cipher``.
    SECURED = "secured"
    #: The server has been reached, and has the request.
    ASKED = "asked"
    #: The server has responded: HTTP ``status`` and ``phrase``, ``round_trip`` (from the kernel;
    #: None if the system does not report it).
    ANSWERED = "answered"
    #: The server has named the peer: ``observed``, ``peer_addresses``.
    MET = "met"

    # The ways to the peer. Each of these has the number of the ``way``.

    #: There is a new way: ``kind`` (``relay``, ``dial`` or ``inbound``), ``address`` (the other
    #: end) and its ``space``, ``guessed`` (whether the port was predicted).
    WAY = "way"
    #: Its address is dialled: ``dial``, starting at 1.
    DIALLED = "dialled"
    #: That dial failed: ``dial``, ``reason``, ``errno`` (its symbolic name, such as
    #: ``ECONNREFUSED``; None if there was no answer, and for a connection that was established and
    #: then lost), ``seconds``. Another dial may follow.
    REFUSED = "refused"
    #: The connection is established: ``seconds`` since it was dialled (None for an incoming one),
    #: and ``round_trip``.
    STANDS = "stands"
    #: The first byte of HELLO was sent alone, to see whether anything arrives.
    PROBED = "probed"
    #: This side has sent a line of the handshake: ``line`` (``HELLO`` or ``CONFIRM``).
    SAID = "said"
    #: The peer has sent a line: ``line``.
    HEARD = "heard"
    #: It is ready, but waits for a better one: ``seconds`` (None for no limit), ``reason``.
    WAITS = "waits"
    #: It no longer waits, because no better one is possible.
    HURRIED = "hurried"
    #: A device on the way may drop everything that this side sends: it is only chosen once CONFIRM
    #: is acknowledged.
    SUSPECT = "suspect"
    #: The other side's system has acknowledged CONFIRM on a suspect way.
    ACKNOWLEDGED = "acknowledged"
    #: It has been refused for so long that the relay no longer waits for it.
    HOPELESS = "hopeless"
    #: It was chosen: ``dials`` (how many were made).
    CHOSEN = "chosen"
    #: It was not chosen: ``reason``, ``dials``.
    LOST = "lost"
    #: Not about a way: an unwanted incoming connection: ``address``, ``space``.
    REJECTED = "rejected"

    # After CONNECTED.

    #: The stream has moved from the relay to a direct path: this side sends there now, and the peer
    #: will do the same: ``way``, ``peer``.
    MOVED = "moved"
    #: The stream has not moved, and will not: ``reason``.
    STAYED = "stayed"
    #: The choice is final: ``reason``.
    SETTLED = "settled"
    #: The chosen path proved dead, and the relay has replaced it: ``way``, ``peer``.
    SWITCHED = "switched"


@dataclass(frozen=True, slots=True)
class Event:
    """
    :ivar time: seconds on the client's clock: only differences are meaningful.
    :ivar attempt: the number of the attempt, counted by the client, starting at 1. If the server
        reports that no peer arrived, there is another attempt.
    :ivar what: what happened.
    :ivar fields: the details; see :class:`What`.
    """

    time: float
    attempt: int
    what: What
    fields: Mapping[str, object] = field(default_factory=dict)

    def record(self) -> dict[str, object]:
        """The event in a form that JSON can represent; ``what`` is called ``event`` there."""
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


#: Called with each event, synchronously. Exceptions are logged, and have no other effect. It may
#: cancel the attempt; the cancellation happens in the next reactor turn.
Trace: TypeAlias = Callable[[Event], object]
