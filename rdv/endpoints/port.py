"""
A port that peers reach by a token, and how a connection gets its protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocol, IProtocolFactory
from zope.interface import implementer

from rdv import _knobs as knobs
from rdv._secure.secret import Token, server_token
from rdv.client.http.request import RequestOptions
from rdv.client.iclient import IClient
from rdv.client.servers.urls import Servers, parse_servers
from rdv.client.stream.connection import Connection
from rdv.endpoints.listener import Listener, Trouble
from rdv.endpoints.listeners import Listeners
from rdv.wire import token_hint

__all__ = ["RendezvousAddress", "RendezvousPort", "attach", "build", "check_factory"]


@implementer(IListeningPort)
class RendezvousPort:
    """
    What :meth:`RendezvousServerEndpoint.listen` fires with.

    If the server goes away, the port retries until it is back, and also if the server says that
    another program accepts with the same token (409). If the server denies access (401, 403), the
    port ends: this is logged, and :attr:`stopped` fails. So does any other refusal except 408, 429
    and 5xx, unless the server has let the port wait for some time, or has named a peer, before.
    """

    def __init__(
        self,
        client: IClient,
        url: Servers,
        token: Token,
        options: RequestOptions,
        trouble: Trouble | None,
        factory: IProtocolFactory,
    ) -> None:
        check_factory(factory)
        servers = [each.to_text() for each in parse_servers(url)]
        server = ",".join(servers)
        self._address = RendezvousAddress(server, token_hint(server_token(token)))
        self._factory = factory
        self._started = False
        self._listener: Listener | Listeners
        if len(servers) == 1:
            self._listener = Listener(client, server, token, options, self._deliver, trouble)
        else:
            self._listener = Listeners(client, servers, token, options, self._deliver, trouble)

    def __repr__(self) -> str:
        return f"<RendezvousPort accept {self._address.server}>"

    @property
    def waiting(self) -> Deferred[None]:
        """
        A new Deferred that fires as soon as peers can connect: the server has the request, and has
        not refused it for half a second. It errbacks if that fails for the first time, with an
        ``RdvError``, while the port keeps trying; or with ``CancelledError`` if the port is stopped
        before.
        """
        return self._listener.waiting.when_fired()

    @property
    def stopped(self) -> Deferred[None]:
        """
        A new Deferred that fires when :meth:`stopListening` has finished, or errbacks with the
        ``RdvError`` that made the port give up.
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
        See :class:`IListeningPort`. Connections that already have a protocol continue, and may
        still move.

        :return: fires when everything else is closed.
        """
        return self._listener.stop()

    def getHost(self) -> RendezvousAddress:
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
    The address of a port.

    :ivar server: the URL of the server; several are separated by commas.
    :ivar token_hint: the beginning of the token, as logs may show it.
    """

    server: str
    token_hint: str


def check_factory(factory: IProtocolFactory) -> None:
    """:raises TypeError: when it is not a factory."""
    methods = ("buildProtocol", "doStart", "doStop")
    knobs.with_methods("protocolFactory", factory, methods, "a factory of protocols")


def build(factory: IProtocolFactory, connection: Connection) -> IProtocol:
    """:raises NoProtocol: when the factory returns none for it; the connection is then closed."""
    try:
        protocol = factory.buildProtocol(connection.getPeer())
        if protocol is None:
            raise NoProtocol
    except BaseException:
        connection.abortConnection()
        raise
    return protocol


def attach(
    connection: Connection, protocol: IProtocol, ended: Callable[[], object] | None = None
) -> None:
    """Attach ``protocol`` to the connection, which is aborted if the protocol fails."""
    try:
        connection.attach(protocol, ended)
    except BaseException:
        connection.abortConnection()
        raise
