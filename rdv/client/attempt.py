"""
One attempt: a port, a request, a race.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from hyperlink import URL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.logger import Logger
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv.addresses import Address, AddressSpace, space_of
from rdv.client.candidate import Candidate
from rdv.client.candidates import Candidates
from rdv.client.connection import Connection
from rdv.client.contest import Contest
from rdv.client.inbound import Inbound
from rdv.client.own_addresses import SelfAddresses
from rdv.client.port_mapping import MappedPort, PortMapping
from rdv.client.race import Chooser
from rdv.client.reasons import printable, refusal_text, why
from rdv.client.server_endpoint import ServerEndpoints
from rdv.client.shared_port import IClientReactor, SharedPort
from rdv.client.targets import targets
from rdv.client.trace import Tracer, What
from rdv.client.upgrade import UpgradeAgent
from rdv.errors import ProtocolError, ServerRefused, ServerUnreachable
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


@dataclass(frozen=True)
class Settings:
    """The knobs of a client; :class:`rdv.client.Client` describes them."""

    tls: IPolicyForHTTPS
    spaces: AddressSpace
    self_addresses: SelfAddresses
    port_mapping: PortMapping | None
    local_port: int
    lowest_port: int
    chooser: Chooser
    server_timeout: float
    handshake_timeout: float


class Attempt:
    """
    One attempt at a connection. :meth:`run` closes whatever is not the winner, however it ends.

    :param options: for treq's ``request``.
    :param tracer: told of what happens.
    """

    def __init__(
        self,
        reactor: IClientReactor,
        settings: Settings,
        role: Role,
        url: URL,
        token: bytes,
        options: Mapping[str, Any],
        tracer: Tracer | None = None,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._role = role
        self._url = url
        self._server = url.to_text()
        self._token = token
        self._options = options
        self._tracer = tracer
        # The acceptor does not choose, and without address spaces there is only the relay.
        chooses = role is Role.DIALER and settings.spaces
        self._chooser = settings.chooser if chooses else _at_once
        self._candidates = Candidates(reactor, role, token)
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
        try:
            connection = await self._run()
        except BaseException as error:
            self._note(What.FAILED, reason=why(error))
            raise
        self._note(
            What.CONNECTED,
            path="relay" if connection.is_relay else "p2p",
            peer=connection.peer_address,
        )
        return connection

    def _note(self, what: What, **fields: object) -> None:
        if self._tracer is not None:
            self._tracer(what, **fields)

    async def _run(self) -> Connection:
        held = self._role is Role.ACCEPTOR
        inbound = Inbound(self._settings.spaces, lambda: self._candidates.make(held=held))
        port = SharedPort(self._reactor, inbound, self._settings.local_port)
        self._note(What.BEGUN, role=self._role.value, server=self._server, port=port.number)
        mapped = MappedPort(self._reactor, self._settings.port_mapping)
        connection = reserve = None
        try:
            own = await self._own_addresses(port.number, mapped)
            relay, answer, headers = await self._ask(port, own)
            winner = await self._race(port, inbound, relay, answer, own)
            if relay.connected and not winner.is_relay and winner.confirmed is not None:
                reserve = relay
            connection = Connection(winner, answer.observed, headers, reserve)
        finally:
            inbound.stop()
            self._closing += [port.close(), *self._candidates.close(kept=reserve)]
            self._closing.append(Deferred.fromCoroutine(mapped.close()))
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

    async def _own_addresses(self, port: int, mapped: MappedPort) -> list[Address]:
        spaces = self._settings.spaces
        outside = await mapped.open(port) if spaces else []
        addresses = dict.fromkeys([*outside, *self._settings.self_addresses(port)])
        return [address for address in addresses if space_of(address.ip) & spaces]

    async def _ask(
        self, port: SharedPort, own: Sequence[Address]
    ) -> tuple[Candidate, Answer, Headers]:
        """Make the request; the connection on which the answer came is the relay candidate."""
        settings = self._settings
        endpoints = ServerEndpoints(self._reactor, port, settings.tls, settings.server_timeout)
        agent = self._agent = UpgradeAgent(
            self._reactor, endpoints, settings.server_timeout, lambda: self._note(What.ASKED)
        )
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
            self._note(
                What.MET, observed=answer.observed, peer_addresses=list(answer.peer_addresses)
            )
            relay = self._candidates.make(is_relay=True)
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
        self._racing = True
        settings = self._settings
        contest = Contest(
            self._reactor,
            self._chooser,
            port,
            inbound,
            relay,
            answer,
            targets(answer, own, port.number, settings.spaces, settings.lowest_port),
            own,
            self._candidates,
            settings.handshake_timeout,
        )
        return await (contest.all_ways() if settings.spaces else contest.relay_only())


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


def _headers(given: Headers | Mapping[str, Any] | None) -> Headers:
    """A copy, as the caller's must not carry the token afterwards."""
    if isinstance(given, Headers):
        return given.copy()
    headers = Headers()
    for name, value in (given or {}).items():
        for each in value if isinstance(value, list) else [value]:
            headers.addRawHeader(name, each)
    return headers
