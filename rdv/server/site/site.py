"""
The site of a standalone server.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any, cast
from weakref import WeakSet

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IReactorTime,
)
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Site

from rdv._deadlines import Deadlines
from rdv._system.descriptors import reserve
from rdv._system.sockets import tune_port
from rdv._transport.interfaces import StreamTransport
from rdv._until import wait_until
from rdv.server.accounting.statistics import Statistics
from rdv.server.descriptors.budget import AcceptThrottle, DescriptorBudget
from rdv.server.descriptors.shedding import Holder, whom_to_drop
from rdv.server.limits.admission import Admission
from rdv.server.refusals import SHUTDOWN
from rdv.server.site.channel import PATIENCE, Channel, SmallRequest
from rdv.server.site.health import HealthChecks
from rdv.server.site.request_log import note_request
from rdv.server.site.short_way import CountedChannel, ShortWay
from rdv.server.site.slim import SlimChannels

__all__ = ["RendezvousSite", "take_queued"]

#: Connections that are not clients are dropped in groups: at least one in this many of them.
_AT_ONCE = 16
#: Time in seconds for the last responses when the site is about to end.
_LAST_ANSWERS = 1.0
#: The maximum number of turns to empty a port; in most of them it accepts more than one connection.
_TURNS = 1 << 13


class RendezvousSite(Site):
    """
    A site that can still answer when descriptors run out: it always has one for a client that it
    refuses, and first drops connections that are not clients.

    :param short_way: the shortcut for clients that send only a plain request.
    :param holders: connections that are no longer clients, in addition to its own.
    :param admission: admits clients, unless a proxy hides them.
    :param statistics: counts the refusals of the site itself.
    :param budget: asks for room, and is notified of descriptors that will be free.
    :ivar health: answers health checks, which are not logged.
    """

    protocol = Channel  # type: ignore[assignment]
    noisy = False

    def __init__(
        self,
        root: Resource,
        reactor: IReactorTime,
        short_way: ShortWay | None = None,
        holders: Callable[[], Iterable[Holder]] = tuple,
        health: HealthChecks | None = None,
        admission: Admission | None = None,
        statistics: Statistics | None = None,
        budget: DescriptorBudget | None = None,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            root,
            requestFactory=SmallRequest,
            reactor=reactor,
            timeout=PATIENCE,
        )
        self._clock = reactor
        self._idle: Deadlines[Channel] = Deadlines(reactor, 0, lambda _: None)
        self._other_holders = holders
        self._throttle = AcceptThrottle(reactor, self._shed)
        self._admission = admission
        self._statistics = statistics or Statistics()
        self._budget = budget or DescriptorBudget(reactor)
        self._budget.make_room = self._throttle.make_room
        self._channels: WeakSet[Channel] = WeakSet()
        self._latest = 0.0
        self.health = health
        self._short_way = short_way
        self._slim: SlimChannels[CountedChannel] | None = None
        if short_way is not None:
            self._slim = SlimChannels(reactor, PATIENCE, short_way.take, self._widen)

    def serves(self, ports: Sequence[IListeningPort]) -> None:
        """Set the ports that accept connections for the site."""
        for port in ports:
            tune_port(port)
        self._throttle.watch(ports)

    def leave(
        self, queued: Iterable[IListeningPort], patience: float = _LAST_ANSWERS
    ) -> Deferred[None]:
        """
        Answer the clients that are already connected. No port may accept more for this site.

        :param queued: ports that no other process has: connections in their queues are accepted.
        :param patience: time limit in seconds; a further call restarts it.
        :return: fires when no client is left. After the time limit, those that have sent a request
            are refused, which may take another second.
        """
        self._throttle.stop()
        take_queued(queued)
        self._latest = self._clock.seconds() + patience

        def is_over() -> bool:
            return not self._unanswered() or self._clock.seconds() >= self._latest

        return wait_until(self._clock, is_over, patience).addCallback(lambda _: self._refuse_held())

    def _refuse_held(self) -> Deferred[None] | None:
        """Refuse the clients whose access check has not decided yet."""
        held = [each for each in self._unanswered() if isinstance(each, Channel) and each.requests]
        for channel in held:
            status, text = SHUTDOWN
            channel.refuse(HTTPStatus(status), text)
        if not held:
            return None
        return wait_until(
            self._clock, lambda: not any(each.connected for each in held), _LAST_ANSWERS
        )

    def abort(self) -> None:
        """Cut the clients that have not been answered yet."""
        for connection in self._unanswered():
            cast(StreamTransport, connection.transport).abortConnection()

    def _unanswered(self) -> list[Channel | CountedChannel]:
        # A channel whose connection has become a leg's has no transport.
        wide = [each for each in self._channels if each.transport and each.connected]
        return [*wide, *(self._slim.waiting if self._slim else ())]

    def stopFactory(self) -> None:
        """The ports are closed."""
        self._throttle.stop()
        super().stopFactory()

    def getResourceFor(self, request: http.Request) -> Resource:
        """The resource that answers the request."""
        check = self.health and self.health.resource(request)
        return check or cast(Resource, super().getResourceFor(request))  # type: ignore[no-untyped-call]

    def log(self, request: http.Request) -> None:
        """The request has been answered."""
        if self.health is None or self.health.resource(request) is None:
            note_request(request)

    def acceptableProtocols(self) -> list[bytes]:
        """See :class:`IProtocolNegotiationFactory`: rdv/1 is only an upgrade of HTTP/1.1."""
        return [b"http/1.1"]

    def buildProtocol(  # type: ignore[override]
        self, addr: IAddress | None
    ) -> Channel | CountedChannel:
        self._throttle.accepted()
        if self._slim and self._short_way and isinstance(addr, (IPv4Address, IPv6Address)):
            return CountedChannel(self._slim, addr, self._short_way)
        return self._channel(PATIENCE)

    def _widen(self, slim: CountedChannel, expired: bool) -> Channel:
        seconds = 0.0 if expired or self._slim is None else self._slim.waiting.left(slim)
        channel = self._channel(seconds)
        channel.lease, channel.admitted = slim.lease, slim.admitted
        return channel

    def _channel(self, seconds: float) -> Channel:
        """A channel whose first request must be complete within this many seconds."""
        channel: Channel = super().buildProtocol(None)  # type: ignore[no-untyped-call]
        channel.timeOut = seconds
        self._channels.add(channel)
        channel.idle = self._idle
        channel.refused = self._statistics.refused
        channel.admission = self._admission
        return channel

    def holders(self) -> Iterator[Holder]:
        """Connections that are not clients."""
        for slim, since in self._slim.waiting.begun() if self._slim else ():
            yield Holder(since, slim.peer.host, slim.drop)
        now = self._clock.seconds()
        for channel, since in self._idle.begun():
            holder = channel.holder(since, now)
            if holder is not None:
                yield holder
        yield from self._other_holders()

    def _shed(self, number: int) -> int:
        """Drop up to this many of them; more if there are very many, as choosing takes time."""
        holders = list(self.holders())
        number = max(number, len(holders) // _AT_ONCE)
        few = (reserve() // 8, reserve() // 64 + 1)
        dropped = whom_to_drop(holders, number, few, self._clock.seconds())
        number = sum([each.drop() for each in dropped])
        self._budget.will_close(number)
        return number


def take_queued(ports: Iterable[Any]) -> None:
    """
    Accept all connections that are in the queues of these ports. They would be reset when the last
    process that has the socket closes it.
    """
    for port in ports:
        queue = select.poll()
        queue.register(port.fileno(), select.POLLIN)
        for _ in range(_TURNS):
            if not queue.poll(0):
                break
            port.doRead()
