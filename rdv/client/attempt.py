"""
One attempt: a port, a request, a race.

In one attempt: ``SharedPort`` -> own addresses, filtered by space -> ``treq`` over ``UpgradeAgent``
from that port -> ``Answer`` -> ``Contest`` -> ``Connection``. It is one coroutine; its ``finally``
closes everything except the winner, and cancelling the Deferred at any await runs that same
``finally``.

A ``Contest`` races Deferreds, each of which fires with a chosen ``Candidate``: one for the relay,
one for each dialled address, and one for all incoming connections together.
``DeferredList(fireOnOneCallback=True)`` does not cancel losers, succeeds when all fail and never
fires on an empty list; ``choice.first`` handles all three cases. Each contender completes its
handshake, waits for as long as the chooser says, and then takes the *choice*, a lock: only one
candidate at a time sends CONFIRM. For each ready candidate of the dialer, the *chooser* returns how
many seconds to wait for a better one: 0 for a direct path, some milliseconds for one that takes a
detour through a NAT that both peers are behind, and for the relay the relay penalty, or a round
trip if its stream can move to a direct path later (:mod:`rdv.client.move`). The penalty ends early
when no direct path is possible any more (every address has no route, or has refused for a second).
A connection that is in its handshake when the penalty ends gets the rest of its second, so that no
direct path narrowly loses to the relay. The acceptor does not choose: the first trusted CONFIRM
wins (``Witness``).

Incoming connections that arrive before the server's answer are held, and nothing is sent on them:
a port scanner must not get the token while the client waits in the lobby. After the answer, an
acceptor sends the token to the addresses that the answer named, and within a site; other
connections stay held. The number of simultaneous connections is bounded for each named address, and
for all other addresses together.

The winner's transport belongs to a ``Connection``, the ``ITransport`` that the application's
protocol sees. It holds bytes that arrived with HELLO or CONFIRM until a protocol is attached.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hyperlink import URL
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.web.http_headers import Headers

from rdv.addresses import Address, space_of
from rdv.client.candidates.candidate import Candidate
from rdv.client.context import Context
from rdv.client.dial.shared_port import SharedPort
from rdv.client.http.request import UpgradeAgent, ask, with_proxy
from rdv.client.http.server_endpoint import ServerEndpoints
from rdv.client.move import Move
from rdv.client.race.contest import Contest
from rdv.client.reach.opened import Reach, ignoring_cancellation
from rdv.client.reasons import describe
from rdv.client.stream.connection import Connection
from rdv.errors import RdvError
from rdv.wire import MAX_SELF_ADDRESSES, Answer

__all__ = ["NO_PATH", "Attempt"]

#: What is lacking when the server has named the peer.
NO_PATH = "no path to the peer"


class Attempt:
    """
    One attempt at a connection. However :meth:`run` ends, it closes everything except the winner.

    :param options: for treq's ``request``.
    :param ends: when the timeout will cancel the attempt, on the reactor's clock.
    :param met: called when the server has named the peer.
    """

    def __init__(
        self,
        context: Context,
        url: URL,
        options: Mapping[str, Any],
        ends: float = math.inf,
        met: Callable[[], object] = lambda: None,
    ) -> None:
        self._context = context
        self._met = met
        self._url = url
        self._server = url.to_text()
        self._options = options
        self._ends = ends
        self._closing: list[Deferred[Any]] = []
        self._agent: UpgradeAgent | None = None
        self._racing = False
        self._failure = ""

    async def run(self) -> Connection:
        """
        :raises ServerUnreachable: when the server cannot be reached, or ends without an answer.
        :raises ServerRefused: when it answers with anything but 101.
        :raises ProtocolError: when its answer cannot be understood.
        :raises NoConnection: when neither a direct path nor the relay can be established, or the
            local port is unavailable.
        """
        try:
            connection = await self._run()
        except BaseException as error:
            self._context.trace.failed(self._failure_text(error))
            if isinstance(error, RdvError) and getattr(error, "status", None) != 408:
                self._failure = str(error)
            raise
        is_relay, peer = connection.is_relay, connection.peer_address
        self._context.trace.connected(is_relay, peer, moves=connection.may_move)
        return connection

    def _failure_text(self, error: BaseException) -> str:
        if not isinstance(error, CancelledError):
            return describe(error)
        late = self._context.reactor.seconds() >= self._ends
        return f"{'time is up' if late else 'cancelled'}: {self.lacking}"

    async def _run(self) -> Connection:
        context = self._context
        reach = Reach(context, self._server)
        connection = reserve = move = None
        try:
            own = await self._own_addresses(reach)
            relay, answer, headers = await self._ask(reach.port, own)
            self._racing = True
            self._met()
            contest = Contest(context, reach.port, reach.inbound, relay, answer, own)
            winner = await contest.run()
            can_relay = relay.connected and answer.relays
            if can_relay and not winner.is_relay and winner.confirmed() is not None:
                reserve = relay
            observed = answer.observed if context.settings.proxy is None else None
            connection = Connection(winner, observed, headers, reserve)
            if winner.is_relay and winner.exchange.can_move:
                move = Move(context, contest, reach, winner, connection)
        finally:
            if move is None:
                self._closing.append(reach.close(reserve, abort=connection is None))
            # A coroutine that is discarded unfinished, as by a test, must not await anything.
            if not isinstance(sys.exception(), GeneratorExit):
                try:
                    await ignoring_cancellation(gatherResults(self._closing))
                except CancelledError:
                    if connection is not None:
                        await ignoring_cancellation(connection.discard())
                    raise
        return connection

    @property
    def asked(self) -> bool:
        """Whether the server has the request."""
        return self._agent is not None and self._agent.asked

    @property
    def lacking(self) -> str:
        """What the attempt is still waiting for, or why it has failed, for humans."""
        if self._failure:
            return self._failure
        if self._racing:
            return NO_PATH
        if self.asked:
            return f"no peer arrived at {self._server}"
        return f"{self._server} did not answer"

    async def _own_addresses(self, reach: Reach) -> list[Address]:
        settings, port = self._context.settings, reach.port.number
        outside = await reach.mapped.open(port) if settings.spaces else []
        addresses = dict.fromkeys([*outside, *settings.self_addresses(port)])
        own = [address for address in addresses if space_of(address.ip) & settings.spaces]
        self._context.trace.addresses(own[:MAX_SELF_ADDRESSES], outside)
        return own

    async def _ask(
        self, port: SharedPort, own: Sequence[Address]
    ) -> tuple[Candidate, Answer, Headers]:
        context = self._context
        proxy, options = with_proxy(context.settings.proxy, self._options)
        agent = self._agent = UpgradeAgent(context, ServerEndpoints(context, port, proxy))
        try:
            return await ask(context, agent, self._url, own, options)
        finally:
            self._closing.append(agent.close())
