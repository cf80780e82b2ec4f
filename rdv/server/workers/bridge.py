"""
A way for connections that cannot be handed over, as TLS: they stay where they are, and a connection
on loopback goes in their place.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from rdv._flows.flow import Flow
from rdv._system.sockets import linger, tune
from rdv._transport.handover import adopt
from rdv._transport.liveness import unwatch, watch
from rdv.server.leg import Leg
from rdv.wire import Offer

__all__ = ["Bridges", "loopback_pair"]

#: Strangers who may come to the port of a new pair before it is given up.
_STRANGERS = 8


def loopback_pair() -> tuple[socket.socket, socket.socket]:
    """
    The two ends of a new TCP connection on this host. Not a pair of Unix sockets: there a reset
    could not be told from an end.

    :raises OSError: when it cannot be had.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        # All of it happens in the kernel, at once; only strangers could be in the way.
        listener.settimeout(1.0)
        near = socket.create_connection(listener.getsockname(), timeout=1.0)
        try:
            for _ in range(_STRANGERS):
                far, peer = listener.accept()
                if peer == near.getsockname():
                    return near, far
                far.close()
            raise ConnectionError("strangers came to the port of a pair")
        except OSError:
            near.close()
            raise


class _Bridge:
    """
    Owner of a client's leg and of the near end of a pair, as if they were one connection: an end of
    one direction is passed on as such, and so is a loss.
    """

    def __init__(
        self, clock: IReactorTime, client: Leg, near: Leg, gone: Callable[[_Bridge], object]
    ) -> None:
        self._clock = clock
        self._gone = gone
        self._others = {client: near, near: client}
        self._living = {client, near}
        client.owner = near.owner = self
        self._flows = {
            leg: Flow(leg.transport, other.transport) for leg, other in self._others.items()
        }
        for leg in self._living:
            tune(leg.transport)  # also how it is found out that the far end has closed both ways
            watch(clock, leg.transport)
        # Should this process die, neither side shall take what it got for the whole.
        self._linger(reset_on_close=True)

    def abort(self) -> None:
        """Cut it."""
        for leg in list(self._living):
            leg.transport.abortConnection()

    def leg_received(self, leg: Leg, data: bytes) -> None:
        """See :class:`LegOwner`."""
        self._flows[leg].write(data)

    def leg_ended(self, leg: Leg) -> None:
        """See :class:`LegOwner`."""
        self._flows[leg].end()
        for each in list(self._living):
            self._close_if_over(each)

    def leg_written(self, leg: Leg) -> None:
        """See :class:`LegOwner`."""
        self._close_if_over(leg)

    def _is_over(self) -> bool:
        return all(flow.ended for flow in self._flows.values())

    def _close_if_over(self, leg: Leg) -> None:
        # What is still with us must not look like everything if this process dies now.
        if leg.written and self._is_over():
            linger(leg.transport, False)
            leg.transport.loseConnection()

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        """See :class:`LegOwner`."""
        unwatch(self._clock, leg.transport)
        self._living.discard(leg)
        other = self._others[leg].transport
        if self._is_over() and reason.check(ConnectionDone):
            pass  # there may be more to send to the other one, which is closed behind that
        elif reason.check(ConnectionDone):
            if not self._flows[leg].ended:
                self._flows[leg].detach()
            self._linger(reset_on_close=False)
            other.loseConnection()
        else:
            other.abortConnection()
        if not self._living:
            self._gone(self)

    def _linger(self, *, reset_on_close: bool) -> None:
        for leg in self._living:
            linger(leg.transport, reset_on_close)


class Bridges:
    """All bridges of a process."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._bridges: set[_Bridge] = set()
        self._closed: Deferred[None] | None = None
        self._cut: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._bridges)

    def join(self, client: Leg) -> socket.socket:
        """
        Begin a bridge.

        :param client: whose connection stays here.
        :return: what goes in its place, for the caller to close.
        :raises OSError: when there can be none.
        """
        near, far = loopback_pair()
        leg = Leg(Offer(client.role, client.token, ()), "", "", client.owner)
        try:
            with near:
                adopt(self._reactor, near, leg)
        except OSError:
            far.close()
            raise
        self._bridges.add(_Bridge(self._reactor, client, leg, self._gone))
        return far

    def close(self, within: float) -> Deferred[None]:
        """
        Wait for the end of all.

        :param within: after so many seconds those that are left are cut.
        :return: fires when none is left.
        """
        self._closed = Deferred()
        self._cut = self._reactor.callLater(within, self.abort)
        self._check_empty()
        return self._closed

    def abort(self) -> None:
        """Cut them all."""
        for bridge in list(self._bridges):
            bridge.abort()

    def _gone(self, bridge: _Bridge) -> None:
        self._bridges.discard(bridge)
        self._check_empty()

    def _check_empty(self) -> None:
        if self._closed is None or self._closed.called or self._bridges:
            return
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
        self._closed.callback(None)
