"""
A client as a Twisted endpoint, of either kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import EllipsisType
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.web.http_headers import Headers
from zope.interface import implementer

from rdv import _knobs as knobs
from rdv._secure.secret import Token, server_token
from rdv.client.http.request import RequestOptions, check_options
from rdv.client.iclient import IClient
from rdv.client.parsing import role_of
from rdv.client.servers.urls import Servers, parse_servers, shown
from rdv.endpoints.dial_queue import DialQueue
from rdv.endpoints.listener import Trouble
from rdv.endpoints.port import RendezvousPort, attach, build, check_factory
from rdv.wire import Role

__all__ = ["RendezvousEndpoint", "RendezvousServerEndpoint"]


_DIALER_TIMEOUT = 60.0


@implementer(IStreamClientEndpoint)
class RendezvousEndpoint:
    """
    Makes connections to the peer that has the same token and the other role.

    You can call :meth:`connect` any number of times concurrently: the dials are queued at the
    server. For an acceptor, :class:`RendezvousServerEndpoint` is better suited.

    :param client: makes the connections.
    :param role: whether to dial or to accept; may be the string ``"dial"`` or ``"accept"``.
    :param url: the URL of the server, or several, as for ``Client.dial``.
    :param token: what both peers share.
    :param timeout: seconds for a connection, including time in the queue and the wait for the peer;
        None for no limit. The default is 60 for a dialer and None for an acceptor.
    :param headers: for the request to the server.
    :param trouble: called with the error when connections have to wait because the server cannot be
        reached, or because a client without the secret took the peer's place; once, not every time
        it happens; and with None when there is a connection after all, or the server lets the
        client wait for one. It is not called when connections fail in the meantime, because that is
        reported anyway.
    :raises TypeError: when one of them is of the wrong type; the text names it.
    :raises ValueError: when one is out of range; likewise.
    :raises BadURL: when the URL is invalid.
    :raises BadToken: when the token is invalid.
    """

    def __init__(
        self,
        client: IClient,
        role: Role | str,
        url: Servers,
        token: Token,
        *,
        timeout: float | EllipsisType | None = ...,
        headers: Headers | Mapping[str, Any] | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        _check(client, url, token, headers)
        if isinstance(role, str):
            role = role_of(role)
        knobs.instance("role", role, Role, "a Role")
        if isinstance(timeout, EllipsisType):
            timeout = _DIALER_TIMEOUT if role is Role.DIALER else None
        if timeout is not None:
            knobs.seconds("timeout", timeout)
        self._timeout = timeout
        self._text = f"{role.value.decode().lower()} {shown(url)}"
        options = RequestOptions(headers=headers)
        self._queue = DialQueue(client, role, url, token, options, trouble)

    def __repr__(self) -> str:
        return f"<RendezvousEndpoint {self._text}>"

    def connect(self, protocolFactory: IProtocolFactory | Factory[Any]) -> Deferred[IProtocol]:
        """
        See :class:`IStreamClientEndpoint`.

        :return: fires with the protocol, whose transport is a :class:`rdv.client.Connection`.
            Errbacks with a :class:`rdv.errors.RdvError`, like ``Client.dial``, instead of a less
            specific ``ConnectError``. Within its timeout, a dialer retries if another one took its
            place in the lobby (409), and so does an acceptor with a secret. Either role retries if
            a server that has let it wait goes away, or asks it to retry (429, 502, 503, 504), or if
            no peer proved that it knows the secret. Cancelling it closes everything.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        check_factory(factory)
        factory.doStart()
        try:
            connection = await self._queue.connect(self._timeout)
            protocol = build(factory, connection)
        except BaseException:
            factory.doStop()
            raise
        attach(connection, protocol, factory.doStop)
        return protocol


@implementer(IStreamServerEndpoint)
class RendezvousServerEndpoint:
    """
    Keeps accepting peers under one token.

    :param client: makes the connections; must not have a ``local_port``, because there are several
        attempts at a time.
    :param url: the URL of the server; or several, and it waits at each of them.
    :param token: what both sides share. Only one program should accept with it.
    :param headers: for the requests to the server.
    :param trouble: called with the error when peers cannot reach this endpoint, because the server
        cannot be reached, another program accepts with the token, or a client without the secret
        took the peer's place; once, not every time it happens; and with None when that is over.
    :raises TypeError: when one of them is of the wrong type; the text names it.
    :raises BadURL: when the URL is invalid.
    :raises BadToken: when the token is invalid.
    """

    def __init__(
        self,
        client: IClient,
        url: Servers,
        token: Token,
        *,
        headers: Headers | Mapping[str, Any] | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        _check(client, url, token, headers)
        self._client = client
        self._url = url
        self._token = token
        self._options = RequestOptions(headers=headers)
        self._trouble = knobs.function("trouble", trouble)

    def __repr__(self) -> str:
        return f"<RendezvousServerEndpoint accept {shown(self._url)}>"

    def listen(  # type: ignore[override]  # more than the interface asks for
        self, protocolFactory: IProtocolFactory | Factory[Any]
    ) -> Deferred[RendezvousPort]:
        """
        See :class:`IStreamServerEndpoint`.

        :return: fires at once with a :class:`RendezvousPort`, before the server has been reached;
            or errbacks with the exception of a factory that fails to start.
        """

        def listen() -> RendezvousPort:
            port = RendezvousPort(
                self._client, self._url, self._token, self._options, self._trouble, protocolFactory
            )
            port.startListening()
            return port

        return maybeDeferred(listen)


def _check(
    client: IClient, url: Servers, token: Token, headers: Headers | Mapping[str, Any] | None
) -> None:
    """Report invalid arguments immediately, not when the first connection is made."""
    knobs.with_methods("client", client, ("dial", "accept"), "a Client")
    parse_servers(url)
    server_token(token)
    check_options({"headers": headers})
