"""
The HTTP of a server of its own: what Twisted's has no limits for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import cast
from weakref import WeakSet

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IReactorTime,
    ISSLTransport,
)
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, combinedLogFormatter, datetimeToLogString
from twisted.web.iweb import IAccessLogFormatter, IRequest
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from zope.interface import provider

from rdv._system.sockets import tune_port
from rdv._transport.interfaces import StreamTransport
from rdv.server.budget import AcceptThrottle
from rdv.server.site.leaving import take_queued, when
from rdv.server.site.slim import ShortWay, SlimChannel, SlimChannels
from rdv.wire import refusal

__all__ = ["RendezvousSite"]

#: Bytes of the lines of a request at most, and of one of them.
_HEAD_LIMIT = 1 << 14
#: What is still read, and dropped, of a client that has been answered: bytes, and seconds.
_DROP_LIMIT = 1 << 20
_LINGER = 5.0
#: Bytes of a request's body that are read before it is refused.
_BODY_LIMIT = 1 << 16
#: Seconds that a client has until its request is complete, and when descriptors run out.
_PATIENCE = 60
_HURRY = 5
#: Seconds in which those are answered who have come when the site is about to end.
_LAST_ANSWERS = 1.0


class _Channel(HTTPChannel):
    """
    Answers what is no request of a size that anybody needs, in a way that the answer arrives: a
    socket that is closed with unread input is reset. So it only ends its own direction then, and
    drops what still comes, up to a limit. A request has to be complete in time, however steadily it
    comes.

    :ivar timeOut: seconds for the first one.
    :ivar later: seconds for each behind it.
    """

    transport: StreamTransport  # type: ignore[assignment]
    timeOut: float  # type: ignore[assignment]
    later: float = _PATIENCE
    MAX_LENGTH = _HEAD_LIMIT
    maxHeaders = _HEAD_LIMIT  # the bytes are counted, not the lines

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._head_size = 0
        self._dropped = 0
        self._deadline: IDelayedCall | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken from the client."""
        return self._deadline is not None

    def refuse(self, status: HTTPStatus) -> None:
        """Answer with an error, whatever the client still has to say, and close."""
        if not self.closed:
            self.transport.write(refusal(status, status.phrase))
            self._close(lingering=True)

    def loseConnection(self) -> None:
        """Close behind what was written."""
        if not self.closed:
            self._close(lingering=False)

    def _close(self, *, lingering: bool) -> None:
        self.setTimeout(None)  # type: ignore[no-untyped-call]
        self._deadline = self.callLater(_LINGER, self._cut)  # type: ignore[no-untyped-call]
        # TLS reads on by itself, until the client has closed as well.
        if lingering and not ISSLTransport.providedBy(self.transport):
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()
        else:
            super().loseConnection()  # type: ignore[no-untyped-call]

    def _cut(self) -> None:
        self.transport.abortConnection()

    # What comes.

    def resetTimeout(self) -> None:
        """Not by a byte now and then: a request has to be complete in time."""

    def dataReceived(self, data: bytes) -> None:
        if not self.closed:
            super().dataReceived(data)  # type: ignore[no-untyped-call]
            return
        self._dropped += len(data)
        if self._dropped > _DROP_LIMIT:
            self._cut()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self.connected = 0
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def lineReceived(self, line: bytes) -> bool:
        """
        A line of a request.

        :return: whether it was the last one that is looked at.
        """
        self._head_size += len(line)
        if self._head_size > _HEAD_LIMIT:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif not self.closed:
            super().lineReceived(line)  # type: ignore[no-untyped-call]
        return self.closed

    def lineLengthExceeded(self, line: bytes) -> None:
        """It has no end within the limit."""
        is_first = not self._head_size
        self.refuse(
            HTTPStatus.REQUEST_URI_TOO_LONG
            if is_first
            else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        )

    def allHeadersReceived(self) -> None:
        """They have come."""
        self._head_size = 0
        super().allHeadersReceived()  # type: ignore[no-untyped-call]

    def allContentReceived(self) -> None:
        """So has the body, unless it was too much."""
        if not self.closed:
            self.timeOut = self.later
            super().allContentReceived()  # type: ignore[no-untyped-call]

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse(HTTPStatus.BAD_REQUEST)


class RendezvousSite(Site):
    """
    A site that can still answer when descriptors run out: it always has one for a client that it
    refuses.

    :param short_way: which clients may take that send nothing but a plain request.
    """

    protocol = _Channel  # type: ignore[assignment]

    def __init__(
        self, root: Resource, reactor: IReactorTime, short_way: ShortWay | None = None
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            root,
            requestFactory=_Request,
            logFormatter=_dated,
            reactor=reactor,
            timeout=_PATIENCE,
        )
        self._clock = reactor
        self._throttle = AcceptThrottle(reactor)
        self._channels: WeakSet[_Channel] = WeakSet()
        self._slim: SlimChannels | None = None
        if short_way is not None:
            self._slim = SlimChannels(reactor, short_way, _PATIENCE, self._widened)

    def serves(self, ports: Sequence[IListeningPort]) -> None:
        """The ports that accept connections for it."""
        for port in ports:
            tune_port(port)
        self._throttle.watch(ports)

    def leave(self, queued: Iterable[IListeningPort]) -> Deferred[None]:
        """
        Answer those who have come already. No port is to accept anybody else for this site.

        :param queued: ports that nobody else has: who waits in their queues is taken in.
        :return: fires when there is nobody left, after a second at most.
        """
        self._throttle.stop()
        take_queued(queued)
        return when(self._clock, lambda: not self._unanswered(), _LAST_ANSWERS)

    def abort(self) -> None:
        """Cut those who are not yet answered."""
        for connection in self._unanswered():
            cast(StreamTransport, connection.transport).abortConnection()

    def _unanswered(self) -> list[_Channel | SlimChannel]:
        # One whose connection has become a leg's has no transport.
        wide = [each for each in self._channels if each.transport and each.connected]
        return [*wide, *(self._slim.waiting if self._slim else ())]

    def stopFactory(self) -> None:
        """The ports are closed."""
        self._throttle.stop()
        super().stopFactory()

    def acceptableProtocols(self) -> list[bytes]:
        """See :class:`IProtocolNegotiationFactory`: rdv/1 is an upgrade of this one only."""
        return [b"http/1.1"]

    def buildProtocol(  # type: ignore[override]
        self, addr: IAddress | None
    ) -> _Channel | SlimChannel:
        is_scarce = self._throttle.accepted()
        if self._slim and not is_scarce and isinstance(addr, (IPv4Address, IPv6Address)):
            return SlimChannel(self._slim, addr)
        channel = self._widened(_HURRY if is_scarce else _PATIENCE)
        channel.later = channel.timeOut
        return channel

    def _widened(self, seconds: float) -> _Channel:
        """A channel whose first request must come in so many seconds."""
        channel: _Channel = super().buildProtocol(None)  # type: ignore[no-untyped-call]
        channel.timeOut = seconds
        self._channels.add(channel)
        return channel


@provider(IAccessLogFormatter)
def _dated(timestamp: str, request: IRequest) -> str:
    """A line of the access log. Twisted's timestamp is the reactor's, whose clock is no date."""
    return str(combinedLogFormatter(datetimeToLogString(), request))


class _Request(Request):
    """A request as rdv/1 has it: without a body. Twisted would store any amount of one."""

    def gotLength(self, length: int | None) -> None:
        # In memory: a large one would be a file, and another descriptor.
        super().gotLength(0)  # type: ignore[no-untyped-call]

    def handleContentChunk(self, data: bytes) -> None:
        if self.content is not None and self.content.tell() + len(data) > _BODY_LIMIT:
            cast(_Channel, self.channel).refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]
