"""
One attempt: a port, a request, a race.

One attempt: ``SharedPort`` -> own addresses, filtered by space -> ``treq`` over ``UpgradeAgent``
from that port -> ``Answer`` -> ``Contest`` -> ``Connection``. It is one coroutine; its ``finally``
closes whatever is not the winner, and cancelling the Deferred at any await runs that same
``finally``.

A ``Contest`` races Deferreds, each of a ``Candidate`` that was chosen: one for the relay, one per
address that is dialled, one for everything inbound together.
``DeferredList(fireOnOneCallback=True)`` does not cancel losers, succeeds when all fail and never
fires on an empty list; ``choice.first`` covers the three. Each contender shakes hands, waits out
its patience, and then takes the *choice*, a lock: only one candidate at a time says CONFIRM. The
*chooser* says for each candidate of the dialer that is ready how many seconds a better one may
still take: 0 for a direct one, some milliseconds for one that goes round through a NAT that both
peers are behind, the relay penalty for the relay. The penalty ends early when nothing direct can
come any more (every address has no route, or has refused for a second), and a connection that is
shaking hands when it ends gets the rest of its second: no direct path loses to the relay by a hair.
The acceptor does not choose: the first CONFIRM wins.

Inbound connections that arrive before the answer are held without a word: the token is not shown to
whoever scans the port while we wait in the lobby. Their number is bounded, and so is the number of
strangers (addresses that the answer did not name) entertained at a time.

The winner's transport belongs to a ``Connection``, the ``ITransport`` that the application's
protocol sees. It holds bytes that came with HELLO or CONFIRM until a protocol is attached.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hyperlink import URL
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv.addresses import Address, AddressSpace, space_of
from rdv.client.candidate import Candidate
from rdv.client.candidates import Candidates
from rdv.client.connection import Connection
from rdv.client.dial.shared_port import IClientReactor, SharedPort
from rdv.client.dial.targets import targets
from rdv.client.http.request import Request
from rdv.client.port_mapping import MappedPort, PortMapping
from rdv.client.race.choice import Chooser
from rdv.client.race.contest import Contest
from rdv.client.race.inbound import Inbound
from rdv.client.reasons import why
from rdv.client.self_addresses import SelfAddresses
from rdv.client.trace import What
from rdv.client.tracer import Tracer, space_name
from rdv.errors import NoConnection
from rdv.wire import MAX_SELF_ADDRESSES, Answer, Role

__all__ = ["Attempt", "Settings"]


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
    :param ends: when it will be cancelled because time is up, by the reactor's clock.
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
        ends: float = math.inf,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._role = role
        self._url = url
        self._server = url.to_text()
        self._token = token
        self._options = options
        self._tracer = tracer
        self._ends = ends
        # The acceptor does not choose, and without address spaces there is only the relay.
        chooses = role is Role.DIALER and settings.spaces
        self._chooser = settings.chooser if chooses else _at_once
        self._candidates = Candidates(reactor, role, token)
        self._closing: list[Deferred[Any]] = []
        self._request: Request | None = None
        self._racing = False

    async def run(self) -> Connection:
        """
        :raises ServerUnreachable: when the server cannot be reached, or ends without an answer.
        :raises ServerRefused: when it answers with anything but 101.
        :raises ProtocolError: when its answer cannot be understood.
        :raises NoConnection: when neither a direct path nor the relay comes to stand, or the local
            port cannot be had.
        """
        if self._tracer is None:
            return await self._run()
        try:
            connection = await self._run()
        except BaseException as error:
            self._tracer.end(What.FAILED, reason=self._failure_text(error))
            raise
        self._tracer.connected(connection.is_relay, connection.peer_address)
        return connection

    def _failure_text(self, error: BaseException) -> str:
        if not isinstance(error, CancelledError):
            return why(error)
        late = self._reactor.seconds() >= self._ends
        return f"{'time is up' if late else 'cancelled'}: {self.lacking}"

    async def _run(self) -> Connection:
        held = self._role is Role.ACCEPTOR
        inbound = Inbound(
            self._settings.spaces, lambda: self._candidates.make(held=held), self._tracer
        )
        port = self._listen(inbound)
        mapped = MappedPort(self._reactor, self._settings.port_mapping)
        connection = reserve = None
        try:
            own = await self._own_addresses(port.number, mapped)
            relay, answer, headers = await self._ask(port, own)
            self._racing = True
            winner = await self._race(port, inbound, relay, answer, own)
            if relay.connected and not winner.is_relay and winner.confirmed() is not None:
                reserve = relay
            connection = Connection(winner, answer.observed, headers, reserve)
        finally:
            inbound.stop()
            left = self._candidates.close(kept=reserve, abort=connection is None)
            self._closing += [port.close(), *left]
            self._closing.append(Deferred.fromCoroutine(mapped.close()))
            # One that is thrown away unfinished, as by a test, may not wait any more.
            if not isinstance(sys.exception(), GeneratorExit):
                try:
                    await _ignoring_cancellation(gatherResults(self._closing))
                except CancelledError:
                    if connection is not None:
                        await _ignoring_cancellation(connection.discard())
                    raise
        return connection

    @property
    def lacking(self) -> str:
        """What it has not got so far, for a person."""
        if self._racing:
            return "no path to the peer"
        if self._request is not None and self._request.asked:
            return f"the peer did not come to {self._server}"
        return f"{self._server} did not answer"

    def _listen(self, inbound: Inbound) -> SharedPort:
        number = self._settings.local_port
        begun = {"role": self._role.name.lower(), "server": self._server}
        try:
            port = SharedPort(self._reactor, inbound, number)
        except NoConnection:
            if self._tracer is not None:
                self._tracer(What.BEGUN, **begun, port=number)
            raise
        if self._tracer is not None:
            self._tracer(What.BEGUN, **begun, port=port.number)
        return port

    async def _own_addresses(self, port: int, mapped: MappedPort) -> list[Address]:
        spaces = self._settings.spaces
        outside = await mapped.open(port) if spaces else []
        addresses = dict.fromkeys([*outside, *self._settings.self_addresses(port)])
        own = [address for address in addresses if space_of(address.ip) & spaces]
        if self._tracer is not None:
            told = own[:MAX_SELF_ADDRESSES]
            names = [space_name(address) for address in told]
            from_router = [address for address in told if address in outside]
            self._tracer(What.ADDRESSES, addresses=told, spaces=names, mapped=from_router)
        return own

    async def _ask(
        self, port: SharedPort, own: Sequence[Address]
    ) -> tuple[Candidate, Answer, Headers]:
        settings = self._settings
        request = self._request = Request(
            self._reactor, port, settings.tls, settings.server_timeout, self._tracer
        )
        try:
            return await request.ask(
                self._url, self._role, self._token, own, self._options, self._candidates
            )
        finally:
            self._closing.append(request.close())

    async def _race(
        self,
        port: SharedPort,
        inbound: Inbound,
        relay: Candidate,
        answer: Answer,
        own: Sequence[Address],
    ) -> Candidate:
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
            self._tracer,
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
