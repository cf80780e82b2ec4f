"""
The ``twisted.web`` resource: refuses invalid offers, and takes over the connections of valid ones.

A bad request is answered over plain HTTP. The connection of a good one is detached *inside*
``render``: from then on, there is no Request, channel or timer for it, only a ``Leg`` with slots,
and what Twisted needs for any connection. Data that followed the request is delivered to the leg,
which answers it with a 400. A request of unreasonable size is answered by the site of a standalone
server, which then keeps reading for a while and drops the data: a socket that is closed with unread
input is reset, and the response may be lost with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias, cast

from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from rdv import _knobs as knobs
from rdv._awaiting import deferred_of
from rdv._flows.joint import LegOwner
from rdv._signed_token import check_user
from rdv._transport.handover import hand_over
from rdv.addresses import host_of, space_of
from rdv.errors import BadRequest
from rdv.server.access.door import PATIENCE, Door, Later, Visitor
from rdv.server.accounting.statistics import Statistics
from rdv.server.descriptors.budget import DescriptorBudget
from rdv.server.descriptors.shedding import Holder
from rdv.server.leg import Leg
from rdv.server.limits.admission import Admission
from rdv.server.limits.lease import NOBODY, Lease
from rdv.server.observed import ObservedAddress, peer_address
from rdv.server.refusals import FULL, SHUTDOWN, TOO_LATE, UNDECIDED, bad_request
from rdv.wire import RETRY_AFTER, RETRY_LATER, parse_offer

__all__ = ["IRendezvous", "Identify", "RendezvousResource", "plain_rendezvous"]

log = Logger()

#: Returns the user of a request, if known.
Identify: TypeAlias = Callable[[IRequest], Awaitable[str | None] | str | None]


class IRendezvous(LegOwner[Leg], Protocol):
    """Takes clients: a :class:`rdv.server.Rendezvous`, or an object that passes them on to one."""

    clock: IReactorTime

    @property
    def admission(self) -> Admission:
        """Applies the limits per address."""

    @property
    def budget(self) -> DescriptorBudget:
        """Keeps some descriptors free."""

    @property
    def closing(self) -> bool:
        """Whether new clients are refused."""

    @property
    def statistics(self) -> Statistics:
        """The counters."""

    def has_room(self, leg: Leg, transport: object) -> bool:
        """Whether the client on ``transport`` may enter; see :class:`Rendezvous`."""

    def holders(self) -> Iterable[Holder]:
        """Connections of refused clients; see :class:`Rendezvous`."""

    def is_full(self, transport: object) -> bool:
        """Whether a client on ``transport`` would be refused, unless its peer is waiting."""

    def enter(self, leg: Leg, early: bytes = b"") -> None:
        """Take a client whose owner this is; see :meth:`rdv.server.Rendezvous.enter`."""


class RendezvousResource(Resource):
    """
    A rendezvous at any path of any ``Site``, plain or TLS, with any resources, guards and wrappers
    around it.

    Several resources may share one :class:`Rendezvous`: their clients can then meet each other.

    :param rendezvous: where clients meet.
    :param observed_address: returns the address from which a request came; see
        :mod:`rdv.server.observed`.
    :param identify: returns the user of a request: text of at most 256 bytes without control
        characters, or None, or an awaitable of one, which is cancelled if the client leaves. A
        ``serve`` hook finds it in ``user`` of the pair's ``dialer`` and ``acceptor``. If it raises
        :class:`~rdv.errors.BadRequest`, the client is refused with that; if it fails, with 500.
    :param door: access checks; None to admit everybody. For standalone servers.
    :raises TypeError: when a parameter has the wrong type; the message names it.
    """

    isLeaf = True

    def __init__(
        self,
        rendezvous: IRendezvous,
        observed_address: ObservedAddress = peer_address,
        *,
        identify: Identify | None = None,
        door: Door | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rendezvous = knobs.with_methods(
            "rendezvous", rendezvous, ("enter", "has_room"), "a Rendezvous"
        )
        self._observed_address = knobs.function("observed_address", observed_address)
        self._identify = knobs.function("identify", identify)
        self._door = door

    def render(self, request: IRequest) -> int | bytes:
        """
        Answer a bad request over HTTP; take over the connection of a good one immediately.

        A request that was taken over writes no access-log line, and its ``notifyFinish`` never
        fires.
        """
        request = cast(Request, request)
        if request.channel is None:  # the client has left while a guard was deciding
            return NOT_DONE_YET
        try:
            visitor = self._visitor(request)
            later = self._ask(request, visitor)
        except BadRequest as error:
            return self._refuse(request, error)
        except Exception:
            return self._refuse(request, _undecided(Failure()))
        if later is None:
            return self._let_in(request, visitor)
        self._hold(request, visitor, later)
        return NOT_DONE_YET

    def _visitor(self, request: Request) -> Visitor:
        observed, headers = self._observe(request), request.requestHeaders
        if not _lease(request).is_known:
            self._rendezvous.admission.ask(host_of(observed))

        def values(name: bytes) -> Sequence[bytes]:
            return headers.getRawHeaders(name, [])

        offer = parse_offer(request.method, request.clientproto, values)
        if headers.hasHeader("expect") or (request.content is not None and request.content.read(1)):
            raise BadRequest("bytes before the response: an offer has no body")
        if self._rendezvous.closing:
            raise bad_request(SHUTDOWN)
        return Visitor(offer, values, observed, request.getClientAddress())

    def _ask(self, request: Request, visitor: Visitor) -> Later | None:
        if self._identify is not None:
            user = self._identify(request)
            if inspect.isawaitable(user):
                return self._ask_behind(user, visitor)
            visitor.user = _checked(user)
        return None if self._door is None else self._door.ask(visitor)

    async def _ask_behind(self, user: Awaitable[str | None], visitor: Visitor) -> None:
        visitor.user = _checked(await user)
        later = None if self._door is None else self._door.ask(visitor)
        if later is not None:
            await later

    def _hold(self, request: Request, visitor: Visitor, later: Later) -> None:
        """Answer as soon as the access check has decided; not at all if the client leaves."""

        def answered(result: object) -> None:
            # The client has left, or was refused meanwhile.
            if getattr(request.channel, "closed", request.channel is None):
                return
            if isinstance(result, Failure):
                answer: int | bytes = self._refuse(request, _undecided(result))
            else:
                answer = self._let_in(request, visitor)
            if isinstance(answer, bytes):
                request.write(answer)
                request.finish()

        answering = deferred_of(later)
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addTimeout(PATIENCE, self._rendezvous.clock).addBoth(answered)

    def _let_in(self, request: Request, visitor: Visitor) -> int | bytes:
        # No peer can dial port 0; the door and the limits use the address anyway.
        reached = "" if visitor.observed.endswith(":0") else visitor.observed
        leg = Leg(visitor.offer, reached, self._rendezvous, visitor.user)
        admission, host = self._rendezvous.admission, host_of(visitor.observed)
        leg.lease = _lease(request)
        if not leg.lease.is_known:
            leg.lease = admission.lease(host, counted=False)
        if not self._rendezvous.has_room(leg, request.channel.transport):
            leg.lease.misses(leg.token)
            return self._refuse(request, bad_request(FULL))
        admission.named(leg.lease, host, leg.addresses)
        self._rendezvous.enter(leg, _detach(request, leg))
        return NOT_DONE_YET

    def _refuse(self, request: Request, error: BadRequest) -> bytes:
        self._rendezvous.statistics.refused(error.status, str(error))
        return _refuse(request, error)

    def _observe(self, request: Request) -> str:
        address = self._observed_address(request)
        if address is None or not space_of(address.ip):
            return ""
        return str(address)


def plain_rendezvous(resource: object) -> IRendezvous | None:
    """
    The rendezvous of a resource without access checks, and with clients' addresses as their
    connections have them. None for any other resource, which has to be asked.
    """
    if type(resource) is not RendezvousResource or "render" in vars(resource):
        return None
    checks = resource._identify is not None or resource._door is not None
    is_plain = not checks and resource._observed_address is peer_address
    return resource._rendezvous if is_plain else None


def _checked(user: str | None) -> str | None:
    knobs.instance("the user", user, (str, type(None)), "text or None")
    return None if user is None else check_user(user)


def _undecided(failure: Failure) -> BadRequest:
    """The error for a client that the door did not admit."""
    if isinstance(failure.value, BadRequest):
        return failure.value
    if failure.check(DeferredTimeout, CancelledError):
        log.error("a client's access could not be checked in time")
        return bad_request(TOO_LATE)
    log.failure("a client's access could not be checked", failure=failure)
    return bad_request(UNDECIDED)


def _refuse(request: Request, error: BadRequest) -> bytes:
    # twisted.web has no phrase for 426.
    request.setResponseCode(error.status, HTTPStatus(error.status).phrase.encode())
    request.setHeader("Content-Type", "text/plain; charset=utf-8")
    if error.status == 401:  # RFC 9110, 15.5.2
        request.setHeader("WWW-Authenticate", "Bearer")
    if error.status == 426:
        request.responseHeaders.addRawHeader("Connection", "Upgrade")
        request.setHeader("Upgrade", "rdv/1")
    if error.status in RETRY_LATER:
        request.setHeader("Retry-After", str(RETRY_AFTER))
        # There is nothing else here for this client.
        request.setHeader("Connection", "close")
        channel: Any = request.channel
        channel.persistent = False
    body = f"{error}\n".encode()
    request.setHeader("Content-Length", str(len(body)))
    return body if request.method != b"HEAD" else b""


def _lease(request: Request) -> Lease:
    """The lease that already counts the connection, on a standalone server."""
    lease: Lease = getattr(request.channel, "lease", NOBODY)
    return lease


def _detach(request: Request, leg: Leg) -> bytes:
    """
    Take the connection from ``twisted.web`` and give it to ``leg``.

    From now on, data arrives at the leg. Channel and request are left to the garbage collector,
    without a timer.

    :return: data that has already been received after the request.
    """
    channel: Any = request.channel
    behind: list[bytes] = []
    # For the channel, the request is done; it then processes the data that it has held back.
    channel.persistent = True
    channel.dataReceived = behind.append
    channel.requestDone(request)
    behind.append(channel.clearLineBuffer())
    transport = channel.transport
    transport.unregisterProducer()
    channel.setTimeout(None)
    channel.transport = None
    hand_over(transport, leg)
    return b"".join(behind)
