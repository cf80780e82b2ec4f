"""
One attempt: a port, a request, a race.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from hyperlink import URL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv.addresses import Address, AddressSpace, space_of
from rdv.client.candidate import Candidate
from rdv.client.connection import Connection
from rdv.client.inbound import Inbound
from rdv.client.race import Chooser, contend, first
from rdv.client.reasons import printable, refusal_text, why
from rdv.client.server_endpoint import ServerEndpoints
from rdv.client.shared_port import IClientReactor, SharedPort
from rdv.client.upgrade import UpgradeAgent
from rdv.errors import NoConnection, ProtocolError, ServerRefused, ServerUnreachable
from rdv.wire import (
    MAX_SELF_ADDRESSES,
    Answer,
    Offer,
    Role,
    parse_answer,
    request_headers,
    token_hint,
)

__all__ = ["Attempt", "Settings"]

log = Logger()

#: When the relay has gone, seconds for a direct CONFIRM or HELLO that is still on its way: two
#: retransmissions.
_RELAY_LOST_GRACE = 5.0


@dataclass(frozen=True)
class Settings:
    """The knobs of a client; :class:`rdv.client.Client` describes them."""

    tls: IPolicyForHTTPS
    spaces: AddressSpace
    self_addresses: Callable[[int], Iterable[Address]]
    local_port: int
    lowest_port: int
    chooser: Chooser
    server_timeout: float
    handshake_timeout: float


class Attempt:
    """
    One attempt at a connection. :meth:`run` closes whatever is not the winner, however it ends.

    :param options: for treq's ``request``.
    """

    def __init__(
        self,
        reactor: IClientReactor,
        settings: Settings,
        role: Role,
        url: URL,
        token: bytes,
        options: Mapping[str, Any],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._role = role
        self._url = url
        self._server = url.to_text()
        self._token = token
        self._options = options
        # The acceptor does not choose, and without address spaces there is only the relay.
        chooses = role is Role.DIALER and settings.spaces
        self._chooser = settings.chooser if chooses else _at_once
        self._candidates: set[Candidate] = set()
        self._reasons: dict[str, str] = {}
        self._closing: list[Deferred[Any]] = []
        self._agent: UpgradeAgent | None = None
        self._racing = False

    async def run(self) -> Connection:
        """
        :raises ServerUnreachable: when the server cannot be reached, or ends without an answer.
        :raises ServerRefused: when it answers with anything but 101.
        :raises ProtocolError: when its answer cannot be understood.
        :raises NoConnection: when neither a direct path nor the relay comes to stand, or the local
            port cannot be had.
        """
        held = self._role is Role.ACCEPTOR
        inbound = Inbound(self._settings.spaces, lambda: self._candidate(held=held))
        port = SharedPort(self._reactor, inbound, self._settings.local_port)
        connection = None
        try:
            own = self._own_addresses(port.number)
            relay, answer, headers = await self._ask(port, own)
            self._racing = True
            winner = await self._race(port, inbound, relay, answer, own)
            winner.confirm()
            connection = Connection(winner, answer.observed, headers)
        finally:
            inbound.stop()
            self._closing.append(port.close())
            self._close_candidates()
            try:
                await _ignoring_cancellation(gatherResults(self._closing))
            except CancelledError:
                if connection is not None:
                    connection.abortConnection()
                raise
        return connection

    @property
    def lacking(self) -> str:
        """What it has not got so far, for a person."""
        if self._racing:
            return "no path to the peer"
        if self._agent is not None and self._agent.asked:
            return f"the peer did not come to {self._server}"
        return f"{self._server} did not answer"

    def _own_addresses(self, port: int) -> list[Address]:
        spaces = self._settings.spaces
        addresses = dict.fromkeys(self._settings.self_addresses(port))
        return [address for address in addresses if space_of(address.ip) & spaces]

    def _candidate(self, *, is_relay: bool = False, held: bool = False) -> Candidate:
        candidate = Candidate(self._reactor, self._role, self._token, is_relay=is_relay, held=held)
        self._candidates.add(candidate)
        candidate.closed.addCallback(lambda _: self._candidates.discard(candidate))
        return candidate

    def _close_candidates(self) -> None:
        for candidate in list(self._candidates):
            self._closing.append(candidate.closed)
            candidate.close()

    async def _ask(
        self, port: SharedPort, own: Sequence[Address]
    ) -> tuple[Candidate, Answer, Headers]:
        """Make the request; the connection on which the answer came is the relay candidate."""
        settings = self._settings
        endpoints = ServerEndpoints(self._reactor, port, settings.tls, settings.server_timeout)
        agent = self._agent = UpgradeAgent(self._reactor, endpoints, settings.server_timeout)
        offer = Offer(self._role, self._token, own[:MAX_SELF_ADDRESSES])
        headers = _headers(self._options.get("headers"))
        for name, value in request_headers(offer):
            headers.setRawHeaders(name, [value])
        try:
            response = await HTTPClient(agent).request(
                self._role.value.decode(),
                self._url,
                **{**self._options, "headers": headers},
                allow_redirects=False,
                unbuffered=True,
                reactor=cast(Any, self._reactor),
            )
            if response.code != 101:
                phrase = printable(response.phrase)
                reason = refusal_text(response.headers, await response.content())
                raise ServerRefused(self._server, response.code, phrase, reason)
            answer = parse_answer(lambda name: response.headers.getRawHeaders(name, []))
            relay = self._candidate(is_relay=True)
            response.deliverBody(relay)
        except (ConnectError, DNSLookupError, DeferTimeoutError, ServerUnreachable) as error:
            raise ServerUnreachable(f"cannot reach {self._server}: {why(error)}") from error
        except ValueError as error:  # a header that is no text
            raise ProtocolError(f"the answer of {self._server} is not HTTP: {error}") from error
        finally:
            self._closing.append(agent.close())
        log.debug(
            "{token}: observed as {observed}, the peer may be at {peer_addresses}",
            token=token_hint(self._token),
            observed=answer.observed,
            peer_addresses=[str(address) for address in answer.peer_addresses],
        )
        return relay, answer, response.headers

    async def _race(
        self,
        port: SharedPort,
        inbound: Inbound,
        relay: Candidate,
        answer: Answer,
        own: Sequence[Address],
    ) -> Candidate:
        settings = self._settings
        contenders = [self._contend("relay", contend(relay, self._chooser))]
        if settings.spaces:
            inbound.begin(
                {address.ip for address in answer.peer_addresses},
                lambda candidate: self._contend("inbound", contend(candidate, self._chooser)),
            )
            contenders.append(inbound.first)
            for address in dict.fromkeys(answer.peer_addresses):
                if self._may_dial(address) and address not in own:
                    contenders.append(self._contend(str(address), self._dial(port, address)))
        race = first(contenders)
        limit = self._reactor.callLater(settings.handshake_timeout, race.cancel)
        relay.closed.addCallback(lambda _: _shorten(self._reactor, limit))
        try:
            return await race
        except (NoConnection, CancelledError) as error:
            if limit.active() and isinstance(error, CancelledError):
                raise
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self._reasons.items())
            raise NoConnection(f"no path to the peer: {reasons or 'nobody answered'}") from None
        finally:
            if limit.active():
                limit.cancel()

    def _may_dial(self, address: Address) -> bool:
        settings = self._settings
        return bool(space_of(address.ip) & settings.spaces) and address.port >= settings.lowest_port

    async def _dial(self, port: SharedPort, address: Address) -> Candidate:
        candidate = self._candidate()
        try:
            await port.connect(address, candidate, self._settings.handshake_timeout)
        except BaseException:
            candidate.close()
            raise
        return await contend(candidate, self._chooser)

    def _contend(self, name: str, contender: Coroutine[Any, Any, Candidate]) -> Deferred[Candidate]:
        """Run a contender, and remember why it dropped out."""

        def dropped(failure: Failure) -> Failure:
            if not failure.check(CancelledError):
                self._reasons[name] = why(failure.value)
                log.debug("{name} dropped out: {reason}", name=name, reason=self._reasons[name])
            return failure

        return Deferred.fromCoroutine(contender).addErrback(dropped)


async def _ignoring_cancellation(closing: Deferred[Any]) -> None:
    """
    Wait for ``closing`` however often we are cancelled meanwhile.

    :raises CancelledError: afterwards, if we were.
    """
    cancelled = False
    while not closing.called:
        woken: Deferred[None] = Deferred()
        closing.addBoth(_wake, woken)
        try:
            await woken
        except CancelledError:
            cancelled = True
    if cancelled:
        raise CancelledError


def _wake(result: Any, sleeper: Deferred[None]) -> Any:
    if not sleeper.called:
        sleeper.callback(None)
    return result


def _at_once(candidate: Candidate) -> float:
    return 0.0


def _shorten(clock: IReactorTime, limit: IDelayedCall) -> None:
    if limit.active() and limit.getTime() - clock.seconds() > _RELAY_LOST_GRACE:
        limit.reset(_RELAY_LOST_GRACE)


def _headers(given: Headers | Mapping[str, Any] | None) -> Headers:
    """A copy, as the caller's must not carry the token afterwards."""
    if isinstance(given, Headers):
        return given.copy()
    headers = Headers()
    for name, value in (given or {}).items():
        for each in value if isinstance(value, list) else [value]:
            headers.addRawHeader(name, each)
    return headers
