"""
Dialling and accepting.
"""

from __future__ import annotations

import math
from itertools import count
from typing import Any, Unpack

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS

from rdv import _knobs as knobs
from rdv._secure.secret import Token
from rdv._system.clock import monotonic
from rdv.addresses import AddressSpace
from rdv.client.call import Call, CancelledLater, Shared
from rdv.client.context import Settings
from rdv.client.dial.shared_port import IClientReactor
from rdv.client.http.policy import tls_policy
from rdv.client.http.request import RequestOptions, check_options
from rdv.client.parsing import parse_proxy
from rdv.client.race.choice import Chooser, relay_penalty
from rdv.client.reach.port_mapping import PortMapping
from rdv.client.reach.self_addresses import SelfAddresses, own_addresses
from rdv.client.servers.urls import Servers
from rdv.client.stream.connection import Connection
from rdv.client.trace import Trace
from rdv.errors import AttemptTimeout
from rdv.wire import Role

__all__ = ["Client"]

_MAX_PORT = 0xFFFF
_REACTOR_METHODS = ("callLater", "seconds", "listenTCP", "connectTCP")


class Client:
    """
    Connects to peers that share a token. One client serves any number of attempts at once.

    :param tls: how an ``https`` server is verified; see :func:`rdv.client.tls_policy`. The default
        trusts the platform's roots.
    :param spaces: which addresses are reported, dialled and accepted from. ``AddressSpace.NONE``
        forces the relay.
    :param self_addresses: called with the port's number for each attempt; returns this host's
        addresses, the most useful first, as the peer is told nine at most. The default is
        :func:`rdv.client.own_addresses`, or the reactor's ``own_addresses`` where
        its network is another one, as in :mod:`rdv.testing`. For a port that a router always maps
        to this host, put its address in front of those.
    :param port_mapping: has a router map the port for the time of an attempt; see
        :data:`rdv.client.reach.port_mapping.PortMapping`. It is given 0.3 seconds.
    :param local_port: a fixed port to listen and dial from, for instance one that a router maps to
        this host; 0 for a new one each time. With a fixed one, only one attempt at a time makes
        sense, and it ends with the time in which its stream may move.
    :param lowest_port: peer addresses with a port below are not dialled, as a peer can name any.
    :param penalty: seconds that the relay, once it is ready, gives a direct path to come, at most.
    :param chooser: replaces the rule that ``penalty`` belongs to; see
        :data:`rdv.client.race.choice.Chooser`. For dialling only: an acceptor takes what the dialer
        chose.
    :param server_timeout: seconds to reach the server: to resolve its name, to connect to one of
        its addresses, IPv4 first, and for a TLS handshake, all together. An answer that has begun
        has as many again to be complete.
    :param handshake_timeout: seconds from the server's answer to a connection.
    :param trace: called with every event of every attempt; see :mod:`rdv.client.trace`. Without one
        nothing is recorded.
    :param proxy: an HTTP proxy through which the server is reached,
        ``http://[user:password@]host[:port]``: a tunnel, to ``http`` servers as well. Peers are
        dialled directly nevertheless. None, for none: the environment is not looked at, as the
        commands do. A ``Proxy-Authorization`` among a request's ``headers`` is for the proxy.
    :param secure: True refuses plain tokens, so that every stream is encrypted from end to end;
        None leaves it to the form of the token.
    :param move: whether a secured stream may begin on the relay and move to a direct path as soon
        as there is one, if its peer can do that as well; see :mod:`rdv.client.move`.
    :param witness: whether an acceptor of plain streams waits for proof that it is the dialer who
        has come (:mod:`rdv.client.race.witness`). False saves that time, and is for TLS inside.
    :raises TypeError: when one of them is of the wrong type; the text names it.
    :raises ValueError: when one is out of range; likewise.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        tls: IPolicyForHTTPS | None = None,
        spaces: AddressSpace = AddressSpace.DEFAULT,
        self_addresses: SelfAddresses | None = None,
        port_mapping: PortMapping | None = None,
        local_port: int = 0,
        lowest_port: int = 1024,
        penalty: float = 2.0,
        chooser: Chooser | None = None,
        server_timeout: float = 10.0,
        handshake_timeout: float = 30.0,
        trace: Trace | None = None,
        proxy: str | None = None,
        secure: bool | None = None,
        move: bool = True,
        witness: bool = True,
    ) -> None:
        self._reactor: IClientReactor = monotonic(
            knobs.with_methods("reactor", reactor, _REACTOR_METHODS, "a reactor")
        )
        self._trace = knobs.function("trace", trace)
        self._secure = _checked(secure)
        if tls is not None and not IPolicyForHTTPS.providedBy(tls):
            raise TypeError("tls: an IPolicyForHTTPS is needed, as made by tls_policy()")
        found: SelfAddresses = getattr(reactor, "own_addresses", own_addresses)
        settings = Settings(
            tls=tls or tls_policy(),
            spaces=knobs.instance("spaces", spaces, AddressSpace, "an AddressSpace"),
            self_addresses=knobs.function("self_addresses", self_addresses) or found,
            port_mapping=knobs.function("port_mapping", port_mapping),
            local_port=knobs.whole("local_port", local_port, 0, _MAX_PORT),
            lowest_port=knobs.whole("lowest_port", lowest_port, 0, _MAX_PORT),
            chooser=knobs.function("chooser", chooser) or relay_penalty(penalty),
            server_timeout=knobs.seconds("server_timeout", server_timeout, above_zero=True),
            handshake_timeout=knobs.seconds(
                "handshake_timeout", handshake_timeout, above_zero=True
            ),
            move=knobs.instance("move", move, bool, "True or False"),
            proxy=None if proxy is None else parse_proxy(proxy),
            witness=knobs.instance("witness", witness, bool, "True or False"),
        )
        self._shared = Shared(self._reactor, settings, count(1))

    def __repr__(self) -> str:
        return f"<Client spaces={self._shared.settings.spaces.name}>"

    @property
    def clock(self) -> IReactorTime:
        """What tells the time of the attempts, in seconds that are no date."""
        return self._reactor

    def dial(
        self,
        url: Servers,
        token: Token,
        *,
        timeout: float | None = 60.0,
        trace: Trace | None = None,
        secure: bool | None = None,
        **options: Unpack[RequestOptions],
    ) -> Deferred[Connection]:
        """
        Connect to the peer that accepts with the same token.

        :param url: of the server: ``http://host[:port][/path]`` or ``https://...``; or of several,
            of which any may be out of order: :mod:`rdv.client.servers.several`. The peer needs the
            same ones, in any order. Not with a ``local_port``.
        :param token: a :class:`rdv.Secret`, or its text, for a stream that is encrypted from end to
            end; any other text for a plain one (:func:`rdv.wire.check_token`).
        :param timeout: seconds for everything, waiting for the peer included; None for as long as
            it takes. While it lasts, a server that says that nobody came (408) is asked again.
        :param trace: told of what happens in this call only, beside the client's own.
        :param secure: as :class:`Client` has it, for this call: True refuses a plain token.
        :param options: passed to treq's ``request``: ``headers``, ``auth``, ``cookies``,
            ``params``.
        :return: fires with a :class:`Connection`, to be given a protocol. Errbacks with a
            :class:`rdv.errors.RdvError`: ``BadURL``, ``BadToken`` or ``BadSecret`` before any I/O,
            ``ServerUnreachable``, ``ServerRefused``, ``ProtocolError`` when the answer makes no
            sense, ``NoServer`` when none of several lets us wait, ``NoConnection`` when there is no
            path to the peer, with a secret ``NotProven`` when nobody who came proved to know it, or
            ``AttemptTimeout``. With one server none but a 408 is tried again here: who wants to
            wait for a peer that proves itself calls again, after a pause, as the endpoints and
            ``rdv dial`` do. An argument that cannot be is told likewise before
            any I/O, as a ``TypeError`` or ``ValueError`` that names it.
            Cancelling it closes everything; it errbacks when that is done.
        """
        return self._connect(Role.DIALER, url, token, timeout, trace, secure, options)

    def accept(
        self,
        url: Servers,
        token: Token,
        *,
        timeout: float | None = None,
        trace: Trace | None = None,
        secure: bool | None = None,
        **options: Unpack[RequestOptions],
    ) -> Deferred[Connection]:
        """
        Wait for the peer that dials with the same token. As :meth:`dial`, but by default there is
        no timeout. With a secret, ``NotProven`` means that somebody came who did not know it, and
        that nobody waits any more.
        """
        return self._connect(Role.ACCEPTOR, url, token, timeout, trace, secure, options)

    def _connect(
        self,
        role: Role,
        url: Servers,
        token: Token,
        timeout: float | None,
        trace: Trace | None,
        secure: bool | None,
        options: RequestOptions,
    ) -> Deferred[Connection]:
        try:
            if timeout is not None:
                knobs.seconds("timeout", timeout)
            knobs.function("trace", trace)
            check_options(options)
            secure = _checked(secure) or self._secure
        except (TypeError, ValueError):
            return fail()
        traces = tuple(each for each in (self._trace, trace) if each is not None)
        call = Call(self._shared, role, traces, options, secure=bool(secure))

        def timed_out(result: object, seconds: float) -> object:
            if isinstance(result, Failure) and result.check(CancelledError):
                raise AttemptTimeout(seconds, call.lacking)
            return result

        running = call.run(url, token, math.inf if timeout is None else timeout)
        entered = Deferred.fromCoroutine(running)
        if timeout is not None:
            entered.addTimeout(timeout, self._reactor, timed_out)
        if not traces:
            return entered
        return CancelledLater(self._reactor, entered, lambda: call.telling)


def _checked(secure: bool | None) -> bool | None:
    if secure not in (None, True):
        raise ValueError("secure: None or True is needed; for a plain stream, use a plain token")
    return secure
