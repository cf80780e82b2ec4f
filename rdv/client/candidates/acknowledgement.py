"""
Waits until the other side's system has acknowledged what we have sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from rdv._system.tcp_info import bytes_acknowledged, round_trip
from rdv._transport.interfaces import StreamTransport
from rdv.addresses import Address, is_local

__all__ = ["may_be_half_dead", "pauses", "proven_within", "say"]

#: The maximum round trip, in seconds, of a connection that may be half-dead.
_HALF_DEAD_WITHIN = 0.01
#: The time for the answer to a CONFIRM: at least this many seconds and round trips. On a long path,
#: the system retransmits a lost CONFIRM after three round trips.
_PROVEN_WITHIN, _ROUND_TRIPS = 1.5, 6


def may_be_half_dead(transport: object, peer: Address) -> bool:
    """
    Whether a NAT may pass only the first bytes of a new connection.

    A NAT that remembers a refused SYN mistakes a new one for the old within 64 Ki sequence numbers,
    which a Linux host uses up in 4 ms. An acceptor sends a single byte of its HELLO over such a
    connection, and the rest when that is acknowledged: a dialer that got a complete HELLO, and does
    not check whether its CONFIRM arrives, would leave the relay without a working path.
    """
    trip = round_trip(transport)
    return trip is not None and trip < _HALF_DEAD_WITHIN and not is_local(peer)


def say(
    clock: IReactorTime, transport: StreamTransport, line: bytes, *, in_two: bool
) -> Deferred[None]:
    """
    Send a line.

    :param in_two: send its first byte, and the rest when that is acknowledged; immediately where
        the system does not report it.
    :return: fires when all of it is sent. Cancelling it ends the wait: the rest is not sent.
    """
    return Deferred.fromCoroutine(_say(clock, transport, line, in_two))


async def _say(clock: IReactorTime, transport: StreamTransport, line: bytes, in_two: bool) -> None:
    if in_two:
        count = (bytes_acknowledged(transport) or 0) + 1
        transport.write(line[:1])
        line = line[1:]
        for pause in pauses():
            done = bytes_acknowledged(transport)
            if done is None or done >= count:
                break
            await deferLater(clock, pause)
    transport.write(line)


def proven_within(transport: object) -> float:
    """Seconds within which the answer to a CONFIRM arrives, if CONFIRM has got through."""
    return max(_PROVEN_WITHIN, _ROUND_TRIPS * (round_trip(transport) or 0.0))


def pauses(trip: float | None = None) -> Iterator[float]:
    """
    Seconds to wait before each check, because the kernel has no event for an acknowledgement.

    :param trip: a round trip, if it is known: nothing can be acknowledged sooner.
    """
    trip = trip or 0.0
    yield max(0.001, trip * 1.05)
    pause = max(0.001, trip / 16)
    while True:
        yield pause
        pause = min(pause * 1.5, 0.05)
