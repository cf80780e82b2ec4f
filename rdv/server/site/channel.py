"""
An HTTP connection to a standalone server, with the limits that Twisted's channel lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from twisted.internet.interfaces import IDelayedCall, ISSLTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request

from rdv._deadlines import Deadlines
from rdv._transport.handover import came_by_proxy
from rdv._transport.interfaces import StreamTransport
from rdv.server.descriptors.shedding import YOUNG, Holder
from rdv.server.limits.admission import Admission, TooMany
from rdv.server.limits.lease import NOBODY, Lease
from rdv.wire import refusal

__all__ = ["PATIENCE", "Channel", "SmallRequest"]

#: Seconds that a client has until its request is complete.
PATIENCE = 10
#: Maximum number of bytes in the lines of a request, and in one of them. A line counts as at least
#: this many bytes, because even an empty one takes time.
_HEAD_LIMIT, _SHORTEST_LINE = 1 << 14, 32
#: Bytes of a request's body that are read before it is refused.
_BODY_LIMIT = 1 << 10
#: How much is still read, and dropped, from a client that has been answered: bytes, and seconds.
_DROP_LIMIT = 1 << 20
_LINGER = 5.0
#: The first byte of a TLS handshake (RFC 8446, 5.1), which no method begins with.
_HANDSHAKE = b"\x16"


class Channel(HTTPChannel):
    """
    Refuses requests of unreasonable size in such a way that the response arrives: a socket that is
    closed with unread input is reset. So it only ends its own direction, and drops further data, up
    to a limit. A request must be complete in time, however steadily its data arrives.

    The first request is admitted together with the connection, and each later one separately. The
    connection of a proxy is not counted here: the address of the client is known from each request.

    :ivar lease: counts the connection.
    :ivar admitted: whether it has been admitted, or need not be.
    :ivar admission: admits it; None if it is the connection of a proxy.
    :ivar timeOut: seconds for the first request.
    :ivar refused: called with the status and reason of each refusal.
    :ivar idle: all channels that are not clients: a request is incomplete, or the other side has
        not closed yet.
    """

    transport: StreamTransport  # type: ignore[assignment]
    lease: Lease = NOBODY
    admitted: bool = False
    admission: Admission | None = None
    _is_first = True
    timeOut: float | None  # type: ignore[assignment]
    refused: Callable[[int, str], object]
    idle: Deadlines[Channel]
    MAX_LENGTH = _HEAD_LIMIT
    maxHeaders = _HEAD_LIMIT  # lines are counted by lineReceived

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._head_size = 0
        self._dropped = 0
        self._begun = False
        self._lingers = False
        self._deadline: IDelayedCall | None = None

    @property
    def closed(self) -> bool:
        """Whether further data from the client is dropped."""
        return self._deadline is not None

    def refuse(self, status: HTTPStatus, reason: str = "") -> None:
        """Answer with an error, whatever the client still sends, and close."""
        if not self.closed:
            self.transport.write(refusal(status, reason or status.phrase))
            self.refused(status, reason)
            self._close(lingering=True)

    def turn_away(self, error: TooMany) -> None:
        """Refuse the connection or request: a limit for its address is exceeded."""
        if error.answered:
            self.refuse(HTTPStatus(error.status), str(error))
        else:
            self._cut()

    def loseConnection(self) -> None:
        """Close after the written data."""
        if not self.closed:
            self._close(lingering=False)

    def _close(self, *, lingering: bool) -> None:
        self.setTimeout(None)
        self._deadline = self.callLater(_LINGER, self._cut)  # type: ignore[no-untyped-call]
        self.idle.add(self)
        # With TLS, Twisted reads on by itself until the client has closed as well.
        self._lingers = lingering and not ISSLTransport.providedBy(self.transport)
        if self._lingers:
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()
        else:
            super().loseConnection()  # type: ignore[no-untyped-call]

    def _cut(self) -> None:
        self.idle.discard(self)
        self.transport.abortConnection()

    def holder(self, since: float, now: float) -> Holder | None:
        """The connection as a holder, idle since ``since``; None while it is being closed."""
        # Written data may not have been sent yet: that takes a turn of the reactor, or a client
        # that reads.
        if self.closed and not self._lingers and now - since < YOUNG:
            return None
        return Holder(since, self._host, self._drop)

    def _drop(self) -> bool:
        if self._lingers:
            self._lingers = False
            self.idle.add(self)
            self.transport.loseConnection()
        else:
            self._cut()
        return True

    # Events of the connection.

    def connectionMade(self) -> None:
        super().connectionMade()  # type: ignore[no-untyped-call]
        if self.admission is None or came_by_proxy(self.transport):
            self.admission = None
        elif not self.admitted:
            try:
                self.lease = self.admission.admit(self._host)
            except TooMany as error:
                self.turn_away(error)

    def setTimeout(self, period: float | None) -> float | None:
        """Expect a request within this many seconds; None: it is complete, or none is expected."""
        if period is None:
            self.idle.discard(self)
        else:
            self.idle.add(self)
        before: float | None = super().setTimeout(period)  # type: ignore[no-untyped-call]
        return before

    def resetTimeout(self) -> None:
        """Do nothing: data does not extend the time; a request must be complete in time."""

    def dataReceived(self, data: bytes) -> None:
        is_first, self._begun = not self._begun, True
        if is_first and data.startswith(_HANDSHAKE):
            # It would wait for a line, and the client for a handshake, until the time is over.
            self.refuse(HTTPStatus.BAD_REQUEST, "TLS on a port without TLS: use http")
        elif not self.closed:
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
        self.lease.end()

    def lineReceived(self, line: bytes) -> bool:
        """
        A line of a request.

        :return: whether further lines are ignored.
        """
        self._head_size += max(len(line), _SHORTEST_LINE)
        if self._head_size > _HEAD_LIMIT:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif not self.closed:
            super().lineReceived(line)  # type: ignore[no-untyped-call]
        return self.closed

    def lineLengthExceeded(self, line: bytes) -> None:
        """The line exceeds the limit."""
        is_first = not self._head_size
        self.refuse(
            HTTPStatus.REQUEST_URI_TOO_LONG
            if is_first
            else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        )

    def allHeadersReceived(self) -> None:
        """The headers are complete."""
        self._head_size = 0
        super().allHeadersReceived()  # type: ignore[no-untyped-call]

    def allContentReceived(self) -> None:
        """The body is complete, unless it was too large."""
        if not self.closed and self._may_ask():
            self.timeOut = PATIENCE
            super().allContentReceived()  # type: ignore[no-untyped-call]

    def _may_ask(self) -> bool:
        is_first, self._is_first = self._is_first, False
        if not is_first and self.admission is not None:
            try:
                self.admission.ask(self._host)
            except TooMany as error:
                self.turn_away(error)
                return False
        return True

    @property
    def _host(self) -> str:
        return getattr(self.transport.getPeer(), "host", "")

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse(HTTPStatus.BAD_REQUEST)


class SmallRequest(Request):
    """A request without a body, as rdv/1 has none. Twisted would store a body of any size."""

    def gotLength(self, length: int | None) -> None:
        # Length 0 keeps it in memory: Twisted stores a large body in a file, which takes a
        # descriptor.
        super().gotLength(0)  # type: ignore[no-untyped-call]

    def handleContentChunk(self, data: bytes) -> None:
        if self.content is not None and self.content.tell() + len(data) > _BODY_LIMIT:
            cast(Channel, self.channel).refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]
