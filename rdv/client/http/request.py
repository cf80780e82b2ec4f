"""
The request to the server, and what its answer says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http.cookiejar import CookieJar
from typing import Any, TypedDict, cast

from hyperlink import URL
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.logger import Logger
from twisted.web.http_headers import Headers

from rdv import _knobs as knobs
from rdv.addresses import Address
from rdv.client.candidate import Candidate
from rdv.client.context import Context
from rdv.client.dial.shared_port import SharedPort
from rdv.client.http.agent import UpgradeAgent
from rdv.client.http.server_endpoint import ServerEndpoints
from rdv.client.reasons import printable, refusal_text, retry_after, why
from rdv.errors import ProtocolError, ServerRefused, ServerUnreachable
from rdv.wire import (
    MAX_SELF_ADDRESSES,
    Answer,
    Offer,
    parse_answer,
    request_headers,
    token_hint,
)

__all__ = ["Request", "RequestOptions", "check_options"]

log = Logger()

#: What a caller may say of a request: names of treq's, and what each may be beside None.
_OPTIONS: dict[str, tuple[tuple[type, ...], str]] = {
    "headers": ((Headers, Mapping), "Headers or a mapping"),
    "auth": ((tuple,), "(user, password)"),
    "cookies": ((Mapping, CookieJar), "a mapping or a CookieJar"),
    "params": ((Mapping, Sequence), "a mapping or pairs"),
}


class RequestOptions(TypedDict, total=False):
    """
    What a caller may say of the request to the server, as treq takes it.

    :ivar headers: further ones.
    :ivar auth: user and password, for HTTP's basic authentication.
    :ivar cookies: to be sent.
    :ivar params: of the URL's query.
    """

    headers: Headers | Mapping[str, Any] | Mapping[bytes, Any] | None
    auth: tuple[str | bytes, str | bytes] | None
    cookies: Mapping[str, str] | CookieJar | None
    params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None


class Request:
    """One request from a shared port."""

    def __init__(self, context: Context, port: SharedPort) -> None:
        self._context = context
        self._agent = UpgradeAgent(context, ServerEndpoints(context, port))

    @property
    def asked(self) -> bool:
        """Whether the request has gone to the server."""
        return self._agent.asked

    def close(self) -> Deferred[None]:
        """Close the connection, unless it has been handed over. Fires when it is gone."""
        return self._agent.close()

    async def ask(
        self, url: URL, own: Sequence[Address], options: Mapping[str, Any]
    ) -> tuple[Candidate, Answer, Headers]:
        """
        Make the request; the connection on which the answer comes is the relay candidate.

        :param own: of these, the server is told as many as it takes.
        :param options: for treq's ``request``.
        :return: the relay candidate, the answer, and all its headers.
        :raises ServerUnreachable: when the server cannot be reached, or ends without an answer.
        :raises ServerRefused: when it answers with anything but 101.
        :raises ProtocolError: when its answer cannot be understood.
        """
        context, server = self._context, url.to_text()
        offer = Offer(context.role, context.token, own[:MAX_SELF_ADDRESSES])
        headers = _headers(options.get("headers"))
        for name, value in request_headers(offer):
            headers.setRawHeaders(name, [value])
        try:
            response = await HTTPClient(self._agent).request(
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
            raise ServerUnreachable(f"cannot reach {server}: {why(error)}") from error
        except ValueError as error:  # a header that is no text
            raise ProtocolError(f"the answer of {server} is not HTTP: {error}") from error
        log.debug(
            "{token}: observed as {observed}, the peer may be at {peer_addresses}",
            token=token_hint(context.token),
            observed=answer.observed,
            peer_addresses=[str(address) for address in answer.peer_addresses],
        )
        return relay, answer, response.headers


def check_options(options: Mapping[str, Any]) -> None:
    """
    See whether a request can be made with them.

    :param options: for treq's ``request``.
    :raises TypeError: when there is no such option, or one is of the wrong type; the text names it.
    :raises ValueError: when one cannot be sent.
    """
    for name, value in options.items():
        if name not in _OPTIONS:
            raise TypeError(f"{name}: there is no such option, only {', '.join(_OPTIONS)}")
        kinds, what = _OPTIONS[name]
        if value is not None:
            knobs.instance(name, value, kinds, what)
    auth = options.get("auth")
    if auth is not None and not (len(auth) == 2 and all(_is_text(each) for each in auth)):
        raise TypeError("auth: (user, password) is needed, each of them text")
    try:
        _headers(options.get("headers"))
    except (TypeError, AttributeError):
        raise TypeError("headers: names and values have to be text") from None
    except ValueError as error:
        raise ValueError(f"headers: not a name: {error}") from None


def _is_text(value: object) -> bool:
    return isinstance(value, (str, bytes))


def _headers(given: Headers | Mapping[str, Any] | None) -> Headers:
    """A copy, as the caller's must not carry the token afterwards."""
    if isinstance(given, Headers):
        return given.copy()
    headers = Headers()
    for name, value in (given or {}).items():
        for each in value if isinstance(value, list) else [value]:
            headers.addRawHeader(name, each)
    return headers
