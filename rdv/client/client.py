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

    :param tls: how to verify an ``https`` server; see :func:`rdv.client.tls_policy`. The default
        trusts the platform's roots.
    :param spaces: which addresses to report, dial and accept from. ``AddressSpace.NONE`` forces the
        relay.
    :param self_addresses: called with the port number for each attempt; returns this host's
        addresses, the most useful first, because the peer gets at most nine. The default is
        :func:`rdv.client.own_addresses`, or the reactor's ``own_addresses`` where
        its network is another one, as in :mod:`rdv.testing`. For a port that a router always maps
        to this host, put its external address first.
    :param port_mapping: has a router map the port for the duration of an attempt; see
        :data:`rdv.client.reach.port_mapping.PortMapping`. It is given 0.3 seconds.
    :param local_port: a fixed port to listen and dial from, for example one that a router maps to
        this host; 0 for a new one each time. With a fixed port, only make one attempt at a time;
        the port is in use until the stream can no longer move.
    :param lowest_port: do not dial peer addresses with a lower port, because a peer can name any
        port.
    :param penalty: maximum seconds that the relay, once it is ready, waits for a direct path.
    :param chooser: replaces the default rule, which uses ``penalty``; see
        :data:`rdv.client.race.choice.Chooser`. For dialling only: an acceptor takes what the dialer
        chose.
    :param server_timeout: seconds to reach the server: to resolve its name, to connect to one of
        its addresses, IPv4 first, and to do a TLS handshake, in total. A response that has begun
        has the same time again to complete.
    :param handshake_timeout: seconds from the server's answer to a connection.
    :param trace: called with every event of every attempt; see :mod:`rdv.client.trace`. Without it,
        nothing is recorded.
    :param proxy: an HTTP proxy through which to reach the server,
        ``http://[user:password@]host[:port]``: through a tunnel, also for ``http`` servers. Peers
        are still dialled directly. None for no proxy: unlike the commands, the client does not read
        the environment. A ``Proxy-Authorization`` in a request's ``headers`` is sent to the proxy.
    :param secure: True rejects plain tokens, so that every stream is encrypted end to end; None
        leaves it to the form of the token.
    :param move: whether a secured stream may start on the relay and move to a direct path as soon
        as one opens, if the peer supports it too; see :mod:`rdv.client.move`.
    :param witness: whether an acceptor of plain streams waits for proof that the other end is the
        dialer (:mod:`rdv.client.race.witness`). Use False to save that time with TLS inside the
        stream.
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
        """The clock of the attempts; monotonic seconds."""
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
        Connect to a peer that accepts with the same token.

        :param url: the URL of the server: ``http://host[:port][/path]`` or ``https://...``; or
            several URLs, for failover: :mod:`rdv.client.servers.several`. The peer needs the same
            URLs, in any order. Several URLs do not work with a ``local_port``.
        :param token: a :class:`rdv.Secret`, or its text, for a stream that is encrypted end to end;
            any other text for a plain one (:func:`rdv.wire.check_token`).
        :param timeout: seconds for everything, including the wait for the peer; None for no limit.
            Until then, the request is repeated if the server reports that no peer arrived (408).
        :param trace: called with the events of this call only, in addition to the client's own
            trace.
        :param secure: as for :class:`Client`, for this call: True rejects a plain token.
        :param options: passed to treq's ``request``: ``headers``, ``auth``, ``cookies``,
            ``params``.
        :return: fires with a :class:`Connection`, which needs a protocol. Errbacks with a
            :class:`rdv.errors.RdvError`: ``BadURL``, ``BadToken`` or ``BadSecret`` before any I/O,
            ``ServerUnreachable``, ``ServerRefused``, ``ProtocolError`` if the response is invalid,
            ``NoServer`` if none of several servers accepts this client, ``NoConnection`` if there
            is no path to the peer, with a secret ``NotProven`` if no peer proved that it knows it,
            or ``AttemptTimeout``. With a single server, only a 408 is retried here: to wait for a
            peer that proves itself, call again after a pause, as the endpoints and ``rdv dial`` do.
            An invalid argument is also reported before any I/O, as a ``TypeError`` or
            ``ValueError`` that names it. Cancelling it closes everything; it errbacks when that is
            done.
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
        Wait for a peer that dials with the same token. Like :meth:`dial`, but by default there is
        no timeout. With a secret, ``NotProven`` means that a client without the secret took the
        peer's place, and that this call no longer waits.
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
