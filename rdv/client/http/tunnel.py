"""
A connection to the server through an HTTP proxy: CONNECT (RFC 9110, 9.3.6), also for plain
``http``, because the proxy must pass a stream and not only requests.
"""

from __future__ import annotations

from typing import cast

import h11
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.error import ConnectError, ConnectionDone, DNSLookupError
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._transport.handover import hand_over
from rdv._transport.interfaces import StreamTransport
from rdv.client.context import Context
from rdv.client.http.proxy import Proxy
from rdv.client.reasons import describe, loss_text, printable
from rdv.client.trace import What
from rdv.errors import ProtocolError, ProxyRefused, ServerUnreachable

__all__ = ["TunnelEndpoint"]

log = Logger()

#: The only port that many proxies allow.
_USUAL = 443
#: The beginning of a response.
_HTTP = b"HTTP/"


@implementer(IStreamClientEndpoint)
class TunnelEndpoint:
    """
    A server behind a proxy. ``server_timeout`` is for everything: for reaching the proxy, and for
    its response, which the proxy sends when it has reached the server.

    :param below: the proxy itself.
    :param host: the server's host, which the proxy resolves.
    """

    def __init__(
        self, context: Context, proxy: Proxy, below: IStreamClientEndpoint, host: str, port: int
    ) -> None:
        self._context = context
        self._proxy = proxy
        self._below = below
        self._target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._usual = port == _USUAL

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See :class:`IStreamClientEndpoint`.

        :return: errbacks with :class:`ServerUnreachable`, :class:`ProxyRefused` or
            :class:`ProtocolError`. Cancelling it closes the connection to the proxy; it errbacks
            when that is done.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        clock, timeout = self._context.reactor, self._context.settings.server_timeout
        ends = clock.seconds() + timeout
        # Its text: a JSON log would contain the whole tuple, with the password.
        proxy = str(self._proxy)
        self._context.trace(What.PROXIED, proxy=proxy)
        log.debug("{target}: through the proxy {proxy}", target=self._target, proxy=proxy)
        try:
            tunnel = await self._below.connect(Factory.forProtocol(_Tunnel))
        except (ConnectError, DNSLookupError, DeferTimeoutError) as error:
            text = f"the proxy {self._proxy} cannot be reached: {describe(error)}"
            raise ServerUnreachable(text) from error
        assert isinstance(tunnel, _Tunnel) and tunnel.transport is not None
        try:
            answering = tunnel.ask(self._request())
            answering.addTimeout(max(0.0, ends - clock.seconds()), clock)
            self._judge(await answering)
        except Exception as error:
            reason = self._reason(error)
            if not isinstance(reason, CancelledError):
                self._context.trace.unreached(reason)
            await tunnel.close()
            raise reason from (None if reason is error else error)
        transport, behind = tunnel.transport, tunnel.behind
        protocol = factory.buildProtocol(transport.getPeer())
        assert protocol is not None
        hand_over(cast(ITransport, transport), protocol)
        if behind:
            protocol.dataReceived(behind)
        return protocol

    def _request(self) -> h11.Request:
        target = self._target.encode()
        headers = [(b"Host", target)]
        if self._proxy.authorization is not None:
            headers.append((b"Proxy-Authorization", self._proxy.authorization))
        try:
            return h11.Request(method=b"CONNECT", target=target, headers=headers)
        except h11.LocalProtocolError:  # its text may contain the value
            raise ProtocolError("a header of the request to the proxy cannot be sent") from None

    def _judge(self, answer: h11.Response) -> None:
        status = answer.status_code
        if 200 <= status < 300:
            return
        said = f"{status} {printable(bytes(answer.reason))}".rstrip()
        if status >= 500:
            raise ServerUnreachable(
                f"the proxy {self._proxy} could not connect to {self._target}: {said}"
            )
        given = self._proxy.authorization is not None
        if status in (401, 407):  # some proxies use 401 for a wrong password
            wants = (
                "does not accept this user name and password" if given else "requires a password"
            )
            raise ProxyRefused(f"the proxy {self._proxy} {wants}: {said}", status)
        why = "" if self._usual else f" (many only allow port {_USUAL})"
        text = f"the proxy {self._proxy} refuses to connect to {self._target}: {said}{why}"
        raise ProxyRefused(text, status)

    def _reason(self, error: Exception) -> Exception:
        """The exception to raise for a failure."""
        if isinstance(error, DeferTimeoutError):
            timeout = self._context.settings.server_timeout
            return ServerUnreachable(
                f"the proxy {self._proxy} did not connect to {self._target} within {timeout:g} s"
            )
        if isinstance(error, _Lost):
            return ServerUnreachable(f"the proxy {self._proxy}: {error}")
        if isinstance(error, h11.RemoteProtocolError):
            return ProtocolError(f"the proxy {self._proxy} does not respond with HTTP")
        return error


class _Lost(Exception):
    """The connection was lost without a response."""


class _Tunnel(Protocol):
    """
    One request to a proxy, and its response.

    :ivar behind: the data that arrived after the head of a successful response.
    """

    transport: StreamTransport | None = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self._answer: Deferred[h11.Response] | None = None
        self._gone: Deferred[None] = Deferred()
        self._lost: Failure | None = None
        self.behind = b""

    def ask(self, request: h11.Request) -> Deferred[h11.Response]:
        """
        :return: errbacks with :class:`_Lost`, or with ``h11.RemoteProtocolError``.
        """
        assert self.transport is not None
        answer = self._answer = Deferred()
        if self._lost is not None:
            self.connectionLost(self._lost)
        else:
            head = self._http.send(request) or b""
            self.transport.write(head + (self._http.send(h11.EndOfMessage()) or b""))
        return answer

    def dataReceived(self, data: bytes) -> None:
        if self._answer is None or self._answer.called:
            return
        try:
            self._http.receive_data(data)
            while (event := self._http.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    self.behind = self._http.trailing_data[0]
                    self._answer.callback(event)
                    return
            if not _HTTP.startswith(self._http.trailing_data[0][: len(_HTTP)]):
                raise h11.RemoteProtocolError("no HTTP")
        except h11.RemoteProtocolError as error:
            self._answer.errback(error)

    def connectionLost(self, reason: Failure = ConnectionDone) -> None:  # type: ignore[assignment]
        self._lost = reason
        if not self._gone.called:
            self._gone.callback(None)
        if self._answer is not None and not self._answer.called:
            self._answer.errback(_Lost(loss_text(reason)))

    def close(self) -> Deferred[None]:
        """Fires when the connection is gone."""
        if self.transport is not None and self._lost is None:
            self.transport.abortConnection()
        return self._gone
