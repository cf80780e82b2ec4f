"""
Bridges connections that cannot be passed on, such as TLS: they stay where they are, and a
connection on loopback is passed on in their place.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from rdv._flows.flow import Flow
from rdv._flows.joint import Joint, PlainLeg
from rdv._observer import OneShotObserver
from rdv._system.sockets import tune
from rdv._transport.handover import adopt
from rdv._transport.liveness import watch
from rdv.server.leg import Leg

__all__ = ["Bridges", "loopback_pair"]

#: How many foreign connections to the port of a new pair are tolerated.
_STRANGERS = 8


def loopback_pair() -> tuple[socket.socket, socket.socket]:
    """
    The two ends of a new TCP connection on this host. With a pair of Unix sockets, a reset could
    not be distinguished from an end.

    :raises OSError: when the system refuses.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        # This happens in the kernel, immediately. Only foreign connections could delay it.
        listener.settimeout(1.0)
        near = socket.create_connection(listener.getsockname(), timeout=1.0)
        try:
            for _ in range(_STRANGERS):
                far, peer = listener.accept()
                if peer == near.getsockname():
                    return near, far
                far.close()
            raise ConnectionError("strangers connected to the port of a pair")
        except OSError:
            near.close()
            raise


class Bridges:
    """
    All bridges of a process: each joins a client's leg and the near end of a loopback connection,
    as if they were one connection.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._bridges: set[Joint] = set()
        self._is_closing = False
        self._closed: OneShotObserver[None] = OneShotObserver()
        self._cut: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._bridges)

    def join(self, client: Leg) -> socket.socket:
        """
        Start a bridge.

        :param client: the client whose connection stays here.
        :return: the socket to pass on in its place, which the caller closes.
        :raises OSError: when the system refuses.
        """
        near, far = loopback_pair()
        leg = PlainLeg(client.owner)
        try:
            with near:
                adopt(self._reactor, near, leg)
        except OSError:
            far.close()
            raise
        flows = Flow(client.transport, leg.transport), Flow(leg.transport, client.transport)
        bridge = Joint(self._reactor, (client, leg), flows)
        for each in (client, leg):
            tune(each.transport)  # its keepalive also detects that the far end has closed both ways
            watch(self._reactor, each.transport)
            # If this process dies, neither side may take what it has received for everything.
            each.break_on_exit(True)
        bridge.begin(self._gone)
        self._bridges.add(bridge)
        return far

    def close(self, within: float) -> Deferred[None]:
        """
        Wait for the end of all bridges.

        :param within: seconds after which the remaining ones are cut; a further call restarts it.
        :return: fires when none is left.
        """
        self._is_closing = True
        self._stop_waiting()
        self._cut = self._reactor.callLater(within, self.abort)
        self._check_empty()
        return self._closed.when_fired()

    def abort(self) -> None:
        """Cut all bridges."""
        for bridge in list(self._bridges):
            bridge.abort()

    def _gone(self, bridge: Joint) -> None:
        self._bridges.discard(bridge)
        self._check_empty()

    def _check_empty(self) -> None:
        if self._is_closing and not self._bridges:
            self._stop_waiting()
            self._closed.fire(None)

    def _stop_waiting(self) -> None:
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
