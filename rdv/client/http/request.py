"""
The request to the server, and the contents of its answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http.cookiejar import CookieJar
from typing import Any, TypedDict, cast

import h11
from hyperlink import URL
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.logger import Logger
from twisted.web.client import URI
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from rdv import _knobs as knobs
from rdv._transport.handover import one_protocol
from rdv.addresses import Address, format_addresses
from rdv.client.candidates.candidate import Candidate
from rdv.client.context import Context
from rdv.client.http.exchange import UpgradeExchange
from rdv.client.http.proxy import Proxy
from rdv.client.reasons import describe, printable, refusal_text, retry_after
from rdv.errors import ProtocolError, ServerRefused, ServerUnreachable
from rdv.wire import (
    MAX_SELF_ADDRESSES,
    Answer,
    Offer,
    parse_answer,
    request_headers,
    token_hint,
)

__all__ = ["RequestOptions", "UpgradeAgent", "ask", "check_options", "with_proxy"]

log = Logger()

#: The options of a request, with treq's names: their types, besides None, in code and in words.
_OPTIONS: dict[str, tuple[tuple[type, ...], str]] = {
    "headers": ((Headers, Mapping), "Headers or a mapping"),
    "auth": ((tuple,), "(user, password)"),
    "cookies": ((Mapping, CookieJar), "a mapping or a CookieJar"),
    "params": ((Mapping, Sequence), "a mapping or pairs"),
}


class RequestOptions(TypedDict, total=False):
    """
    Options for the request to the server, as for treq.

    :ivar headers: further headers.
    :ivar auth: user and password, for HTTP basic authentication.
    :ivar cookies: the cookies to send.
    :ivar params: of the URL's query.
    """

    headers: Headers | Mapping[str, Any] | Mapping[bytes, Any] | None
    auth: tuple[str | bytes, str | bytes] | None
    cookies: Mapping[str, str] | CookieJar | None
    params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None


@implementer(IAgent)
class UpgradeAgent:
    """
    Makes one request on a separate connection.

    A 101 has no body: ``deliverBody(protocol)`` gives ``protocol`` the connection instead, with
    the bytes that arrived after the head first. The body of any other response is read before the
    response is returned, up to 4 KiB.

    ``server_timeout`` is the time from the request to the end of a TLS handshake, and again from
    the first byte of a response to its last one. The caller decides how long a server may take to
    begin its response: it may keep a client waiting for its peer.
    """

    def __init__(self, context: Context, endpoints: IAgentEndpointFactory) -> None:
        self._context = context
        self._endpoints = endpoints
        self._exchange: UpgradeExchange | None = None

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """
        See :class:`IAgent`. There is no request body.

        :return: errbacks with :class:`ServerUnreachable`, :class:`ProtocolError`, or what the
            endpoint fails with. Cancelling it closes the connection.
        """
        parsed = URI.fromBytes(uri)
        names = headers or Headers()
        fields = [(name, value) for name, values in names.getAllRawHeaders() for value in values]
        if not names.hasHeader("host"):
            fields.insert(0, (b"Host", _netloc(parsed)))
        try:
            request = h11.Request(method=method, target=parsed.originForm, headers=fields)
        except h11.LocalProtocolError:  # its text may contain the value
            return fail(ProtocolError("a header of the request cannot be sent"))
        return Deferred.fromCoroutine(self._request(parsed, request))

    async def _request(self, uri: URI, request: h11.Request) -> IResponse:
        exchange = self._exchange = UpgradeExchange(self._context, request)
        try:
            await self._endpoints.endpointForURI(uri).connect(one_protocol(exchange))
        except BaseException:
            # It may have been connected briefly, for example to itself; nothing waits for it now.
            exchange.response.addErrback(lambda _: None)
            raise
        return await exchange.response

    @property
    def asked(self) -> bool:
        """Whether the request has been sent to the server."""
        return self._exchange is not None and self._exchange.asked

    def close(self) -> Deferred[None]:
        """Close the connection, unless it has been handed over. Fires when it is gone."""
        return succeed(None) if self._exchange is None else self._exchange.close()


def _netloc(uri: URI) -> bytes:
    host = b"[%b]" % uri.host.strip(b"[]") if b":" in uri.host else uri.host
    default = {b"http": 80, b"https": 443}[uri.scheme]
    return host if uri.port == default else b"%b:%d" % (host, uri.port)


async def ask(
    context: Context,
    agent: UpgradeAgent,
    url: URL,
    own: Sequence[Address],
    options: Mapping[str, Any],
) -> tuple[Candidate, Answer, Headers]:
    """
    Make the request. The connection on which the answer arrives is the relay candidate.

    :param own: the server gets as many of these as it accepts.
    :param options: for treq's ``request``.
    :return: the relay candidate, the answer, and all its headers.
    :raises ServerUnreachable: when the server cannot be reached, or ends without an answer.
    :raises ServerRefused: when it answers with anything but 101.
    :raises ProtocolError: when its answer is invalid.
    """
    server = url.to_text()
    addresses = format_addresses(own[:MAX_SELF_ADDRESSES])
    offer = Offer(context.role, context.token, addresses)
    headers = _headers(options.get("headers"))
    for name, value in request_headers(offer):
        headers.setRawHeaders(name, [value])
    try:
        response = await HTTPClient(agent).request(
            context.role.value.decode(),
            url,
            **{**options, "headers": headers},
            allow_redirects=False,
            unbuffered=True,
            reactor=cast(Any, context.reactor),
        )
        if response.code != 101:
            phrase = printable(response.phrase)
            reason = refusal_text(response.code, response.headers, await response.content())
            later = retry_after(response.headers)
            raise ServerRefused(server, response.code, phrase, reason, later)
        answer = parse_answer(lambda name: response.headers.getRawHeaders(name, []))
        relay = context.new_candidate(context.trace.met(answer), is_relay=True)
        response.deliverBody(relay)
    except (ConnectError, DNSLookupError, DeferTimeoutError, ServerUnreachable) as error:
        raise ServerUnreachable(f"cannot reach {server}: {describe(error)}") from error
    except ValueError as error:  # a header that is not text
        raise ProtocolError(f"the response of {server} is not HTTP: {error}") from error
    log.debug(
        "{token}: observed as {observed}, the peer may be at {peer_addresses}",
        token=token_hint(context.token),
        observed=answer.observed,
        peer_addresses=[str(address) for address in answer.peer_addresses],
    )
    return relay, answer, response.headers


def check_options(options: Mapping[str, Any]) -> None:
    """
    Check whether a request can be made with these options.

    :param options: for treq's ``request``.
    :raises TypeError: when an option is unknown, or of the wrong type; the text names it.
    :raises ValueError: when one cannot be sent.
    """
    for name, value in options.items():
        if name not in _OPTIONS:
            raise TypeError(f"{name}: no such option; the options are {', '.join(_OPTIONS)}")
        kinds, what = _OPTIONS[name]
        if value is not None:
            knobs.instance(name, value, kinds, what)
    auth = options.get("auth")
    if auth is not None and not (len(auth) == 2 and all(_is_text(each) for each in auth)):
        raise TypeError("auth: (user, password) is needed, both as text")
    try:
        _headers(options.get("headers"))
    except (TypeError, AttributeError):
        raise TypeError("headers: names and values must be text") from None
    except ValueError as error:
        raise ValueError(f"headers: not a name: {error}") from None


def with_proxy(
    proxy: Proxy | None, options: Mapping[str, Any]
) -> tuple[Proxy | None, Mapping[str, Any]]:
    """
    The credentials for a proxy may also be in a header, ``Proxy-Authorization``: if there is a
    proxy, the header is for the proxy, and not for the server (RFC 9110, 11.7.2).

    :param options: for treq's ``request``.
    :return: the proxy, and the options for the request to the server.
    """
    headers = _headers(options.get("headers"))
    values = headers.getRawHeaders(b"proxy-authorization")
    if proxy is None or not values:
        return proxy, options
    headers.removeHeader(b"proxy-authorization")
    return proxy._replace(authorization=values[-1].strip()), {**options, "headers": headers}


def _is_text(value: object) -> bool:
    return isinstance(value, (str, bytes))


def _headers(given: Headers | Mapping[str, Any] | None) -> Headers:
    """A copy: the token must not be added to the caller's object."""
    if isinstance(given, Headers):
        return given.copy()
    headers = Headers()
    for name, value in (given or {}).items():
        for each in value if isinstance(value, list) else [value]:
            headers.addRawHeader(name, each)
    return headers
