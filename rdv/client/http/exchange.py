"""
One request and its response on a connection, which a 101 hands over.

Twisted's own HTTP client drops every 1xx response; ``h11`` handles them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import h11
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IProtocol,
    ISSLTransport,
    ITransport,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from rdv._system.sockets import push, tune
from rdv._transport.handover import hand_over
from rdv._transport.interfaces import StreamTransport
from rdv._transport.liveness import unwatch, watch
from rdv.client.context import Context
from rdv.client.reasons import loss_text
from rdv.client.trace import What
from rdv.errors import ProtocolError, ServerUnreachable

__all__ = ["UpgradeExchange"]

#: How many bytes of the body of a refusal are read.
_BODY_LIMIT = 4096
#: How many interim responses (1xx) may come before the final one.
_INTERIM_LIMIT = 16


@implementer(IResponse)
class _Response:
    """
    :param body: the complete body.
    :param deliver: hands over the connection of a 101.
    """

    version = (b"HTTP", 1, 1)
    length = UNKNOWN_LENGTH
    request = None
    previousResponse = None

    def __init__(
        self,
        code: int,
        phrase: bytes,
        headers: Headers,
        body: bytes,
        deliver: Callable[[IProtocol], None],
    ) -> None:
        self._body = body
        self._deliver = deliver
        self.code = code
        self.phrase = phrase
        self.headers = headers

    def deliverBody(self, protocol: IProtocol) -> None:
        """See :class:`IResponse`; for a 101, hand over the connection."""
        if self.code == 101:
            self._deliver(protocol)
            return
        protocol.dataReceived(self._body)
        protocol.connectionLost(Failure(ResponseDone()))

    def setPreviousResponse(self, response: IResponse) -> None:
        """See :class:`IResponse`: there are no redirects here."""


@implementer(IHandshakeListener)
class UpgradeExchange(Protocol):
    """
    One request and its response, as h11 sees them.

    :ivar asked: whether the request has been sent: with TLS, the handshake comes first.
    """

    transport: StreamTransport | None = None  # type: ignore[assignment]

    def __init__(self, context: Context, request: h11.Request) -> None:
        self._clock = context.reactor
        self._trace = context.trace
        self._timeout = context.settings.server_timeout
        self._request = request
        self._begun = self._clock.seconds()
        self._http = h11.Connection(h11.CLIENT)
        self._interim = 0
        self._final: h11.Response | None = None
        self._body = b""
        self._behind = b""
        self._deadline: IDelayedCall | None = None
        self._handed_over = False
        self.asked = False
        self._gone: Deferred[None] = Deferred()
        self._lost: Failure | None = None
        self.response: Deferred[IResponse] = Deferred(self._cancelled)

    def connectionMade(self) -> None:
        tune(self.transport)
        secure = ISSLTransport.providedBy(self.transport)
        if secure:
            # Resolving and connecting have used part of the same time.
            self._expect("the TLS handshake", self._clock.seconds() - self._begun)
        self._trace.reached()
        self._send(self._request)
        self._send(h11.EndOfMessage())
        if not secure:
            push(self.transport)  # the server works on it during what is left of this turn
            self._has_asked()

    def handshakeCompleted(self) -> None:
        self._relax()
        self._trace.secured(self.transport)
        self._has_asked()  # the request was waiting for the handshake

    def _has_asked(self) -> None:
        self.asked = True
        # The answer may take forever, but the request must be acknowledged.
        watch(self._clock, self.transport)
        self._trace(What.ASKED)

    def _send(self, event: h11.Event) -> None:
        assert self.transport is not None
        self.transport.write(self._http.send(event) or b"")

    def dataReceived(self, data: bytes) -> None:
        if self.response.called:
            if self._final is None:  # the stream after a 101; anything else is ignored
                self._behind += data
            return
        try:
            self._http.receive_data(data)
            self._read_events()
        except h11.RemoteProtocolError as error:
            self._fail(ProtocolError(f"the server's response is not HTTP: {error}"))

    def _read_events(self) -> None:
        while not self.response.called:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._final is not None or self._http.trailing_data[0]:
                    self._expect("the rest of the response")
                return
            if isinstance(event, h11.InformationalResponse):
                self._relax()
                if event.status_code == 101:
                    self._switch(event)
                    return
                self._interim += 1
                if self._interim > _INTERIM_LIMIT:
                    self._fail(ProtocolError("the server sends endless interim responses"))
            elif isinstance(event, h11.Response):
                self._final = event
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
                if len(self._body) >= _BODY_LIMIT:
                    self._finish()
            else:  # EndOfMessage
                self._finish()

    def connectionLost(self, reason: Failure = ConnectionDone) -> None:  # type: ignore[assignment]
        self._lost = reason
        unwatch(self._clock, self.transport)
        if not self.response.called:
            if self._final is None:
                unreachable = ServerUnreachable(loss_text(reason))
                unreachable.__cause__ = reason.value
                self._fail(unreachable)
            else:
                self._finish()
        self._gone.callback(None)

    def _switch(self, event: h11.InformationalResponse) -> None:
        assert self.transport is not None
        self._behind = self._http.trailing_data[0]
        self.transport.pauseProducing()
        self._respond(event, b"")

    def _finish(self) -> None:
        assert self._final is not None and self.transport is not None
        self._relax()
        self.transport.loseConnection()
        self._respond(self._final, self._body[:_BODY_LIMIT])

    def _respond(self, event: h11.Response | h11.InformationalResponse, body: bytes) -> None:
        headers = Headers()
        for name, value in event.headers:
            # Nothing is decoded: neither the stream after a 101 nor the body of a refusal.
            if name == b"content-encoding":
                body = b""
            else:
                headers.addRawHeader(name, value)
        phrase = bytes(event.reason)
        self._trace.answered(event.status_code, phrase, self.transport)
        self.response.callback(_Response(event.status_code, phrase, headers, body, self.deliver))

    def deliver(self, protocol: IProtocol) -> None:
        """Give the connection to ``protocol``."""
        assert self.transport is not None
        self._handed_over = True
        unwatch(self._clock, self.transport)
        hand_over(cast(ITransport, self.transport), protocol)
        behind, self._behind = self._behind, b""
        if behind:
            protocol.dataReceived(behind)
        if self._lost is not None:
            protocol.connectionLost(self._lost)
        else:
            self.transport.resumeProducing()

    def close(self) -> Deferred[None]:
        """End the exchange at any point. Fires when there is no connection (any more)."""
        self._relax()
        if self.transport is None or self._handed_over or self._lost is not None:
            return succeed(None)
        self.transport.abortConnection()
        return self._gone

    def _cancelled(self, response: Deferred[IResponse]) -> None:
        self.close()

    def _fail(self, error: Exception) -> None:
        self.close()
        self.response.errback(error)

    def _expect(self, what: str, spent: float = 0.0) -> None:
        if self._deadline is None:
            left = max(0.0, self._timeout - spent)
            self._deadline = self._clock.callLater(left, self._stalled, what)

    def _relax(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def _stalled(self, what: str) -> None:
        if self._final is not None:
            self._finish()  # the status is known; only the body is late
        else:
            self._fail(ServerUnreachable(f"{what} did not complete within {self._timeout:g} s"))
