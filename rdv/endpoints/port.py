"""
A port at which peers are accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
)
from twisted.web.http_headers import Headers
from zope.interface import implementer

from rdv import _knobs as knobs
from rdv.client.connection import Connection
from rdv.client.http.request import RequestOptions
from rdv.client.iclient import IClient
from rdv.client.parsing import parse_server_url
from rdv.endpoints.listener import Listener, Trouble
from rdv.wire import check_token, token_hint

__all__ = ["RendezvousAddress", "RendezvousPort", "attach", "build", "check_factory"]


@implementer(IListeningPort)
class RendezvousPort:
    """
    What :meth:`RendezvousServerEndpoint.listen` fires with.

    A server that goes away is asked again until it is back. When it says that we are not allowed
    (401, 403), or that another program accepts with the same token (409), that ends the port: it is
    logged, and :attr:`stopped` fails. So does any other refusal but 408, 429 and 5xx from a server
    that has not let us wait for long, or named a peer, before.

    :raises BadURL: when the URL is none.
    :raises BadToken: when the token cannot be one.
    """

    def __init__(
        self,
        client: IClient,
        url: str,
        token: str | bytes,
        headers: Headers | Mapping[str, Any] | None,
        trouble: Trouble | None,
        factory: IProtocolFactory,
    ) -> None:
        server = parse_server_url(url).to_text()
        self._address = RendezvousAddress(server, token_hint(check_token(token)))
        check_factory(factory)
        self._factory = factory
        self._started = False
        options = RequestOptions(headers=headers)
        self._listener = Listener(client, url, token, options, self._deliver, trouble)

    def __repr__(self) -> str:
        return f"<RendezvousPort accept {self._address.server}>"

    @property
    def waiting(self) -> Deferred[None]:
        """
        A new Deferred, which fires as soon as peers can come: the server has our request, and has
        not refused it for half a second. It errbacks when that fails for the first time, with an
        ``RdvError``, while the port goes on trying; or with ``CancelledError`` when the port is
        stopped before.
        """
        return self._listener.waiting.when_fired()

    @property
    def stopped(self) -> Deferred[None]:
        """
        A new Deferred, which fires when :meth:`stopListening` has done its work, or errbacks with
        the ``RdvError`` for which the port has given up.
        """
        return self._listener.stopped.when_fired()

    def startListening(self) -> None:
        """
        See :class:`IListeningPort`. The endpoint has called it.

        :raises RuntimeError: when it has been called before.
        """
        if self._started:
            raise RuntimeError("a port listens only once")
        self._started = True
        self._factory.doStart()
        self._listener.closed.when_fired().addCallback(lambda _: self._factory.doStop())
        self._listener.start()

    def stopListening(self) -> Deferred[None]:
        """
        See :class:`IListeningPort`. Connections that a protocol has been given go on.

        :return: fires when everything else is closed.
        """
        return self._listener.stop()

    def getHost(self) -> RendezvousAddress:
        """See :class:`IListeningPort`."""
        return self._address

    def _deliver(self, connection: Connection) -> None:
        try:
            protocol = build(self._factory, connection)
        except NoProtocol:
            return
        attach(connection, protocol)


@implementer(IAddress)
@dataclass(frozen=True)
class RendezvousAddress:
    """
    Where a port can be reached.

    :ivar server: the URL of the server.
    :ivar token_hint: the beginning of the token, as logs may show it.
    """

    server: str
    token_hint: str


def check_factory(factory: IProtocolFactory) -> None:
    methods = ("buildProtocol", "doStart", "doStop")
    knobs.with_methods("protocolFactory", factory, methods, "a factory of protocols")


def build(factory: IProtocolFactory, connection: Connection) -> IProtocol:
    """:raises NoProtocol: when the factory has none for it; the connection is closed then."""
    try:
        protocol = factory.buildProtocol(connection.getPeer())
    except BaseException:
        connection.abortConnection()
        raise
    if protocol is None:
        connection.abortConnection()
        raise NoProtocol
    return protocol


def attach(
    connection: Connection, protocol: IProtocol, ended: Callable[[], object] | None = None
) -> None:
    try:
        connection.attach(protocol, ended)
    except BaseException:
        connection.abortConnection()
        raise
