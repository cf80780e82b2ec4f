"""
Endpoint descriptions for ``clientFromString`` and ``serverFromString``.

A client, with role ``dial`` unless specified as ``accept``, and a server::

    rdv:https\\://example.com/rdv:token=MY_TOKEN
    rdv:https\\://example.com/rdv:token=MY_TOKEN:role=accept

The URL comes first; several URLs are separated by commas. As everywhere in such descriptions, a
colon that does not separate options, and an ``=`` within a value, has a backslash before it. The
options:

``token=TOKEN`` or ``tokenFile=PATH``
    what both peers know, a secret or a plain token; from the first line of a file it is not seen in
    the list of processes.
``secure=yes|no``
    whether to refuse a plain token. The default is ``no``: the form of the token decides.
``role=dial|accept``
    of a client.
``timeout=SECONDS``
    of a client: for a connection; 0 for as long as it takes. The default is 60 to dial, and 0 to
    accept.
``relay=yes|no``
    whether to only use the relay. The default is ``no``.
``move=yes|no``
    whether a secured stream that starts on the relay moves to a direct path when one opens. The
    default is ``yes``.
``spaces=LIST``
    addresses to use, comma separated, as ``rdv dial --spaces`` has them.
``header=NAME\\:VALUE``
    for the request to the server. Further ones are ``header2=``, ``header3=``, and so on.
``ca=PATH``, ``cert=PATH``
    for an ``https`` server: certificates to trust, and a certificate and key to show, in PEM.
``proxy=URL``
    an HTTP proxy through which the server is reached, ``http\\://HOST\\:PORT``.

Every program that describes an endpoint imports this module, so it imports what it needs late.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from zope.interface import implementer

if TYPE_CHECKING:
    from rdv._secure.secret import Secret
    from rdv.client import Client, Servers

__all__ = ["ClientParser", "ServerParser"]

_YES_OR_NO = {"yes": True, "no": False}
_HEADER = re.compile(r"header[0-9]*")


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class ClientParser:
    """Makes a :class:`rdv.endpoints.RendezvousEndpoint`."""

    prefix = "rdv"

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamClientEndpoint:
        """
        See :class:`IStreamClientEndpointStringParserWithReactor`.

        :raises ValueError: when the description makes no sense.
        """
        from rdv.client.parsing import ROLES
        from rdv.endpoints import RendezvousEndpoint
        from rdv.options import seconds

        options = _Options(args, kwargs)
        role = options.one_of("role", ROLES, "dial")
        more: dict[str, Any] = {}
        timeout = options.take("timeout")
        if timeout is not None:
            try:
                more["timeout"] = seconds(timeout) or None
            except ValueError:
                raise ValueError(f"rdv endpoint: timeout={timeout}: not seconds") from None
        url, token, headers, client = options.rest(reactor)
        return RendezvousEndpoint(client, role, url, token, headers=headers, **more)


@implementer(IPlugin, IStreamServerEndpointStringParser)
class ServerParser:
    """Makes a :class:`rdv.endpoints.RendezvousServerEndpoint`."""

    prefix = "rdv"

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamServerEndpoint:
        """
        See :class:`IStreamServerEndpointStringParser`.

        :raises ValueError: when the description makes no sense.
        """
        from rdv.endpoints import RendezvousServerEndpoint

        url, token, headers, client = _Options(args, kwargs).rest(reactor)
        return RendezvousServerEndpoint(client, url, token, headers=headers)


class _Options:
    """
    What a description says.

    :raises ValueError: from every method, with a text for whoever wrote the description.
    """

    def __init__(self, args: tuple[str, ...], kwargs: dict[str, str]) -> None:
        if len(args) != 1:
            hint = r"rdv:https\://HOST/PATH:token=TOKEN, with a backslash before the URL's colons"
            raise ValueError(
                f"rdv endpoint: not {hint}" if args else f"rdv endpoint: no URL: {hint}"
            )
        self._url = args[0]
        self._given = dict(kwargs)

    def take(self, name: str) -> str | None:
        """An option's value, if it is given."""
        return self._given.pop(name, None)

    def one_of(self, name: str, values: dict[str, Any], default: str) -> Any:
        """The meaning of an option's value."""
        text = self.take(name)
        text = default if text is None else text
        if text not in values:
            raise ValueError(f"rdv endpoint: {name}={text}: not {' or '.join(values)}")
        return values[text]

    def rest(self, reactor: Any) -> tuple[Servers, Secret | bytes, Any, Client]:
        """The URL or several, the token, headers, and a client; nothing else may be given."""
        from rdv._secure.secret import Secret, read_token
        from rdv.addresses import AddressSpace
        from rdv.client import Client, parsing
        from rdv.client.servers.urls import parse_servers, split_servers
        from rdv.errors import RdvError

        relay, secure = (self.one_of(each, _YES_OR_NO, "no") for each in ("relay", "secure"))
        move = self.one_of("move", _YES_OR_NO, "yes")
        spaces, ca, certificate = self.take("spaces"), self.take("ca"), self.take("cert")
        proxy = self.take("proxy")
        token = self._token()
        lines = [self._given.pop(name) for name in list(self._given) if _HEADER.fullmatch(name)]
        if self._given:
            raise ValueError(f"rdv endpoint: unknown option: {', '.join(self._given)}")
        try:
            servers = split_servers(self._url)
            parse_servers(servers)
            shared = read_token(token)
            if secure and not isinstance(shared, Secret):
                raise ValueError("secure=yes: the token is not a secret")
            headers = parsing.headers_of(lines)
            allowed = parsing.spaces_of(spaces or "default")
            tls = parsing.tls_of(ca, certificate)
            client = Client(
                reactor,
                tls=tls,
                spaces=AddressSpace.NONE if relay else allowed,
                proxy=proxy,
                secure=secure or None,
                move=move,
            )
        except (ValueError, RdvError) as error:
            raise ValueError(f"rdv endpoint: {error}") from error
        return servers if len(servers) > 1 else servers[0], shared, headers, client

    def _token(self) -> str:
        token, path = self.take("token"), self.take("tokenFile")
        if (token is None) == (path is None):
            raise ValueError("rdv endpoint: give either token=TOKEN or tokenFile=PATH")
        if token is not None:
            return token
        assert path is not None
        try:
            with open(path, encoding="utf-8") as file:
                return file.readline().removesuffix("\n")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise ValueError(f"rdv endpoint: cannot read {path}: {reason}") from error
