"""
How the rendezvous server is reached: over IPv4 first, from the shared port, through a proxy if one
is configured, under TLS for ``https``.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import (
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from rdv.addresses import Address, parse_ip
from rdv.client.context import Context
from rdv.client.dial.shared_port import IClientReactor, SharedPort
from rdv.client.http.proxy import Proxy
from rdv.client.http.tunnel import TunnelEndpoint
from rdv.client.order import address_order
from rdv.client.trace import What
from rdv.errors import BadURL

__all__ = ["ServerEndpoints", "is_address", "resolve"]

#: Maximum seconds for an address to answer if there is another one.
_SKIPPED_AFTER = 2.5


@implementer(IAgentEndpointFactory)
class ServerEndpoints:
    """
    Endpoints from a shared port to servers.

    :param proxy: the proxy through which they are reached.

    Of a name's addresses, both peers try the same one first
    (:func:`rdv.client.order.address_order`): each may be another machine. If the context has
    ``found``, that decides about the others; without it they are tried one after the other. A
    proxy's addresses are always tried one after the other, in the order of the resolver.

    ``server_timeout`` is for resolving and connecting. The time that is left after resolving is
    shared evenly among the server's IPv4 addresses, with IPv6 counted as one more; if IPv6 is
    needed, the time left then is shared among its IPv6 addresses. An address that is not the last
    of its kind gets at most 2.5 seconds: time for one retransmission.
    """

    def __init__(self, context: Context, port: SharedPort, proxy: Proxy | None = None) -> None:
        self._context = context
        self._port = port
        self._proxy = proxy

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii").strip("[]")
        plain = self._plain(host, uri.port)
        if uri.scheme != b"https":
            return plain
        try:
            options = self._context.settings.tls.creatorForNetloc(host.encode("ascii"), uri.port)
        except ValueError as error:
            raise BadURL(f"not a name for https: {host!r} ({error})") from error
        return wrapClientTLS(options, plain, clock=self._context.reactor)

    def _plain(self, host: str, number: int) -> IStreamClientEndpoint:
        context, port, proxy = self._context, self._port, self._proxy
        if proxy is None:
            return _ServerEndpoint(context, port, host, number, context.token)
        below = _ServerEndpoint(context, port, proxy.host, proxy.port)
        return TunnelEndpoint(context, proxy, below, host, number)


@implementer(IStreamClientEndpoint)
class _ServerEndpoint:
    """
    :param token: decides the order of a name's addresses; None for the order of the resolver,
        because they are not the server's.
    """

    def __init__(
        self,
        context: Context,
        port: SharedPort,
        host: str,
        number: int,
        token: bytes | None = None,
    ) -> None:
        self._token = token
        self._context = context
        self._reactor = context.reactor
        self._port = port
        self._host = host
        self._number = number
        self._found = None if token is None else context.found
        self._kinds: tuple[type[IPv4Address | IPv6Address], ...] = (IPv4Address, IPv6Address)
        self._machine = None if token is None else context.machine
        if self._machine is not None and self._machine.ip.version == 6:
            self._kinds = (IPv6Address,)
        elif self._machine is not None and not context.is_last:
            self._kinds = (IPv4Address,)

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See :class:`IStreamClientEndpoint`. IPv6 is for servers without IPv4: only an IPv4
        connection creates a NAT mapping that hole punching can use.
        """
        return Deferred.fromCoroutine(self._connect(factory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        ends = self._reactor.seconds() + self._context.settings.server_timeout

        def left() -> float:
            return max(0.0, ends - self._reactor.seconds())

        failure: ConnectError | None = None
        for kind in self._kinds:
            try:
                addresses = await self._addresses(kind, left())
            except DeferTimeoutError:
                if failure is None:
                    raise
                break
            more = kind is not self._kinds[-1] and not is_address(self._host)
            is_split = self._found is not None and len(addresses) > 1
            if self._found is not None and is_split:
                self._found(addresses[1:])
                addresses, more = addresses[:1], False
            reason: ConnectError | None = None
            for number, address in enumerate(addresses):
                protocol = factory.buildProtocol(kind("TCP", str(address.ip), address.port))
                assert protocol is not None
                others = len(addresses) - number - 1
                share = left() / (1 + others + more)
                try:
                    most = _SKIPPED_AFTER if others else share
                    return await self._call(address, protocol, min(share, most))
                except ConnectError as error:
                    reason = error
            failure = failure or reason
            if is_split:
                break
        raise failure or DNSLookupError(self._host)

    async def _addresses(
        self, kind: type[IPv4Address | IPv6Address], timeout: float
    ) -> Sequence[Address]:
        """The addresses to try."""
        if self._machine is not None and kind is self._kinds[0]:
            return [self._machine]
        addresses = await resolve(self._reactor, self._host, self._number, kind, timeout)
        if addresses:
            self._context.trace(What.RESOLVED, host=self._host, addresses=list(addresses))
        return addresses if self._token is None else address_order(self._token, addresses)

    async def _call(self, address: Address, protocol: IProtocol, timeout: float) -> IProtocol:
        self._context.trace.called(address)
        try:
            return await self._port.connect(address, protocol, timeout)
        except ConnectError as error:
            self._context.trace.unreached(error)
            raise


def is_address(host: str) -> bool:
    """Whether a host is an address and not a name."""
    try:
        parse_ip(host)
    except ValueError:
        return False
    return True


async def resolve(
    reactor: IClientReactor,
    host: str,
    port: int,
    kind: type[IPv4Address | IPv6Address] | None,
    timeout: float,
) -> Sequence[Address]:
    """
    The addresses of a host, each with ``port``; none if it has none of that kind.

    :param host: a name, or an address.
    :param kind: None for both, in the order of the system.
    :raises twisted.internet.defer.TimeoutError: when there is no response for ``timeout`` seconds.
    """
    try:
        literal = parse_ip(host)
    except ValueError:
        found = _Resolution()
        kinds = [IPv4Address, IPv6Address] if kind is None else [kind]
        reactor.nameResolver.resolveHostName(found, host, port, kinds)
        return await found.complete.addTimeout(timeout, reactor)
    wanted = kind is None or (literal.version == 4) == (kind is IPv4Address)
    return [Address(literal, port)] if wanted else []


@implementer(IResolutionReceiver)
class _Resolution:
    """Collects the addresses of a name, each once; an address with a zone is skipped as useless."""

    def __init__(self) -> None:
        self._addresses: dict[Address, None] = {}
        self.complete: Deferred[list[Address]] = Deferred()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """See :class:`IResolutionReceiver`."""

    def addressResolved(self, address: object) -> None:
        if isinstance(address, (IPv4Address, IPv6Address)) and "%" not in address.host:
            self._addresses[Address(parse_ip(address.host), address.port)] = None

    def resolutionComplete(self) -> None:
        if not self.complete.called:
            self.complete.callback(list(self._addresses))
