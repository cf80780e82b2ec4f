"""
The HTTP site of a server of its own: what Twisted's has no limits for.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import cast

from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTime
from twisted.web.http import combinedLogFormatter, datetimeToLogString
from twisted.web.iweb import IAccessLogFormatter, IRequest
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from zope.interface import provider

from rdv.server.site.channel import Channel
from rdv.server.site.intake import Intake

__all__ = ["RendezvousSite"]

#: Bytes of a request's body that are read before it is refused.
_BODY_LIMIT = 1 << 16
#: Seconds that a client has when descriptors run out, until its request is complete.
_HURRY = 5


class RendezvousSite(Site):
    """
    A site that can still answer when descriptors run out: it always has one for a client that it
    refuses.
    """

    protocol = Channel  # type: ignore[assignment]

    def __init__(self, root: Resource, reactor: IReactorTime) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            root, requestFactory=_Request, logFormatter=_dated, reactor=reactor
        )
        self._intake = Intake(reactor)

    def serves(self, ports: Iterable[IListeningPort]) -> None:
        """The ports that accept connections for it."""
        self._intake.watch(ports)

    def stopFactory(self) -> None:
        """The ports are closed."""
        self._intake.stop()
        super().stopFactory()

    def acceptableProtocols(self) -> list[bytes]:
        """See :class:`IProtocolNegotiationFactory`: rdv/1 is an upgrade of this one only."""
        return [b"http/1.1"]

    def buildProtocol(self, addr: IAddress | None) -> Channel:  # type: ignore[override]
        """See :class:`IProtocolFactory`."""
        channel: Channel = super().buildProtocol(addr)  # type: ignore[no-untyped-call]
        if self._intake.accepted():
            channel.timeOut = _HURRY
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
            cast(Channel, self.channel).refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]
