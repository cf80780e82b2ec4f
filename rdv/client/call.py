"""
One call of ``Client.dial`` or ``accept``: attempts at one server, or at several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from hyperlink import URL
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from rdv._secure.exchange import SecureAttempt
from rdv._secure.secret import Secret, Token, read_token, server_token
from rdv.addresses import Address
from rdv.client.attempt import NO_PATH, Attempt
from rdv.client.context import Context, Settings, Syns
from rdv.client.dial.shared_port import IClientReactor
from rdv.client.http.request import RequestOptions
from rdv.client.http.server_endpoint import is_address
from rdv.client.move import Move
from rdv.client.servers.several import Several
from rdv.client.servers.urls import Place, Servers, others, parse_servers, ranked
from rdv.client.stream.connection import Connection
from rdv.client.trace import Trace
from rdv.client.tracing.attempt_trace import NO_TRACE, AttemptTrace
from rdv.errors import BadToken, ServerRefused
from rdv.wire import Role

__all__ = ["Call", "CancelledLater", "Shared"]

#: A server that lets no client wait is not contacted more often than this, in seconds.
_REENTRY_PAUSE = 1.0


@dataclass(eq=False, repr=False)
class Shared:
    """
    Shared by all calls of a client.

    :ivar numbers: the numbers of attempts.
    """

    reactor: IClientReactor
    settings: Settings
    numbers: Iterator[int]
    syns: Syns = field(default_factory=Syns)
    moves: dict[Move, None] = field(default_factory=dict)


class Call:
    """
    :param traces: called with the events of each attempt.
    :param secure: whether to refuse a plain token.
    :param options: for treq's ``request``.
    """

    def __init__(
        self,
        shared: Shared,
        role: Role,
        traces: tuple[Trace, ...],
        options: RequestOptions,
        *,
        secure: bool,
    ) -> None:
        self._shared = shared
        self._role = role
        self._traces = traces
        self._options = options
        self._secure = secure
        self._turn = DeferredLock()
        self._attempts: dict[Place, Attempt] = {}  # the latest one at each server
        self._told: dict[Place, AttemptTrace] = {}
        self._machines: Several[Connection] | None = None  # when there is one server

    @property
    def lacking(self) -> str:
        """What the call is still waiting for, for humans."""
        texts = list(dict.fromkeys(each.lacking for each in self._attempts.values()))
        return NO_PATH if NO_PATH in texts else "; ".join(texts)

    @property
    def telling(self) -> bool:
        """Whether a trace is being called."""
        return any(each.telling for each in self._told.values())

    async def run(self, url: Servers, token: Token, timeout: float) -> Connection:
        """
        :param timeout: seconds until it will be cancelled because of the timeout.
        :raises RdvError: as ``Client.dial``.
        """
        read = read_token(token)
        secret = read if isinstance(read, Secret) else None
        if self._secure and secret is None:
            raise BadToken("the token is not a secret: run rdv token to generate one")
        servers = parse_servers(url)
        clock = self._shared.reactor
        ends = clock.seconds() + timeout
        on_wire = server_token(read)

        async def visit(place: Place, met: Callable[[], object]) -> Connection:
            while True:
                begun = clock.seconds()
                context = self._context(place, on_wire, secret)
                attempt = Attempt(context, place.url, self._options, ends, met)
                self._attempts[place] = attempt
                try:
                    return await attempt.run()
                except ServerRefused as refused:
                    if refused.status != 408:
                        raise
                pause = begun + _REENTRY_PAUSE - clock.seconds()
                if pause > 0:
                    await deferLater(clock, pause)

        settings, places = self._shared.settings, [Place(each) for each in ranked(on_wire, servers)]
        if len(places) > 1:
            if settings.local_port:
                raise ValueError("url: a local_port works with a single server only")
            return await Several(clock, places, visit, Connection.discard).run()
        if settings.local_port or settings.proxy is not None or is_address(servers[0].host):
            return await visit(places[0], lambda: None)
        self._machines = Several(clock, places, visit, Connection.discard, self._waits)
        return await self._machines.run()

    def _waits(self, place: Place) -> bool:
        return self._attempts[place].asked

    def _found(self, url: URL, addresses: Sequence[Address]) -> None:
        assert self._machines is not None
        self._machines.add(others(url, addresses))

    def _context(self, place: Place, on_wire: bytes, secret: Secret | None) -> Context:
        shared, settings = self._shared, self._shared.settings
        trace = NO_TRACE
        if self._traces:
            number = next(shared.numbers)
            trace = AttemptTrace(shared.reactor, number, self._traces, self._role)
            self._told[place] = trace
        secured = None
        if secret is not None:
            moves = settings.move and bool(settings.spaces)
            secured = SecureAttempt(self._role, secret, moves=moves)
        return Context(
            shared.reactor,
            settings,
            self._role,
            on_wire,
            secured,
            trace,
            syns=shared.syns,
            moves=shared.moves,
            turn=self._turn,
            machine=place.address,
            is_last=place.is_last,
            found=None if self._machines is None else partial(self._found, place.url),
        )


class CancelledLater(Deferred[Connection]):
    """
    Fires as ``connecting`` does. A trace may cancel it: the cancellation then waits until the next
    reactor turn, because the attempt is still running the code that reports the event.

    :param telling: whether a trace is being called.
    """

    def __init__(
        self, clock: IReactorTime, connecting: Deferred[Connection], telling: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._clock = clock
        self._connecting = connecting
        self._telling = telling
        self._cancelling: IDelayedCall | None = None
        connecting.addBoth(self._fire)

    def cancel(self) -> None:
        if self.called:
            super().cancel()
        elif not self._telling():
            self._connecting.cancel()
        elif self._cancelling is None:
            self._cancelling = self._clock.callLater(0, self._connecting.cancel)

    def _fire(self, result: Connection | Failure) -> None:
        if self._cancelling is not None and self._cancelling.active():  # it has ended before that
            self._cancelling.cancel()
            if isinstance(result, Connection):
                result.discard().addCallback(lambda _: self.errback(CancelledError()))
                return
        self.callback(result)
