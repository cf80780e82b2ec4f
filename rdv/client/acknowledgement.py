"""
Waiting until the other side's system has what we have sent.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from rdv._system.tcp_info import bytes_acknowledged, round_trip
from rdv._transport.interfaces import StreamTransport
from rdv.addresses import Address, is_local

__all__ = ["acknowledged", "may_be_half_dead", "probe"]

#: The kernel has no event for it: seconds until the first look, and how the pause grows.
_FIRST_LOOK, _GROWTH, _LONGEST_PAUSE = 0.001, 1.5, 0.05

#: Round trips, in seconds, on which a half-dead connection can stand at all.
_HALF_DEAD_WITHIN = 0.01


def may_be_half_dead(transport: object, peer: Address) -> bool:
    """
    Whether a NAT may let the first bytes of a new connection through, and no more.

    One that remembers a refused SYN takes a new one for the old within 64 Ki sequence numbers,
    which a Linux host uses up in 4 ms. An acceptor sends a single byte of its HELLO over such a
    connection, and the rest when that is acknowledged: a dialer that got a whole HELLO, and does
    not look whether its CONFIRM arrives, would leave the relay for nothing.
    """
    trip = round_trip(transport)
    return trip is not None and trip < _HALF_DEAD_WITHIN and not is_local(peer)


def probe(clock: IReactorTime, transport: StreamTransport, line: bytes) -> Deferred[bytes]:
    """
    Send the first byte of ``line``.

    :return: fires with the rest of it, as :func:`acknowledged` does.
    """
    count = (bytes_acknowledged(transport) or 0) + 1
    transport.write(line[:1])
    return acknowledged(clock, transport, count).addCallback(lambda _: line[1:])


def acknowledged(clock: IReactorTime, transport: object, count: int) -> Deferred[None]:
    """
    :param count: of bytes, those included that were acknowledged before.
    :return: fires when that many are; at once where the system does not tell, and when the
        connection is gone. Cancelling it ends the waiting.
    """
    return Deferred.fromCoroutine(_wait(clock, transport, count))


async def _wait(clock: IReactorTime, transport: object, count: int) -> None:
    pause = _FIRST_LOOK
    while (done := bytes_acknowledged(transport)) is not None and done < count:
        await deferLater(clock, pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
